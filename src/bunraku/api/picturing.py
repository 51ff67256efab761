"""Takes as pictures: the capture beside the solved mesh, with the error as colour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np

    from bunraku.core.shown import Shown
    from bunraku.imitation.render import RenderConfig

_SHEET_SAMPLES = 4


def film_take(
    path: Path,
    to: Path,
    *,
    rig: str | None = None,
    cfg: RenderConfig | None = None,
    seconds: float = 0.0,
    sheet: int = 12,
    progress: Progress = silent,
) -> dict[str, Any]:
    """A take as .mp4, .gif or a sheet of pictures as .png, of its first seconds or of all of it.

    Raises:
        BunrakuError: a size or a camera that cannot be, no OpenGL library; as `shown_take`.
    """
    from bunraku.api.showing import shown_take
    from bunraku.imitation.render import RenderConfig

    return film_shown(shown_take(path, rig), to, cfg or RenderConfig(), seconds, sheet, progress)


def film_shown(
    shown: Shown, to: Path, cfg: RenderConfig, seconds: float = 0.0, sheet: int = 12, progress: Progress = silent
) -> dict[str, Any]:
    """The same of any mesh that moves."""
    from bunraku.core.colours import round_top
    from bunraku.imitation.render_mesh import render_mesh
    from bunraku.report.video import check_video, frame_indices, save_frames

    check_video(to, cfg.width, cfg.height)
    fps = float(shown.fps)
    count = min(shown.frames, max(1, round(seconds * fps))) if seconds else shown.frames
    frames = frame_indices(to, count, fps, sheet)
    top = round_top(shown.usual_error()) if shown.compares else 0.0
    samples = _SHEET_SAMPLES if to.suffix.lower() == ".png" else 0
    drawn = render_mesh(shown, cfg, top, frames, samples)
    written = save_frames(to, _told(drawn, shown, frames, top, cfg.ghost and shown.captured is not None, progress), fps)
    size = to.stat().st_size
    return {"path": str(to), "kind": "pictures", "frames": written, "seconds": count / fps, "bytes": size}


def _told(
    drawn: Iterator[np.ndarray], shown: Shown, frames: list[int], top: float, beside: bool, progress: Progress
) -> Iterator[np.ndarray]:
    import numpy as np

    from bunraku.core.colours import RAMP
    from bunraku.report.captions import captioned, with_scale

    unit = f" {shown.unit}" if shown.unit else ""
    for done, (k, picture) in enumerate(zip(frames, drawn, strict=True), 1):
        words = f"frame {shown.start_frame + k} · {k / float(shown.fps):.2f} s"
        if shown.compares:
            mean = float(np.nanmean(shown.error(k)))
            words += f" · mean error {mean:.3g}{unit}"
            picture = with_scale(picture, RAMP, f"{top:g}{unit}")
        sides = " · left: capture, right: solved" if beside else ""
        yield captioned(picture, shown.name + sides, words)
        progress("drawing", done, len(frames))
