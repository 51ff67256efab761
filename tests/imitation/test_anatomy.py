"""Forward kinematics for batches agrees with MuJoCo's."""

import mujoco
import numpy as np
import pytest

from bunraku.core.rotations import matrix_from_quat
from bunraku.imitation.anatomy import anatomy, body_poses_w, centre_of_mass_w, points_w
from bunraku.imitation.character import BUILT_IN, build, open_character

ODD = """<mujoco><worldbody><body name="a" pos=".1 .2 .3" quat=".5 .5 -.5 .5"><freejoint/><geom size=".1" mass="2"/>
<body name="b" pos="0 0 1" euler="10 20 30"><joint name="h" axis="1 2 3" pos=".1 0 .2" ref="20"/>
<joint name="s" type="slide" axis="0 1 1" ref=".3"/><geom size=".2" pos=".1 .1 0" mass="1"/>
<body name="c" pos=".3 0 0"><joint name="q" type="ball" pos="0 .1 0" range="0 100" limited="true"/>
<geom size=".1" mass=".5"/></body></body>
</body></worldbody></mujoco>"""


def random_poses(model, count, rng):
    poses = np.tile(model.qpos0, (count, 1))
    for pose in poses:
        mujoco.mj_integratePos(model, pose, rng.normal(size=model.nv), 1.0)
    return poses


@pytest.mark.parametrize("name", [*BUILT_IN, "odd"])
def test_bodies_effectors_and_centre_of_mass_are_where_mujoco_has_them(name):
    model = mujoco.MjModel.from_xml_string(ODD) if name == "odd" else build(open_character(name)).model
    body, data = anatomy(model), mujoco.MjData(model)
    qpos = random_poses(model, 7, np.random.default_rng(3))
    pos, quat = body_poses_w(body, qpos)
    centre = centre_of_mass_w(body, pos, matrix_from_quat(quat))
    points = points_w(pos, matrix_from_quat(quat), body.effector_bodies, body.effector_pos)
    for i in range(7):
        data.qpos[:] = qpos[i]
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(pos[i], data.xpos, atol=1e-12)
        # q and −q are the same rotation.
        np.testing.assert_allclose(abs((quat[i] * data.xquat).sum(axis=-1)), 1.0, atol=1e-12)
        np.testing.assert_allclose(centre[i], data.subtree_com[0], atol=1e-12)
        wanted = data.site_xpos if model.nsite else data.xipos[[model.body("c").id]]
        np.testing.assert_allclose(points[i], wanted, atol=1e-12)


def test_joints_are_found_by_kind_wherever_they_lie():
    body = anatomy(mujoco.MjModel.from_xml_string(ODD))
    # qpos: free 0-6, h 7, s 8, q 9-12; qvel: free 0-5, h 6, s 7, q 8-10
    assert body.rotations == ("h", "joint 0", "q")
    assert (body.hinge_q.tolist(), body.hinge_v.tolist()) == ([7], [6])
    assert body.quat_q.tolist() == [[3, 4, 5, 6], [9, 10, 11, 12]]
    assert body.quat_v.tolist() == [[3, 4, 5], [8, 9, 10]]
    assert (body.linear_q.tolist(), body.linear_v.tolist()) == ([0, 1, 2, 8], [0, 1, 2, 7])
    assert [joint.narrow for joint in body.turning] == [False, False, True]
