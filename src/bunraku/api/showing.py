"""Takes, captures and clips as values that pictures and the viewer show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bunraku.api.doors import load_sequence, load_take, loaded_model, open_rig, rig_source
from bunraku.api.matching import Matching, recorded

if TYPE_CHECKING:
    import numpy as np

    from bunraku.core.mesh_sequence import MeshSequence
    from bunraku.core.rig import Rig
    from bunraku.core.shown import Shown
    from bunraku.core.take import Take

Up = Literal["auto", "y", "z"]


def shown_take(path: Path, rig: str | None = None, up: Up = "auto") -> Shown:
    """A take's mesh beside its capture, both in the rig's space; without the capture where it is gone.

    Raises:
        BunrakuError: no take there, a rig or a capture that cannot be read or has changed its shape.
    """
    from bunraku.core.errors import BunrakuError
    from bunraku.core.shown import Shown, remembered
    from bunraku.rigs.recorded import RecordedRig

    take = load_take(path)
    source = rig_source(take.settings, rig, path)
    opened = open_rig(source)
    if isinstance(opened, RecordedRig):
        opened = loaded_model(path / "model")
    values = take.curves.ordered_as(opened.spec)
    file = Path(take.settings["capture"]["path"])
    capture = load_sequence(file) if file.exists() and file.suffix.lower() != ".c3d" else None
    if capture is not None and capture.frames != take.curves.frames:
        raise BunrakuError(
            f"{file}: has {capture.frames} frames now; {path} was solved from {take.curves.frames} of them"
        )
    same = capture is not None and capture.vertex_count == len(opened.neutral) and _corresponds(take.settings)
    return Shown(
        name=path.name,
        faces=opened.faces,
        frames=take.curves.frames,
        fps=take.curves.fps,
        start_frame=take.curves.start_frame,
        solved=remembered(lambda rows: opened.evaluate(values[rows]), take.curves.frames),
        captured=None if capture is None else _in_rig_space(capture, take),
        captured_faces=None if capture is None or same else capture.faces,
        up=up_of(source, up),
        unit=_unit(opened),
        frame_error=take.frame_error,
    )


def shown_sequence(path: Path, up: Up = "auto") -> Shown:
    """A mesh sequence from a file, alone."""
    return shown_mesh(load_sequence(path), path.stem, "z" if up == "z" else "y")


def shown_mesh(sequence: MeshSequence, name: str, up: Literal["y", "z"] = "y") -> Shown:
    """A mesh sequence, alone."""
    from bunraku.core.shown import Shown

    return Shown(
        name=name,
        faces=sequence.faces,
        frames=sequence.frames,
        fps=sequence.fps,
        start_frame=sequence.start_frame,
        solved=lambda rows: sequence.vertices[rows],
        up=up,
    )


def up_of(source: str, up: Up = "auto") -> Literal["y", "z"]:
    """The axis that points upwards on a rig: z in Blender's files, y elsewhere, unless it is said."""
    if up != "auto":
        return up
    return "z" if ".blend" in Path(source.split("#")[0]).suffix.lower() else "y"


def _corresponds(settings: Any) -> bool:
    """Whether captured points are the rig's vertices, in order."""
    return recorded(settings) == Matching()


def _in_rig_space(capture: MeshSequence, take: Take) -> Any:
    import numpy as np

    from bunraku.core.transforms import apply

    transforms = take.transforms

    def captured(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = apply(transforms[rows], capture.vertices[rows].astype(np.float64))
        there = np.ones(points.shape[:2], bool) if capture.valid is None else capture.valid[rows]
        return points, there

    return captured


def _unit(rig: Rig) -> str:
    """The length unit that the controls are in, where they tell."""
    return next((unit for unit in rig.spec.units if unit in ("m", "cm", "mm")), "")
