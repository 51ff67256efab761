"""Takes and runs as pages that explain them."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.api.doors import load_take, loaded_model, open_rig, rig_source
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np

    from bunraku.core.rig import Rig
    from bunraku.core.take import Take
    from bunraku.report.film import Film, Footage
    from bunraku.report.page import Tables
    from bunraku.report.run import RunReport
    from bunraku.report.take import TakeReport

FILE = "report.html"
_BUDGET = 9_500_000
"""Bytes of meshes in a page before base64, which adds a third."""
_POSE_VERTICES = 36_000_000
"""Frames times vertices that are evaluated for a page; of longer shots every other frame, and so on."""
_EVALUATION_S = 12.0
"""What evaluating the rig for a page may take; of slow rigs fewer frames are shown."""
_LEAST_FRAMES = 48


def report(
    path: str | Path,
    *,
    out: str | Path | None = None,
    rig: str | None = None,
    evaluation: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """The page of a take or a run, written into its folder, or to `out`.

    `rig` names a take's rig where it is another or runs code; `evaluation` is what `mimic evaluate` found of a run.

    Raises:
        BunrakuError: no finished take or run there, `out` cannot be written.
    """
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError
    from bunraku.report.page import write_report

    folder = Path(path)
    kind = artifact.read_manifest(folder)["kind"]
    file = folder / FILE if out is None else Path(out)
    if not file.parent.is_dir():
        raise BunrakuError(f"{file}: its folder {file.parent} does not exist")
    started = time.perf_counter()
    if kind == "take":
        told: TakeReport | RunReport = take_report(folder, rig, progress=progress)
    elif kind == "run":
        told = run_report(folder, evaluation)
    else:
        raise BunrakuError(f"{path}: is a {kind}; expected a take or a run")
    size = write_report(told, file)
    return {"path": str(file), "kind": kind, "bytes": size, "wall_seconds": time.perf_counter() - started}


def report_beside(path: Path, *, rig: str | None = None, evaluation: Mapping[str, Any] | None = None) -> str | None:
    """The report of work that has just been done; its path, or None with a warning where it cannot be made.

    A report that is newer than the result it tells of is left as it is.
    """
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError

    log, file = logging.getLogger("bunraku"), path / FILE
    manifest = path / artifact.MANIFEST
    if evaluation is None and file.exists() and file.stat().st_mtime_ns >= manifest.stat().st_mtime_ns:
        return str(file)
    try:
        done = report(path, rig=rig, evaluation=evaluation)
    except BunrakuError as error:
        log.warning("no report: %s", error)
        return None
    log.info("%s: made in %.1f s", file, done["wall_seconds"])
    return str(file)


def write_pages(parts: list[TakeReport | RunReport | Tables], file: Path, title: str) -> int:
    """Several parts as one page; its size in bytes."""
    from bunraku.report.page import write_report

    return write_report(parts, file, title)


def take_report(folder: Path, rig: str | None = None, name: str = "", progress: Progress = silent) -> TakeReport:
    """What a page tells of a take; what is gone since is said in its notes.

    Raises:
        BunrakuError: no finished take there.
    """
    from bunraku.core.errors import BunrakuError
    from bunraku.report.take import TakeReport

    stored = load_take(folder)
    capture, notes = Path(stored.settings["capture"]["path"]), list[str]()
    opened, source = None, str(rig or stored.settings["rig"]["source"])
    try:
        source = rig_source(stored.settings, rig, folder)
        opened = _opened(source, folder)
    except BunrakuError as error:
        notes.append(f"The meshes are not shown, for the rig cannot be opened: {error}")
    film = None
    if opened is not None:
        notes += _changed(stored.settings, source, capture)
        try:
            film = _film(opened, stored, capture, source, notes, progress)
        except BunrakuError as error:
            notes.append(f"The meshes are not shown: {error}")
    return TakeReport(
        name=name or _named(folder),
        rig=Path(source).name,
        capture=capture.name,
        curves=stored.curves,
        metrics=stored.metrics.values,
        frame_error=stored.frame_error,
        frame_max=stored.frame_max,
        vertex_error=stored.vertex_error,
        vertex_max=stored.vertex_max,
        settings=stored.settings,
        provenance=stored.provenance,
        alignment=stored.alignment,
        stabilised=stored.stabilisation is not None,
        unit=_unit(opened),
        spec=None if opened is None else opened.spec,
        keys=_keys(folder, stored, notes),
        account=_account(folder, notes),
        film=film,
        notes=tuple(notes),
    )


def run_report(folder: Path, evaluation: Mapping[str, Any] | None = None, name: str = "") -> RunReport:
    """What a page tells of a run.

    Raises:
        BunrakuError: no finished run there.
    """
    from bunraku import mimic
    from bunraku.core.errors import BunrakuError
    from bunraku.report.run import RunReport

    figures, notes, playback = mimic.run_figures(folder), list[str](), None
    try:
        playback = mimic.playback(folder)
    except BunrakuError as error:
        notes.append(f"The character is not shown: {error}")
    result = {**figures.pop("result"), **(evaluation or {})}
    return RunReport(name=name or _named(folder), result=result, playback=playback, notes=tuple(notes), **figures)


def _named(folder: Path) -> str:
    """A folder and the one that it is in: takes are often called take."""
    return "/".join(folder.resolve().parts[-2:]).lstrip("/")


def _opened(source: str, folder: Path) -> Rig:
    from bunraku.core.errors import BunrakuError
    from bunraku.rigs.recorded import RecordedRig

    opened = open_rig(source)
    if not isinstance(opened, RecordedRig):
        return opened
    if not (folder / "model").is_dir():
        raise BunrakuError(f"{source} is recorded samples, and the model made of them is gone")
    return loaded_model(folder / "model")


def _changed(settings: Mapping[str, Any], source: str, capture: Path) -> list[str]:
    """In words, what is not what the take was made from any more."""
    from bunraku.core import artifact
    from bunraku.rigs.open import rig_identity

    notes = list[str]()
    if rig_identity(source).get("sha256") != settings["rig"].get("sha256"):
        notes.append("The rig has changed since this take was solved: what is drawn is the rig of today.")
    if capture.is_file() and artifact.file_hash(capture) != settings["capture"]["sha256"]:
        notes.append("The capture has changed since this take was solved: what is drawn is the capture of today.")
    return notes


def _film(rig: Rig, take: Take, capture: Path, source: str, notes: list[str], progress: Progress) -> Film:
    """The meshes at the frames that are kept."""
    import numpy as np

    from bunraku.report.film import film

    footage = _footage(rig, take, capture, source, notes)
    frames = take.curves.frames
    worst_first = np.argsort(-take.frame_error, kind="stable")
    rows = _rows(rig, take, worst_first)
    looked = list[int]()

    def solved(chosen: np.ndarray) -> np.ndarray:
        looked.append(len(chosen))
        progress("report", min(sum(looked), len(rows)), len(rows))
        return footage.solved(chosen)

    from dataclasses import replace

    error = take.vertex_error if len(take.vertex_error) == len(rig.neutral) else None
    assert rows[-1] < frames, "a frame that is not there"
    return film(replace(footage, solved=solved), rows, worst_first, _BUDGET, error)


def _rows(rig: Rig, take: Take, worst_first: np.ndarray) -> np.ndarray:
    """The frames that are kept: all, or every other, or as many as a slow rig gives in time; and the worst."""
    import numpy as np

    from bunraku.report.take import worst_frames

    frames = take.curves.frames
    each_s = _evaluation_s(rig, take.curves.ordered_as(rig.spec)[: min(8, frames)])
    most = max(_LEAST_FRAMES, min(_POSE_VERTICES // len(rig.neutral), int(_EVALUATION_S / max(each_s, 1e-9))))
    stride = -(-frames // most)
    ends = [0, frames - 1, *worst_frames(take.frame_error), *worst_first[: min(20, most // 4)]]
    return np.unique(np.concatenate([np.arange(0, frames, stride), np.array(ends, np.int64)]))


def _evaluation_s(rig: Rig, poses: np.ndarray) -> float:
    """Seconds per pose: of our own work where the rig is evaluated here, so that a busy machine does not cost frames;
    of waiting where it is evaluated elsewhere."""
    rig.evaluate(poses[:1])
    waited, worked = time.perf_counter(), time.process_time()
    rig.evaluate(poses)
    waited, worked = time.perf_counter() - waited, time.process_time() - worked
    return (worked if worked > 0.05 * waited else waited) / len(poses)


def _footage(rig: Rig, take: Take, capture: Path, source: str, notes: list[str]) -> Footage:
    from bunraku.api.matching import matched, recorded
    from bunraku.api.showing import up_of
    from bunraku.core.errors import BunrakuError
    from bunraku.report.film import Footage

    values = take.curves.ordered_as(rig.spec)
    alone = Footage(rig.faces, rig.neutral, lambda rows: rig.evaluate(values[rows]), up=up_of(source))
    if not capture.exists():
        notes.append(f"The capture {capture} is not there any more: what it looked like is not shown.")
        return alone
    from dataclasses import replace

    try:
        matching = recorded(take.settings)
        if matching.topology == "other":
            return replace(alone, **_other(take, capture, notes))
        sequence, to = matched(capture, rig, matching, source)
    except BunrakuError as error:
        notes.append(f"The capture is not shown: {error}")
        return alone
    if sequence.frames != take.curves.frames:
        notes.append(f"The capture is not shown: it has {sequence.frames} frames now, not {take.curves.frames}.")
        return alone
    captured = _in_rig_space(sequence, take)
    if to.is_identity:
        return replace(alone, captured=captured)
    return replace(alone, captured=captured, points=lambda rows: to.apply(rig.evaluate(values[rows])))


def _other(take: Take, capture: Path, notes: list[str]) -> dict[str, Any]:
    from bunraku.api.doors import load_sequence

    sequence = load_sequence(capture)
    if sequence.frames != take.curves.frames:
        notes.append(f"The capture is not shown: it has {sequence.frames} frames now, not {take.curves.frames}.")
        return {}
    notes.append("The capture has a topology of its own: no point has a counterpart, so that none is coloured.")
    return {"captured": _in_rig_space(sequence, take), "captured_faces": sequence.faces}


def _in_rig_space(sequence: Any, take: Take) -> Any:
    import numpy as np

    from bunraku.core.transforms import apply

    transforms = take.transforms

    def captured(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = apply(transforms[rows], np.asarray(sequence.vertices[rows], np.float64))
        there = np.ones(points.shape[:2], bool) if sequence.valid is None else sequence.valid[rows]
        return points, there

    return captured


def _unit(rig: Rig | None) -> str:
    """The rig's length unit, where its controls tell."""
    units = () if rig is None else rig.spec.units
    return next((unit for unit in units if unit in ("m", "cm", "mm")), "rig units")


def _keys(folder: Path, take: Take, notes: list[str]) -> Any:
    """The keys of the take's curves as they are, if it was simplified."""
    from bunraku.api.simplifying import KEYS_JSON
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError
    from bunraku.formats.keys_json import load_json_keys, read_json_keys

    file = folder / KEYS_JSON
    if not file.is_file():
        return None
    try:
        settings = read_json_keys(file).get("settings")
        if isinstance(settings, dict) and settings.get("curves") != artifact.array_hash(take.curves.values):
            notes.append(f"{KEYS_JSON} is of other curves than this take's: no keys are shown.")
            return None
        return load_json_keys(file)
    except BunrakuError as error:
        notes.append(f"No keys are shown: {error}")
        return None


def _account(folder: Path, notes: list[str]) -> Mapping[str, Any] | None:
    """What `rig account` wrote."""
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError

    file = folder / "account.json"
    if not file.is_file():
        return None
    try:
        found = artifact.read_json(file)
    except BunrakuError as error:
        notes.append(f"No account is shown: {error}")
        return None
    if not isinstance(found, dict) or not {"controls", "groups", "worst_vertices"} <= found.keys():
        notes.append(f"No account is shown: {file.name} is not one of `bunraku rig account`.")
        return None
    return found
