"""Characters: built in, from files, and what is refused."""

import mujoco
import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.character import BUILT_IN, build, character_from_xml, export_character, open_character

PENDULUM = """<mujoco><option timestep="0.01"/>
<worldbody><body name="rod"><joint name="pivot" axis="0 1 0"/><geom type="sphere" size=".1" pos="0 0 1" mass="1"/>
</body></worldbody><actuator><motor joint="pivot" ctrllimited="true" ctrlrange="-6 6"/></actuator>EXTRA</mujoco>"""


def written(folder, extra="", body=PENDULUM):
    file = folder / "own.xml"
    file.write_text(body.replace("EXTRA", extra))
    return file


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_character_that_is_written_and_opened_again_is_the_same(name, tmp_path):
    character = open_character(name)
    export_character(character, tmp_path / f"{name}.xml")
    again = open_character(str(tmp_path / f"{name}.xml"))
    assert again.hash == character.hash
    assert again.xml == character.xml
    assert (again.name, again.control_hz, again.substeps) == (name, 30.0 if name == "humanoid" else 24.0, 8)


def test_the_bop_bags_gravity_and_motor_are_as_documented():
    built = build(open_character("bopbag"))
    # Lying, 3 kg with the centre of mass at 0.55 m weigh 3 · 9.81 · 0.55 N m about the hinge; one unit lifts that.
    data = mujoco.MjData(built.model)
    data.qpos[:] = np.pi / 2
    mujoco.mj_forward(built.model, data)
    assert data.qfrc_bias[0] == pytest.approx(-3 * 9.81 * 0.55)
    assert built.character.action_scale == (40.0,)
    assert built.highest_action.tolist() == [2.0]
    assert built.model.opt.timestep == 1 / 192


@pytest.mark.parametrize("name", BUILT_IN)
def test_servos_limits_bound_spring_and_damper_together(name):
    built = build(open_character(name))
    data = mujoco.MjData(built.model)
    data.qvel[:] = 50.0
    mujoco.mj_forward(built.model, data)
    servo = np.array(built.character.actuation) == "servo"
    bound = built.model.actuator_forcerange[servo]
    assert (np.abs(data.actuator_force[servo]) <= bound[:, 1] + 1e-9).all()
    assert servo[0] == (name == "humanoid"), "a servo at the lowest joint would stand by itself"


def test_rates_scales_weights_and_reference_are_read_from_the_file(tmp_path):
    extra = (
        '<custom><numeric name="control_hz" data="25"/><numeric name="action_scale" data="3"/></custom>'
        '<keyframe><key name="reference" qpos=".3" ctrl="1.5"/></keyframe>'
    )
    character = open_character(str(written(tmp_path, extra)))
    built = build(character)
    assert (character.name, character.physics_hz, character.substeps) == ("own", 100.0, 4)
    assert built.reference_qpos.tolist() == [0.3]
    # control = 1.5 + 3 · action, between −6 and 6
    assert built.lowest_action.tolist() == [-2.5]
    assert built.highest_action.tolist() == [1.5]


def test_without_settings_a_file_gets_about_30_hz_and_half_the_range_as_unit(tmp_path):
    character = open_character(str(written(tmp_path)))
    assert character.control_hz == pytest.approx(100 / 3)
    assert character.action_scale == (6.0,)
    assert character.joint_weights == (1.0,)


def test_another_mass_is_another_hash(tmp_path):
    one = open_character(str(written(tmp_path)))
    other = open_character(str(written(tmp_path, body=PENDULUM.replace('mass="1"', 'mass="1.1"'))))
    assert one.hash != other.hash


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(BunrakuError, match="no character 'bobag'; there is: bopbag, bopbag6, bopbag2, bopbag3"):
        open_character("bobag")


def test_a_missing_file_is_named():
    with pytest.raises(BunrakuError, match=r"nowhere\.xml: cannot be read \(No such file"):
        open_character("nowhere.xml")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (PENDULUM.replace("<geom", "<gem"), r"own\.xml: MuJoCo says: .*unrecognized element"),
        (PENDULUM.replace('joint="pivot"', 'joint="elbow"'), r"own\.xml: MuJoCo says: .*elbow"),
        (PENDULUM.replace("</worldbody>", ""), r"own\.xml: is not valid XML: mismatched tag"),
        (PENDULUM.replace('name="pivot"', 'name="pivot" type="slide"'), "nothing in it turns; expected at least one"),
        (PENDULUM.split("<actuator>")[0] + "</mujoco>", "has no actuators; expected motors or servos"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(body, message, tmp_path):
    with pytest.raises(BunrakuError, match=message) as refused:
        open_character(str(written(tmp_path, body=body)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ('<numeric name="control_hz" data="30"/>', "control_hz 30 must divide the physics rate"),
        ('<numeric name="control_hz" data="0"/>', "control_hz must be positive"),
        ('<numeric name="action_scale" data="1 1"/>', "'action_scale' has 2 values; expected 1 finite"),
        ('<numeric name="action_scale" data="0"/>', "action_scale must be positive"),
        ('<numeric name="joint_weights" data="-1"/>', "joint_weights must not be negative"),
    ],
)
def test_settings_that_do_not_fit_are_refused(extra, message, tmp_path):
    with pytest.raises(BunrakuError, match=message):
        open_character(str(written(tmp_path, f"<custom>{extra}</custom>")))


@pytest.mark.parametrize("element", ['<include file="../secret.xml"/>', '<include file="/etc/hostname"/>'])
def test_an_include_outside_the_folder_is_refused(element, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    (tmp_path / "secret.xml").write_text("<mujoco/>")
    with pytest.raises(BunrakuError, match="lies outside its folder"):
        open_character(str(written(folder, element)))


def test_a_mesh_outside_the_folder_is_refused(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    asset = '<compiler meshdir=".."/><asset><mesh file="stone.obj"/></asset>'
    with pytest.raises(BunrakuError, match=r"uses 'stone\.obj', which lies outside its folder"):
        open_character(str(written(folder, asset)))


def test_includes_and_meshes_become_part_of_the_character(tmp_path):
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "stone.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    )
    (tmp_path / "rates.xml").write_text('<mujoco><custom><numeric name="control_hz" data="20"/></custom></mujoco>')
    extra = (
        '<include file="rates.xml"/><compiler meshdir="meshes"/><asset><mesh name="stone" file="stone.obj"/></asset>'
    )
    body = PENDULUM.replace('type="sphere" size=".1"', 'type="mesh" mesh="stone"')
    character = open_character(str(written(tmp_path, extra, body)))
    assert character.control_hz == 20.0
    assert build(character).model.nmesh == 1
    (tmp_path / "copy").mkdir()
    export_character(character, tmp_path / "copy" / "again.xml")
    again = open_character(str(tmp_path / "copy" / "again.xml"))
    assert again.hash == character.hash


def test_text_alone_makes_a_character():
    character = character_from_xml(PENDULUM.replace("EXTRA", ""), "text")
    assert (character.joint_names, character.body_names) == (("pivot",), ("rod",))
