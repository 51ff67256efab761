"""Takes as pictures, from their folders."""

import numpy as np
import pytest

import opengl
from bunraku import api
from bunraku.api.showing import shown_take, up_of
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.formats.npz import save_npz_sequence
from bunraku.imitation.render import RenderConfig


@pytest.fixture(scope="module")
def take(tmp_path_factory):
    """A cube whose first corner the capture has elsewhere."""
    folder = tmp_path_factory.mktemp("take")
    rig = api.open_rig("cube")
    values = np.tile(rig.spec.neutral, (6, 1))
    values[:, 0] = np.linspace(rig.spec.neutral[0], rig.spec.upper[0], 6)
    vertices = rig.evaluate(values)
    vertices[:, 0] += 0.05
    save_npz_sequence(folder / "shot.npz", mesh_sequence(vertices, rig.faces, 24, 10))
    api.invert_file(folder / "shot.npz", "cube", folder / "take")
    return folder / "take"


def test_a_take_is_shown_in_the_rigs_space_beside_its_capture(take):
    shown = shown_take(take)
    assert (shown.frames, shown.start_frame, shown.up) == (6, 10, "y")
    assert shown.compares
    for row in (0, 5):
        assert np.nanmean(shown.error(row)) == pytest.approx(shown.frame_error[row], rel=1e-3)


def test_a_capture_that_is_gone_leaves_the_mesh_alone(take):
    capture = take.parent / "shot.npz"
    capture.rename(take.parent / "away.npz")
    try:
        shown = shown_take(take)
        assert shown.captured is None
        assert not shown.compares
    finally:
        (take.parent / "away.npz").rename(capture)


@pytest.mark.parametrize(("name", "frames"), [("sheet.png", 2), ("film.gif", 5)])
def test_a_take_is_exported_as_pictures(take, tmp_path, name: str, frames: int):
    opengl.needed()
    told = api.export(take, tmp_path / name, pictures=RenderConfig(128, 96), sheet=2)
    assert told["kind"] == "pictures"
    assert told["frames"] == frames
    assert (tmp_path / name).stat().st_size == told["bytes"]


def test_blenders_files_have_z_upwards_unless_said_otherwise():
    assert up_of("a/b.blend#Body") == "z"
    assert up_of("a.glb") == "y"
    assert up_of("a.glb", "z") == "z"
