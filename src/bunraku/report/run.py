"""The report of a training: which values it takes, and how a page holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bunraku.core.playback import Playback
from bunraku.core.solid import joined, surface
from bunraku.report.packing import Steady
from bunraku.report.sentences import said_of_run

Arrays = dict[str, np.ndarray | Steady]
_MOST_UPDATES = 1500
_MOST_FRAMES = 3000


@dataclass(frozen=True, eq=False)
class RunReport:
    """What is told of a training."""

    name: str
    character: str
    clip: str | None
    result: Mapping[str, Any]
    """As `mimic train` or `mimic evaluate` prints it."""
    history: Sequence[Mapping[str, Any]]
    """A row per update, as metrics.jsonl has them."""
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    paper: tuple[float, float] | None = None
    """The paper's samples [millions] and return for this clip."""
    playback: Playback | None = None
    notes: tuple[str, ...] = field(default=())
    """What could not be shown, and why."""


def run_part(report: RunReport) -> tuple[dict[str, Any], Arrays]:
    """The part of a page that tells of a training: JSON-able values, and arrays."""
    arrays: Arrays = {}
    rows = list(report.history)
    if len(rows) > _MOST_UPDATES:
        rows = [rows[i] for i in np.linspace(0, len(rows) - 1, _MOST_UPDATES).astype(int)]
    terms = sorted({name for row in rows for name in row.get("terms", {})})
    part = {
        "kind": "run",
        "name": report.name,
        "character": report.character,
        "clip": report.clip,
        "said": said_of_run(report),
        "result": dict(report.result),
        "paper": None if report.paper is None else list(report.paper),
        "history": {
            "samples": [row["samples"] for row in rows],
            "wall_s": [row["times"]["wall"] for row in rows],
            "return": [row.get("return") for row in rows],
            "episode_s": [row.get("episode_s") for row in rows],
            "terms": {name: [row.get("terms", {}).get(name) for row in rows] for name in terms},
        },
        "times": _times(report),
        "playback": None if report.playback is None else _playback(report.playback, arrays),
        "settings": dict(report.settings),
        "provenance": dict(report.provenance),
        "notes": list(report.notes),
    }
    return part, arrays


def _times(report: RunReport) -> dict[str, float]:
    """Wall seconds by part of the work, and what is in none of them."""
    known = dict(report.result.get("times") or {})
    if not known and report.history:
        known = {name: value for name, value in report.history[-1]["times"].items() if name not in ("wall", "cpu")}
    rest = float(report.result.get("train_wall_seconds", 0.0)) - sum(known.values())
    return {**known, "other": rest} if rest > 0 else known


def _playback(playback: Playback, arrays: Arrays) -> dict[str, Any]:
    stride = -(-playback.frames // _MOST_FRAMES)
    carried = sorted({solid.joint for solid in playback.solids})
    bodies = list[dict[str, Any]]()
    for joint in carried:
        own = joined([surface(solid) for solid in playback.solids if solid.joint == joint])
        arrays[f"body{joint}.positions"] = own.positions.astype(np.float32)
        arrays[f"body{joint}.normals"] = own.normals.astype(np.float32)
        arrays[f"body{joint}.faces"] = Steady(own.triangles.reshape(-1).astype(np.uint32))
        bodies.append({"body": joint, "name": playback.body_names[joint]})
    arrays["pos"] = playback.body_pos_w[::stride].astype(np.float32)
    arrays["quat"] = playback.body_quat_w[::stride].astype(np.float32)
    arrays["times_s"] = playback.times_s[::stride].astype(np.float32)
    if playback.reward is not None:
        arrays["reward"] = playback.reward[::stride].astype(np.float32)
    ghost = playback.ghost_pos_w is not None and playback.ghost_quat_w is not None
    if playback.ghost_pos_w is not None and playback.ghost_quat_w is not None:
        arrays["ghost_pos"] = playback.ghost_pos_w[::stride].astype(np.float32)
        arrays["ghost_quat"] = playback.ghost_quat_w[::stride].astype(np.float32)
    return {"bodies": bodies, "names": list(playback.body_names), "ghost": ghost, "fell": playback.fell}
