"""A trained policy, or its motion, in a file for other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.core.errors import BunrakuError
from bunraku.mimic.clip_task import ClipTask
from bunraku.mimic.opening import Task, Which, load_trained, policy_of

if TYPE_CHECKING:
    import numpy as np

    from bunraku.imitation.policy import Policy
    from bunraku.imitation.run import Run


def export(
    run: Path, to: Path, *, motion: float = 0.0, policy: Which = "last", seed: int = 0, overwrite: bool = False
) -> dict[str, Any]:
    """The policy as .onnx, or as .npz for `bunraku/player.py`; with `motion`, so many simulated seconds as .npz.

    Raises:
        BunrakuError: no finished run there, another ending, a file that exists.
    """
    if to.exists() and not overwrite:
        raise BunrakuError(f"{to}: exists already; --overwrite replaces it")
    if not to.parent.is_dir():
        raise BunrakuError(f"{to}: its folder {to.parent} does not exist")
    ending = to.suffix.lower()
    if ending not in (".npz", ".onnx") or (motion and ending != ".npz"):
        raise BunrakuError(f"{to}: a policy is written as .onnx or .npz, a motion as .npz")
    trained, task = load_trained(run, None)
    chosen = policy_of(trained, policy)
    if motion:
        return _export_motion(chosen, task, to, motion, seed)
    about = _about(trained, task, chosen)
    if ending == ".onnx":
        _export_onnx(chosen, about, to)
        return {"path": str(to), "kind": "policy", "bytes": to.stat().st_size}
    _export_numbers(chosen, task, about, to)
    player = Path(__file__).parents[1] / "player.py"
    return {"path": str(to), "kind": "policy", "bytes": to.stat().st_size, "player": str(player)}


def _about(run: Run, task: Task | ClipTask, policy: Policy) -> dict[str, Any]:
    """What a policy must travel with."""
    character = task.character
    return {
        "character": run.subject.name,
        "character_hash": character.hash,
        "physics_hz": character.physics_hz,
        "control_hz": character.control_hz,
        "layout": [{"name": slot.name, "size": slot.size, "unit": slot.unit} for slot in policy.layout],
        "actuators": list(character.actuator_names),
        "activation": policy.activation,
        "layers": len(policy.layers),
    }


def _controls(task: Task | ClipTask) -> dict[str, np.ndarray]:
    """What turns actions into the settings of actuators."""
    import numpy as np

    from bunraku.imitation.character import build

    built = build(task.character)
    scale = np.array(task.character.action_scale)
    low, high = (built.reference_control + scale * side for side in (built.lowest_action, built.highest_action))
    numbers = {"reference_control": built.reference_control, "action_scale": scale}
    return {**numbers, "lowest_control": low, "highest_control": high}


def _export_onnx(policy: Policy, about: Mapping[str, Any], to: Path) -> None:
    from bunraku.formats.onnx import policy_graph, require_onnx, save_onnx
    from bunraku.imitation.policy import LIMIT

    require_onnx(to)
    graph = policy_graph(policy.layers, policy.activation, policy.mean, policy.deviation, LIMIT)
    metadata = {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
    # In the graph already; repeated for those who feed a network of their own.
    metadata |= {"mean": json.dumps(policy.mean.tolist()), "deviation": json.dumps(policy.deviation.tolist())}
    save_onnx(to, graph, metadata)


def _export_numbers(policy: Policy, task: Task | ClipTask, about: Mapping[str, Any], to: Path) -> None:
    import numpy as np

    from bunraku.core import artifact
    from bunraku.imitation.policy import LIMIT
    from bunraku.player import FORMAT

    texts = {"format": np.array(FORMAT), "about": np.array(json.dumps({**about, "limit": LIMIT}))}
    arrays = {**policy.arrays(""), **_controls(task), **texts}
    artifact.write_with(to, lambda handle: np.savez(handle, allow_pickle=False, **arrays))


def _export_motion(policy: Policy, task: Task | ClipTask, to: Path, seconds: float, seed: int) -> dict[str, Any]:
    from bunraku.formats.clip import save_clip
    from bunraku.imitation.play import play

    environment = task.exam(1, seconds + 1.0)
    motion = play(policy.act, environment, seconds, seed)
    environment.close()
    more = {"body_pos_w": motion.body_pos_w, "body_quat_w": motion.body_quat_w, "qpos": motion.qpos}
    save_clip(to, motion.clip, more)
    return {"path": str(to), "kind": "motion", "frames": len(motion.times_s), "bytes": to.stat().st_size}
