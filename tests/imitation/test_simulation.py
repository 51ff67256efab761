"""Batches of states: the physics of MuJoCo, the same on any number of threads, divergence found out."""

import mujoco
import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.character import BUILT_IN, build, open_character
from bunraku.imitation.simulation import Simulation, SimulationConfig, replay


def started(name, count, **settings):
    built = build(open_character(name))
    simulation = Simulation(built, count, SimulationConfig(**settings))
    rng = np.random.default_rng(5)
    qpos = np.tile(built.model.qpos0, (count, 1))
    for pose in qpos:
        mujoco.mj_integratePos(built.model, pose, 0.2 * rng.normal(size=built.model.nv), 1.0)
    simulation.place(np.ones(count, bool), qpos, rng.normal(size=(count, built.model.nv)))
    return simulation


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_step_is_what_mujoco_steps_one_by_one(name):
    simulation = started(name, 3)
    model = simulation.built.model
    control = np.random.default_rng(1).normal(size=(3, model.nu)) * 10
    qpos, qvel = simulation.qpos.copy(), simulation.qvel.copy()
    simulation.advance(control)
    data = mujoco.MjData(model)
    for i in range(3):
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:], data.ctrl[:] = qpos[i], qvel[i], control[i]
        mujoco.mj_step(model, data, nstep=8)
        np.testing.assert_array_equal(simulation.qpos[i], data.qpos)
        np.testing.assert_array_equal(simulation.qvel[i], data.qvel)


def test_one_and_two_threads_give_the_same_numbers():
    one, two = (started("bopbag3", 33, threads=threads) for threads in (1, 2))
    rng = np.random.default_rng(2)
    for _ in range(20):
        control = rng.normal(size=(33, 7)) * 20
        one.advance(control)
        two.advance(control)
    np.testing.assert_array_equal(one.states, two.states)


def test_a_force_moves_as_newton_says_and_only_while_it_is_given():
    free, pushed = started("bopbag", 2), started("bopbag", 2)
    for simulation in (free, pushed):
        simulation.place(np.ones(2, bool), np.zeros((2, 1)), np.zeros((2, 1)))
    force = np.zeros((2, 3))
    force[1, 0] = 10.0
    idle = np.zeros((2, 1))
    pushed.push("bag", force, 1)
    pushed.advance(idle)
    inertia = float(mujoco_inertia(pushed.built.model))
    # 10 N at .55 m for 1/24 s, against a little gravity and damping.
    assert pushed.qvel[1, 0] == pytest.approx(10 * 0.55 / inertia / 24, rel=0.02)
    assert pushed.qvel[0, 0] == 0.0
    before = pushed.qvel[1, 0]
    pushed.advance(idle)
    assert pushed.qvel[1, 0] == pytest.approx(before, rel=0.1)


def mujoco_inertia(model):
    data, full = mujoco.MjData(model), np.zeros((model.nv, model.nv))
    mujoco.mj_forward(model, data)
    mujoco.mj_fullM(model, data, full)
    return full[0, 0]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e15])
def test_a_diverged_state_is_found_counted_and_left_as_it_was(value, threads, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    simulation = started("bopbag", 5, threads=threads, replay=tmp_path / "kept")
    simulation.states[3, 2] = value
    before = simulation.states.copy()
    bad = simulation.advance(np.zeros((5, 1)))
    assert bad.tolist() == [False, False, False, True, False]
    assert simulation.diverged == 1
    np.testing.assert_array_equal(simulation.states[3], before[3])
    assert np.isfinite(simulation.states[[0, 1, 2, 4]]).all()
    kept = tmp_path / "kept" / "diverged_000000.safetensors"
    assert len(replay(simulation.built, kept)) == 0
    assert capfd.readouterr() == ("", "")
    assert [file.name for file in tmp_path.iterdir()] == ["kept"], "MuJoCo wrote its log"
    simulation.place(bad, np.zeros((1, 1)), np.zeros((1, 1)))
    assert not simulation.advance(np.zeros((5, 1))).any()


def test_a_kept_step_replays_up_to_where_it_breaks(tmp_path):
    built = build(open_character("bopbag"))
    # A spring far too stiff for the time step, without the integrator's help.
    built.model.opt.integrator = int(mujoco.mjtIntegrator.mjINT_EULER)
    built.model.jnt_stiffness[0] = 1e9
    simulation = Simulation(built, 1, SimulationConfig(replay=tmp_path))
    simulation.place(np.ones(1, bool), np.full((1, 1), 1.0), np.zeros((1, 1)))
    assert simulation.advance(np.zeros((1, 1))).all()
    states = replay(built, tmp_path / "diverged_000000.safetensors")
    assert 0 < len(states) < 8


def test_a_kept_step_of_another_character_is_refused(tmp_path):
    simulation = started("bopbag", 1, replay=tmp_path)
    simulation.states[0, 1] = np.nan
    simulation.advance(np.zeros((1, 1)))
    with pytest.raises(BunrakuError, match="was kept from another character"):
        replay(build(open_character("bopbag2")), tmp_path / "diverged_000000.safetensors")


def test_no_more_steps_are_kept_than_asked_for(tmp_path):
    simulation = started("bopbag", 5, replay=tmp_path, replay_limit=2)
    simulation.states[:, 1] = np.nan
    simulation.advance(np.zeros((5, 1)))
    assert (len(list(tmp_path.iterdir())), simulation.diverged) == (2, 5)
