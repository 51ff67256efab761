"""A rig inverted in five lines.

    python examples/00_five_lines.py

`shot.npz` is what you have: a mesh that moves. `figure`, a puppet that comes with the project, is the rig; yours is a
`.glb`, `.usd` or `.blend` file, a Python function, or another program. What comes out are the values of the rig's
controls, frame by frame, and how far off their mesh is.
"""

from pathlib import Path

import bunraku as bk

bk.bake("figure", "walk", Path("shot.npz"), overwrite=True)  # to have a shot: the puppet's own walk, as a bare mesh

rig = bk.open_rig("figure")
take = bk.invert("shot.npz", rig)
bk.save_curves(take.curves, "curves.csv")

print(f"{take.curves.frames} frames, {len(rig.spec)} controls: curves.csv")
print(f"Mean vertex error on the rig: {take.metrics.number('mean_vertex_error'):.1e} m, of a puppet 1.6 m high")
