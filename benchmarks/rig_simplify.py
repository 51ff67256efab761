"""Keys in place of a value at every frame: how many fewer, at 0.1 % of the neutral mesh's diagonal.

    BUNRAKU_DATA=… python benchmarks/rig_simplify.py

The curves are the rigs' own animations: shots of the procedural face, and what glTF files hold (baked there, one key a
frame and channel). `keys_before` counts frames × controls that move, `keys_after` their keys, `resting` those of
controls that rest off neutral (one each); `of_all` is frames × all controls over all keys. The error is the largest
distance of any vertex in any frame, measured from the keys as they are read back from JSON. Seconds are of one thread,
the rig being open.
"""

from __future__ import annotations

import os
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from record import print_table, record

from bunraku.compute.threads import one_thread
from bunraku.core.curves import Curves
from bunraku.core.rig import Rig, diagonal
from bunraku.formats.keys_json import load_json_keys, save_json_keys
from bunraku.inversion.simplify import SimplifyConfig, simplify
from bunraku.rigs.face import Face, animation
from bunraku.rigs.skinned import bake, open_gltf_rig

TOLERANCE = "0.1%"
FIRST_SHOT = 100  # of the face, as in rig_face.py
ROBOT = ("Robot_Dance", "Robot_Idle", "Robot_No", "Robot_ThumbsUp", "Robot_Walking", "Robot_Wave", "Robot_Yes")


def measure(name: str, rig: Rig, shot: Curves) -> dict[str, object]:
    """One shot's row."""
    began = time.process_time()
    found = simplify(rig, shot, SimplifyConfig(TOLERANCE))
    cpu_s = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder:
        save_json_keys(Path(folder) / "keys.json", found.keys)
        back = load_json_keys(Path(folder) / "keys.json").evaluate().ordered_as(rig.spec)
    error = np.linalg.norm(rig.evaluate(back) - rig.evaluate(shot.ordered_as(rig.spec)), axis=2)
    tolerance = 1e-3 * diagonal(rig.neutral)
    row = {
        "shot": name,
        "frames": shot.frames,
        "fps": float(shot.fps),
        "controls": len(rig.spec),
        "moving": found.metrics["moving_controls"],
        "keys_before": found.metrics["keys_before"],
        "keys_after": found.metrics["keys_after"],
        "resting": found.metrics["resting_keys"],
        "ratio": found.metrics["reduction"],
        "of_all": shot.frames * len(rig.spec) / found.keys.count,
        "keys_per_s": found.metrics["keys_per_second"],
        "max/tolerance": float(error.max()) / tolerance,
        "mean/tolerance": float(error.mean()) / tolerance,
        "cpu_s": cpu_s,
    }
    print(f"{name}: {row['ratio']:.1f}", flush=True)
    return row


def main() -> None:
    data = Path(os.environ["BUNRAKU_DATA"]) / "rigs"
    load = os.getloadavg()[0]
    with one_thread():
        face = Face()
        rows = [measure(f"face, {frames} frames", face, animation(face, frames, FIRST_SHOT)) for frames in (96, 300)]
        man = open_gltf_rig(data / "CesiumMan.glb")
        for fps in (24, 60):
            _, shot = bake(man, man.animations[0].name, Fraction(fps))
            rows.append(measure(f"CesiumMan at {fps} fps", man, shot))
        robot = open_gltf_rig(data / "robot.glb")
        rows += [measure(name, robot, bake(robot, name, Fraction(24))[1]) for name in ROBOT]
    print_table(f"Keys within {TOLERANCE} of the diagonal", rows)
    record("rig_simplify", {"tolerance": TOLERANCE, "threads": 1, "load_at_start": load}, rows)


if __name__ == "__main__":
    main()
