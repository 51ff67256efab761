"""A clip before anybody is trained on it: what is wrong, what can be mended, and the same on another body.

    python examples/05_clip.py [CLIP] [CHARACTER] [FOLDER]

Without a clip it makes one in code and spoils it the way that files from elsewhere are spoilt: in centimetres, Y up,
its seam open, one frame broken. CHARACTER is humanoid, or an MJCF file.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import bunraku as bk
from bunraku.core.rotations import quat_from_rotvec, quat_multiply
from bunraku.formats.clip import save_clip
from bunraku.motion.pose import scaled, turned

source = sys.argv[1] if len(sys.argv) > 1 else ""
character = sys.argv[2] if len(sys.argv) > 2 else "humanoid"
out = Path(sys.argv[3] if len(sys.argv) > 3 else "out/clip")
out.mkdir(parents=True, exist_ok=True)

if not source:
    clean = bk.open_clip("squatting")
    quat, neck = clean.joint_quat.copy(), clean.skeleton.names.index("neck")
    leaning = np.linspace(0, 0.5, clean.frames)[:, None] * np.array([1.0, 0, 0])
    leaning[40] += [0, 0, 0.8]
    quat[:, neck] = quat_multiply(quat[:, neck], quat_from_rotvec(leaning))
    spoilt = replace(clean, joint_quat=quat, root_pos_w=clean.root_pos_w - np.array([0, 0, 0.04]))
    spoilt = scaled(turned(spoilt, quat_from_rotvec(np.array([-np.pi / 2, 0, 0]))), 100)
    source = str(out / "spoilt.npz")
    save_clip(Path(source), spoilt)

told = bk.check_clip(source, character)
print(f"{source}: {told['frames']} frames, {told['duration_s']:.2f} s; {len(told['problems'])} problems")
for each in told["problems"]:
    print(f"  {each['severity']:6}  {each['kind']}: {each['says']} -> {each['mends'] or 'left as it is'}")

better = bk.convert_clip(source, out / "better.npz", mend=True, character=character, overwrite=True)
print(f"{better['path']}: for {character}")
for note in better["notes"]:
    print(f"  {note}")
print(f"Problems left: {', '.join(each['kind'] for each in better['problems_left']) or 'none'}")
