import mujoco
import numpy as np
import pytest

from bunraku.imitation.character import build, open_character
from bunraku.imitation.controllers import no_action
from bunraku.imitation.environment import EnvironmentConfig, SimulatedEnvironment
from bunraku.imitation.play import play
from bunraku.imitation.reference import clip_reference


@pytest.fixture(scope="module", params=["bopbag2", "bopbag3"])
def played(request):
    character = open_character(request.param)
    environment = SimulatedEnvironment(character, EnvironmentConfig(2, 3.0))
    return build(character), play(no_action(character), environment, 1.0, seed=4)


def test_bodies_are_where_mujoco_has_them(played):
    built, motion = played
    data = mujoco.MjData(built.model)
    assert len(motion.times_s) == 25
    assert motion.times_s[-1] == pytest.approx(1.0)
    for frame in (0, 24):
        data.qpos[:] = motion.qpos[frame]
        mujoco.mj_kinematics(built.model, data)
        np.testing.assert_allclose(motion.body_pos_w[frame], data.xpos[1:], atol=1e-9)
        along = np.abs((motion.body_quat_w[frame] * data.xquat[1:]).sum(axis=1))
        np.testing.assert_allclose(along, 1.0, atol=1e-9)


def test_a_motion_is_a_clip_of_the_character_that_made_it(played):
    built, motion = played
    pose = clip_reference(built, motion.clip).at(motion.times_s)
    # A quaternion and its opposite are the same rotation.
    for joint in built.anatomy.quat_q:
        sign = np.sign((pose.qpos[:, joint] * motion.qpos[:, joint]).sum(axis=1, keepdims=True))
        pose.qpos[:, joint] *= sign
    np.testing.assert_allclose(pose.qpos, motion.qpos, atol=1e-6)


def test_it_stops_where_the_episode_does():
    character = open_character("bopbag")
    environment = SimulatedEnvironment(character, EnvironmentConfig(1, 0.5))
    assert len(play(no_action(character), environment, 2.0).times_s) == 12
