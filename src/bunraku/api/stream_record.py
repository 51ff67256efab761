"""What a stream leaves behind: counted while it runs, and its curves where a take is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from bunraku.core import artifact
from bunraku.core.curves import curves
from bunraku.core.metrics import Metrics, MetricValue
from bunraku.core.take import Take

if TYPE_CHECKING:
    from bunraku.core.controls import ControlSpec
    from bunraku.inversion.stream import Streamed

_FINEST, _STEP, _BINS = 1e-9, 1.02, 1200
ACTIVE = 0.02  # of its range: a control further from neutral counts as active


class StreamRecord:
    """Sums over a stream. Of each frame its latency is kept, and its curves where they are wanted; no vertices."""

    def __init__(self, spec: ControlSpec, vertices: int, diagonal: float, keep_curves: bool) -> None:
        self.spec = spec
        self.diagonal = diagonal
        self.latencies_ms: list[float] = []
        self.solved = 0
        self.cuts = 0
        self._keep = keep_curves
        self._numbers: list[int] = []
        self._values: list[np.ndarray] = []
        self._errors: list[float] = []
        self._total = np.zeros(vertices)
        self._seen = np.zeros(vertices, np.int64)
        self._largest = 0.0
        self._active = 0
        # How often vertex distances lie between _FINEST·_STEP^k diagonals and the next.
        self._histogram = np.zeros(_BINS, np.int64)

    def add(self, number: int, frame: Streamed, latency_ms: float) -> None:
        """One solved frame."""
        self.solved += 1
        self.cuts += frame.cut
        self.latencies_ms.append(latency_ms)
        seen = np.isfinite(frame.vertex_error)
        distance = frame.vertex_error[seen]
        self._total[seen] += distance
        self._seen += seen
        self._largest = max(self._largest, float(distance.max(initial=0.0)))
        self._active += int((np.abs(frame.controls - self.spec.neutral) > ACTIVE * self.spec.range).sum())
        scaled = np.maximum(distance / (self.diagonal * _FINEST), 1.0)
        bins = np.minimum(np.log(scaled) / np.log(_STEP), _BINS - 1).astype(np.int64)
        self._histogram += np.bincount(bins, minlength=_BINS)
        if self._keep:
            self._numbers.append(number)
            self._values.append(frame.controls)
            self._errors.append(frame.error)

    def metrics(self, dropped: int) -> Metrics:
        """What a stream says at its end; the 95th percentile is exact to 2 %."""
        count = max(int(self._seen.sum()), 1)
        shares = np.cumsum(self._histogram) / count
        p95 = self.diagonal * _FINEST * _STEP ** (int(np.searchsorted(shares, 0.95)) + 0.5)
        mean = float(self._total.sum()) / count
        late = np.array(self.latencies_ms) if self.latencies_ms else np.full(1, np.nan)
        values: dict[str, MetricValue] = {
            "frames": self.solved + dropped,
            "solved_frames": self.solved,
            "dropped_frames": dropped,
            "cuts": self.cuts,
            "vertices": len(self._total),
            "controls": len(self.spec),
            "mean_vertex_error": mean,
            "p95_vertex_error": min(p95, self._largest),
            "max_vertex_error": self._largest,
            "relative_error": mean / self.diagonal,
            "active_controls": self._active / max(self.solved, 1),
            "latency_ms_median": float(np.median(late)),
            "latency_ms_p99": float(np.percentile(late, 99)),
        }
        units = {f"{which}_vertex_error": "rig unit" for which in ("mean", "p95", "max")}
        return Metrics(values, {**units, "latency_ms_median": "ms", "latency_ms_p99": "ms"})

    def take(
        self,
        whole: ControlSpec,
        held: Mapping[str, float],
        fps: Fraction,
        metrics: Metrics,
        settings: Mapping[str, Any],
    ) -> Take:
        """The take: frames that were dropped lie on the line between their neighbours, controls that were not solved
        for where they are held, else at neutral.
        """
        frames = np.arange(self._numbers[-1] + 1)
        own = self._between(frames, np.array(self._values))
        values = curves(self.spec.names, own, fps).ordered_as(whole)
        for name, value in held.items():
            values[:, whole.index(name)] = value
        roughness = float((np.diff(own / self.spec.range, n=2, axis=0) ** 2).mean()) if len(own) > 2 else 0.0
        errors = self._between(frames, np.nan_to_num(np.array(self._errors))[:, None])[:, 0]
        return Take(
            curves(whole.names, values, fps),
            metrics.merged(Metrics({"frames": len(frames), "roughness": roughness}, {})),
            errors,
            self._total / np.maximum(self._seen, 1),
            np.eye(3, 4),
            settings,
            artifact.provenance(),
        )

    def _between(
        self, frames: np.ndarray, values: Float[np.ndarray, "solved columns"]
    ) -> Float[np.ndarray, "frames columns"]:
        return np.stack([np.interp(frames, self._numbers, column) for column in values.T], axis=1)
