"""How good curves are: measured on the true rig, never on what stood in for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.controls import ControlSpec
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.metrics import Metrics, MetricValue
from bunraku.core.rig import Rig, diagonal
from bunraku.core.rotations import geodesic_angle, quat_from_rotvec
from bunraku.inversion.account import Observability
from bunraku.inversion.misfit import misfit
from bunraku.inversion.trades import Group

ACTIVE = 0.02  # of its range: a control further from neutral counts as active


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics, and where the error is."""

    metrics: Metrics
    frame_error: Float[np.ndarray, "frames"]
    """Mean distance per frame; 0 where nothing was captured."""
    vertex_error: Float[np.ndarray, "vertices"]
    """Mean distance per vertex; 0 where it was never captured."""
    frame_max: Float[np.ndarray, "frames"]
    """Largest distance per frame; 0 likewise."""
    vertex_max: Float[np.ndarray, "vertices"]
    """Largest distance per vertex; 0 likewise."""


def evaluate(
    rig: Rig,
    capture: MeshSequence,
    controls: Float[np.ndarray, "frames controls"],
    *,
    seen_by: Observability | None = None,
    true_controls: Float[np.ndarray, "frames controls"] | None = None,
) -> Evaluation:
    """The metrics of `docs/metrics.md`: vertex distances over what was captured, roughness, active controls, control
    error.

    Controls that `seen_by` says are not determined (None: not known) are named, and left out of the control error.
    """
    found = misfit(rig, capture, controls)
    values: dict[str, MetricValue] = {
        "frames": capture.frames,
        "vertices": capture.vertex_count,
        "controls": len(rig.spec),
        "missing_vertices": capture.missing,
        "mean_vertex_error": found.mean_error,
        "p95_vertex_error": found.p95_error,
        "max_vertex_error": found.max_error,
    }
    values["relative_error"] = found.mean_error / diagonal(rig.neutral)
    values["roughness"] = roughness(rig.spec, controls)
    away = np.abs(controls - rig.spec.neutral) > ACTIVE * rig.spec.range
    values["active_controls"] = float(away.sum(axis=1).mean())
    determined = np.ones(len(rig.spec), bool)
    if seen_by is not None:
        determined = seen_by.determined
        values["unobservable"] = _named(rig.spec, seen_by.dead)
        values["interchangeable"] = _named(rig.spec, seen_by.interchangeable)
        if seen_by.groups is not None:
            values["interchangeable_groups"] = [_told(rig.spec, group) for group in seen_by.groups]
    if true_controls is not None:
        values["control_error"] = control_error(rig.spec, controls, true_controls, determined)
    length = {f"{which}_vertex_error": "rig unit" for which in ("mean", "p95", "max")}
    arrays = (found.frame_error, found.vertex_error, found.frame_max, found.vertex_max)
    return Evaluation(Metrics(values, length), *(np.nan_to_num(array, nan=0.0) for array in arrays))


def _named(spec: ControlSpec, which: Bool[np.ndarray, "controls"]) -> list[str]:
    return [name for name, chosen in zip(spec.names, which, strict=True) if chosen]


def _told(spec: ControlSpec, group: Group) -> str:
    """A group in words: its controls in the rig's order, and how many of them are too many."""
    names = ", ".join(spec.names[int(control)] for control in np.sort(group.controls))
    return f"{names}: {group.freedom} of {len(group.controls)} could rest"


def roughness(spec: ControlSpec, controls: Float[np.ndarray, "frames controls"]) -> float:
    """Mean squared second difference of the curves, each scaled by its range; 0 for fewer than three frames."""
    if len(controls) < 3:
        return 0.0
    return float((np.diff(controls / spec.range, n=2, axis=0) ** 2).mean())


def control_error(
    spec: ControlSpec,
    controls: Float[np.ndarray, "frames controls"],
    true_controls: Float[np.ndarray, "frames controls"],
    observable: Bool[np.ndarray, "controls"],
) -> float:
    """Mean absolute error over observable controls, scaled by range; a rotation vector is one entry, its geodesic
    angle / 2π.

    NaN where nothing is observable.
    """
    entries: list[np.ndarray] = []
    alone = observable.copy()
    for triple in spec.rotations:
        alone[triple] = False
        if observable[triple].all():
            found, wanted = quat_from_rotvec(controls[:, triple]), quat_from_rotvec(true_controls[:, triple])
            entries.append(geodesic_angle(found, wanted) / (2 * np.pi))
    scaled = np.abs(controls - true_controls) / spec.range
    entries += list(scaled[:, alone].T)
    return float(np.mean(entries)) if entries else float("nan")
