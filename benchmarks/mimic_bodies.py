"""Others' humanoids as characters: how well their servos alone follow a published clip that was carried over to them.

    python benchmarks/mimic_bodies.py [walk run …] [--seconds 0.5]

Mean reward over the first moments, without action, from 32 starts spread over the clip; falls end an episode. "limp" is
the same with all torque limits at .01 N m: what a body earns that only falls.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from record import print_table, record

from bunraku.imitation.character import Character, character_from_xml, open_character
from bunraku.imitation.clip_environment import ClipConfig, ClipEnvironment
from bunraku.mimic.fitting import fitting_clip

STARTS = 32


def without_action(character: Character, clip: Any, seconds: float) -> tuple[float, float]:
    """Mean reward, and the share of the episodes that have not ended."""
    made = ClipEnvironment(character, clip, ClipConfig(count=STARTS, stray_m=0.0, stray_rad=0.0))
    made.begin(np.linspace(0, made.table.duration_s, STARTS, endpoint=False))
    steps = round(seconds * character.control_hz)
    total, alive = np.zeros(STARTS), np.ones(STARTS, bool)
    for _ in range(steps):
        step = made.step(np.zeros((STARTS, made.action_size)))
        alive &= ~step.terminated
        total += step.reward * alive
    made.close()
    return float(total.mean()) / steps, float(alive.mean())


def limp(character: Character) -> Character:
    """The same body without strength."""
    xml = re.sub(
        r'(act[a-z]*)?forcerange="[^"]*"', lambda found: f'{found[1] or ""}forcerange="-0.01 0.01"', character.xml
    )
    return character_from_xml(xml, character.name, dict(character.files))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", default=["walk", "run"])
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("BUNRAKU_DATA", "data")))
    asked = parser.parse_args()
    logging.getLogger("bunraku").setLevel(logging.ERROR)
    bodies = ["humanoid", *(str(file) for file in sorted((asked.data / "bodies").glob("*.xml")))]
    rows: list[dict[str, Any]] = []
    for clip in asked.clips:
        file = asked.data / "clips" / "deepmimic" / f"humanoid3d_{clip}.txt"
        for source in bodies:
            character = open_character(source)
            fitted = fitting_clip(file, character, mend=False).clip
            reward, whole = without_action(character, fitted, asked.seconds)
            fallen, _ = without_action(limp(character), fitted, asked.seconds)
            row = {"clip": clip, "body": Path(source).stem, "physics_hz": character.physics_hz}
            row |= {"actuators": len(character.action_scale), "reward": reward, "not fallen": whole, "limp": fallen}
            rows.append(row)
            print_table(f"servos alone, first {asked.seconds:g} s", rows)
    record("mimic_bodies", {"clips": asked.clips, "seconds": asked.seconds, "starts": STARTS}, rows)


if __name__ == "__main__":
    main()
