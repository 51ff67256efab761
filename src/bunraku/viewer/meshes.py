"""Meshes over time: a sequence; a take beside its capture, with the error as colour; two takes of one capture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import viser

from bunraku.core.colours import CAPTURED, SOLVED, round_top
from bunraku.core.shown import Shown
from bunraku.viewer.panel import Scrubber, chart, scale, table, text
from bunraku.viewer.stage import place_of, set_stage
from bunraku.viewer.surface import AmountSurface, Surface


class MeshScene:
    """See `Scene`. With several takes the first one's capture stands on the left."""

    def __init__(self, server: viser.ViserServer, shown: Sequence[Shown]) -> None:
        self.shown = list(shown)
        first = self.shown[0]
        rows = np.unique(np.linspace(0, first.frames - 1, min(8, first.frames)).astype(int))
        self._place = place_of(np.asarray(first.solved(rows)), first.up)
        self._compares = any(each.compares for each in self.shown)
        self._captured = first.captured is not None
        columns = len(self.shown) + self._captured
        set_stage(server, first.up, self._place.width(columns))
        gui = server.gui
        names = [f"{i}. {text(each.name, 40)}" for i, each in enumerate(self.shown, 1)]
        self._names = names if len(names) > 1 else [text(first.name, 40)]
        self._status = gui.add_html("")
        self._scale = gui.add_html("")
        self.scrubber = Scrubber(server, min(each.frames for each in self.shown), float(first.fps), first.start_frame)
        self._top = round_top(max((each.usual_error() for each in self.shown if each.compares), default=0.0))
        self._overlay = gui.add_checkbox("lay over each other", False, visible=columns > 1)
        if self._compares:
            options = [f"{self._top * factor:g}" for factor in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
            self._tops = gui.add_dropdown("colours up to", options, initial_value=f"{self._top:g}")
            self._add_worst(server)
        self._meshes = [self._surface(server, i) for i in range(len(self.shown))]
        faces = first.faces if first.captured_faces is None else first.captured_faces
        self._capture = Surface(server, "/capture", faces, CAPTURED)
        self._state: tuple[object, ...] = ()

    def _surface(self, server: viser.ViserServer, i: int) -> Surface | AmountSurface:
        each = self.shown[i]
        if each.compares and len(each.faces):
            return AmountSurface(server, f"/solved/{i}", each.faces)
        return Surface(server, f"/solved/{i}", each.faces, SOLVED)

    def _add_worst(self, server: viser.ViserServer) -> None:
        """Buttons to the frames with the largest mean error, and the error over time."""
        for name, each in zip(self._names, self.shown, strict=True):
            if each.frame_error is None:
                continue
            with server.gui.add_folder(f"error of {name}" if len(self.shown) > 1 else "error"):
                for row in _worst(each.frame_error):
                    button = server.gui.add_button(f"frame {each.start_frame + row}: {each.frame_error[row]:.3g}")
                    button.on_click(lambda _, row=row: self.scrubber.show(row))
                chart(server, each.frame_error, each.start_frame, "mean error")

    def tick(self, now_s: float) -> None:
        """See `Scene`."""
        self.scrubber.tick(now_s)
        row, top = self.scrubber.row, float(self._tops.value) if self._compares else 1.0
        state = (row, top, self._overlay.value)
        if state == self._state:
            return
        self._state = state
        columns = len(self.shown) + self._captured
        slots = np.zeros(columns) if self._overlay.value else np.arange(columns) - (columns - 1) / 2
        told = {"frame": f"{self.shown[0].start_frame + row}", "time": f"{row / float(self.shown[0].fps):.3f} s"}
        if self._captured:
            assert self.shown[0].captured is not None
            points, there = self.shown[0].captured(np.array([row]))
            self._capture.show(self._place.put(_known(points[0], there[0]), float(slots[0])))
            told["left, blue"] = "capture"
        for i, each in enumerate(self.shown):
            self._show(i, row, top, float(slots[i + self._captured]))
            told |= self._told(i, each, row)
        self._status.content = table(told)
        if self._compares:
            self._scale.content = scale(f"{top:g} {self.shown[0].unit}")

    def _show(self, i: int, row: int, top: float, slot: float) -> None:
        each, mesh = self.shown[i], self._meshes[i]
        points = self._place.put(each.solved(np.array([row]))[0], slot)
        if isinstance(mesh, AmountSurface):
            mesh.show(points, each.error(row), top)
        else:
            mesh.show(points)

    def _told(self, i: int, each: Shown, row: int) -> dict[str, str]:
        name = self._names[i]
        if not each.compares:
            return {name: f"{len(each.faces):,} triangles"}
        error, unit = each.error(row), each.unit
        known = error[np.isfinite(error)]
        if not len(known):
            return {name: "nothing captured"}
        return {f"{name}, mean error": f"{known.mean():.4g} {unit}", f"{name}, largest": f"{known.max():.4g} {unit}"}


def _worst(frame_error: np.ndarray, most: int = 5) -> list[int]:
    """The frames with the largest error, no two of them neighbours, the worst first."""
    apart, chosen = max(2, len(frame_error) // 20), list[int]()
    for row in np.argsort(-frame_error, kind="stable"):
        if len(chosen) == most:
            break
        if all(abs(int(row) - other) > apart for other in chosen):
            chosen.append(int(row))
    return chosen


def _known(points: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Missing points where the mean of the others is: out of the way, and no cause for a mesh of another size."""
    if there.all() or not there.any():
        return points
    return np.where(there[:, None], points, points[there].mean(axis=0))
