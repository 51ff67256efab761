"""Options of commands that draw pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bunraku.core.errors import BunrakuError

if TYPE_CHECKING:
    from bunraku.imitation.render import RenderConfig


@dataclass(frozen=True)
class PictureOptions:
    """How pictures (.mp4, .gif, .png) are taken; other formats do not look at these."""

    width: int = 640
    """Of a picture [pixels]."""
    height: int = 480
    """Of a picture [pixels]."""
    camera: str = "quarter"
    """quarter, front, side, back, top, or AZIMUTH,ELEVATION[,DISTANCE] [deg, m]."""
    seconds: float = 0.0
    """So much of it; 0: all of it, or ten seconds of what has no end [s]."""
    ghost: bool = True
    """Show the reference, or the capture, through what is drawn."""
    sheet: int = 12
    """So many pictures in a .png, side by side; 1 is a single picture, of the beginning."""

    def chosen(self) -> RenderConfig:
        """The settings of the renderer.

        Raises:
            BunrakuError: values that cannot be.
        """
        from bunraku.imitation.render import RenderConfig

        if not 0 <= self.seconds < float("inf"):
            raise BunrakuError(f"--seconds {self.seconds:g}: expected seconds, more than 0")
        if not 1 <= self.sheet <= 400:
            raise BunrakuError(f"--sheet {self.sheet}: expected 1 to 400 pictures")
        return RenderConfig(self.width, self.height, self.camera, self.ghost)
