"""A real character: a glTF file's own animation becomes a noisy "scan", and the scan becomes curves again.

    python examples/04_gltf.py [CHARACTER.glb] [FOLDER]

Without a file it takes the puppet that ships with the project. Skins and morphs know their derivatives, so that nothing
is sampled or learnt. Put your own capture in the place of `scan` (one vertex for each of the rig's, in its order).
"""

import sys
from pathlib import Path

import numpy as np

import bunraku as bk
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import diagonal
from bunraku.formats.gltf import write_gltf
from bunraku.formats.npz import save_npz_sequence
from bunraku.inversion.invert import InvertConfig
from bunraku.rigs.figure import figure

out = Path(sys.argv[2] if len(sys.argv) > 2 else "out/gltf")
out.mkdir(parents=True, exist_ok=True)
if len(sys.argv) > 1:
    character = Path(sys.argv[1])
else:
    character = out / "figure.glb"
    write_gltf(character, *figure())

about = bk.describe(str(character))
print(f"{character}: {about['vertices']} vertices, {len(about['controls'])} controls, animations {about['animations']}")
if not about["animations"]:
    sys.exit("It has no animation of its own to make a scan of; give a capture to `bunraku rig invert` instead.")

bk.bake(str(character), about["animations"][0], out / "clean.npz", overwrite=True)
clean = bk.load_sequence(out / "clean.npz")
rig = bk.open_rig(character)
sigma = 0.002 * diagonal(rig.neutral)
scan = clean.vertices + np.random.default_rng(0).normal(scale=sigma, size=clean.vertices.shape)
save_npz_sequence(out / "scan.npz", mesh_sequence(scan, clean.faces, clean.fps))
print(f"Scan: {clean.frames} frames of {about['animations'][0]!r}, noise of {sigma:.2g} on every coordinate")

# invert_file keeps a take in a folder and repeats a finished one; bk.invert is the same without files.
bk.invert_file(out / "scan.npz", str(character), out / "take", InvertConfig(smooth=3e-3))
bk.export(out / "take", out / "curves.csv", overwrite=True)
bk.export(out / "take", out / f"recovered{character.suffix}", overwrite=True)

solved = bk.load_take(out / "take").curves
before = np.linalg.norm(scan - clean.vertices, axis=2).mean()
after = np.linalg.norm(rig.evaluate(solved.values) - clean.vertices, axis=2).mean()
print(f"Mean distance to the clean mesh: the scan {before:.2g}, the rig on the solved curves {after:.2g}")
print(
    f"Curves: {out / 'curves.csv'}; the character with them as last animation: {out / f'recovered{character.suffix}'}"
)
