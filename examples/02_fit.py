"""Step 2 of the published toy: learn the rig from its samples, as a function that can be differentiated.

    python examples/02_fit.py [FOLDER]

What is learnt is checked on poses that were kept aside. The error that is printed is that of the approximation; it does
not bound what an inversion reaches, because the true rig is asked again at the end (03_invert.py).
"""

import sys
from pathlib import Path

import numpy as np

import bunraku as bk
from bunraku.inversion.approximation import load_model
from bunraku.inversion.draw import SampleConfig

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/cube")

# The call of 01_sample.py once more: finished work is found again, not repeated.
bk.sample("cube", out / "samples", SampleConfig(samples=1000, sampler="sobol", seed=0))

fitted = bk.fit(out / "samples", out / "model")
print(f"Learnt from {fitted['samples']} samples in {fitted['cpu_seconds']:.1f} CPU s: {fitted['path']}")
print(f"Mean vertex error on samples it has not seen: {fitted['test_vertex_error']:.2g} (the cube is 2 wide)")

# An approximation is a rig itself, with derivatives besides.
model, rig = load_model(out / "model"), bk.open_rig("cube")
pose = np.array([[0.7, 0.5, 0.4, 0.9, 0.6, 0.3]])
tangent = np.eye(6)[:1]
h = 1e-5
measured = (rig.evaluate(pose + h * tangent) - rig.evaluate(pose - h * tangent)) / (2 * h)
off = np.linalg.norm(model.jvp(pose, tangent) - measured) / np.linalg.norm(measured)
print(f"Its derivative by {rig.spec.names[0]} is {100 * off:.2g} % off the true rig's. Next: 03_invert.py")
