"""Where episodes begin."""

import numpy as np
import pytest

from bunraku.core.rotations import rotvec_from_quat
from bunraku.imitation.character import BUILT_IN, build, open_character
from bunraku.imitation.reference import fixed_pose
from bunraku.imitation.start import StartConfig, draw_start


def drawn(name, cfg, count=2000):
    built = build(open_character(name))
    return draw_start(built.anatomy, fixed_pose(built).pose, count, cfg, np.random.default_rng(0))


def test_a_hinge_starts_anywhere_within_its_tilt():
    qpos, qvel = drawn("bopbag", StartConfig(0.8, 0.0, 0.25))
    assert (np.abs(qpos) <= 0.8).all()
    assert qpos.min() < -0.75 < 0.75 < qpos.max()
    assert abs(qpos.mean()) < 0.05
    assert 0.24 < np.abs(qvel).max() <= 0.25


def test_only_the_lowest_joint_is_tilted_the_others_are_bent():
    qpos, _ = drawn("bopbag3", StartConfig(1.0, 0.2, 0.0))
    neck, foot, waist = qpos[:, 8], rotvec_from_quat(qpos[:, :4]), rotvec_from_quat(qpos[:, 4:8])
    assert 0.9 < np.linalg.norm(foot, axis=1).max() <= 1.0
    assert 0.18 < np.linalg.norm(waist, axis=1).max() <= 0.2 + 1e-12
    assert 0.18 < np.abs(neck).max() <= 0.2


@pytest.mark.parametrize("name", BUILT_IN)
def test_no_start_is_beyond_a_joints_range(name):
    qpos, _ = drawn(name, StartConfig(3.0, 3.0, 0.0))
    body = build(open_character(name)).anatomy
    for i, joint in enumerate(body.turning):
        if i < len(body.hinge_q):
            assert (qpos[:, joint.q] < joint.high).all()
            assert (qpos[:, joint.q] > joint.low).all()
        elif np.isfinite(joint.high):
            turn = np.linalg.norm(rotvec_from_quat(qpos[:, joint.q : joint.q + 4]), axis=1)
            assert (turn < joint.high).all()


def test_nothing_is_drawn_where_nothing_is_asked_for():
    qpos, qvel = drawn("bopbag2", StartConfig(0.0, 0.0, 0.0), count=3)
    assert (qpos == 0).all()
    assert (qvel == 0).all()
