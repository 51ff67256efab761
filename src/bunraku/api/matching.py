"""Which point of a capture is which of a rig: said by the user, found, or one to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bunraku.api.doors import load_sequence
from bunraku.core.errors import BunrakuError

if TYPE_CHECKING:
    from bunraku.core.mesh_sequence import MeshSequence
    from bunraku.core.rig import Rig
    from bunraku.inversion.attachment import Attachment

C3D = ".c3d"


@dataclass(frozen=True)
class Matching:
    """How a capture's points belong to the rig's vertices; by their order where nothing is said."""

    map: Path | None = None
    """Which vertex of the capture is which of the rig's, or on which vertices and triangles markers sit (.json, .csv,
    .npy).
    """
    seams: bool = False
    """The map may name a vertex more than once: exporters split vertices at UV seams, and weld them."""
    reference_frame: int | None = None
    """A frame in which the capture is in the rig's neutral pose: points are found by where they are then."""
    topology: Literal["same", "other"] = "same"
    """other: no vertex corresponds; the surfaces are brought together by closest points."""

    def identity(self) -> dict[str, Any] | None:
        """What a take records of it; None where nothing was said."""
        from bunraku.core import artifact

        if self == Matching():
            return None
        hashed = None if self.map is None else artifact.file_hash(self.map)
        return {**asdict(self), "map": None if self.map is None else str(self.map), "map_sha256": hashed}


def recorded(settings: Mapping[str, Any]) -> Matching:
    """What a take was made with."""
    known = settings.get("matching") or {}
    fields = {name: value for name, value in known.items() if name != "map_sha256"}
    return Matching(**{**fields, "map": Path(fields["map"])} if fields.get("map") else fields)


def matched(capture: Path, rig: Rig, matching: Matching, source: str) -> tuple[MeshSequence, Attachment]:
    """A capture's points that correspond to the rig's, in the attachment's order, and the attachment.

    Raises:
        BunrakuError: a file that cannot be read, statements that exclude each other, points that do not correspond.
    """
    from bunraku.formats.c3d import load_c3d
    from bunraku.formats.vertex_map import MarkerMap, load_vertex_map
    from bunraku.inversion.correspondence import by_index, by_map, by_markers

    check(matching)
    markers = load_c3d(capture) if capture.suffix.lower() == C3D else None
    sequence = load_sequence(capture) if markers is None else markers.capture
    vertices = len(rig.neutral)
    if matching.map is not None:
        found, name = load_vertex_map(matching.map), str(matching.map)
        if isinstance(found, MarkerMap):
            labels = markers.labels if markers is not None else tuple(found.markers)
            if len(labels) != sequence.vertex_count:
                raise BunrakuError(f"{name}: names {len(labels)} markers, {capture} has {sequence.vertex_count} points")
            to = by_markers(labels, found.markers, vertices, name=name)
        else:
            to = by_map(found.given, sequence.vertex_count, vertices, one_to_one=not matching.seams, name=name)
    elif matching.reference_frame is not None:
        to = _by_reference(sequence, rig, matching.reference_frame, str(capture))
    elif sequence.vertex_count != vertices:
        counts = f"has {sequence.vertex_count} vertices, {source} has {vertices}"
        others = "--map, --reference-frame or --topology other say how they correspond"
        raise BunrakuError(f"{capture}: {counts}; {others}")
    else:
        to = by_index(sequence.vertex_count, vertices)
    return to.of(sequence), to


def check(matching: Matching) -> None:
    """Refuse statements that exclude each other.

    Raises:
        BunrakuError: there are.
    """
    said = {
        "--map": matching.map is not None,
        "--reference-frame": matching.reference_frame is not None,
        "--topology other": matching.topology == "other",
    }
    both = [name for name, given in said.items() if given]
    if len(both) > 1:
        raise BunrakuError(f"{both[0]} and {both[1]}: only one of them can say how the capture corresponds to the rig")
    if matching.seams and matching.map is None:
        raise BunrakuError("--seams: is about a --map, and none is given")


def _by_reference(sequence: MeshSequence, rig: Rig, frame: int, name: str) -> Attachment:
    import numpy as np

    from bunraku.inversion.correspondence import by_position, by_surface

    row = frame - sequence.start_frame
    if not 0 <= row < sequence.frames:
        last = sequence.start_frame + sequence.frames - 1
        raise BunrakuError(f"{name}: has frames {sequence.start_frame} to {last}, not the reference frame {frame}")
    points = np.asarray(sequence.vertices[row], np.float64)
    if sequence.valid is not None:
        points = np.where(sequence.valid[row][:, None], points, np.nan)
    try:
        return by_position(points, rig.neutral, name=name)
    except BunrakuError:
        # Not vertex on vertex: another mesh of the same shape, or markers.
        return by_surface(points, rig, name=name)
