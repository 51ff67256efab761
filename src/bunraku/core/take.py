"""What an inversion leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bunraku.core import artifact
from bunraku.core.curves import Curves, curves
from bunraku.core.metrics import Metrics
from bunraku.core.transforms import compose


@dataclass(frozen=True, eq=False)
class Take:
    """Solved curves, how well they do on the true rig, and where they come from."""

    curves: Curves
    metrics: Metrics
    frame_error: Float[np.ndarray, "frames"]
    """Mean Euclidean vertex distance per frame, on the true rig, in its unit."""
    vertex_error: Float[np.ndarray, "vertices"]
    """Mean Euclidean distance per vertex over the frames in which it was captured."""
    alignment: Float[np.ndarray, "3 4"]
    """From the capture's space to the rig's: y = A·x + b as [A | b]."""
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    frame_max: Float[np.ndarray, "frames"] | None = None
    """Largest vertex distance per frame; None in takes of earlier versions."""
    vertex_max: Float[np.ndarray, "vertices"] | None = None
    """Largest distance per vertex; None likewise."""
    stabilisation: Float[np.ndarray, "frames 3 4"] | None = None
    """What was taken out of each frame after `alignment`, of a head that moved as a whole; None: nothing."""

    @property
    def transforms(self) -> Float[np.ndarray, "frames 3 4"]:
        """From the capture's space to the rig's at each frame, alignment and stabilisation together."""
        alignment = np.tile(self.alignment, (self.curves.frames, 1, 1))
        return alignment if self.stabilisation is None else compose(self.stabilisation, alignment)


KIND = "take"


def save_take(path: Path, take: Take) -> None:
    """Finish the output folder `path` (opened with `artifact.open_output`) with a take."""
    arrays = {
        "values": take.curves.values,
        "frame_error": take.frame_error,
        "vertex_error": take.vertex_error,
        "alignment": take.alignment,
    }
    optional = {"frame_max": take.frame_max, "vertex_max": take.vertex_max, "stabilisation": take.stabilisation}
    arrays |= {name: array for name, array in optional.items() if array is not None}
    description = {
        "names": list(take.curves.names),
        "fps": [take.curves.fps.numerator, take.curves.fps.denominator],
        "start_frame": take.curves.start_frame,
        "units": dict(take.metrics.units),
    }
    artifact.finish_output(path, arrays, description, dict(take.metrics.values))


def load_take(path: Path) -> Take:
    """Read a take.

    Raises:
        BunrakuError: no take there, an unfinished one, a newer schema, corrupt arrays.
    """
    from fractions import Fraction

    stored = artifact.load(path, KIND)
    about = stored.manifest["description"]
    solved = curves(
        about["names"], stored.arrays["values"], Fraction(*about["fps"]), about["start_frame"], name=str(path)
    )
    metrics = Metrics(stored.manifest["result"], about["units"])
    return Take(
        solved,
        metrics,
        stored.arrays["frame_error"],
        stored.arrays["vertex_error"],
        stored.arrays["alignment"],
        stored.manifest["settings"],
        stored.manifest["provenance"],
        stored.arrays.get("frame_max"),
        stored.arrays.get("vertex_max"),
        stored.arrays.get("stabilisation"),
    )
