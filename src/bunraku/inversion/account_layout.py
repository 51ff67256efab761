"""An account as JSON: its layout is documented in docs/account.md."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.rig import Rig, diagonal
from bunraku.inversion.account import Account
from bunraku.inversion.trades import Group, Trade

NOT_SEEN = 0.25  # of its range: with a larger standard deviation the capture does not see a control
WEAKLY_SEEN = 0.02  # with a larger one, weakly
ACTIVE = 0.02  # of its range: a control further from neutral counts as active
AT_BOUND = 1e-9  # of its range


def account_layout(
    account: Account, rig: Rig, controls: Float[np.ndarray, "frames controls"], start_frame: int = 0
) -> dict[str, Any]:
    """What `rig account` prints and writes. Frames carry their numbers in the shot, from `start_frame` on."""
    size = diagonal(rig.neutral)
    looked = account.looked + start_frame
    return {
        "frames": len(controls),
        "vertices": len(rig.neutral),
        "diagonal": size,
        "looked_at": looked.tolist(),
        "noise": {
            "sigma": account.sigma,
            "relative": account.sigma / size,
            "outliers": int(account.outliers[account.even].sum()),
        },
        "controls": _controls(account, rig.spec, controls, start_frame),
        "groups": [_group(group, account, rig.spec, looked) for group in account.groups],
        "errors": _errors(account, size),
        "by_frame": _by_frame(account, looked),
        "worst_frames": _worst_frames(account, start_frame),
        "worst_vertices": _worst_vertices(account, start_frame),
    }


def verdict(deviation: float, *, dead: bool, held: bool) -> str:
    """Whether the capture sees a control: from its standard deviation as a share of its range."""
    if held:
        return "held"
    if dead:
        return "dead"
    if deviation > NOT_SEEN:
        return "not seen"
    return "weakly seen" if deviation > WEAKLY_SEEN else "seen"


def _controls(
    account: Account, spec: ControlSpec, controls: Float[np.ndarray, "frames controls"], start_frame: int
) -> list[dict[str, Any]]:
    typical = np.median(account.deviation[account.even], axis=0)
    worst = account.deviation.argmax(axis=0)
    group_of = {int(c): index for index, group in enumerate(account.groups) for c in group.controls}
    away = np.abs(controls - spec.neutral) > ACTIVE * spec.range
    low, high = (np.abs(controls - bound) <= AT_BOUND * spec.range for bound in (spec.lower, spec.upper))
    rows: list[dict[str, Any]] = []
    for c, name in enumerate(spec.names):
        dead, held = bool(account.dead[c]), bool(account.held[c])
        own = account.deviation[:, c]
        rows.append(
            {
                "name": name,
                "unit": spec.units[c],
                "verdict": verdict(float(typical[c]), dead=dead, held=held),
                "deviation": _finite(float(typical[c])),
                "deviation_worst": _finite(float(own[worst[c]])),
                "worst_frame": int(account.looked[worst[c]]) + start_frame,
                "deviation_constant": _finite(float(account.constant_deviation[c])),
                "frames_not_seen": float((own[account.even] > NOT_SEEN).mean()),
                "active_frames": int(away[:, c].sum()),
                "at_lower": _at_bound(low[:, c] & (not held), float(spec.lower[c]), spec, c, start_frame),
                "at_upper": _at_bound(high[:, c] & (not held), float(spec.upper[c]), spec, c, start_frame),
                "group": group_of.get(c),
            }
        )
    return rows


def _at_bound(
    there: Bool[np.ndarray, "frames"], bound: float, spec: ControlSpec, column: int, start_frame: int
) -> dict[str, Any]:
    return {
        "frames": int(there.sum()),
        "is_neutral": bound == float(spec.neutral[column]),
        "runs": runs(there, start_frame),
    }


def runs(there: Bool[np.ndarray, "frames"], start_frame: int) -> list[list[int]]:
    """First and last frame of every unbroken run."""
    edges = np.diff(np.concatenate([[0], there.astype(np.int8), [0]]))
    first, last = np.flatnonzero(edges == 1) + start_frame, np.flatnonzero(edges == -1) - 1 + start_frame
    return [[int(a), int(b)] for a, b in zip(first, last, strict=True)]


def _group(group: Group, account: Account, spec: ControlSpec, looked: Int[np.ndarray, "looked"]) -> dict[str, Any]:
    return {
        "controls": [spec.names[c] for c in group.controls],
        "freedom": group.freedom,
        "frames": float(group.poses.mean()),
        "frame": None if group.pose is None else int(looked[group.pose]),
        "trades": [_trade(trade, account.sigma, spec) for trade in group.trades],
    }


def _trade(trade: Trade, sigma: float, spec: ControlSpec) -> dict[str, Any]:
    step = trade.step * spec.range[trade.controls]
    return {
        "controls": [spec.names[c] for c in trade.controls],
        "units": [spec.units[c] for c in trade.controls],
        "step": (step / step[0]).tolist(),
        "mesh_share": trade.mesh_share,
        "deviation": _finite(sigma / trade.motion) if trade.motion > 0 else None,
    }


def _errors(account: Account, size: float) -> dict[str, Any]:
    even, split = account.even, account.split
    weight = float(account.weight[even].sum())
    total = float(split.total[even].sum())

    def figure(squared: Float[np.ndarray, "looked"]) -> dict[str, float | None]:
        rms = float(np.sqrt(max(float(squared[even].sum()), 0.0) / weight))
        share = float(squared[even].sum()) / total if total > 0 else None
        return {"rms": rms, "relative": rms / size, "share": share}

    found = {
        "total": figure(split.total),
        "off_manifold": figure(split.floor),
        "held_by_bounds": figure(split.floor - split.free_floor),
        "solver": figure(split.solver),
        "solver_confirmed": figure(account.confirmed),
        "approximation": None,
    }
    apart = account.misfit.approximation_rms
    if apart is not None:
        rms = float(np.sqrt((apart**2).mean()))
        found["approximation"] = {"rms": rms, "relative": rms / size, "share": None}
    misfit = account.misfit
    means = {"mean_vertex": misfit.mean_error, "p95_vertex": misfit.p95_error, "max_vertex": misfit.max_error}
    return {**found, **means}


def _by_frame(account: Account, looked: Int[np.ndarray, "looked"]) -> dict[str, list[Any]]:
    split, weight = account.split, np.where(account.weight > 0, account.weight, 1.0)
    parts = {"total": split.total, "off_manifold": split.floor, "solver": split.solver}
    parts["held_by_bounds"] = split.floor - split.free_floor
    named = {name: np.sqrt(np.maximum(value, 0) / weight).tolist() for name, value in parts.items()}
    apart = account.misfit.approximation_rms
    if apart is not None:
        named["approximation"] = apart[account.looked].tolist()
    return {
        "frame": looked.tolist(),
        **named,
        "all_frames_rms": [_finite(x) for x in account.misfit.frame_rms.tolist()],
    }


def _worst_frames(account: Account, start_frame: int) -> list[dict[str, Any]]:
    misfit = account.misfit
    return [
        {
            "frame": int(frame) + start_frame,
            "mean": float(misfit.frame_error[frame]),
            "rms": _finite(float(misfit.frame_rms[frame])),
            "max": float(misfit.frame_max[frame]),
        }
        for frame in account.worst_frames
    ]


def _worst_vertices(account: Account, start_frame: int) -> list[dict[str, Any]]:
    misfit = account.misfit
    return [
        {
            "vertex": region.vertex,
            "mean": float(misfit.vertex_error[region.vertex]),
            "max": float(misfit.vertex_max[region.vertex]),
            "worst_frame": int(misfit.worst_frame[region.vertex]) + start_frame,
            "near": list(region.controls),
            "motion": region.motion.tolist(),
        }
        for region in account.regions
    ]


def _finite(value: float) -> float | None:
    """JSON has no infinity: null is "no bound"."""
    return float(value) if np.isfinite(value) else None
