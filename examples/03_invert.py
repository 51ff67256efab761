"""Step 3 of the published toy: a shot of the rig, given as nothing but moving vertices, becomes curves.

    python examples/03_invert.py [FOLDER]

The published way trains a network on each shot (`method="encoder"` does so here). The default is a solver: it fits all
frames at once on the approximation, within the controls' bounds, and then asks the true rig a few times per frame.
"""

import sys
from pathlib import Path

import numpy as np

import bunraku as bk
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion.draw import SampleConfig
from bunraku.rigs.cube import animation

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/cube")

# Found again if 01_sample.py and 02_fit.py have run.
bk.sample("cube", out / "samples", SampleConfig(samples=1000, sampler="sobol", seed=0))
bk.fit(out / "samples", out / "model")

# A shot of our own, so that the truth is known. The solver gets the vertices alone.
rig, true = bk.open_rig("cube"), animation(frames=128, seed=1)
shot = mesh_sequence(rig.evaluate(true.values), rig.faces, true.fps)
print(f"The shot: {shot.frames} frames of {shot.vertex_count} vertices at {shot.fps} frames per second")

for evaluations in (0, 3, 8):
    take = bk.invert(shot, rig, model=out / "model", refine=evaluations)
    error, off = take.metrics.number("mean_vertex_error"), np.abs(take.curves.values - true.values).max()
    print(f"{evaluations} true evaluations per frame: mean vertex error {error:.1e}, worst control off by {off:.1e}")

bk.save_curves(take.curves, out / "curves.csv")
print(f"Curves to look at, and to edit: {out / 'curves.csv'}")
