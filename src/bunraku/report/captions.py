"""Words on pictures."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

_INK, _DARK = (255, 255, 255), (40, 44, 52)
_PAPER = 0.42
"""What is left of the picture's brightness behind the words."""


def captioned(
    picture: UInt8[np.ndarray, "height width 3"], left: str, right: str = ""
) -> UInt8[np.ndarray, "height width 3"]:
    """A copy with a dark strip along its lower edge: `left` is cut where it would run into `right`."""
    from PIL import Image, ImageDraw

    height, width, _ = picture.shape
    size = max(10, round(min(height, width) / 30))
    band = min(height, round(size * 1.8))
    out = picture.copy()
    out[height - band :] = (out[height - band :] * _PAPER).astype(np.uint8)
    strip = Image.fromarray(out[height - band :])
    pen, font, margin = ImageDraw.Draw(strip), _font(size), size // 2 + 2
    right = plain(right)
    end = width - margin - pen.textlength(right, font=font)
    pen.text((end, band / 2), right, fill=_INK, font=font, anchor="lm")
    pen.text((margin, band / 2), _fitting(plain(left), end - 2 * margin, font), fill=_INK, font=font, anchor="lm")
    out[height - band :] = np.asarray(strip)
    return out


def with_scale(
    picture: UInt8[np.ndarray, "height width 3"], colours: Float[np.ndarray, "colours 3"], top: str
) -> UInt8[np.ndarray, "height width 3"]:
    """A copy with a bar of colours in its upper right corner, from "error 0" to `top`."""
    from PIL import Image, ImageDraw

    height, width, _ = picture.shape
    size = max(10, round(min(height, width) / 34))
    length, thick, margin = max(40, width // 6), max(4, size // 2), size
    font = _font(size)
    end = width - margin - round(font.getlength(plain(top))) - size // 2
    place = np.linspace(0, len(colours) - 1, length)
    bar = np.stack([np.interp(place, np.arange(len(colours)), colours[:, k]) for k in range(3)], axis=1)
    out = picture.copy()
    begin = max(0, end - length)
    out[margin : margin + thick, begin:end] = bar[: end - begin].astype(np.uint8)
    image = Image.fromarray(out)
    pen, middle = ImageDraw.Draw(image), margin + thick / 2
    pen.text((end + size // 2, middle), plain(top), fill=_DARK, font=font, anchor="lm")
    pen.text((begin - size // 2, middle), "error 0", fill=_DARK, font=font, anchor="rm")
    return np.asarray(image)


def plain(text: str, most: int = 200) -> str:
    """Text as one line without control characters, at most so long: names come from strangers' files."""
    # Cut before it is looked at: a name may be of any length.
    cleaned = "".join(each if unicodedata.category(each)[0] != "C" else " " for each in text[: 4 * most])
    line = " ".join(cleaned.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _fitting(text: str, width: float, font: FreeTypeFont | ImageFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…" if text else ""


@lru_cache(maxsize=8)
def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
