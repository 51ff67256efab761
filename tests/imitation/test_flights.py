"""Where a clip is in the air, and how fast a body gets through it."""

import mujoco
import numpy as np
import pytest

from bunraku.formats.clip import load_clip
from bunraku.imitation.character import build, open_character
from bunraku.imitation.flights import ballistic, flights
from bunraku.imitation.humanoid import STANDING_M
from bunraku.imitation.motion_table import motion_table

ROW_S = 1 / 240


@pytest.fixture(scope="module")
def built():
    return build(open_character("humanoid"))


def standing(built, rows, lifted):
    qpos = np.tile(built.reference_qpos, (rows, 1))
    qpos[:, 2] = STANDING_M
    qpos[lifted, 2] += 0.2
    return qpos


def flying(built, rows=100):
    """A somersault in which the knees are pulled up: simulated, with nothing to touch."""
    model, data = built.model, mujoco.MjData(built.model)
    data.qpos[:] = built.reference_qpos
    data.qpos[2], data.qvel[:6] = 5.0, (0.5, 0.1, 2.0, 0.3, -5.0, 0.2)
    data.ctrl[:] = 0.3 * np.random.default_rng(0).normal(size=model.nu)
    qpos, qvel = np.empty((rows, model.nq)), np.empty((rows, model.nv))
    for i in range(rows):
        qpos[i], qvel[i] = data.qpos, data.qvel
        mujoco.mj_step(model, data)
    return qpos, qvel


def momentum(built, qpos, qvel):
    """Of the whole: velocity of the centre of mass, angular momentum about it."""
    data, found = mujoco.MjData(built.model), []
    for row, velocity in zip(qpos, qvel, strict=True):
        data.qpos[:], data.qvel[:] = row, velocity
        mujoco.mj_forward(built.model, data)
        mujoco.mj_subtreeVel(built.model, data)
        found.append(np.concatenate([data.subtree_linvel[1], data.subtree_angmom[1]]))
    return np.array(found)


def test_a_flight_is_where_everything_is_clear_of_the_ground(built):
    assert flights(built, standing(built, 100, slice(20, 60)), ROW_S) == [slice(20, 60)]


@pytest.mark.parametrize("lifted", [slice(20, 30), slice(20, 290), slice(0, 60), slice(60, 300)])
def test_what_is_too_short_too_long_or_cut_is_none(built, lifted):
    assert flights(built, standing(built, 300, lifted), ROW_S) == []


def test_a_true_flight_keeps_its_momentum(built):
    qpos, qvel = flying(built)
    same = qvel.copy()
    same[:, :6] = ballistic(built, qpos, qvel, ROW_S)
    true, found = momentum(built, qpos, qvel), momentum(built, qpos, same)
    # The simulation's steps are of first order: a centre of mass is half a step ahead of its parabola.
    assert found[:, :3] == pytest.approx(true[:, :3], abs=0.05)
    assert found[:, 3:] == pytest.approx(true[:, 3:], abs=0.03 * np.abs(true[0, 3:]).max())


def test_velocities_that_no_body_can_have_become_those_that_get_to_the_landing(built):
    qpos, qvel = flying(built)
    wrong = qvel.copy()
    # As a coarse clip has it: slow at take-off and landing, fast between, and as much in all.
    wrong[:, 3:6] *= 1 + 0.6 * np.sin(np.linspace(-np.pi / 2, 1.5 * np.pi, len(wrong)))[:, None]
    wrong[:, :3] *= 0.5
    mended = wrong.copy()
    mended[:, :6] = ballistic(built, qpos, wrong, ROW_S)
    true, before, after = (momentum(built, qpos, each) for each in (qvel, wrong, mended))
    assert after[:, :3] == pytest.approx(true[:, :3], abs=0.05)
    assert np.abs(before[0, 4] - true[0, 4]) > 0.5 * np.abs(true[0, 4])
    assert np.abs(after[0, 4] - true[0, 4]) < 0.2 * np.abs(true[0, 4])


def test_the_published_backflip_begins_in_flight_with_a_spin_that_gets_round(built, data_dir):
    clip = load_clip(data_dir / "clips" / "deepmimic" / "humanoid3d_backflip.txt")
    table = motion_table(built, clip)
    times = table.duration_s * np.linspace(0.40, 0.60, 6)
    starts, given = table.starts(times), table.at(times, np.zeros((6, 2)))
    spin, before = (np.abs(momentum(built, each.qpos, each.qvel)[:, 4]) for each in (starts, given))
    assert before.max() > 1.7 * before.min()
    assert spin[:4].max() < 1.4 * spin[:4].min()
