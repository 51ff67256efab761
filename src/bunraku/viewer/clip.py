"""A clip on a character, with what a check has found marked on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import viser
from jaxtyping import Int

from bunraku.core.playback import Playback
from bunraku.viewer.figure import Figure
from bunraku.viewer.panel import Scrubber, table, text, words
from bunraku.viewer.stage import set_ground, set_stage

_SHADES = {"high": (160, 36, 70), "medium": (229, 121, 45), "low": (247, 208, 96), "note": (120, 140, 160)}
_MOST = 60


@dataclass(frozen=True, eq=False)
class Mark:
    """Something that was found."""

    kind: str
    says: str
    severity: str
    """high, medium, low or note."""
    bodies: tuple[int, ...]
    """Where on the body; empty: everywhere."""
    rows: Int[np.ndarray, "rows"]
    """At which frames; empty: at all of them."""


class ClipScene:
    """See `Scene`."""

    def __init__(self, server: viser.ViserServer, playback: Playback, name: str, marks: Sequence[Mark]) -> None:
        self.playback, self.marks = playback, list(marks)[:_MOST]
        self._ground = set_stage(server, "z")
        gui = server.gui
        step = np.median(np.diff(playback.times_s)) if playback.frames > 1 else 1 / 30
        self._status = gui.add_html("")
        self.scrubber = Scrubber(server, playback.frames, 1 / float(step))
        self._follow = gui.add_checkbox("follow it", True)
        self._figure = Figure(server, "/figure", playback.body_names, playback.solids)
        self._spots = [self._spot(server, i, mark) for i, mark in enumerate(self.marks)]
        self._about = {"clip": text(name), "found": f"{len(marks)} remarks" if marks else "nothing wrong"}
        with gui.add_folder("what the check has found"):
            if not marks:
                gui.add_html(words("Nothing."))
            for mark in self.marks:
                gui.add_html(words(f"{mark.severity}: {mark.says}"))
                first = int(mark.rows[0]) if len(mark.rows) else 0
                button = gui.add_button(
                    f"{text(mark.kind, 24)}, frame {first}", color=_SHADES.get(mark.severity, _SHADES["note"])
                )
                button.on_click(lambda _, first=first: self.scrubber.show(first))
        self._server, self._row = server, -1

    def _spot(self, server: viser.ViserServer, i: int, mark: Mark) -> list[tuple[int, viser.IcosphereHandle]]:
        colour = _SHADES.get(mark.severity, _SHADES["note"])
        return [
            (
                body,
                server.scene.add_icosphere(
                    f"/marks/{i}/{body}", radius=0.11, color=colour, opacity=0.55, visible=False, cast_shadow=False
                ),
            )
            for body in mark.bodies
        ]

    def tick(self, now_s: float) -> None:
        """See `Scene`."""
        self.scrubber.tick(now_s)
        row = self.scrubber.row
        if row == self._row:
            return
        self._row = row
        playback = self.playback
        gone = np.array([*playback.body_pos_w[row, 0, :2], 0.0]) if self._follow.value else np.zeros(3)
        pos = playback.body_pos_w[row] - gone
        here = [not len(mark.rows) or row in mark.rows for mark in self.marks]
        with self._server.atomic():
            set_ground(self._ground, gone)
            self._figure.show(pos, playback.body_quat_w[row])
            for spots, shown in zip(self._spots, here, strict=True):
                for body, spot in spots:
                    spot.visible, spot.position = shown, pos[body]
        now = [mark for mark, shown in zip(self.marks, here, strict=True) if shown and len(mark.rows)]
        remarks = {f"here: {mark.kind}": mark.severity for mark in now}
        self._status.content = table({**self._about, "time": f"{playback.times_s[row]:.3f} s", **remarks})
