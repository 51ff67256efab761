"""What joints are by their names."""

from dataclasses import replace

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import skeleton
from bunraku.motion.names import checked_map, guess_map, legs, part, parts, sided_joint
from small_bodies import body_on, other_body

ONE = np.array([1.0, 0, 0, 0])


def tree(names, parents, heights):
    translation = np.zeros((len(names), 3))
    for joint, parent in enumerate(parents):
        translation[joint, 2] = heights[joint] - (heights[parent] if parent >= 0 else 0)
    return skeleton(names, parents, translation, np.tile(ONE, (len(names), 1)))


@pytest.mark.parametrize(
    ("name", "kind", "side"),
    [
        ("left_hip", "hip", "left"),
        ("mixamorig:LeftUpLeg", "hip", "left"),
        ("RightLeg", "knee", "right"),
        ("LFoot", "ankle", "left"),
        ("lfemur", "hip", "left"),
        ("rtibia", "knee", "right"),
        ("lhumerus", "shoulder", "left"),
        ("rradius", "elbow", "right"),
        ("thigh_right", "hip", "right"),
        ("shin.L", "knee", "left"),
        ("RightForeArm", "elbow", "right"),
        ("Bip01 R Calf", "knee", "right"),
        ("left_lower_arm", "elbow", "left"),
        ("lclavicle", "collar", "left"),
        ("LeftShoulder", "collar", "left"),
        ("thorax", "spine", ""),
        ("LowerBack", "spine", ""),
        ("Spine2", "spine", ""),
        ("lwaist", "spine", ""),
        ("Hips", "pelvis", ""),
        ("upperneck", "neck", ""),
        ("Neck1", "neck", ""),
    ],
)
def test_vocabularies(name, kind, side):
    found = part(name)
    assert (found.kind, found.side) == (kind, side)


@pytest.mark.parametrize("name", ["lthumb", "LHipJoint", "RightHandIndex1", "tail", "", "l", "mixamorig:"])
def test_names_outside_the_vocabulary_are_nothing(name):
    assert part(name) is None


def test_a_shoulder_is_the_upper_arm_only_where_no_other_joint_is():
    mixamo = tree(["LeftShoulder", "LeftArm"], [-1, 0], [1, 1])
    assert parts(mixamo)["LeftShoulder"].kind == "collar"
    plain = tree(["left_shoulder", "left_elbow"], [-1, 0], [1, 1])
    assert parts(plain)["left_shoulder"].kind == "shoulder"
    assert sided_joint(plain, "shoulder", "left") == "left_shoulder"
    assert sided_joint(plain, "head", "") is None


def test_legs_are_found_by_their_three_joints(humanoid):
    left, right = ("left_hip", "left_knee", "left_ankle"), ("right_hip", "right_knee", "right_ankle")
    assert legs(humanoid.skeleton) == (left, right)
    assert legs(tree(["a", "b"], [-1, 0], [1, 1])) == ()


def test_equal_names_match_whatever_their_case(humanoid):
    bones = humanoid.skeleton
    loud = skeleton([n.upper() for n in bones.names], bones.parents, bones.rest_translation, bones.rest_quat)
    turning = [n for n in bones.names if n not in humanoid.fixed]
    assert guess_map(loud, humanoid) == {name: name.upper() for name in turning}


def test_a_chain_of_source_joints_is_driven_by_its_last(humanoid):
    names = ["root", "lowerback", "upperback", "thorax", "lowerneck", "upperneck", "head", "lfemur", "rfemur"]
    found = guess_map(tree(names, [-1, 0, 1, 2, 3, 4, 5, 0, 0], [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 0.9, 0.9]), humanoid)
    assert found == {"root": "root", "chest": "thorax", "neck": "head", "left_hip": "lfemur", "right_hip": "rfemur"}


def test_other_humanoids_match_by_parts_both_ways(humanoid):
    bones, named = other_body()
    turning = {mine: theirs for mine, theirs in named.items() if mine not in humanoid.fixed}
    assert guess_map(bones, humanoid) == turning
    back = guess_map(humanoid.skeleton, body_on(bones, named))
    assert back == {theirs: mine for mine, theirs in turning.items()}


def test_a_map_names_both_sides_when_a_joint_is_unknown(humanoid):
    bones, _ = other_body()
    assert checked_map({"chest": "torso", "neck": ""}, bones, humanoid) == {"chest": "torso"}
    with pytest.raises(BunrakuError, match="no joint 'chst'; in map: 'chst': 'torso'; the character has: root, chest"):
        checked_map({"chst": "torso"}, bones, humanoid)
    with pytest.raises(BunrakuError, match="no joint 'trso'; in map: 'chest': 'trso'; the clip has: pelvis, torso"):
        checked_map({"chest": "trso"}, bones, humanoid)
    with pytest.raises(BunrakuError, match="the character cannot turn 'left_wrist'"):
        checked_map({"left_wrist": "left_hand"}, bones, humanoid)


def test_what_a_characters_file_says_goes_before_names():
    bones = tree(["root", "b1", "b2"], [-1, 0, 1], [1, 1.2, 1.4])
    moved = tree(["hips", "chest", "LeftLeg"], [-1, 0, 0], [1, 1.4, 0.5])
    plain = replace(body_on(*other_body()), skeleton=bones, fixed=frozenset())
    said = replace(plain, names={"b1": "left_knee", "b2": "chest"})
    assert guess_map(moved, said) == {"root": "hips", "b1": "LeftLeg", "b2": "chest"}
    assert guess_map(moved, replace(plain, names={"b1": "right_knee", "b2": ""})) == {"root": "hips"}
    with pytest.raises(BunrakuError, match="no joint 'knie'; for 'b1' of the character; expected a part of the body"):
        guess_map(moved, replace(plain, names={"b1": "knie"}))
