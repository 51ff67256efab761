"""A clip on a character with a free root, asked for at any time."""

import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_from_rotvec
from bunraku.core.skeleton import skeleton
from bunraku.imitation.character import build, open_character
from bunraku.imitation.motion_table import motion_table

TURN_RAD = 0.8


@pytest.fixture(scope="module")
def built():
    return build(open_character("humanoid"))


def travelling(loop, frames=5, last_s=2.0):
    """The root goes 1 m along x in the last quarter of its time, and turns about x; the knee bends evenly to −1."""
    names = ["root", "left_knee"]
    bones = skeleton(names, [-1, 0], np.zeros((2, 3)), np.tile([1.0, 0, 0, 0], (2, 1)))
    u = np.linspace(0, 1, frames)
    root = np.stack([np.maximum(0, 4 * u - 3), 0 * u, 1 + 0 * u], axis=1)
    quat = np.zeros((frames, 2, 4))
    quat[:, 0] = quat_from_rotvec(np.stack([TURN_RAD * u, 0 * u, 0 * u], axis=1))
    # The knee turns about −y.
    quat[:, 1] = quat_from_rotvec(np.stack([0 * u, u, 0 * u], axis=1))
    return clip(bones, last_s * u, root, quat, loop)


def test_positions_and_angles_lie_on_the_line_between_frames(built):
    table = motion_table(built, travelling("wrap"))
    moment = table.at(np.array([0.5, 1.75]), np.zeros((2, 2)))
    assert moment.qpos[:, 0] == pytest.approx([0.0, 0.5], abs=1e-9)
    knee = built.anatomy.hinge_q[built.anatomy.rotations.index("left_knee")]
    assert moment.qpos[:, knee] == pytest.approx([-0.25, -0.875], abs=1e-6)
    assert 2 * np.arctan2(moment.qpos[:, 4], moment.qpos[:, 3]) == pytest.approx([0.2, 0.7], abs=1e-6)


def test_a_loop_begins_again_with_velocities_of_its_first_segment_and_none_of_the_seam(built):
    table = motion_table(built, travelling("wrap"))
    before, after = table.at(np.array([1.999, 2.001]), np.zeros((2, 2))).qvel
    # 1 m in half a second at the end, standing at the beginning; the jump back to the start is nobody's velocity.
    assert before[:3] == pytest.approx([2.0, 0, 0])
    assert after[:3] == pytest.approx([0.0, 0, 0])
    assert after[3:6] == pytest.approx([TURN_RAD / 2, 0, 0], abs=1e-9)
    assert list(table.cycle(np.array([0.0, 1.99, 2.01, 4.01]))) == [0, 0, 1, 2]
    assert table.travel == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize("loop", ["wrap", "none"])
def test_starts_have_velocities_between_those_of_their_segment_and_the_nearer_other_never_across_the_seam(built, loop):
    # Segments of half a second: the root rests in three and has 2 m/s in the last.
    moment = motion_table(built, travelling(loop)).starts(np.array([0.0, 1.2, 1.25, 1.375, 1.5, 1.75, 1.9, 1.999]))
    assert moment.qvel[:, 0] == pytest.approx([0, 0, 0, 0.5, 1, 2, 2, 2])
    assert moment.qvel[:, 3] == pytest.approx(np.full(8, TURN_RAD / 2))
    assert moment.qpos[:, 0] == pytest.approx([0, 0, 0, 0, 0, 0.5, 0.8, 0.998], abs=1e-9)


def test_starts_in_later_cycles_are_those_of_the_first_and_after_the_end_at_rest(built):
    loop, once = motion_table(built, travelling("wrap")), motion_table(built, travelling("none"))
    assert loop.starts(np.array([3.375])).qvel == pytest.approx(loop.starts(np.array([1.375])).qvel)
    assert not once.starts(np.array([2.1])).qvel.any()
    short = motion_table(built, travelling("none", frames=2))
    assert short.starts(np.array([0.7])).qvel == pytest.approx(short.at(np.array([0.7]), np.zeros((1, 2))).qvel)


def test_a_clip_that_does_not_loop_holds_its_last_pose_at_rest(built):
    table = motion_table(built, travelling("none"))
    moment = table.at(np.array([1.9, 2.2]), np.zeros((2, 2)))
    assert moment.qpos[1, 0] == pytest.approx(1.0)
    assert np.abs(moment.qvel[0]).max() > 1
    assert not moment.qvel[1].any()
    assert list(table.cycle(np.array([1.9, 2.2]))) == [0, 0]


def test_the_origin_moves_root_and_centre_of_mass_alike(built):
    table = motion_table(built, travelling("wrap"))
    here, there = (table.at(np.array([0.3]), np.array([origin])) for origin in ([0.0, 0.0], [5.0, -2.0]))
    assert there.qpos[0, :3] - here.qpos[0, :3] == pytest.approx([5, -2, 0])
    assert there.landmarks.centre_w[0] - here.landmarks.centre_w[0] == pytest.approx([5, -2, 0])
    assert there.landmarks.effectors_h == pytest.approx(here.landmarks.effectors_h)


def test_uneven_frame_times_are_kept(built):
    original = travelling("none")
    bones, uneven = original.skeleton, np.array([0.0, 0.1, 1.0, 1.1, 3.0])
    table = motion_table(built, clip(bones, uneven, original.root_pos_w, original.joint_quat, "none"))
    knee = built.anatomy.hinge_q[built.anatomy.rotations.index("left_knee")]
    assert table.at(uneven, np.zeros((5, 2))).qpos[:, knee] == pytest.approx([0, -0.25, -0.5, -0.75, -1], abs=5e-3)


def test_a_character_without_a_free_root_and_a_clip_of_one_frame_are_refused(built):
    with pytest.raises(BunrakuError, match="bopbag: has no free joint"):
        motion_table(build(open_character("bopbag")), travelling("wrap"))
    with pytest.raises(BunrakuError, match="a single frame"):
        motion_table(built, travelling("none", frames=1))
