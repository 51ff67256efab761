"""What a trained policy does, in a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.mimic.clip_task import ClipTask
from bunraku.mimic.opening import Task

if TYPE_CHECKING:
    from bunraku.imitation.play import Motion
    from bunraku.imitation.policy import Policy


def export_motion(policy: Policy, task: Task | ClipTask, to: Path, seconds: float | None, seed: int) -> dict[str, Any]:
    """Simulate so many seconds, by default as many as suit the task, and write them.

    With a clip it begins on the clip's first frame, else where a judged episode of this seed does.

    Raises:
        BunrakuError: the format cannot hold the motion.
    """
    from bunraku.formats.clip import save_clip
    from bunraku.imitation.solids import solids

    motion, told = _follow(policy, task, seconds) if isinstance(task, ClipTask) else _hold(policy, task, seconds, seed)
    more = {"body_pos_w": motion.body_pos_w, "body_quat_w": motion.body_quat_w, "qpos": motion.qpos}
    save_clip(to, motion.clip, more, solids(motion.built))
    frames = {"frames": len(motion.times_s), "seconds": motion.clip.duration_s, "fell": motion.fell}
    return {"path": str(to), "kind": "motion", **frames, **told, "bytes": to.stat().st_size}


def _hold(policy: Policy, task: Task, seconds: float | None, seed: int) -> tuple[Motion, dict[str, Any]]:
    from bunraku.imitation.play import LOOP_S, play

    seconds = seconds or LOOP_S
    environment = task.exam(1, seconds + 1.0)
    motion = play(policy.act, environment, seconds, seed)
    environment.close()
    return motion, {}


def _follow(policy: Policy, task: ClipTask, seconds: float | None) -> tuple[Motion, dict[str, Any]]:
    """The motion, with how far feet slide in it and in the clip."""
    from bunraku.imitation.physique import physique
    from bunraku.imitation.play import clip_seconds, play_clip
    from bunraku.motion.ground import foot_sliding
    from bunraku.motion.pose import fits

    environment = task.exam(1, 1e6)
    motion = play_clip(policy.act, environment, seconds or clip_seconds(environment))
    environment.close()
    body = physique(motion.built)
    sliding = {"foot_sliding_m_s": motion.clip, "clip_foot_sliding_m_s": task.clip}
    return motion, {name: foot_sliding(of, body) for name, of in sliding.items() if fits(of, body)}
