"""The report of a take: which values it takes, and how a page holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.curves import Curves
from bunraku.core.keys import KeyedCurves
from bunraku.report.film import Film
from bunraku.report.low_rank import TOLERANCE, LowRank
from bunraku.report.packing import Steady
from bunraku.report.sentences import said_of_take

Arrays = dict[str, np.ndarray | Steady]
WORST = 10
_CURVE_NUMBERS = 700_000
"""More curve values than that are thinned in time."""
_CURVE_TOP = 65535


@dataclass(frozen=True, eq=False)
class TakeReport:
    """What is told of a take."""

    name: str
    rig: str
    capture: str
    curves: Curves
    metrics: Mapping[str, Any]
    frame_error: Float[np.ndarray, "frames"]
    """Mean distance per frame."""
    frame_max: Float[np.ndarray, "frames"] | None
    vertex_error: Float[np.ndarray, "points"]
    """Mean distance per captured point."""
    vertex_max: Float[np.ndarray, "points"] | None
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    alignment: Float[np.ndarray, "3 4"]
    stabilised: bool = False
    unit: str = "rig units"
    spec: ControlSpec | None = None
    """None: the rig cannot be opened."""
    keys: KeyedCurves | None = None
    account: Mapping[str, Any] | None = None
    """As docs/account.md lays it out."""
    film: Film | None = None
    notes: tuple[str, ...] = field(default=())
    """What could not be shown, and why."""


def take_part(report: TakeReport) -> tuple[dict[str, Any], Arrays]:
    """The part of a page that tells of a take: JSON-able values, and arrays."""
    arrays: Arrays = {
        "frame_mean": report.frame_error.astype(np.float32),
        "vertex_error": report.vertex_error.astype(np.float32),
    }
    if report.frame_max is not None:
        arrays["frame_max"] = report.frame_max.astype(np.float32)
    film = None if report.film is None else _film(report.film, arrays)
    rows = _curve_rows(report.curves)
    arrays["curve_rows"] = rows.astype(np.uint32)
    controls = _controls(report, rows, arrays)
    curves = report.curves
    part = {
        "kind": "take",
        "name": report.name,
        "rig": report.rig,
        "capture": report.capture,
        "unit": report.unit,
        "frames": curves.frames,
        "start_frame": curves.start_frame,
        "fps": [curves.fps.numerator, curves.fps.denominator],
        "said": said_of_take(report),
        "metrics": dict(report.metrics),
        "controls": controls,
        "groups": _groups(report.account),
        "accounted": report.account is not None,
        "film": film,
        "worst_frames": worst_frames(report.frame_error).tolist(),
        "worst_points": _worst_points(report),
        "alignment": report.alignment.tolist(),
        "stabilised": report.stabilised,
        "settings": dict(report.settings),
        "provenance": dict(report.provenance),
        "notes": list(report.notes),
        "keys": None if report.keys is None else report.keys.count,
    }
    return part, arrays


def worst_frames(error: Float[np.ndarray, "frames"], most: int = WORST) -> Int[np.ndarray, "worst"]:
    """Frames with the largest errors, each at least half a second or so (a fortieth of the shot) from the others."""
    apart = max(1, min(12, len(error) // 40))
    found = list[int]()
    for row in np.argsort(-error, kind="stable"):
        if all(abs(int(row) - other) >= apart for other in found):
            found.append(int(row))
        if len(found) == most:
            break
    return np.array(found, np.int64)


def _worst_points(report: TakeReport) -> list[dict[str, Any]]:
    """Of the account where there is one: it knows where on the rig they are."""
    if report.account is not None:
        keys = ("vertex", "mean", "max", "worst_frame", "near")
        return [{key: row[key] for key in keys} for row in report.account["worst_vertices"][:WORST]]
    order = np.argsort(-report.vertex_error, kind="stable")[:WORST]
    largest = report.vertex_max
    return [
        {
            "vertex": int(i),
            "mean": float(report.vertex_error[i]),
            "max": None if largest is None else float(largest[i]),
            "worst_frame": None,
            "near": [],
        }
        for i in order
    ]


def _curve_rows(curves: Curves) -> Int[np.ndarray, "rows"]:
    stride = -(-curves.values.size // _CURVE_NUMBERS)
    return np.unique(np.append(np.arange(0, curves.frames, stride), curves.frames - 1))


def _controls(report: TakeReport, rows: np.ndarray, arrays: Arrays) -> list[dict[str, Any]]:
    """A row per curve; the curves themselves become whole numbers between the least and the greatest value of each."""
    values = report.curves.values[rows]
    low, high = values.min(axis=0), values.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    shares = np.round((values - low) / width * _CURVE_TOP).astype(np.uint16)
    arrays["curves"] = Steady(shares)
    spec, told = report.spec, _told(report)
    found = list[dict[str, Any]]()
    for column, name in enumerate(report.curves.names):
        row: dict[str, Any] = {"name": name, "least": float(low[column]), "greatest": float(high[column])}
        if spec is not None and name in spec.names:
            i = spec.index(name)
            row |= {
                "lower": float(spec.lower[i]),
                "upper": float(spec.upper[i]),
                "neutral": float(spec.neutral[i]),
                "unit": spec.units[i],
            }
        if report.keys is not None and name in report.keys.names:
            own = report.keys.keys[report.keys.names.index(name)]
            row["keys"] = [own.frames.tolist(), own.values.tolist()]
        found.append(row | told.get(name, {}))
    return found


def _told(report: TakeReport) -> dict[str, dict[str, Any]]:
    """What is known of how well each control was seen."""
    if report.account is not None:
        kept = ("verdict", "deviation", "group", "active_frames")
        return {
            row["name"]: {
                **{key: row[key] for key in kept},
                "at_lower": row["at_lower"]["frames"],
                "at_upper": row["at_upper"]["frames"],
            }
            for row in report.account["controls"]
        }
    dead, traded = (report.metrics.get(kind) or [] for kind in ("unobservable", "interchangeable"))
    return {**{name: {"verdict": "dead"} for name in dead}, **{name: {"verdict": "interchangeable"} for name in traded}}


def _groups(account: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if account is None:
        return []
    return [{"controls": group["controls"], "freedom": group["freedom"]} for group in account["groups"]]


def _film(film: Film, arrays: Arrays) -> dict[str, Any]:
    arrays["rows"] = Steady(film.rows.astype(np.uint32))
    arrays["faces"] = Steady(film.faces.reshape(-1).astype(np.uint32))
    found: dict[str, Any] = {
        "diagonal": film.diagonal,
        "up": film.up,
        "reach": film.reach,
        "tolerance": TOLERANCE * film.diagonal,
        "meshes": {},
    }
    for name, part in (("solved", film.solved), ("points", film.points), ("other", film.other)):
        if part is not None:
            found["meshes"][name] = _moving(name, part, arrays)
    if film.other_faces is not None:
        arrays["other_faces"] = Steady(film.other_faces.reshape(-1).astype(np.uint32))
    if film.apart is not None:
        arrays["seen"] = Steady(film.seen.astype(np.uint32))
        arrays["apart"] = film.apart
    if film.p95 is not None:
        arrays["p95"] = film.p95.astype(np.float32)
    if film.vertices is not None:
        arrays["shown"] = Steady(film.vertices.astype(np.uint32))
    return found


def _moving(name: str, part: LowRank, arrays: Arrays) -> dict[str, float]:
    arrays[f"{name}.mean"] = part.mean.astype(np.float32)
    arrays[f"{name}.shapes"] = part.shapes
    arrays[f"{name}.weights"] = Steady(part.weights)
    arrays[f"{name}.centre"] = part.centre.astype(np.float32)
    return {"step": part.step, "worst": part.worst}
