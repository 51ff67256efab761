import numpy as np
import pytest

from bunraku.core.rotations import quat_from_rotvec
from bunraku.core.solid import Solid, joined, surface

STILL = (np.zeros(3), np.array([1.0, 0, 0, 0]))
RADIUS, HALF = 0.2, 0.5


def solid(kind, size, pos=STILL[0], quat=STILL[1]):
    return Solid(0, kind, np.array(size, float), np.array(pos, float), quat)


def volume(it):
    """By the divergence theorem: only a closed surface with all triangles turned outwards gives it."""
    a, b, c = np.moveaxis(it.positions[it.triangles], 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


SOLIDS = {
    "ellipsoid": (solid("ellipsoid", [0.1, 0.2, 0.3]), 4 / 3 * np.pi * 0.1 * 0.2 * 0.3),
    "capsule": (
        solid("capsule", [RADIUS, RADIUS, HALF]),
        np.pi * RADIUS**2 * 2 * HALF + 4 / 3 * np.pi * RADIUS**3,
    ),
    "cylinder": (solid("cylinder", [RADIUS, RADIUS, HALF]), np.pi * RADIUS**2 * 2 * HALF),
    "box": (solid("box", [0.1, 0.2, 0.3]), 8 * 0.1 * 0.2 * 0.3),
}


@pytest.mark.parametrize("kind", SOLIDS)
def test_a_surface_is_closed_turned_outwards_and_holds_nearly_the_volume_of_its_solid(kind):
    it, expected = SOLIDS[kind]
    made = surface(it)
    share = volume(made) / expected
    assert share == pytest.approx(1.0, abs=1e-12) if kind == "box" else 0.9 < share < 1
    np.testing.assert_allclose(np.linalg.norm(made.normals, axis=1), 1.0, atol=1e-12)
    corners = made.positions[made.triangles]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.linalg.norm(facing, axis=1) > 1e-9).all()
    assert ((facing[:, None] * made.normals[made.triangles]).sum(axis=-1) > 0).all()
    np.testing.assert_allclose(made.positions.max(axis=0), -made.positions.min(axis=0), atol=1e-12)
    height = HALF + RADIUS if kind == "capsule" else it.size[2]
    np.testing.assert_allclose(made.positions.max(axis=0), [*it.size[:2], height], atol=1e-12)


def test_normals_of_an_ellipsoid_are_those_of_its_formula():
    made = surface(SOLIDS["ellipsoid"][0])
    gradient = made.positions / np.array([0.1, 0.2, 0.3]) ** 2
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    np.testing.assert_allclose(made.normals, gradient, atol=1e-12)


def test_a_solid_lies_where_its_joint_has_it():
    quarter = quat_from_rotvec(np.array([0, np.pi / 2, 0]))
    made = surface(solid("capsule", [RADIUS, RADIUS, HALF], [1, 2, 3], quarter))
    np.testing.assert_allclose(made.positions.max(axis=0), [1 + HALF + RADIUS, 2 + RADIUS, 3 + RADIUS], atol=1e-12)
    np.testing.assert_allclose(made.normals[np.argmax(made.positions[:, 0])], [1, 0, 0], atol=1e-12)


def test_surfaces_are_joined():
    one, two = surface(SOLIDS["box"][0]), surface(solid("ellipsoid", [1, 1, 1], [5, 0, 0]))
    both = joined([one, two])
    assert len(both.positions) == len(one.positions) + len(two.positions)
    assert volume(both) == pytest.approx(volume(one) + volume(two))
