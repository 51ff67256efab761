from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion.closest_surface import ClosestSurfaceConfig, follow_surface
from bunraku.inversion.guidance import Instructions, Pin, limits
from bunraku.inversion.solve import SolveConfig
from small_rigs import Linear, linear_rig


@dataclass(frozen=True)
class Blob(Linear):
    """A closed ellipsoid that four bumps deform, and that can move in x."""

    faces: np.ndarray = None


def blob(rows=12, columns=16):
    height, around = np.linspace(0, np.pi, rows), np.arange(columns) * 2 * np.pi / columns
    flat, up = np.sin(height[1:-1, None]), np.cos(height[1:-1, None])
    ring = np.stack(np.broadcast_arrays(flat * np.cos(around), up, flat * np.sin(around)), axis=-1).reshape(-1, 3)
    sphere = np.concatenate([ring, [[0, 1, 0], [0, -1, 0]]])
    index = np.arange(len(ring)).reshape(rows - 2, columns)
    a, b = index[:-1], np.roll(index[:-1], -1, axis=1)
    c, d = np.roll(index[1:], -1, axis=1), index[1:]
    caps = [[(len(ring), index[0, (i + 1) % columns], index[0, i]) for i in range(columns)],
            [(len(ring) + 1, index[-1, i], index[-1, (i + 1) % columns]) for i in range(columns)]]  # fmt: skip
    quads = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)
    faces = np.concatenate([quads, np.reshape(caps, (-1, 3))])
    neutral = sphere * [1.0, 1.4, 0.8]
    centres = np.array([[1, 0.3, 0], [-0.7, 0.6, 0.4], [0, -0.8, 0.6], [0.1, 0.9, -0.5]])
    near = np.exp(-((sphere[None] - centres[:, None]) ** 2).sum(axis=2) / 0.5)
    bumps = 0.3 * near[..., None] * (sphere + 0.3 * np.random.default_rng(0).normal(size=(4, 1, 3)))
    shapes = np.concatenate([bumps, np.tile([0.3, 0, 0], (1, len(neutral), 1))])
    return Blob(control_spec([f"c{i}" for i in range(5)], -1.0, 1.0), neutral, shapes, faces)


def subdivided(faces, meshes, seed=0):
    """The same surface with four triangles for each and its vertices in another order."""
    ends = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    count = meshes.shape[1]
    middle = {tuple(pair): count + i for i, pair in enumerate(ends.tolist())}
    finer = np.concatenate([meshes, meshes[:, ends].mean(axis=2)], axis=1)
    made = []
    for a, b, c in faces.tolist():
        ab, bc, ca = (middle[tuple(sorted(pair))] for pair in ((a, b), (b, c), (c, a)))
        made += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    order = np.random.default_rng(seed).permutation(finer.shape[1])
    return finer[:, order], np.argsort(order)[np.array(made)]


def wave(frames=4):
    t = np.linspace(0, 1.5, frames)[:, None]
    return 0.7 * np.sin(t + np.array([0.3, 1, 2, 4, 0.5]))


def captured(rig, controls):
    vertices, faces = subdivided(rig.faces, rig.evaluate(controls))
    return mesh_sequence(vertices, faces)


def test_a_finer_mesh_in_another_order_is_followed_from_neutral():
    rig, true = blob(), wave()
    found = follow_surface(rig, captured(rig, true))
    np.testing.assert_allclose(found.controls, true, atol=2e-3)
    assert found.distance.max() < 1e-3
    assert found.believed.min() > 0.9


def test_half_a_capture_with_holes_and_junk_in_it_is_followed():
    rig, true = blob(), wave()
    whole = captured(rig, true)
    rng = np.random.default_rng(1)
    half = whole.faces[(whole.vertices[0, whole.faces, 2] > -0.3).all(axis=1)]
    vertices = whole.vertices.copy()
    junk = rng.choice(np.unique(half), 20, replace=False)
    vertices[:, junk] += 0.8 * rng.normal(size=(20, 3))
    valid = np.zeros(vertices.shape[:2], bool)
    valid[:, np.unique(half)] = True
    valid[2, rng.choice(valid.shape[1], 40)] = False
    found = follow_surface(rig, mesh_sequence(vertices, half, valid=valid))
    assert np.abs(found.controls - true)[:, [0, 1, 2, 4]].max() < 0.05


def test_a_cloud_of_points_is_followed():
    rig, true = blob(), wave(2)
    whole = captured(rig, true)
    found = follow_surface(rig, mesh_sequence(whole.vertices[:, ::2]))
    np.testing.assert_allclose(found.controls, true, atol=0.02)


def test_smoothness_takes_part_where_a_solver_is_given():
    rig, true = blob(), wave(5)
    whole = captured(rig, true)
    noisy = replace(whole, vertices=whole.vertices + 0.02 * np.random.default_rng(0).normal(size=whole.vertices.shape))
    # After six rounds it is still on its way, and rounding decides how far; after twelve it has settled.
    few = ClosestSurfaceConfig(rounds=12)
    rough, smooth = (follow_surface(rig, noisy, few, solver=s).controls for s in (None, SolveConfig(smooth=0.1)))
    bend = [float((np.diff(c, n=2, axis=0) ** 2).mean()) for c in (rough, smooth)]
    assert bend[1] < 0.5 * bend[0]
    assert np.abs(smooth - true).max() < 0.15


def test_what_is_decided_is_kept_exactly_and_the_others_work_around_it():
    rig, true = blob(), wave(4)
    told = Instructions(freeze={"c4": 0.25}, pins=[Pin(12, "c1", 0.4)])
    kept = limits(rig.spec, told, 4, 10)
    free, found = (follow_surface(rig, captured(rig, true), limits=bounds) for bounds in (None, kept))
    assert (found.controls[:, 4] == 0.25).all()
    assert found.controls[2, 1] == 0.4
    assert (abs(free.controls[:, 4] - 0.25) > 0.01).any()
    # Other frames know nothing of the pin.
    assert abs(found.controls[0, 1] - true[0, 1]) < 0.1
    # Truths that are decided change nothing.
    given = Instructions(drive=curves(rig.spec.names[4:], true[:, 4:], Fraction(24), 0))
    same = follow_surface(rig, captured(rig, true), limits=limits(rig.spec, given, 4, 0))
    np.testing.assert_allclose(same.controls, true, atol=2e-3)
    np.testing.assert_array_equal(same.controls[:, 4], true[:, 4])


def test_what_cannot_be_followed_is_refused():
    rig = blob()
    with pytest.raises(BunrakuError, match="the rig has no faces"):
        follow_surface(linear_rig(), captured(rig, wave(1)))
    inside_out = captured(rig, wave(1))
    with pytest.raises(BunrakuError, match="nothing of the capture lies near"):
        follow_surface(rig, replace(inside_out, faces=inside_out.faces[:, ::-1].copy()))
