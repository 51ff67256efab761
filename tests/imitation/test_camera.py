"""A camera that follows."""

import math

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.backdrop import FOVY_DEG
from bunraku.imitation.camera import angles_of, following_views, smoothed


def test_a_steady_walk_is_followed_steadily_to_its_very_ends():
    path = np.outer(np.arange(60), [0.1, 0.0, 0.0])
    np.testing.assert_allclose(smoothed(path, 8.0), path, atol=1e-9)


def test_steps_are_smoothed_away():
    path = np.zeros((120, 3))
    path[:, 2] = 0.1 * np.sin(np.arange(120) * 2 * np.pi / 10)
    assert np.abs(smoothed(path, 15.0)[45:75]).max() < 1e-2


def test_a_single_frame_is_looked_at_where_it_is():
    (view,) = following_views(np.array([[[0, 0, 0], [0, 0, 2.0]]]), 30.0)
    assert view.lookat == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("camera", ["quarter", "front", "side", "top", "30,-20"])
def test_all_points_are_inside_the_picture(camera: str):
    points = np.random.default_rng(0).uniform(-1, 1, (20, 30, 3)) + np.linspace(0, 3, 20)[:, None, None]
    half = math.tan(math.radians(FOVY_DEG) / 2)
    for view, frame in zip(following_views(points, 30.0, camera, 1.5), points, strict=True):
        a, e = math.radians(view.azimuth_deg), math.radians(view.elevation_deg)
        ahead = np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
        right = np.array([math.sin(a), -math.cos(a), 0.0])
        seen = frame - view.lookat
        depth = seen @ ahead + view.distance
        assert (depth > 0).all()
        assert (np.abs(seen @ right) <= depth * half * 1.5).all()
        assert (np.abs(seen @ np.cross(right, ahead)) <= depth * half).all()


def test_named_views_turn_with_where_it_goes():
    still, walking = np.zeros((30, 2, 3)), np.zeros((30, 2, 3))
    walking[:, :, 1] = np.linspace(0, 3, 30)[:, None]  # along +y
    turned = (
        following_views(walking, 30.0, "front")[0].azimuth_deg - following_views(still, 30.0, "front")[0].azimuth_deg
    )
    assert turned == pytest.approx(90.0)
    assert following_views(walking, 30.0, "10,-5,4")[0].azimuth_deg == 10.0


@pytest.mark.parametrize("camera", ["upside", "1", "1,2,3,4", "a,b", "nan,1", "1,2,-3"])
def test_a_camera_that_does_not_exist_is_refused(camera: str):
    with pytest.raises(BunrakuError, match="quarter, front, side, back, top"):
        angles_of(camera)
