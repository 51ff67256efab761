"""Rigs with dual quaternions and in-betweens: derivatives, and solving."""

import dataclasses

import numpy as np
import pytest

from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import DifferentiableRig, restrict
from bunraku.core.skinning import Ramps
from small_rigs import differences, limbed, odd_rig, rig_of


def dual_rig(share=0.6):
    """The odd rig: mirrored, sheared, scaled nodes; part of its vertices by dual quaternions, one morph with an
    in-between.
    """
    rig = odd_rig()
    it = rig.character
    changed = dataclasses.replace(
        it,
        dual=np.arange(it.vertex_count) < share * it.vertex_count,
        ramps=Ramps(np.array([0, 1, 1]), np.array([1.0, 1.0, 0.4])),
        morph_deltas=np.concatenate([it.morph_deltas, it.morph_deltas[::-1][:1]]),
    )
    return rig_of(changed, rig.animations, "odd")


def poses(rig, count=2):
    rng = np.random.default_rng(0)
    values = rig.spec.neutral + 0.1 * rng.normal(size=(count, len(rig.spec)))
    for triple in rig.spec.rotations:
        values[:, triple] = 0.6 * rng.normal(size=(count, 3))
    return values


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_derivatives_are_the_differences_of_the_mesh(share):
    rig = dual_rig(share)
    at = poses(rig)
    rng = np.random.default_rng(1)
    tangents, cotangents = rng.normal(size=at.shape), rng.normal(size=(len(at), *rig.neutral.shape))
    moved, gradient = rig.jvp(at, tangents), rig.vjp(at, cotangents)
    reduced = rig.reduce()
    z, rows = reduced.linearize(at)
    np.testing.assert_allclose(z, reduced.evaluate(at), atol=1e-11)
    for frame in range(len(at)):
        slope = differences(lambda c: rig.evaluate(c[None])[0].ravel(), at[frame])
        size = np.abs(slope).max()
        np.testing.assert_allclose(moved[frame].ravel(), tangents[frame] @ slope, atol=1e-6 * size)
        np.testing.assert_allclose(gradient[frame], slope @ cotangents[frame].ravel(), atol=1e-6 * size)
        slope = differences(lambda c: reduced.evaluate(c[None])[0], at[frame])
        np.testing.assert_allclose(rows[frame], slope, atol=2e-6 * np.abs(slope).max())


def test_a_dual_rig_is_differentiable_and_can_be_narrowed():
    rig = restrict(dual_rig(), ("j1.*",))
    assert isinstance(rig, DifferentiableRig)
    at = np.tile(rig.spec.neutral, (1, 1)) + 0.05
    slope = differences(lambda c: rig.evaluate(c[None])[0].ravel(), at[0])
    np.testing.assert_allclose(rig.reduce().linearize(at)[1][0], slope, atol=2e-6 * np.abs(slope).max())


def test_a_shot_of_a_dual_rig_is_solved_to_the_truth():
    from bunraku.inversion.solve import SolveConfig, solve

    character = limbed(morphs=1)
    rig = rig_of(dataclasses.replace(character, dual=np.ones(character.vertex_count, bool)))
    truth = np.zeros((6, len(rig.spec)))
    rng = np.random.default_rng(3)
    for triple in rig.spec.rotations:
        truth[:, triple] = 0.5 * rng.normal(size=3) * np.linspace(0, 1, 6)[:, None]
    capture = mesh_sequence(rig.evaluate(truth), rig.faces)
    solved = solve(rig, capture, SolveConfig())
    assert np.abs(rig.evaluate(solved.controls) - capture.vertices).max() < 1e-6
