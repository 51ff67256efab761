"""MJCF with a free root as a character."""

import mujoco
import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.character import build, export_character, open_character
from small_walker import walker, written


def opened(folder, text=None, config=None):
    return open_character(written(folder, text, config))


def servo(built, joint):
    """kp, kd and limit of a joint's actuator."""
    model = built.model
    place = next(i for i in range(model.nu) if model.joint(int(model.actuator_trnid[i, 0])).name == joint)
    bias = model.actuator_biasprm[place]
    assert model.actuator_forcelimited[place]
    assert model.actuator_gainprm[place, 0] == -bias[1]
    return float(-bias[1]), float(-bias[2]), float(model.actuator_forcerange[place, 1])


def test_motors_become_servos_within_their_torque_and_joints_without_any_get_one(tmp_path):
    built = build(opened(tmp_path))
    # 4 kp per N m of limit, kd a tenth of kp.
    assert servo(built, "back") == pytest.approx((240, 24, 60))
    assert servo(built, "left_hip_x") == pytest.approx((200, 20, 50))
    assert servo(built, "left_knee") == pytest.approx((400, 40, 100))
    # By part of the body: the published knee's 150 N m for 45 kg and a leg of .831 m; here 33.6 kg and .87 m.
    assert servo(built, "right_knee")[2] == pytest.approx(150 * 33.6 / 45 * 0.87 / 0.831, rel=1e-4)
    assert built.model.nu == 11
    assert set(built.character.actuation) == {"servo"}
    assert set(built.character.action_scale) == {0.3}
    assert not built.model.actuator_ctrllimited.any()


