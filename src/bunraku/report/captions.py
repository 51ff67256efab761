"""Words on pictures."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

_INK = (255, 255, 255)
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
