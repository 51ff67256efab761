"""Characters and meshes on pictures: what is where, in which colour."""

from fractions import Fraction

import mujoco
import numpy as np
import pytest

import opengl
from bunraku.core.errors import BunrakuError
from bunraku.core.shown import Shown
from bunraku.imitation import screen
from bunraku.imitation.backdrop import dressed
from bunraku.imitation.character import build, open_character
from bunraku.imitation.render import RenderConfig, render
from bunraku.imitation.render_mesh import render_mesh


@pytest.fixture(scope="module", autouse=True)
def _opengl():
    opengl.needed()


def hue(picture: np.ndarray, red: bool, blue: bool) -> np.ndarray:
    """Where a picture is clearly of a colour: orange (red, not blue) or blue."""
    difference = picture[..., 0].astype(int) - picture[..., 2].astype(int)
    return difference > 60 if red and not blue else difference < -60


def test_a_character_keeps_its_coordinates_and_gets_a_ground():
    own = build(open_character("bopbag")).model
    model = dressed(open_character("bopbag"))
    assert (model.nq, model.nv, model.nbody) == (own.nq, own.nv, own.nbody)
    assert mujoco.mjtGeom.mjGEOM_PLANE in [mujoco.mjtGeom(kind) for kind in model.geom_type]
    assert model.nlight == 1


def test_right_is_blue_and_left_is_orange_and_stands_on_its_own_side():
    built = build(open_character("humanoid"))
    qpos = built.reference_qpos[None]
    (picture,) = render(built, qpos, 30.0, RenderConfig(160, 120, "front"))
    blue, orange = hue(picture, False, True), hue(picture, True, False)
    assert blue.sum() > 50
    assert orange.sum() > 50
    # Seen from the front its right is on the left.
    assert np.argwhere(blue)[:, 1].mean() < np.argwhere(orange)[:, 1].mean() - 3


def test_a_ghost_is_seen_where_the_reference_is():
    built = build(open_character("bopbag"))
    upright, lying = np.zeros((1, 1)), np.full((1, 1), 1.2)
    alone, beside, without = (
        next(render(built, upright, 24.0, RenderConfig(160, 120, "side", shown), ghost, None))
        for shown, ghost in ((True, None), (True, lying), (False, lying))
    )
    assert (alone == without).all()
    changed = (alone != beside).any(axis=2)
    assert changed.sum() > 50
    greener = beside[changed].astype(int)[:, 1] - beside[changed].astype(int)[:, 0]
    assert np.median(greener) > 20


def test_only_the_frames_that_are_asked_for_are_drawn():
    built = build(open_character("bopbag"))
    qpos = np.linspace(0, 1, 5)[:, None]
    everything = list(render(built, qpos, 24.0, RenderConfig(64, 48)))
    some = list(render(built, qpos, 24.0, RenderConfig(64, 48), chosen=[4, 0]))
    assert len(everything) == 5
    assert (some[0] == everything[4]).all()
    assert (some[1] == everything[0]).all()


def ball(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    from scipy.spatial import ConvexHull

    from bunraku.imitation.render_mesh import _ball

    points = _ball(count)
    faces = ConvexHull(points).simplices
    corners = points[faces]
    inwards = (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) * corners.mean(1)).sum(1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return points, faces.astype(np.int32)


def test_a_mesh_is_dark_where_its_error_is_large_and_its_capture_stands_on_the_left():
    points, faces = ball()
    apart = np.where(points[:, 1] > 0.3, 1.0, 0.0)  # the upper part
    captured = points + apart[:, None] * np.array([0.0, 0.2, 0.0])
    shown = Shown(
        "ball",
        faces,
        1,
        Fraction(24),
        0,
        lambda rows: points[None],
        lambda rows: (captured[None], np.ones((1, len(points)), bool)),
    )
    (picture,) = render_mesh(shown, RenderConfig(240, 120), 0.2)
    left, right = picture[:, :120].astype(int), picture[:, 120:].astype(int)
    assert hue(picture, False, True)[:, :120].sum() > 200  # the blue capture
    assert hue(picture, False, True)[:, 120:].sum() < 20
    dark = np.argwhere(right.sum(axis=2) < 250)
    light = np.argwhere(np.abs(right - left[:, ::-1]).sum(axis=2) > 30)
    assert len(dark) > 100
    assert dark[:, 0].mean() < light[:, 0].mean()
    (alone,) = render_mesh(shown, RenderConfig(240, 120, ghost=False), 0.2)
    assert not hue(alone, False, True).any()


def test_a_mesh_moves_between_pictures():
    points, faces = ball(100)
    frames = np.stack([points, points * np.array([1.0, 2.0, 1.0])])
    shown = Shown("ball", faces, 2, Fraction(24), 0, lambda rows: frames[rows])
    small, tall = render_mesh(shown, RenderConfig(96, 96), 1.0)
    assert (small != tall).any(axis=2).sum() > 100


@pytest.mark.parametrize("size", [(8, 48), (64, 100_000)])
def test_sizes_that_cannot_be_drawn_are_refused(size: tuple[int, int]):
    built = build(open_character("bopbag"))
    with pytest.raises(BunrakuError, match="16 to 8192"):
        next(render(built, np.zeros((1, 1)), 24.0, RenderConfig(*size)))


def test_without_an_opengl_library_the_message_names_the_packages(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(screen, "_loads", lambda library: False)
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    with pytest.raises(BunrakuError, match=r"apt install libegl1 .*libosmesa6"):
        screen.open_context(64, 48)
