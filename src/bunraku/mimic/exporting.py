"""A trained policy, or its motion, in a file for other programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.core.errors import BunrakuError
from bunraku.core.progress import Progress, silent
from bunraku.mimic.clip_task import ClipTask
from bunraku.mimic.moving import export_motion
from bunraku.mimic.opening import Task, Which, load_trained, policy_of

if TYPE_CHECKING:
    import numpy as np

    from bunraku.imitation.character import Built
    from bunraku.imitation.policy import Policy
    from bunraku.imitation.render import RenderConfig


def export(
    run: Path,
    to: Path,
    *,
    motion: float = 0.0,
    policy: Which = "last",
    seed: int = 0,
    pictures: RenderConfig | None = None,
    sheet: int = 12,
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """The policy as .onnx, or as .npz for `bunraku/player.py`; or its motion, in any format that clips are written in;
    or pictures of it as .mp4, .gif or, `sheet` of them side by side, as .png.

    As .npz the motion is written where `motion` says how many seconds; other formats hold nothing but motion, and
    without a number show ten seconds, or a clip that does not loop to its end.

    Raises:
        BunrakuError: no finished run there, another ending, a file that exists, a motion that the format cannot hold.
    """
    from bunraku.formats.clip import WRITTEN
    from bunraku.report.video import WRITTEN as PICTURES

    if to.exists() and not overwrite:
        raise BunrakuError(f"{to}: exists already; --overwrite replaces it")
    if not to.parent.is_dir():
        raise BunrakuError(f"{to}: its folder {to.parent} does not exist")
    ending, policies = to.suffix.lower(), (".onnx", ".npz")
    if ending not in (*policies, *WRITTEN, *PICTURES) or (motion and ending not in (*WRITTEN, *PICTURES)):
        raise BunrakuError(
            f"{to}: a policy is written as .onnx or .npz, a motion as {', '.join(WRITTEN)}, "
            f"pictures of it as {', '.join(PICTURES)}"
        )
    if not 0 <= motion < math.inf:
        raise BunrakuError(f"motion = {motion:g}: expected seconds, more than 0")
    trained, task = load_trained(run, None)
    chosen = policy_of(trained, policy)
    if ending in PICTURES:
        from bunraku.imitation.render import RenderConfig
        from bunraku.mimic.filming import film

        return film(chosen, task, to, motion or None, seed, pictures or RenderConfig(), sheet, progress)
    if motion or ending not in policies:
        return export_motion(chosen, task, to, motion or None, seed)
    save_policy(chosen, task, to)
    told = {"path": str(to), "kind": "policy", "bytes": to.stat().st_size}
    return told if ending == ".onnx" else {**told, "player": str(Path(__file__).parents[1] / "player.py")}


def save_policy(policy: Policy, task: Task | ClipTask, to: Path) -> None:
    """Write a policy with all that a player of this task needs, as .onnx or .npz.

    Raises:
        BunrakuError: the package onnx is not installed, the file cannot be written.
    """
    about = _about(task, policy)
    if to.suffix.lower() == ".onnx":
        _export_onnx(policy, about, to)
    else:
        _export_numbers(policy, task, about, to)


def _about(task: Task | ClipTask, policy: Policy) -> dict[str, Any]:
    """What a policy must travel with."""
    from bunraku.imitation.character import build
    from bunraku.imitation.portable import following_words, joint_words

    character, built = task.character, build(task.character)
    controls = {name: _json_able(values) for name, values in _controls(built).items()}
    follows = following_words(built, task.clip, task.cfg) if isinstance(task, ClipTask) else {}
    return {
        "character": task.name,
        "character_hash": character.hash,
        "physics_hz": character.physics_hz,
        "control_hz": character.control_hz,
        "layout": [{"name": slot.name, "size": slot.size, "unit": slot.unit} for slot in policy.layout],
        "actuators": list(character.actuator_names),
        "activation": policy.activation,
        "layers": len(policy.layers),
        "joints": joint_words(built.anatomy),
        **controls,
        **follows,
    }


def _json_able(values: np.ndarray) -> list[float | None]:
    """Infinite bounds are none."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _controls(built: Built) -> dict[str, np.ndarray]:
    """What turns actions into the settings of actuators; with a clip `following_words` says what they are added to."""
    import numpy as np

    scale = np.array(built.character.action_scale)
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
    from bunraku.imitation.character import build
    from bunraku.imitation.policy import LIMIT
    from bunraku.imitation.portable import following_numbers
    from bunraku.player import FORMAT

    built = build(task.character)
    follows = following_numbers(built, task.clip) if isinstance(task, ClipTask) else {}
    texts = {"format": np.array(FORMAT), "about": np.array(json.dumps({**about, "limit": LIMIT}))}
    arrays = {**policy.arrays(""), **_controls(built), **follows, **texts}
    # Compressed: velocities of a clip are the same for many rows.
    artifact.write_with(to, lambda handle: np.savez_compressed(handle, allow_pickle=False, **arrays))
