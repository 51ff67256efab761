"""Rotations brought onto hinges."""

import mujoco
import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.rotations import geodesic_angle, quat_from_rotvec, quat_multiply, quat_rotate
from bunraku.core.skeleton import skeleton
from bunraku.imitation.anatomy import anatomy, body_poses_w
from bunraku.imitation.character import build, open_character
from bunraku.imitation.hinge_chains import distributed, simple
from bunraku.imitation.reference import clip_reference
from small_walker import walker, written

CHAIN = """<mujoco><compiler angle="radian"/><worldbody><body name="root"><freejoint/><geom size=".1" mass="1"/>
<body name="a" pos="0 0 .2" QUAT>FIRST<geom size=".05" mass="1"/>
<body name="b" pos="0 0 .3">SECOND<geom size=".05" mass="1"/></body></body></body></worldbody></mujoco>"""


SKEW = ("1 0 0", "1 2 0", "0 1 1")


def chain(first, second="", quat=""):
    text = CHAIN.replace("FIRST", first).replace("SECOND", second).replace("QUAT", quat)
    return mujoco.MjModel.from_xml_string(text)


def hinges(*axes, limits=""):
    return "".join(f'<joint axis="{axis}" {limits}/>' for axis in axes)


def poses(model, angles):
    """Turns relative to the parent of all bodies, at joint angles."""
    body = anatomy(model)
    qpos = np.tile(model.qpos0, (len(angles), 1))
    qpos[:, 7:] = angles
    _, quat = body_poses_w(body, qpos)
    parents = np.array([each.parent for each in body.bodies])
    return body, quat_multiply(quat[:, parents] * [1, -1, -1, -1], quat), quat


def smooth(frames, count, size, seed=0):
    """Angles that wander between ±size."""
    rng, t = np.random.default_rng(seed), np.linspace(0, 2 * np.pi, frames)[:, None]
    return size * np.sin(t * rng.integers(1, 4, count) + rng.uniform(0, 6, count))


def solved(model, body, turns, moving=None):
    qpos = np.tile(model.qpos0, (len(turns), 1))
    everywhere = np.ones(len(body.bodies), bool)
    return distributed(body, turns, everywhere if moving is None else moving, qpos)


@pytest.mark.parametrize("axes", [("1 0 0", "0 1 0", "0 0 1"), ("0 0 1", "1 0 0", "0 1 0"), SKEW])
@pytest.mark.parametrize("quat", ["", 'quat=".8 .36 .48 0"'])
def test_three_hinges_take_the_angles_of_their_order(axes, quat):
    model = chain(hinges(*axes), hinges("0 1 0"), quat)
    angles = smooth(60, 4, 0.9)
    body, turns, _ = poses(model, angles)
    np.testing.assert_allclose(solved(model, body, turns)[:, 7:], angles, atol=1e-6)


def test_the_angle_of_a_zero_is_added():
    model = chain('<joint axis="0 1 0" ref=".4"/><joint axis="1 0 0"/><joint axis="0 0 1"/>')
    angles = smooth(20, 3, 0.8) + np.array([0.4, 0, 0])
    body, turns, _ = poses(model, angles)
    np.testing.assert_allclose(solved(model, body, turns)[:, 7:], angles, atol=1e-6)


def test_a_waist_of_two_bodies_turns_as_one_where_the_clip_leaves_the_first_at_rest():
    model = chain(hinges("0 0 1", "0 1 0"), hinges("1 0 0"))
    body, turns, world = poses(model, smooth(40, 3, 0.7))
    # The clip has it all in the last body.
    whole = turns.copy()
    whole[:, 2], whole[:, 3] = [1, 0, 0, 0], quat_multiply(turns[:, 2], turns[:, 3])
    moving = np.array([True, True, False, True])
    qpos = solved(model, body, whole, moving)
    np.testing.assert_allclose(qpos[:, 7:], smooth(40, 3, 0.7), atol=1e-6)
    _, quat = body_poses_w(body, qpos)
    assert geodesic_angle(quat[:, 3], world[:, 3]).max() < 1e-6


