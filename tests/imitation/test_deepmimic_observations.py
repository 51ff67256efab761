"""What the published policies saw."""

import mujoco
import numpy as np
import pytest

from bunraku.imitation.character import build, open_character
from bunraku.imitation.deepmimic_observations import body_velocities_w, layout, observe
from bunraku.imitation.following import Following
from bunraku.imitation.landmarks import landmarks
from bunraku.imitation.motion_table import Moment


@pytest.fixture(scope="module")
def built():
    return build(open_character("humanoid"))


def moving(built, seed=0):
    rng, data = np.random.default_rng(seed), mujoco.MjData(built.model)
    mujoco.mj_integratePos(built.model, data.qpos, rng.normal(size=built.model.nv) * 0.4, 1.0)
    data.qvel[:] = rng.normal(size=built.model.nv)
    mujoco.mj_forward(built.model, data)
    return data


def test_velocities_of_bodies_are_mujocos(built):
    data = moving(built)
    velocity_w, spin_w = body_velocities_w(built.anatomy, data.qpos[None], data.qvel[None])
    for i in range(1, built.model.nbody):
        expected = np.zeros(6)
        mujoco.mj_objectVelocity(built.model, data, mujoco.mjtObj.mjOBJ_BODY, i, expected, 0)
        # MuJoCo gives the velocity at the body's inertial frame's origin: its centre of mass.
        assert spin_w[0, i] == pytest.approx(expected[:3], abs=1e-6)
        assert velocity_w[0, i] == pytest.approx(expected[3:], abs=1e-6)


def test_the_layout_says_where_each_body_is_and_the_root_rests_in_its_own_frame(built):
    data = moving(built)
    moment = Moment(data.qpos[None], data.qvel[None], landmarks(built.anatomy, data.qpos[None]))
    following = Following(
        built.anatomy, np.array(built.character.joint_weights), data.qpos[None].copy(), data.qvel[None].copy(), moment
    )
    seen, slots = observe(following, np.array([0.25])), layout(built.anatomy)
    assert seen.shape == (1, sum(slot.size for slot in slots)) == (1, 228)
    start = 0
    for slot in slots:
        if slot.name == "neck.position_h":
            forward = data.xmat[1].reshape(3, 3)[:2, 0] / np.linalg.norm(data.xmat[1].reshape(3, 3)[:2, 0])
            offset = data.xipos[built.model.body("neck").id] - data.xpos[1]
            across = np.array([-forward[1], forward[0]])
            expected = [offset[:2] @ forward, offset[:2] @ across, offset[2]]
            assert seen[0, start : start + 3] == pytest.approx(expected, abs=1e-5)
        start += slot.size
    assert seen[0, -2:] == pytest.approx([0.0, 1.0], abs=1e-6)
