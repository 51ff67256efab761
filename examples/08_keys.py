"""Curves reduced to keys, and exported.

    python examples/08_keys.py [FOLDER]

An inversion gives a value for every control in every frame, which nobody can edit. Here they become the fewest keys
whose mesh stays within a share of the puppet's size, in every frame and at every vertex, measured on the rig itself.
Then they go to other programs: as a table, as Maya's `.anim`, as an animation in a copy of the puppet's own file.
"""

import sys
from pathlib import Path

import bunraku as bk
from bunraku.api.simplifying import simplify
from bunraku.formats.gltf import write_gltf
from bunraku.inversion.simplify import SimplifyConfig
from bunraku.rigs.figure import figure

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/keys")
out.mkdir(parents=True, exist_ok=True)
rig = out / "figure.glb"
write_gltf(rig, *figure())

bk.bake(str(rig), "wave", out / "shot.npz", overwrite=True)
bk.invert_file(out / "shot.npz", str(rig), out / "take")

for tolerance in ("0.1%", "1%"):
    told = simplify(out / "take", SimplifyConfig(tolerance), overwrite=True)
    before, after = told["keys_before"], told["keys_after"]
    print(f"{tolerance}: {before} values become {after} keys, {before / after:.1f} times fewer")
    print(f"  no vertex is more than {1000 * told['max_mesh_error']:.1f} mm from where it was")

for name in ("curves.csv", "shot.anim", "animated.glb"):
    written = bk.export(out / "take", out / name, overwrite=True)
    print(f"{written['path']}: {written['bytes']} bytes")
