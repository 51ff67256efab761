"""What a trained policy does, as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bunraku.core.progress import Progress, silent
from bunraku.mimic.clip_task import ClipTask
from bunraku.mimic.opening import Task

if TYPE_CHECKING:
    from bunraku.imitation.character import Built
    from bunraku.imitation.policy import Policy
    from bunraku.imitation.render import RenderConfig

SHEET_SAMPLES = 4
"""Per pixel, for single pictures; films do without, being smooth by their motion."""


@dataclass(frozen=True, eq=False)
class Footage:
    """What one character did beside its reference, and what it was worth, at every control step."""

    built: Built
    qpos: np.ndarray
    ghost_qpos: np.ndarray
    reward: np.ndarray
    """Of the step that led to each frame; of the first frame the second's."""
    control_hz: float
    fell: bool

    def caption(self, k: int) -> str:
        """Time, reward and mean reward up to a frame."""
        mean = float(self.reward[1 : k + 1].mean()) if k else float(self.reward[0])
        fallen = " · fallen" if self.fell and k == len(self.qpos) - 1 else ""
        return f"{k / self.control_hz:.2f} s · reward {self.reward[k]:.2f} · return {mean:.2f}{fallen}"


def film(
    policy: Policy,
    task: Task | ClipTask,
    to: Path,
    seconds: float | None,
    seed: int,
    cfg: RenderConfig,
    sheet: int = 12,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Simulate as `export_motion` does, and write what it looks like as .mp4, .gif or a sheet of pictures as .png.

    Raises:
        BunrakuError: a size or a camera that cannot be, no OpenGL library.
    """
    from bunraku.imitation.render import render
    from bunraku.report.video import check_video, frame_indices, save_frames

    check_video(to, cfg.width, cfg.height)
    footage = take_footage(policy, task, seconds, seed)
    frames = frame_indices(to, len(footage.qpos), footage.control_hz, sheet)
    samples = SHEET_SAMPLES if to.suffix.lower() == ".png" else 0
    pictures = render(footage.built, footage.qpos, footage.control_hz, cfg, footage.ghost_qpos, frames, samples)
    written = save_frames(to, _told(pictures, footage, frames, task.name, progress), footage.control_hz)
    return {
        "path": str(to),
        "kind": "pictures",
        "frames": written,
        "seconds": len(footage.qpos) / footage.control_hz,
        "fell": footage.fell,
        "bytes": to.stat().st_size,
    }


def take_footage(policy: Policy, task: Task | ClipTask, seconds: float | None, seed: int = 0) -> Footage:
    """Let the policy act: from the clip's first frame, or where a judged episode of this seed begins."""
    from bunraku.imitation.play import LOOP_S, clip_seconds

    if isinstance(task, ClipTask):
        followed = task.exam(1, 1e6)
        followed.reset(seed)
        observation = followed.begin(np.zeros(1))
        length = seconds or clip_seconds(followed)
        environment = followed
    else:
        length = seconds or LOOP_S
        environment = task.exam(1, length + 1.0)
        observation = environment.reset(seed)
    qpos, ghost, reward, fell = [environment.simulation.qpos[0].copy()], [environment.wanted_qpos()[0]], [0.0], False
    for _ in range(round(length * environment.control_hz) - 1):
        step = environment.step(policy.act(observation))
        if step.terminated[0] or step.truncated[0]:
            # What the simulation holds now is the next episode's start.
            fell = bool(step.terminated[0])
            break
        qpos.append(environment.simulation.qpos[0].copy())
        ghost.append(environment.wanted_qpos()[0])
        reward.append(float(step.reward[0]))
        observation = step.observation
    environment.close()
    reward[0] = reward[min(1, len(reward) - 1)]
    return Footage(environment.built, np.array(qpos), np.array(ghost), np.array(reward), environment.control_hz, fell)


def _told(
    pictures: Iterator[np.ndarray], footage: Footage, frames: list[int], name: str, progress: Progress
) -> Iterator[np.ndarray]:
    from bunraku.report.captions import captioned

    for done, (k, picture) in enumerate(zip(frames, pictures, strict=True), 1):
        yield captioned(picture, Path(name).stem, footage.caption(k))
        progress("drawing", done, len(frames))
