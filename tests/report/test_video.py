"""Frames into files, and what of them is in there."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bunraku.core.errors import BunrakuError
from bunraku.report.video import check_video, contact_sheet, frame_indices, save_frames


def colours(count: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    """From black to red."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 0] = np.linspace(0, 250, count).astype(np.uint8)[:, None, None]
    return list(frames)


def read(file: Path) -> tuple[dict, np.ndarray]:
    from imageio_ffmpeg import read_frames

    frames = read_frames(str(file))
    about = next(frames)
    width, height = about["size"]
    return about, np.stack([np.frombuffer(each, np.uint8).reshape(height, width, 3) for each in frames])


def test_a_film_holds_every_frame_at_its_rate(tmp_path: Path):
    assert save_frames(tmp_path / "film.mp4", iter(colours(12)), 30.0) == 12
    about, frames = read(tmp_path / "film.mp4")
    assert about["size"] == (64, 48)
    assert about["fps"] == 30
    assert len(frames) == 12
    assert np.abs(frames[:, 24, 32, 0].astype(int) - np.linspace(0, 250, 12)).max() < 12
    assert list(tmp_path.iterdir()) == [tmp_path / "film.mp4"]


def test_the_same_frames_make_the_same_film(tmp_path: Path):
    for name in ("a.mp4", "b.mp4"):
        save_frames(tmp_path / name, iter(colours(5)), 30.0)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_gif_shows_twenty_frames_a_second_at_most(tmp_path: Path):
    to = tmp_path / "film.gif"
    chosen = frame_indices(to, 60, 30.0, 12)
    assert len(chosen) == 40
    assert chosen[:5] == [0, 1, 3, 4, 6]
    frames = colours(60)
    save_frames(to, (frames[k] for k in chosen), 30.0)
    with Image.open(to) as opened:
        assert opened.n_frames == 40
        assert opened.info["duration"] == 50


def test_a_slow_gif_keeps_its_rate(tmp_path: Path):
    assert frame_indices(tmp_path / "x.gif", 24, 12.0, 12) == list(range(24))


@pytest.mark.parametrize(("count", "sheet", "chosen"), [(10, 4, [0, 3, 6, 9]), (3, 12, [0, 1, 2]), (10, 1, [0])])
def test_a_sheet_spreads_its_pictures_over_the_whole(count: int, sheet: int, chosen: list[int]):
    assert frame_indices(Path("sheet.png"), count, 30.0, sheet) == chosen


def test_pictures_of_a_sheet_stand_in_reading_order():
    sheet = contact_sheet(colours(3, 10, 6))
    assert sheet.shape == (6 + 4 + 6, 10 + 4 + 10, 3)
    assert sheet[0, 0, 0] == 0
    assert sheet[0, 14, 0] == 125
    assert sheet[10, 0, 0] == 250
    assert (sheet[:, 10:14] == 255).all()  # the line between them
    assert (sheet[10:, 14:] == 255).all()  # nothing


def test_a_film_that_fails_leaves_nothing_behind(tmp_path: Path):
    def broken():
        yield from colours(3)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        save_frames(tmp_path / "film.mp4", broken(), 30.0)
    assert not list(tmp_path.iterdir())


def test_a_film_into_a_folder_that_cannot_be_written_is_refused_by_name(tmp_path: Path):
    with pytest.raises(BunrakuError, match=r"nowhere.*film\.mp4"):
        save_frames(tmp_path / "nowhere" / "film.mp4", iter(colours(3)), 30.0)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [("film.avi", (64, 48), r"\.mp4, \.gif, \.png"), ("film.mp4", (63, 48), "needs even numbers")],
)
def test_what_cannot_be_written_is_said_before_anything_is_drawn(name: str, size: tuple[int, int], message: str):
    with pytest.raises(BunrakuError, match=message):
        check_video(Path(name), *size)