def test_ground_rates_and_integrator_are_set(tmp_path):
    built = build(opened(tmp_path))
    # The file's 250 Hz is nearest to 8 steps of 1/240 s.
    assert (built.character.control_hz, built.character.physics_hz, built.character.free) == (30, 240, True)
    assert built.model.opt.integrator == int(mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
    ground = built.model.geom("ground")
    assert (ground.type[0], ground.bodyid[0]) == (int(mujoco.mjtGeom.mjGEOM_PLANE), 0)
    data = mujoco.MjData(built.model)
    data.qpos[2] -= 0.16
    mujoco.mj_forward(built.model, data)
    assert data.ncon > 0, "its feet touch the ground"


@pytest.mark.parametrize(("timestep", "rate"), [("0.01", 240), ("0.003", 330), ("0.002", 240), ("0.001", 990)])
def test_the_physics_rate_is_near_the_files_own_but_not_slow(timestep, rate, tmp_path):
    assert opened(tmp_path, walker().replace("0.004", timestep)).physics_hz == rate


def test_a_servo_of_the_file_is_kept(tmp_path):
    own = '<position joint="back" kp="70" kv="3" forcelimited="true" forcerange="-11 11"/>'
    assert servo(build(opened(tmp_path, walker(own))), "back") == (70, 3, 11)


def test_a_spring_that_no_motor_could_move_against_is_meant_as_the_servos(tmp_path):
    text = walker().replace('name="back"', 'name="back" stiffness="70" damping="5"')
    built = build(opened(tmp_path, text))
    assert servo(built, "back") == (70, 5, 60)
    assert built.model.joint("back").stiffness[0] == 0
    soft = build(opened(tmp_path, text.replace('stiffness="70"', 'stiffness="7"')))
    assert servo(soft, "back") == pytest.approx((240, 24, 60))
    assert (soft.model.joint("back").stiffness[0], soft.model.joint("back").damping[0]) == (7, 5)


def test_the_least_of_motor_and_joint_limits_counts(tmp_path):
    text = walker().replace('name="back"', 'name="back" actuatorfrcrange="-20 20"')
    built = build(opened(tmp_path, text))
    assert servo(built, "back")[2] == 20


def test_a_foot_that_is_too_light_for_its_servo_gets_armature_and_stands_calmly(tmp_path):
    built = build(opened(tmp_path))
    model, data = built.model, mujoco.MjData(built.model)
    foot = model.joint("left_ankle").dofadr[0]
    assert model.dof_armature[foot] > 0
    assert model.dof_armature[model.joint("left_hip_z").dofadr[0]] >= 0
    data.ctrl[:] = 0.0
    data.qvel[foot] = 30.0
    speeds = []
    for _ in range(24):
        mujoco.mj_step(model, data)
        speeds.append(abs(float(data.qvel[foot])))
    assert max(speeds[-8:]) < 1.0


def test_hands_and_feet_are_end_effectors_and_other_sites_are_not(tmp_path):
    text = walker().replace('<geom name="pelvis"', '<site name="imu"/><geom name="pelvis"')
    body = build(opened(tmp_path, text)).anatomy
    assert [body.bodies[i].name for i in body.effector_bodies] == ["left_foot", "right_foot"]
    named = build(opened(tmp_path, text, 'effectors = ["imu", "torso"]')).anatomy
    assert sorted(named.bodies[i].name for i in named.effector_bodies) == ["pelvis", "torso"]


def test_a_bodys_hinges_have_its_whole_share_each_and_the_bodies_shares_sum_to_1(tmp_path):
    character = opened(tmp_path)
    share = dict(zip(build(character).anatomy.rotations, character.joint_weights, strict=True))
    # Root 1, trunk .5, and twice hip .5, knee .3, ankle .2, as published.
    assert share["root"] == pytest.approx(1 / 3.5)
    assert share["back"] == pytest.approx(0.5 / 3.5)
    assert [share[f"left_hip_{axis}"] for axis in "xyz"] == pytest.approx([0.5 / 3.5] * 3)
    assert share["right_knee"] == pytest.approx(0.3 / 3.5)


def test_a_config_goes_before_the_file_and_its_last_pattern_counts(tmp_path):
    config = """control_hz = 20
physics_hz = 400
action_rad = 0.1
fall = ["torso"]
[servo."*"]
limit = 30
[servo."*knee"]
kp = 77
[servo.left_knee]
kd = 1
[weights]
"*" = 0
"*_knee" = 2
[names]
back = "chest"
left_shin = "left_knee"
"""
    character = opened(tmp_path, config=config)
    built = build(character)
    assert (character.control_hz, character.physics_hz) == (20, 400)
    assert servo(built, "back") == pytest.approx((120, 12, 30))
    assert servo(built, "left_knee") == (77, 1, 30)
    assert servo(built, "right_knee") == pytest.approx((77, 7.7, 30))
    assert set(character.action_scale) == {0.1}
    assert character.fall == ("torso",)
    assert character.names == {"torso": "chest", "left_shin": "left_knee"}
    weights = dict(zip(built.anatomy.rotations, character.joint_weights, strict=True))
    assert {name for name, weight in weights.items() if weight} == {"left_knee", "right_knee"}
    assert character.hash != opened(tmp_path, config="").hash


def test_a_config_also_changes_servos_that_the_file_has(tmp_path):
    own = '<position joint="back" kp="70" kv="3" forcelimited="true" forcerange="-11 11"/>'
    built = build(opened(tmp_path, walker(own), "[servo.back]\nkd = 2"))
    assert servo(built, "back") == (70, 2, 11)


def test_an_adapted_character_that_is_written_out_opens_as_itself(tmp_path):
    character = opened(tmp_path, config='fall = ["torso"]\n[names]\ntorso = "spine"')
    (tmp_path / "out").mkdir()
    export_character(character, tmp_path / "out" / "own.xml")
    again = open_character(str(tmp_path / "out" / "own.xml"))
    assert (again.hash, again.fall, again.names) == (character.hash, ("torso",), {"torso": "spine"})


def test_balls_get_three_servos_and_bodies_without_names_get_some(tmp_path):
    limb = (
        '<body pos="0 0 -.2"><joint type="ball"/><geom type="capsule" fromto="0 0 0 0 0 -.3" size=".05" mass="1"/>'
        '<body pos="0 0 -.3"><joint axis="0 1 0"/><geom type="sphere" size=".05" mass=".5"/></body></body>'
    )
    built = build(opened(tmp_path, walker("", legs=limb)))
    assert built.model.nu == 1 + 3 + 1
    assert all(built.character.actuator_names)
    assert all(built.character.body_names)
    assert all(built.character.joint_names)
    limits = built.model.actuator_forcerange[:, 1]
    # Nothing is known of it: ten times the torque of what hangs there, .15 kg m and .15 kg m, at the ball.
    assert limits[1] == pytest.approx(10 * 9.81 * (1 * 0.15 + 0.5 * 0.3), rel=1e-4)


def test_key_frames_but_the_reference_and_sensors_are_left_out(tmp_path):
    qpos = "0 0 .9 1 0 0 0 " + " ".join(["0"] * 11)
    keys = f'<keyframe><key name="squat" qpos="{qpos}"/><key name="reference" qpos="{qpos}"/></keyframe>'
    sensors = '<sensor><jointpos joint="back"/></sensor>'
    built = build(opened(tmp_path, walker(extra=keys + sensors)))
    assert (built.model.nkey, built.model.nsensor) == (1, 0)
    assert built.reference_qpos[2] == 0.9


TENDON = '<tendon><fixed name="coupled"><joint joint="left_knee" coef="1"/></fixed></tendon>'


@pytest.mark.parametrize(
    ("text", "config", "message"),
    [
        (
            walker('<motor name="pull" tendon="coupled"/>', TENDON),
            None,
            r"actuator 'pull' acts on a tendon; expected",
        ),
        (
            walker().replace("<worldbody>", '<worldbody><body name="box"><geom size=".1"/></body>'),
            None,
            r"the free root 'pelvis' is not the first body of the world; 'box' is",
        ),
        (
            walker().replace("</worldbody>", '<body name="ball"><freejoint/><geom size=".1"/></body></worldbody>'),
            None,
            r"2 bodies have free joints \('pelvis', 'ball'\); expected one",
        ),
        (
            walker().replace("<worldbody>", '<worldbody><geom name="deck" type="plane" size="1 1 1" pos="0 0 .3"/>'),
            None,
            r"its ground 'deck' is at height 0\.3; expected 0",
        ),
        (None, "[servo.hipp]\nkp = 3", r"no joint 'hipp'; in .*own\.toml: \[servo\]; the character has: root, back, "),
        (None, "[weights]\nhipp = 3", r"no joint 'hipp'; in .*own\.toml: \[weights\]"),
        (None, 'fall = ["arm"]', r"no body 'arm'; in .*own\.toml: fall; the character has: pelvis, torso"),
        (None, 'effectors = ["arm"]', r"no body or site 'arm'; in .*own\.toml: effectors; there are: pelvis, torso"),
        (None, '[names]\narm = "spine"', r"no body 'arm'; in .*own\.toml: \[names\]; the character has: pelvis"),
        (None, '[weights]\n"*" = 0', r"own\.toml: \[weights\] are all 0"),
        (None, "physics_hz = 100", r"own\.toml: physics_hz 100: expected a multiple of control_hz 30"),
        (
            walker().replace('<freejoint name="root"/>', ""),
            "action_rad = 1",
            r"own\.toml: is about a character with",
        ),
    ],
)
def test_what_cannot_be_a_character_is_refused_by_name(text, config, message, tmp_path):
    with pytest.raises(BunrakuError, match=message) as refused:
        opened(tmp_path, text, config)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("name", "actuators"), [("mujoco", 21), ("gymnasium", 17), ("mimickit", 28)])
def test_published_bodies_are_characters(name, actuators, data_dir):
    built = build(open_character(str(data_dir / "bodies" / f"{name}_humanoid.xml")))
    assert (built.model.nu, len(built.anatomy.effector_bodies)) == (actuators, 4)

    # MimicKit's file has its gains as springs of the joints.
    if name == "mimickit":
        assert servo(built, "right_knee") == (500, 50, 150)
        assert not built.model.jnt_stiffness.any()
    if name == "gymnasium":
        # gear 300, controls of ±.4
        assert servo(built, "left_hip_y") == pytest.approx((480, 48, 120))
    # Standing still with the pose it has: nothing is thrown away.
    data = mujoco.MjData(built.model)
    data.qpos[2] += 1.0
    data.ctrl[:] = 0.0
    for _ in range(48):
        mujoco.mj_step(built.model, data)
    assert np.abs(data.qvel[6:]).max() < 2.0
