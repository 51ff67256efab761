"""A dirty capture: noise, outliers, a hole, lost frames, centimetres, Z up.

    python examples/07_dirty.py [FOLDER]

Captures come in their own units and axes, with points that fly off and points that nobody saw. None of that has to be
said: it is found, told and dealt with. Since the shot is made here, the truth is known. The report, one HTML page,
shows what was solved and where it is wrong.
"""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

import bunraku as bk
from bunraku.api import report
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import diagonal
from bunraku.formats.npz import save_npz_sequence

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/dirty")
out.mkdir(parents=True, exist_ok=True)

rig = bk.open_rig("figure")
bk.bake("figure", "walk", out / "clean.npz", fps=Fraction(8), overwrite=True)
clean = bk.load_sequence(out / "clean.npz")
size, rng = diagonal(rig.neutral), np.random.default_rng(0)

seen = clean.vertices + rng.normal(scale=0.003 * size, size=clean.vertices.shape)
astray = rng.random(seen.shape[:2]) < 0.05
seen[astray] += rng.normal(scale=0.05 * size, size=(astray.sum(), 3))  # one point in twenty is somewhere else
seen[:, rig.neutral[:, 0] > 0.3 * rig.neutral[:, 0].max()] = np.nan  # one arm was never seen
seen[8:10] = np.nan  # nor anything of two frames
seen = 100 * seen @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # centimetres, and Z is up
save_npz_sequence(out / "capture.npz", mesh_sequence(seen, clean.faces, clean.fps))

told = bk.invert_file(out / "capture.npz", "figure", out / "take", overwrite=True)
mesh = rig.evaluate(bk.load_take(out / "take").curves.values)
off = np.linalg.norm(mesh - clean.vertices, axis=2)[np.isfinite(seen).all(2)].mean()
print(f"Axes and unit that were found: {told['alignment']}")
print(f"The rig is {1000 * off:.2f} mm from the clean mesh; noise of {3 * size:.1f} mm was on every coordinate")
print(f"Where it is wrong: {report(out / 'take')['path']}")
