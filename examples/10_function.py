"""A rig that is a Python function.

    python examples/10_function.py [FOLDER]

Whatever can be asked for a mesh is a rig: here a rod of 60 points that bends, twists and swells, in twelve lines. The
function says what its controls are; Bunraku asks it as a black box. It is solved on directly, by finite differences,
because it is quick to ask; a slow one would be sampled and approximated first. In the folder of a file `rods.py` that
holds it, the command `bunraku rig describe python:rods:rod` knows it too.
"""

import sys
from pathlib import Path

import numpy as np

import bunraku as bk
from bunraku.core.mesh_sequence import mesh_sequence

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/rod")

controls = [
    {"name": "bend", "lower": -1.5, "upper": 1.5, "neutral": 0, "unit": "rad"},
    {"name": "twist", "lower": -3, "upper": 3, "neutral": 0, "unit": "rad"},
    {"name": "swell", "lower": 0, "upper": 1},
]
ALONG, AROUND = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 2, 12), np.arange(5) * 2 * np.pi / 5))


def rod(values):
    """The rod's points (60, 3) at one pose."""
    bend, twist, swell = values
    width = 0.2 * (1 + swell * np.exp(-8 * (ALONG - 1) ** 2))
    angle = AROUND + twist * ALONG / 2
    x, y = width * np.cos(angle), width * np.sin(angle)
    turned = bend * ALONG / 2
    cos, sin = np.cos(turned), np.sin(turned)
    return np.stack([x * cos + ALONG * sin, y, ALONG * cos - x * sin], axis=1)


rig = bk.open_rig("python:__main__:rod")  # of this very file; `python:rods:rod` would be a function of rods.py
print(f"{len(rig.neutral)} vertices, controls: {', '.join(rig.spec.names)}")

time = np.linspace(0, 1, 48)[:, None]
true = np.hstack([1.2 * np.sin(5 * time), 2 * time, time**2])  # the solver gets the points alone
shot = mesh_sequence(np.array([rod(pose) for pose in true]), rig.faces, 24)
take = bk.invert(shot, rig)

off = np.abs(take.curves.values - true).max(axis=0)
asked = take.metrics.number("rig_evaluations")
print(f"Solved with {asked:.0f} questions to the rig; the curves are off by at most {off.max():.0e}")

out.mkdir(parents=True, exist_ok=True)
bk.save_curves(take.curves, out / "curves.csv")
print(f"Curves: {out / 'curves.csv'}")
