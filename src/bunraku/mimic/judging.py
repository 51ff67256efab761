"""How well a trained policy does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.core.errors import BunrakuError
from bunraku.mimic.clip_task import ClipTask
from bunraku.mimic.opening import Task, Which, load_trained, policy_of

if TYPE_CHECKING:
    from bunraku.imitation.run import Run


def evaluate(
    run: Path,
    *,
    episodes: int = 32,
    episode_s: float | None = None,
    character: str | None = None,
    policy: Which = "last",
    seed: int = 0,
    push: bool = True,
) -> dict[str, Any]:
    """How well a trained policy does without jitter; beside it no action, a hand-tuned controller, and pushes.

    `character` is the character's file as it is now; without it the copy in the run is used.

    Raises:
        BunrakuError: no finished run there, a character or a physics rate that it was not trained with, no episodes.
    """
    trained, task = load_trained(run, character)
    result = {**trained.result, **judge(run, trained, task, policy, episodes, episode_s, seed)}
    if push and (isinstance(task, ClipTask) or task.world is None):  # nobody can push in another program
        result["pushes"] = _pushed(trained, task, policy, seed)
    return result


def judge(
    path: Path, run: Run, task: Task | ClipTask, which: Which, episodes: int, episode_s: float | None, seed: int = 0
) -> dict[str, Any]:
    """A policy's evaluation, with rows for controllers that have learnt nothing beside it."""
    if isinstance(task, ClipTask):
        return _judge_clip(run, task, which, episodes, episode_s, seed)
    from bunraku.imitation.controllers import no_action, pd_controller
    from bunraku.imitation.evaluate import EvaluateConfig, evaluate

    cfg = EvaluateConfig(episodes, episode_s or EvaluateConfig.episode_s, seed)
    values = evaluate(policy_of(run, which).act, task.exam, cfg).values()
    size = len(no_action(task.character).gains)
    rows = [{"controller": f"policy ({which})", **_row(values)}]
    for name, make in {"no action": no_action, "PD, hand-tuned": pd_controller}.items():
        try:
            controller = make(task.character)
        except BunrakuError:
            continue  # a character that no PD controller fits
        # What a clip adds to the observation stands at its end.
        done = evaluate(lambda seen, act=controller: act(seen[:, :size]), task.exam, cfg)
        rows.append({"controller": name, **_row(done.values())})
    shared = {"episodes": episodes, "episode_s": cfg.episode_s, "policy": which, "controllers": rows}
    rates = {"physics_hz": task.character.physics_hz, "control_hz": task.character.control_hz}
    return {**values, **shared, **rates, "evaluation_seed": seed}


def _row(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in ("normalized_return", "standing", "full_episodes", "mean_episode_s")}


def _judge_clip(
    run: Run, task: ClipTask, which: Which, episodes: int, episode_s: float | None, seed: int
) -> dict[str, Any]:
    """Three returns from the clip's starts, and for a clip that does not loop from random moments too."""
    import numpy as np

    from bunraku.imitation.clip_evaluate import evaluate_clip
    from bunraku.imitation.evaluate import EvaluateConfig

    cfg = EvaluateConfig(episodes, episode_s or EvaluateConfig.episode_s, seed)
    act = policy_of(run, which).act
    values = evaluate_clip(act, task.exam, cfg).values()
    if task.clip.loop != "wrap":
        values["from_random_moments"] = evaluate_clip(act, task.exam, cfg, "random").values()
    rows = [{"controller": f"policy ({which})", **_clip_row(values)}]
    actions = len(task.character.action_scale)

    def nothing(seen: np.ndarray) -> np.ndarray:
        return np.zeros((len(seen), actions))

    for name, lead in {"no action": task.cfg.lead, "kinematic PD": 0.0}.items():
        # Without action the servos aim at the clip: as far ahead as in training, or at the moment itself.
        held = replace(task, cfg=replace(task.cfg, lead=lead, action="residual"))
        rows.append({"controller": name, **_clip_row(evaluate_clip(nothing, held.exam, cfg).values())})
    shared = {"episodes": episodes, "episode_s": cfg.episode_s, "policy": which, "controllers": rows}
    rates = {"physics_hz": task.character.physics_hz, "control_hz": task.character.control_hz}
    return {**values, **shared, **rates, "evaluation_seed": seed}


def _clip_row(values: Mapping[str, Any]) -> dict[str, Any]:
    names = ("normalized_return", "normalized_return_literal", "normalized_return_released")
    return {name: values[name] for name in (*names, "full_episodes", "mean_episode_s")}


def _pushed(run: Run, task: Task | ClipTask, which: Which, seed: int) -> dict[str, Any]:
    from bunraku.imitation.push import NEAR_REFERENCE, PushConfig, pushes

    cfg = PushConfig(seed=seed)
    if isinstance(task, ClipTask):
        from bunraku.imitation.clip_push import clip_pushes

        clip_rows = [push.row() for push in clip_pushes(policy_of(run, which).act, task.exam, cfg)]
        return {"body": task.character.body_names[0], "push_s": cfg.push_s, "greatest_n": cfg.greatest_n} | {
            "directions": [{"direction": row["direction"], "survived_n": row["stands_again_n"]} for row in clip_rows]
        }
    names = task.character.body_names
    body = "pelvis" if "pelvis" in names else names[-1]
    standing = replace(task, judged_from=NEAR_REFERENCE)
    done = pushes(policy_of(run, which).act, standing.exam, body, cfg)
    rows = [push.row() for push in done]
    return {"body": body, "push_s": done[0].push_s, "greatest_n": cfg.greatest_n, "directions": rows}