def test_two_hinges_keep_the_bones_direction_and_leave_the_twist_to_the_next_body():
    model = chain(hinges("1 0 0", "0 1 0"), hinges("0 0 1", "1 0 0", "0 1 0"))
    body, turns, _ = poses(model, np.zeros((30, 5)))
    direction = smooth(30, 2, 0.8)
    twisted = quat_from_rotvec(np.tile([0, 0, 0.5], (30, 1)))
    swing = quat_multiply(
        quat_from_rotvec(direction[:, :1] * [1.0, 0, 0]), quat_from_rotvec(direction[:, 1:] * [0, 1.0, 0])
    )
    turns[:, 2] = quat_multiply(swing, twisted)
    qpos = solved(model, body, turns)
    _, quat = body_poses_w(body, qpos)
    up = np.tile([0, 0, 1.0], (30, 1))
    apart = np.arccos(np.clip((quat_rotate(quat[:, 2], up) * quat_rotate(turns[:, 2], up)).sum(axis=1), -1, 1))
    assert np.degrees(apart).max() < 3.0
    # The next body is where the clip has it, whatever its parent lacks.
    assert geodesic_angle(quat[:, 3], quat_multiply(turns[:, 2], turns[:, 3])).max() < 1e-6


def test_limits_hold_and_the_nearest_pose_within_them_is_found():
    model = chain(hinges("0 1 0", limits='range="-.5 .5"') + hinges("1 0 0", "0 0 1"))
    body, turns, _ = poses(model, np.zeros((2, 3)))
    turns[:, 2] = quat_from_rotvec(np.array([[0, 1.2, 0], [0, -0.2, 0]]))
    np.testing.assert_allclose(solved(model, body, turns)[:, 7:], [[0.5, 0, 0], [-0.2, 0, 0]], atol=1e-4)


def test_there_is_no_jump_where_two_ways_lead_to_the_same_pose():
    # A middle hinge beyond a right angle: the angles from rest would be the others.
    model = chain(hinges("1 0 0", "0 1 0", "0 0 1"))
    angles = np.stack([0.2 * np.ones(80), np.linspace(0, 2.2, 80), -0.1 * np.ones(80)], axis=1)
    body, turns, world = poses(model, angles)
    qpos = solved(model, body, turns)
    _, quat = body_poses_w(body, qpos)
    assert geodesic_angle(quat[:, 2], world[:, 2]).max() < 0.12
    assert np.abs(np.diff(qpos[:, 7:], axis=0)).max() < 0.5


def test_a_ball_after_hinges_is_where_the_clip_has_it():
    model = chain(hinges("1 0 0", "0 1 0"), '<joint type="ball"/>')
    body = anatomy(model)
    rng = np.random.default_rng(1)
    turns = np.tile([1.0, 0, 0, 0], (10, 4, 1))
    turns[:, 2:] = quat_from_rotvec(rng.normal(0, 0.4, (10, 2, 3)))
    _, quat = body_poses_w(body, solved(model, body, turns))
    assert geodesic_angle(quat[:, 3], quat_multiply(turns[:, 2], turns[:, 3])).max() < 1e-6


def test_only_characters_with_something_to_distribute_do():
    assert simple(build(open_character("humanoid")).anatomy)
    assert not simple(anatomy(chain(hinges("1 0 0", "0 1 0"))))
    assert not simple(anatomy(chain(hinges("1 0 0"), quat='quat="0 1 0 0"')))
    assert not simple(anatomy(chain(hinges("1 0 0"), hinges("1 0 0"))))


def test_a_clip_that_names_bodies_drives_their_hinges_and_the_root(tmp_path):
    built = build(open_character(written(tmp_path, walker())))
    turn = quat_from_rotvec(np.array([[[0, 0, 0.1], [0, -0.5, 0]], [[0, 0, 0.2], [0.3, -0.5, 0]]]))
    rest = np.tile([1.0, 0, 0, 0], (2, 1))
    bones = skeleton(["pelvis", "left_thigh"], [-1, 0], np.zeros((2, 3)), rest)
    made = clip(bones, [0.0, 0.5], np.array([[0, 0, 1.0], [1, 0, 1]]), turn)
    reference = clip_reference(built, made)
    np.testing.assert_allclose(reference.qpos[:, :3], [[0, 0, 1], [1, 0, 1]])
    np.testing.assert_allclose(reference.qpos[0, built.model.joint("left_hip_y").qposadr[0]], -0.5, atol=1e-6)
    np.testing.assert_allclose(reference.qvel[0, :3], [2, 0, 0])
    knee = built.model.joint("left_knee").qposadr[0]
    assert np.abs(reference.qpos[:, knee]).max() == 0
