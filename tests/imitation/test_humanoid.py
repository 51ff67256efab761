"""The humanoid's figures are those of the published character file."""

import json

import mujoco
import numpy as np
import pytest

from bunraku.imitation.character import build, open_character
from bunraku.imitation.humanoid import PARTS, STANDING_M, humanoid
from bunraku.imitation.physique import physique

_KP = {"chest": 1000, "neck": 100, "hip": 500, "knee": 500, "ankle": 400, "shoulder": 400, "elbow": 300}


@pytest.fixture(scope="module")
def published(data_dir):
    return json.loads((data_dir / "bodies" / "deepmimic_humanoid3d.txt").read_text())


@pytest.fixture(scope="module")
def built():
    return build(open_character("humanoid"))


def turned(x, y, z):
    """From y up to z up."""
    return [x, -z, y]


def test_joints_lie_where_the_published_character_has_them(published, built):
    joints = published["Skeleton"]["Joints"]
    names = [joint["Name"] for joint in joints]
    assert names == [part.name for part in PARTS]
    for joint in joints[1:]:
        body = built.model.body(joint["Name"])
        assert body.pos == pytest.approx(turned(joint["AttachX"], joint["AttachY"], joint["AttachZ"]), abs=1e-6)
        assert built.model.body(int(body.parentid[0])).name == names[joint["Parent"]]


def test_masses_shapes_and_places_are_the_published_ones(published, built):
    kinds = {"sphere": mujoco.mjtGeom.mjGEOM_SPHERE, "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE}
    kinds["box"] = mujoco.mjtGeom.mjGEOM_BOX
    assert built.model.body_mass.sum() == pytest.approx(45.0)
    for shape in published["BodyDefs"]:
        geom, body = built.model.geom(shape["Name"]), built.model.body(shape["Name"])
        assert body.mass[0] == pytest.approx(shape["Mass"])
        assert geom.type[0] == int(kinds[shape["Shape"]])
        assert geom.pos == pytest.approx(turned(shape["AttachX"], shape["AttachY"], shape["AttachZ"]), abs=1e-6)
        # Sizes are diameters there, radii and half lengths here.
        half = [shape[f"Param{k}"] / 2 for k in range(3)]
        wanted = {"sphere": [half[0], 0, 0], "capsule": [half[0], half[1], 0], "box": [half[0], half[2], half[1]]}
        assert geom.size == pytest.approx(wanted[shape["Shape"]])
        assert geom.friction[0] == pytest.approx(0.9)


def test_limits_gains_and_weights_are_the_published_ones(published, built):
    model = built.model
    weights = dict(zip(built.anatomy.rotations, built.character.joint_weights, strict=True))
    total = sum(joint["DiffWeight"] for joint in published["Skeleton"]["Joints"])
    assert total == pytest.approx(4.8)
    for joint in published["Skeleton"]["Joints"]:
        name = joint["Name"]
        if joint["DiffWeight"]:
            assert weights[name] == pytest.approx(joint["DiffWeight"] / total)
        for i in range(model.nu):
            if model.joint(int(model.actuator_trnid[i, 0])).name == name:
                stiffness = _KP[name.split("_")[-1]]
                assert model.actuator_forcerange[i] == pytest.approx([-joint["TorqueLim"], joint["TorqueLim"]])
                assert model.actuator_gainprm[i, 0] == stiffness
                assert model.actuator_biasprm[i, 1:3] == pytest.approx([-stiffness, -stiffness / 10])
        if joint["Type"] == "revolute":
            assert model.joint(name).range == pytest.approx([joint["LimLow0"], joint["LimHigh0"]])


def test_it_has_28_actuated_degrees_of_freedom_and_the_published_rates(built):
    assert (built.model.nu, built.model.nv, built.model.nbody) == (28, 34, 16)
    assert (built.character.control_hz, built.character.physics_hz) == (30.0, 240.0)
    assert built.character.free


def test_it_stands_with_its_soles_on_the_ground(built):
    body = physique(built)
    assert set(body.feet) == {"right_ankle", "left_ankle"}
    assert pytest.approx(0.881416) == STANDING_M
    assert body.fixed == {"right_wrist", "left_wrist"}
    assert set(body.hinge_axes) == {"right_knee", "left_knee", "right_elbow", "left_elbow"}
    assert body.ranges_rad["left_knee"] == pytest.approx((-3.14, 0.0))


def test_the_knee_bends_backwards_at_negative_angles(built):
    data = mujoco.MjData(built.model)
    data.joint("left_knee").qpos[:] = -1.0
    mujoco.mj_forward(built.model, data)
    ankle, knee = data.body("left_ankle").xpos, data.body("left_knee").xpos
    assert ankle[0] < knee[0] - 0.3


def test_it_stays_calm_under_its_own_servos_for_a_second():
    model = mujoco.MjModel.from_xml_string(humanoid())
    data = mujoco.MjData(model)
    for _ in range(240):
        mujoco.mj_step(model, data)
    # It has begun to tip over by a hand's breadth at most; no joint rattles.
    assert data.qpos[2] > 0.85
    assert np.abs(data.qvel[6:]).max() < 0.1
