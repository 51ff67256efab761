"""A dirty capture: noise, outliers, a hole, lost frames, centimetres, Z up.

    python examples/07_dirty.py [FOLDER]

Captures come in their own units and axes, with points that fly off and points that nobody saw. None of that has to be
said: it is found, told and dealt with. The same shot is solved once more frame by frame, without any of it, to see what
that is worth; since the shot is made here, the truth is known. The report, one HTML page, shows where it is wrong.
"""

import sys
from pathlib import Path

import numpy as np

import bunraku as bk
from bunraku.api import report
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import diagonal
from bunraku.formats.npz import save_npz_sequence
from bunraku.inversion.invert import InvertConfig

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/dirty")
out.mkdir(parents=True, exist_ok=True)

rig = bk.open_rig("figure")
bk.bake("figure", "walk", out / "clean.npz", overwrite=True)
clean = bk.load_sequence(out / "clean.npz")
size, rng = diagonal(rig.neutral), np.random.default_rng(0)

seen = clean.vertices + rng.normal(scale=0.003 * size, size=clean.vertices.shape)
astray = rng.random(seen.shape[:2]) < 0.05
seen[astray] += rng.normal(scale=0.05 * size, size=(astray.sum(), 3))  # one point in twenty is somewhere else
seen[:, rig.neutral[:, 0] > 0.3 * rig.neutral[:, 0].max()] = np.nan  # one arm was never seen
seen[20:24] = np.nan  # nor anything of four frames
seen = 100 * seen @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # centimetres, and Z is up
save_npz_sequence(out / "capture.npz", mesh_sequence(seen, clean.faces, clean.fps))


def off(name):
    """Mean distance of a take's mesh from the clean one, where it was seen, in millimetres."""
    mesh = rig.evaluate(bk.load_take(out / name).curves.values)
    there = np.isfinite(seen).all(2)
    return 1000 * np.linalg.norm(mesh - clean.vertices, axis=2)[there].mean()


ways = {
    "as found": InvertConfig(),
    "frame by frame": InvertConfig(smooth=0, sparse=0, robust="none"),
}
for number, (way, how) in enumerate(ways.items()):
    told = bk.invert_file(out / "capture.npz", "figure", out / f"take{number}", how, overwrite=True)
    print(f"{way}: {off(f'take{number}'):.2f} mm from the clean mesh")
    if number == 0:
        print(f"  alignment: {told['alignment']}")

noise = 1000 * 0.003 * size
print(f"(The noise alone is {noise:.1f} mm on every coordinate.)")
print(f"Where it is wrong: {report(out / 'take0')['path']}")
