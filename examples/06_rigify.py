"""A control rig inside Blender: Rigify's human, generated, sampled, fitted, and a shot of it turned back into curves.

    python examples/06_rigify.py [FOLDER] [SAMPLES] [FRAMES]

Needs a Blender: `bunraku host install blender`. The rig has IK limbs, tweak bones, stretch and driven shape keys; all
that is known of it is what Blender, in a process of its own, makes of its controls. An approximation of 243 controls
from few samples is coarse, and is shown for what it is: the shot is followed on the rig itself.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

import bunraku as bk
from bunraku.core.curves import Curves
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion.draw import SampleConfig
from bunraku.inversion.fit import quick
from bunraku.inversion.follow import follow
from bunraku.rigs.blender_program import find_blender
from bunraku.rigs.integration import integration

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/rigify")
samples, frames = (int(word) for word in (sys.argv[2:] or ("1000", "100")))
out.mkdir(parents=True, exist_ok=True)
file = out / "rigify_human.blend"

if not file.exists():
    words = find_blender().words(integration("blender/rigify_human.py"), (str(file),), scripts=False)
    subprocess.run(words, check=True, capture_output=True)
rig = bk.open_rig(str(file))
spec, diagonal = rig.spec, np.linalg.norm(np.ptp(rig.neutral, axis=0))
print(f"{file}: {len(spec)} controls, {len(rig.neutral)} vertices")

bk.sample(str(file), out / "samples", SampleConfig(samples=samples, seed=0))
model = bk.fit(out / "samples", out / "model", quick())
coarse = model["test_vertex_error"] / diagonal
print(f"An approximation from {samples} samples is off by {100 * coarse:.2g} % of the diagonal on poses kept aside")

# A shot of our own, so that the truth is known: torso, hands and head move, and the chest breathes.
values, t = np.tile(spec.neutral, (frames, 1)), np.arange(frames)[:, None] / 24
moved = [i for i, name in enumerate(spec.names) if name.startswith(("torso.t", "torso.r", "hand_ik.", "head.r"))]
waves = np.sin(2 * np.pi * (np.linspace(0.3, 0.8, len(moved)) * t + np.linspace(0, 3, len(moved))))
values[:, moved] += 0.2 * spec.range[moved] * waves
values[:, spec.names.index("chest.breath")] = 0.5 - 0.5 * np.cos(2 * np.pi * 0.4 * t[:, 0])
shot = mesh_sequence(rig.evaluate(values), rig.faces, 24)

done = follow(rig, shot)
error = np.linalg.norm(rig.evaluate(done.controls) - shot.vertices, axis=-1).mean() / diagonal
print(f"{frames} frames followed: relative error {error:.1e}, {done.evaluations / frames:.0f} evaluations a frame")
bk.save_curves(Curves(spec.names, done.controls, shot.fps), out / "curves.csv")
print(f"Curves to look at, and to edit: {out / 'curves.csv'}")
