"""Step 1 of the published toy: ask a rig for random poses and keep them.

    python examples/01_sample.py [FOLDER]

A rig is a function from named controls to a mesh. Here it is a cube that is turned and scaled by six controls; yours
may be slow. Samples go to disk as they come: stop this at any moment and start it again, and it goes on to the
identical set.
"""

import sys
from pathlib import Path

import bunraku as bk
from bunraku.inversion.draw import SampleConfig

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/cube")

rig = bk.open_rig("cube")
print(f"The cube has {len(rig.neutral)} vertices and {len(rig.spec)} controls:")
for name, lower, upper, neutral in zip(rig.spec.names, rig.spec.lower, rig.spec.upper, rig.spec.neutral, strict=True):
    print(f"  {name}  {lower:g} … {upper:g}, at rest {neutral:g}")

# sobol covers all ranges evenly, which suits few controls; the default, sparse, moves a few of many at a time.
sampled = bk.sample("cube", out / "samples", SampleConfig(samples=1000, sampler="sobol", seed=0))
print(f"{sampled['samples']} poses and their meshes are in {sampled['path']}. Next: 02_fit.py")
