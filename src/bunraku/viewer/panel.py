"""Parts of the panel at the side: text from strangers, scales of colours, a scrubber."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Mapping

import numpy as np
import viser
from jaxtyping import Float
from viser import uplot

from bunraku.core.colours import RAMP

_LONGEST = 80
SPEEDS = ("0.1", "0.25", "0.5", "1", "2", "4")


def text(name: str, most: int = _LONGEST) -> str:
    """A name as one line of text, at most so long; for labels, which show markup as it is."""
    cleaned = "".join(each if unicodedata.category(each)[0] != "C" else " " for each in name[: 4 * most])
    line = " ".join(cleaned.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def escaped(name: str, most: int = _LONGEST) -> str:
    """The same inside HTML."""
    return html.escape(text(name, most))


def table(rows: Mapping[str, str]) -> str:
    """Names and values, as HTML."""
    cells = "".join(
        f'<tr><td style="padding:0 .8em 0 0;opacity:.7">{escaped(name)}</td>'
        f'<td style="text-align:right;font-variant-numeric:tabular-nums">{escaped(value, 400)}</td></tr>'
        for name, value in rows.items()
    )
    return f'<table style="font-size:.8em;margin:.3em .8em;border-spacing:0 .15em">{cells}</table>'


def words(line: str) -> str:
    """A sentence, as HTML."""
    return f'<div style="font-size:.8em;margin:.3em .8em;opacity:.85">{escaped(line, 600)}</div>'


def scale(top: str, what: str = "error") -> str:
    """A bar of colours from 0 to `top`, as HTML."""
    stops = ",".join(f"rgb({r:.0f},{g:.0f},{b:.0f})" for r, g, b in RAMP)
    return (
        f'<div style="font-size:.8em;margin:.3em .8em">{escaped(what)}: 0 <span style="display:inline-block;width:9em;'
        f'height:.7em;border-radius:.2em;background:linear-gradient(90deg,{stops})"></span> {escaped(top)}</div>'
    )


class Scrubber:
    """Which frame is shown: dragged along, or played at the shot's rate."""

    def __init__(self, server: viser.ViserServer, frames: int, fps: float, start_frame: int = 0) -> None:
        self.frames, self.fps, self.start_frame = frames, fps, start_frame
        gui = server.gui
        self.slider = gui.add_slider("frame", start_frame, start_frame + max(1, frames - 1), 1, start_frame)
        self.playing = gui.add_checkbox("play", False, disabled=frames < 2)
        self.speed = gui.add_dropdown("speed", SPEEDS, initial_value="1")
        self._place, self._before = 0.0, 0.0

    @property
    def row(self) -> int:
        """The frame, counted from 0."""
        return min(self.frames - 1, max(0, int(self.slider.value) - self.start_frame))

    def show(self, row: int) -> None:
        """Go to a frame and stay there."""
        self.playing.value = False
        self.slider.value = self.start_frame + min(self.frames - 1, max(0, row))

    def tick(self, now_s: float) -> None:
        """Go on with the time."""
        passed, self._before = now_s - self._before, now_s
        if not self.playing.value:
            self._place = float(self.row)
            return
        if abs(self._place - self.row) >= 2.0:  # dragged while it plays
            self._place = float(self.row)
        self._place = (self._place + min(passed, 0.5) * self.fps * float(self.speed.value)) % self.frames
        row = int(self._place)
        if row != self.row:
            self.slider.value = self.start_frame + row


def chart(server: viser.ViserServer, values: Float[np.ndarray, "frames"], start_frame: int, title: str) -> None:
    """Values over frames."""
    x = start_frame + np.arange(len(values), dtype=np.float64)
    series = (
        uplot.Series(label="frame"),
        uplot.Series(label=title, stroke="#0072b2", width=1.5),
    )
    scales = {"x": uplot.Scale(time=False)}
    server.gui.add_uplot((x, np.asarray(values, np.float64)), series, scales=scales, title=title, aspect=2.2)
