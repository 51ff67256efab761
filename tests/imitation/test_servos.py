"""Controls that pull a character towards a pose."""

import mujoco
import numpy as np
import pytest

from bunraku.core.rotations import quat_conjugate, quat_from_rotvec, quat_multiply, rotvec_from_quat
from bunraku.formats.clip import load_clip
from bunraku.imitation.character import build, character_from_xml, open_character
from bunraku.imitation.humanoid import humanoid
from bunraku.imitation.motion_table import motion_table
from bunraku.imitation.servos import servos


@pytest.fixture(scope="module")
def built():
    return build(open_character("humanoid"))


def test_without_action_the_controls_at_the_pose_itself_are_the_pose(built):
    rng = np.random.default_rng(0)
    qpos = np.tile(built.reference_qpos, (5, 1))
    rotvec = rng.normal(size=(5, 9, 3)) * 0.5
    qpos[:, built.anatomy.quat_q] = quat_from_rotvec(rotvec)
    qpos[:, built.anatomy.hinge_q] = rng.normal(size=(5, 4))
    control = servos(built).controls(qpos, qpos, np.zeros((5, 28)))
    for i, name in enumerate(built.character.actuator_names):
        joint = name.rsplit("_", 1)[0] if name[-2:] in ("_x", "_y", "_z") else name
        place = built.anatomy.rotations.index(joint)
        hinges = len(built.anatomy.hinge_q)
        wanted = (
            qpos[:, built.anatomy.hinge_q[place]]
            if place < hinges
            else rotvec[:, place - hinges, "xyz".index(name[-1])]
        )
        assert control[:, i] == pytest.approx(wanted, abs=1e-12)


def test_one_unit_of_action_turns_the_target_by_the_characters_scale(built):
    qpos = built.reference_qpos[None]
    for i in range(28):
        action = np.zeros((1, 28))
        action[0, i] = 1.0
        assert servos(built).controls(qpos, qpos, action)[0, i] == pytest.approx(0.3)


def test_a_target_beyond_half_a_turn_is_pulled_at_along_the_shorter_way(built):
    body, place = built.anatomy, built.anatomy.rotations.index("right_shoulder") - 4
    own, wanted = built.reference_qpos[None].copy(), built.reference_qpos[None].copy()
    # The arm stands 3 rad up; the target is .4 rad further, past half a turn, where log(q*) jumps to the other side.
    own[:, body.quat_q[place]] = quat_from_rotvec(np.array([[0.0, -3.0, 0.0]]))
    wanted[:, body.quat_q[place]] = quat_from_rotvec(np.array([[0.0, -3.4, 0.0]]))
    assert rotvec_from_quat(wanted[:, body.quat_q[place]])[0, 1] > 2.8
    control = servos(built).controls(own, wanted, np.zeros((1, 28)))
    i = built.character.actuator_names.index("right_shoulder_y")
    assert control[0, i] == pytest.approx(-3.4)


def test_an_arm_follows_a_whole_turn_through_the_jump_of_the_rotation_vector():
    # A half turn and more about one axis at 3 rad/s, as in a cartwheel: the error stays the servo's lag.
    character = character_from_xml(humanoid().replace("<option ", '<option gravity="0 0 0" ', 1), "floating")
    built = build(character)
    held, data = servos(built), mujoco.MjData(built.model)
    data.qpos[2] = 5.0
    body, place = built.anatomy, built.anatomy.rotations.index("right_shoulder") - 4
    errors = []
    for k in range(60):
        wanted = data.qpos[None].copy()
        wanted[:, body.quat_q[1:]] = [1.0, 0, 0, 0]
        wanted[:, body.hinge_q] = 0.0
        target = quat_from_rotvec(np.array([[0.0, -0.1 * (k + 1), 0.0]]))
        wanted[:, body.quat_q[place]] = target
        data.ctrl[:] = held.controls(data.qpos[None], wanted, np.zeros((1, 28)))[0]
        for _ in range(character.substeps):
            mujoco.mj_step(built.model, data)
        turn = quat_multiply(quat_conjugate(data.qpos[None][:, body.quat_q[place]]), target)
        errors.append(np.linalg.norm(rotvec_from_quat(turn)))
    assert max(errors[10:]) < 0.6
    assert np.abs(data.qvel).max() < 12


def test_effort_is_the_share_of_servos_at_their_limit_and_of_balls_beyond_it(built):
    held = servos(built)
    qpos, qvel = built.reference_qpos[None], np.zeros((1, 34))
    controls = np.zeros((1, 28))
    names = built.character.actuator_names
    # 400 N m/rad: 1 rad asks for 400 N m where 100 is the limit; two axes at their limit make √2 of it.
    controls[0, [names.index("left_shoulder_x"), names.index("left_shoulder_y")]] = 1.0
    saturated, beyond = held.effort(qpos, qvel, controls)
    assert saturated[0] == pytest.approx(2 / 28)
    assert beyond[0] == pytest.approx(1 / 8)


@pytest.mark.parametrize("name", ["backflip", "cartwheel", "roll", "spinkick", "getup_facedown"])
def test_limbs_follow_published_acrobatics_through_half_turns(data_dir, name):
    # The root is carried along the clip, without gravity or ground: what is left is whether servos pull the right way.
    follows = load_clip(data_dir / "clips" / "deepmimic" / f"humanoid3d_{name}.txt")
    xml = humanoid().replace("<option ", '<option gravity="0 0 0" ', 1).replace('conaffinity="1"', 'conaffinity="0"')
    built = build(character_from_xml(xml, "floating"))
    table, held, data = motion_table(built, follows), servos(built), mujoco.MjData(built.model)
    here = np.zeros((1, 2))
    first = table.at(np.zeros(1), here)
    data.qpos[:], data.qvel[:] = first.qpos[0], first.qvel[0]
    body, errors, reach = built.anatomy, [], 0.0
    for k in range(int(table.duration_s * 30) - 3):
        wanted = table.at(np.array([(k + 2) / 30]), here)
        data.ctrl[:] = held.controls(data.qpos[None], wanted.qpos, np.zeros((1, 28)))[0]
        for i in range(8):
            carried = table.at(np.array([(k + i / 8) / 30]), here)
            data.qpos[:7], data.qvel[:6] = carried.qpos[0, :7], carried.qvel[0, :6]
            mujoco.mj_step(built.model, data)
        now = table.at(np.array([(k + 1) / 30]), here)
        own, target = data.qpos[None][:, body.quat_q[1:]], now.qpos[:, body.quat_q[1:]]
        errors.append(np.linalg.norm(rotvec_from_quat(quat_multiply(quat_conjugate(own), target)), axis=-1)[0])
        reach = max(reach, float(np.linalg.norm(rotvec_from_quat(target), axis=-1).max()))
    # A servo that jumped to the other side at half a turn would let go by more than that: errors of 2 rad and more.
    assert np.max(errors) < 1.0
    assert np.mean(errors) < 0.2
    assert reach > 1.2
