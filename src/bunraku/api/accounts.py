"""Takes accounted for: what the capture could tell, and where their error comes from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bunraku.api.doors import load_take, loaded_model, open_rig, rig_source
from bunraku.api.matching import matched, recorded
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.core.rig import DifferentiableRig, Rig
    from bunraku.core.take import Take
    from bunraku.inversion.account import AccountConfig
    from bunraku.inversion.approximation import Approximation

Derivatives = Literal["auto", "rig", "model"]
DIFFERENCES_S = 60.0
"""Differences on the rig itself are taken in place of a model's derivatives where they take no longer than this."""
OUTLIERS = 4.0
"""Times the typical residual: where a robust solve's outliers begin, unless told otherwise."""


def account(
    take: str | Path,
    rig: str | None = None,
    cfg: AccountConfig | None = None,
    *,
    out: str | Path | None = None,
    derivatives: Derivatives = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """The account of a take (layout: docs/account.md), written to `out` (by default `account.json` in the take).

    `derivatives` come from the rig (its own, or finite differences) or from the model that the take was solved on;
    "auto" asks the rig where that is cheap.

    Raises:
        BunrakuError: no take there; a rig, capture or model that is gone or does not fit; settings out of range.
    """
    import numpy as np

    from bunraku.compute.threads import one_thread
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError
    from bunraku.core.rig import restrict
    from bunraku.inversion.account import AccountConfig
    from bunraku.inversion.account import account as accounted
    from bunraku.inversion.account_layout import account_layout
    from bunraku.inversion.align import moved
    from bunraku.inversion.attachment import attached
    from bunraku.rigs.recorded import RecordedRig

    folder = Path(take)
    file = folder / "account.json" if out is None else Path(out)
    if not file.parent.is_dir():
        raise BunrakuError(f"{file}: its folder {file.parent} does not exist")
    stored = load_take(folder)
    source = rig_source(stored.settings, rig, folder)
    opened: Rig = open_rig(source)
    model = _model(folder, stored.settings)
    if isinstance(opened, RecordedRig):
        if model is None:
            raise BunrakuError(f"{take}: its rig is recorded samples, and the model made of them is gone")
        opened, model = model, None
    moving = restrict(opened, tuple(stored.settings["controls"]))
    if model is not None and model.spec.names != moving.spec.names:
        moving = restrict(opened, tuple(model.spec.names))
    capture = Path(stored.settings["capture"]["path"])
    if not capture.exists():
        raise BunrakuError(f"{take}: its capture {capture} is not there any more")
    matching = recorded(stored.settings)
    if matching.topology == "other":
        raise BunrakuError(f"{take}: followed a surface of another topology; there is nothing to account for by vertex")
    own, to = matched(capture, opened, matching, source)
    moving, sequence = (
        attached(moving, to),
        moved(own, stored.alignment if stored.stabilisation is None else stored.transforms),
    )
    stand_in: Any = None if model is None else attached(model, to)
    whole = stored.curves.ordered_as(opened.spec)
    controls = np.ascontiguousarray(whole[:, [opened.spec.index(name) for name in moving.spec.names]])
    cfg = _with_outliers(cfg or AccountConfig(), stored)
    on, said = _derivatives(moving, stand_in, derivatives, cfg.frames)
    with one_thread():
        found = accounted(moving, sequence, controls, cfg, on=on, approximation=stand_in, progress=progress)
    layout = {
        "take": str(take),
        "rig": source,
        "sigma_from": "given" if cfg.sigma > 0 else "the take's residual",
        "derivatives_from": said,
        "priors": _priors(stored),
        **account_layout(found, moving, controls, stored.curves.start_frame),
    }
    artifact.write_json(file, layout)
    return {**layout, "path": str(file)}


def _model(folder: Path, settings: Mapping[str, Any]) -> Approximation | None:
    """The model that a take was solved on, where it is still there."""
    from bunraku.core import artifact

    named = settings.get("model")
    paths = [folder / "model", *([Path(named["path"])] if named else [])]
    there = [path for path in paths if (path / artifact.MANIFEST).is_file()]
    return loaded_model(there[0]) if there else None


def _with_outliers(cfg: AccountConfig, take: Take) -> AccountConfig:
    """A robust solve has left outliers where they are: they are neither noise nor its error."""
    asked = take.settings.get("robust")
    found = take.metrics.values.get("outliers")
    robust = asked in ("huber", "geman-mcclure") or (asked == "auto" and isinstance(found, (int, float)) and found > 0)
    return replace(cfg, outliers=OUTLIERS) if robust and cfg.outliers == 0 else cfg


def _priors(take: Take) -> dict[str, float | str]:
    """The priors that the solve had, by their weights, "auto" where the capture's noise chose them."""
    named = ("smooth", "neutral", "sparse", "symmetric", "cancelling")
    weights = {name: take.settings.get(name) for name in named}
    if take.metrics.values.get("smoothed") is False:
        del weights["smooth"]
    return {
        name: "auto" if weight == "auto" else float(weight)
        for name, weight in weights.items()
        if weight == "auto" or (isinstance(weight, (int, float)) and weight > 0)
    }


def _derivatives(
    moving: Rig, model: Approximation | None, wanted: Derivatives, frames: int
) -> tuple[DifferentiableRig | None, str]:
    """What is linearised (None: the rig itself), and the same in words."""
    from bunraku.core.errors import BunrakuError
    from bunraku.core.rig import DifferentiableRig

    own = isinstance(moving, DifferentiableRig)
    if wanted == "model" and model is None:
        raise BunrakuError("--derivatives model: this take was solved without one; choose rig or auto")
    if own and wanted != "model":
        return None, "the rig"
    if model is None or wanted == "rig":
        return None, "finite differences on the rig"
    if wanted == "auto":
        # Derivatives of the frames evenly spaced and of the worst, one evaluation more than controls each.
        cost_s = (frames + 10) * (len(moving.spec) + 1) * _evaluation_s(moving)
        if cost_s <= DIFFERENCES_S:
            return None, "finite differences on the rig"
    return model, "the model"


def _evaluation_s(rig: Rig) -> float:
    """Seconds per pose of a small batch, after a first pose, for which the rig may have to load things."""
    import numpy as np

    rig.evaluate(rig.spec.neutral[None])
    poses = np.tile(rig.spec.neutral, (4, 1))
    started = time.perf_counter()
    rig.evaluate(poses)
    return (time.perf_counter() - started) / len(poses)
