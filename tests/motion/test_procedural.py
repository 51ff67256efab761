"""Clips made in code: feet that stay, weight over them, no seam."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import skeleton
from bunraku.motion.check import check
from bunraku.motion.limits import joint_angles
from bunraku.motion.plan import PLANS
from bunraku.motion.pose import ball_centres, ball_heights, clip_pose, speeds
from bunraku.motion.procedural import make
from bunraku.motion.timing import root_velocity, seam_jumps
from small_bodies import body_on, other_body

MASSES = {
    "root": 6,
    "chest": 14,
    "neck": 2,
    "hip": 4.5,
    "knee": 3,
    "ankle": 1,
    "shoulder": 1.5,
    "elbow": 1,
    "wrist": 0.5,
}
"""Of the published character [kg]; code knows only shares of human segments."""
STANDING = ("standing", "squatting", "weight_shift", "arm_raise")


def joint(physique, name):
    return physique.skeleton.names.index(name)


def centre_of_mass(pos, physique):
    """Along x: of the published masses at the middle of a joint and the one after it."""
    names = physique.skeleton.names
    total = 0.0
    for joint, name in enumerate(names):
        below = [k for k, parent in enumerate(physique.skeleton.parents) if parent == joint]
        end = pos[below[0]] if len(below) == 1 else pos[joint]
        total += MASSES[name.split("_")[-1]] * (pos[joint, 0] + end[0]) / 2
    return total / sum(MASSES[name.split("_")[-1]] for name in names)


@pytest.mark.parametrize("name", PLANS)
def test_it_loops_without_a_seam_and_smoothly(name, humanoid):
    made = make(name, humanoid)
    assert made.loop == "wrap"
    assert 2 <= made.duration_s <= 4
    assert seam_jumps(made).max() < 1e-9
    np.testing.assert_allclose(made.root_pos_w[0], made.root_pos_w[-1], atol=1e-9)
    assert speeds(made).max() < 4
    assert np.linalg.norm(np.diff(root_velocity(made), axis=0), axis=1).max() < 0.2


@pytest.mark.parametrize("name", STANDING)
def test_feet_stay_where_they_are_flat_on_the_ground(name, humanoid):
    made = make(name, humanoid)
    soles = np.array([humanoid.skeleton.names[j] in humanoid.feet for j in humanoid.ball_joints])
    corners = ball_centres(made, humanoid)[:, soles]
    assert np.abs(corners[..., 2]).max() < 1e-6
    assert np.ptp(corners, axis=0).max() < 1e-6


def test_squatting_goes_down_with_the_knees_in_front_and_the_weight_over_the_feet(humanoid):
    made = make("squatting", humanoid)
    lowest = int(made.root_pos_w[:, 2].argmin())
    assert np.ptp(made.root_pos_w[:, 2]) > 0.2
    pos, _ = clip_pose(made)
    hip, knee, ankle = (pos[lowest, joint(humanoid, f"left_{name}")] for name in ("hip", "knee", "ankle"))
    assert knee[0] > max(hip[0], ankle[0])
    assert hip[0] < ankle[0] < knee[0]
    assert joint_angles(made, humanoid, "left_knee")[lowest] < -1.2
    soles = -0.0435, 0.1335
    for frame in range(made.frames):
        assert soles[0] + 0.02 < centre_of_mass(pos[frame], humanoid) < soles[1] - 0.02


def test_weight_goes_from_side_to_side_and_marching_lifts_the_unloaded_foot(humanoid):
    shifted = make("weight_shift", humanoid)
    assert shifted.root_pos_w[:, 1].max() == pytest.approx(-shifted.root_pos_w[:, 1].min(), abs=1e-3)
    assert shifted.root_pos_w[:, 1].max() > 0.04
    made = make("marching", humanoid)
    pos, _ = clip_pose(made)
    left = pos[:, joint(humanoid, "left_ankle"), 2]
    right = pos[:, joint(humanoid, "right_ankle"), 2]
    assert np.ptp(left) == pytest.approx(np.ptp(right), abs=1e-3)
    assert np.ptp(left) > 0.1
    assert made.root_pos_w[left.argmax(), 1] < -0.03
    assert ball_heights(made, humanoid).min(axis=1).max() < 1e-6


def test_arms_are_raised_to_both_sides(humanoid):
    made = make("arm_raise", humanoid)
    pos, _ = clip_pose(made)
    wrist = pos[:, joint(humanoid, "left_wrist")] - pos[:, joint(humanoid, "left_shoulder")]
    assert wrist[:, 2].max() > 0.3
    assert wrist[:, 2].min() < -0.45
    assert wrist[:, 1].max() > 0.45


@pytest.mark.parametrize("rest", [{}, {"left_shoulder": [np.pi / 2, 0, 0], "right_shoulder": [-np.pi / 2, 0, 0]}])
def test_it_is_the_same_motion_on_a_body_with_other_names_and_rest(rest, humanoid):
    bones, named = other_body(rest=rest)
    there = make("squatting", body_on(bones, named))
    here, _ = clip_pose(make("squatting", humanoid))
    order = [bones.names.index(named[name]) for name in humanoid.skeleton.names]
    np.testing.assert_allclose(clip_pose(there)[0][:, order], here, atol=1e-3)
    assert check(there, body_on(bones, named)).problems == ()


def test_unknown_clips_and_bodies_without_legs_are_refused(humanoid):
    with pytest.raises(BunrakuError, match="no clip 'squat'; made in code are: standing, squatting"):
        make("squat", humanoid)
    bones = humanoid.skeleton
    blob = skeleton([f"b{i}" for i in range(15)], bones.parents, bones.rest_translation, bones.rest_quat)
    with pytest.raises(BunrakuError, match="do not tell by name which are its legs: b0, b1"):
        make("standing", body_on(blob, {name: f"b{i}" for i, name in enumerate(bones.names)}))
