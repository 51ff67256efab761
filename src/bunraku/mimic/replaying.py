"""What a trained policy does, as shapes that move: for pages and viewers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.mimic.opening import Which, load_trained, policy_of

if TYPE_CHECKING:
    from bunraku.core.playback import Playback


def playback(run: Path, *, policy: Which = "last", seconds: float | None = None, seed: int = 0) -> Playback:
    """Simulate a run's policy, without jitter, beside its reference: ten seconds, or a clip that does not loop to its
    end; from the clip's first frame, or where a judged episode of this seed begins.

    Raises:
        BunrakuError: no finished run there.
    """
    import numpy as np

    from bunraku.core.playback import Playback
    from bunraku.imitation.anatomy import body_poses_w
    from bunraku.imitation.solids import solids
    from bunraku.mimic.filming import take_footage

    trained, task = load_trained(run, None)
    footage = take_footage(policy_of(trained, policy), task, seconds, seed)
    body = footage.built.anatomy
    names = tuple(each.name or f"body {i}" for i, each in enumerate(body.bodies))
    (pos, quat), ghost = body_poses_w(body, footage.qpos), body_poses_w(body, footage.ghost_qpos)
    return Playback(
        names[1:],
        np.arange(len(footage.qpos)) / footage.control_hz,
        pos[:, 1:],
        quat[:, 1:],
        solids(footage.built),
        ghost[0][:, 1:],
        ghost[1][:, 1:],
        footage.reward,
        footage.fell,
    )


def run_figures(run: Path) -> dict[str, Any]:
    """What a run's report tells beside its motion: `result`, `history`, `settings`, `provenance`, `character`, `clip`
    (or None), `paper` (or None).

    Raises:
        BunrakuError: no finished run there.
    """
    from bunraku.imitation.run import history, load_run
    from bunraku.mimic.paper import paper_figures

    stored = load_run(run)
    identity = stored.subject.task.get("clip")
    named = None if not identity else Path(str(identity.get("path") or identity.get("made"))).name
    return {
        "result": stored.result,
        "history": history(run),
        "settings": stored.settings,
        "provenance": stored.provenance,
        "character": stored.subject.name,
        "clip": named,
        "paper": paper_figures(stored.subject.name, identity),
    }
