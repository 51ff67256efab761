"""What benchmarks examine policies that follow clips with, beside the 32 episodes that a training is judged in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bunraku.imitation.clip_evaluate import evaluate_clip
from bunraku.imitation.evaluate import EvaluateConfig
from bunraku.mimic.clip_task import ClipTask
from bunraku.mimic.opening import load_trained, policy_of

EPISODES = 256


def examined(folder: Path) -> dict[str, Any]:
    """What the last policy of a training gets in 256 episodes of another seed."""
    run, task = load_trained(folder, None)
    assert isinstance(task, ClipTask)
    done = evaluate_clip(policy_of(run, "last").act, task.exam, EvaluateConfig(EPISODES, 20.0, 1)).values()
    return {name: done[name] for name in ("normalized_return", "full_episodes", "mean_episode_s", "reward_terms")}
