"""Learning curves as SVG: return over samples, several lines, each with its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 28, 44, 44
_COLOURS = ("#1f6f8b", "#c8553d", "#5b8c5a", "#8d6a9f", "#b08900")
_MOST_POINTS = 400


@dataclass(frozen=True, eq=False)
class Line:
    """One curve; `low` and `high` bound its spread."""

    name: str
    samples: Float[np.ndarray, "points"]
    value: Float[np.ndarray, "points"]
    low: Float[np.ndarray, "points"] | None = None
    high: Float[np.ndarray, "points"] | None = None


def learning_curve(lines: Sequence[Line], title: str, *, unit: str = "return") -> str:
    """An SVG document. Points that are not finite are left out; without any the axes stand alone."""
    thin = [_thinned(line) for line in lines]
    right = max((line.samples.max(initial=0.0) for line in thin), default=0.0) or 1.0
    values = np.concatenate([np.concatenate([line.value, *_bounds(line)]) for line in thin] or [np.empty(0)])
    bottom, top = min(0.0, values.min(initial=0.0)), max(1e-9, values.max(initial=0.0))
    top = 1.0 if 0.5 < top <= 1.0 else top

    def place(x: np.ndarray, y: np.ndarray) -> str:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / right
        down = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (y - bottom) / (top - bottom)
        return " ".join(f"{a:.1f},{d:.1f}" for a, d in zip(across, down, strict=True))

    drawn: list[str] = []
    for i, line in enumerate(thin):
        colour = _COLOURS[i % len(_COLOURS)]
        if line.low is not None and line.high is not None:
            outline = place(
                np.concatenate([line.samples, line.samples[::-1]]), np.concatenate([line.low, line.high[::-1]])
            )
            drawn.append(f'<polygon points="{outline}" fill="{colour}" fill-opacity=".18"/>')
        drawn.append(
            f'<polyline points="{place(line.samples, line.value)}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
        )
        drawn.append(_text(_LEFT + 8 + 130 * i, _TOP + 14, line.name, f'fill="{colour}"'))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">'
    body = ['<rect width="100%" height="100%" fill="white"/>', *_axes(right, bottom, top, unit), *drawn]
    return "\n".join([head, *body, _text(_LEFT, 20, title, 'font-size="14"'), "</svg>", ""])


def _thinned(line: Line) -> Line:
    rows = np.flatnonzero(np.isfinite(line.value))
    if len(rows) > _MOST_POINTS:
        rows = rows[np.linspace(0, len(rows) - 1, _MOST_POINTS).astype(int)]
    low, high = (None if side is None else side[rows] for side in (line.low, line.high))
    return Line(line.name, line.samples[rows], line.value[rows], low, high)


def _bounds(line: Line) -> list[np.ndarray]:
    return [side for side in (line.low, line.high) if side is not None]


def _axes(right: float, bottom: float, top: float, unit: str) -> list[str]:
    floor, ceiling, far = _HEIGHT - _BOTTOM, _TOP, _WIDTH - _RIGHT
    parts: list[str] = []
    for value in _ticks(bottom, top):
        y = floor - (floor - ceiling) * (value - bottom) / (top - bottom)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{far}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{value:.3g}", 'text-anchor="end"'))
    for value in _ticks(0.0, right):
        parts.append(_text(_LEFT + (far - _LEFT) * value / right, floor + 16, _short(value), 'text-anchor="middle"'))
    parts.append(_text((_LEFT + far) / 2, _HEIGHT - 8, "samples", 'text-anchor="middle"'))
    parts.append(_text(8, _TOP - 8, unit, 'text-anchor="start"'))
    return parts


def _ticks(low: float, high: float) -> Float[np.ndarray, "ticks"]:
    """Round numbers from low to high, four to eight of them."""
    rough = (high - low) / 6
    decade = 10.0 ** np.floor(np.log10(rough))
    step = decade * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * decade >= rough)
    return step * np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) + 0.0


def _short(number: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


def _text(x: float, y: float, text: str, style: str) -> str:
    size = "" if "font-size" in style else 'font-size="11" '
    return f'<text x="{x:.1f}" y="{y:.1f}" {size}{style}>{escape(text)}</text>'
