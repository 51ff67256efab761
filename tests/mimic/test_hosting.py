"""Bop bags that another program simulates: a small one of ours, and Blender."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from bunraku import host as wire
from bunraku import mimic
from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.imitation.character import build, open_character
from bunraku.imitation.hosted import HostedSimulation
from bunraku.imitation.simulation import Simulation, SimulationConfig
from bunraku.mimic.hosting import HostedWorld, open_world
from bunraku.rigs.host_process import HostProcess
from small_training import small

PROGRAM = Path(__file__).parents[1] / "small_simulation.py"


def rods(*how) -> str:
    return " ".join(["host:", sys.executable, str(PROGRAM), *map(str, how)]).replace("host: ", "host:")


def weights(run: Path) -> dict[str, np.ndarray]:
    return artifact.load(run, "run").arrays


def test_a_policy_is_trained_in_another_program_and_exported(tmp_path):
    done = small(rods("well"), tmp_path / "run")
    assert done["samples"] == 192
    assert done["physics_hz"] == 192
    assert "pushes" not in done
    settings = artifact.read_manifest(tmp_path / "run")["settings"]
    assert settings["task"]["host"] == {"program": "rods 1.0"}
    assert settings["task"]["start"]["spin_rad_s"] == 0
    mimic.export(tmp_path / "run", tmp_path / "policy.npz")
    assert (tmp_path / "policy.npz").exists()


def test_a_program_that_dies_changes_nothing(tmp_path):
    small(rods("well"), tmp_path / "well")
    small(rods("dies once", tmp_path / "died").replace("dies once", "'dies once'"), tmp_path / "dying")
    assert (tmp_path / "died").exists()
    well, dying = weights(tmp_path / "well"), weights(tmp_path / "dying")
    assert well.keys() == dying.keys()
    for name, array in well.items():
        np.testing.assert_array_equal(array, dying[name], err_msg=name)


def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    small(rods("well"), tmp_path / "whole")
    small(rods("well"), tmp_path / "parts", samples=96)
    small(rods("well"), tmp_path / "parts", samples=192)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


def test_a_command_is_run_only_where_the_user_names_it(tmp_path):
    small(rods("well"), tmp_path / "run")
    with pytest.raises(BunrakuError, match="a command that a run names is not run; name it again with --character"):
        mimic.evaluate(tmp_path / "run", episodes=2, episode_s=0.2)
    done = mimic.evaluate(tmp_path / "run", episodes=2, episode_s=0.2, character=rods("well"))
    assert done["episodes"] == 2


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (rods("dies"), r"died of SIGKILL.*\(3 times\)"),
        (rods("lies"), "states are not finite"),
        (rods("slow"), "simulates with physics_hz 48.0; expected 192"),
        ("host:", "expected host:COMMAND"),
        ("host:no_such_program_at_all", "no program 'no_such_program_at_all'"),
        ("blender:humanoid", "Blender simulates bopbag, not 'humanoid'"),
    ],
)
def test_what_cannot_be_is_said(source, why, tmp_path):
    with pytest.raises(BunrakuError, match=why):
        small(source, tmp_path / "run")


def test_a_request_that_the_world_does_not_understand_is_answered_so():
    process = HostProcess(open_world(rods("well"), open_character("bopbag")).command)
    with pytest.raises(BunrakuError, match="no simulation is open"):
        process.tell(wire.STEP)
    process.kill()


@pytest.fixture(scope="module")
def blenders(blender) -> HostedWorld:
    return open_world("blender:bopbag", open_character("bopbag"))


def let_go(simulation, angle, controls):
    """Angles of a bag that starts there."""
    simulation.place(np.ones(1, bool), np.array([[angle]]), np.zeros((1, 1)))
    found = [simulation.qpos[0, 0]]
    for control in controls:
        simulation.advance(np.array([[control]]))
        found.append(simulation.qpos[0, 0])
    return np.array(found)


@pytest.mark.parametrize(
    ("angle", "controls"),
    [(0.3, [0.0] * 12), (-0.3, [0.0] * 12), (0.0, [5.0] * 6), (0.2, [-30.0, -30.0, 40.0, 40.0, 40.0, 40.0])],
)
def test_blenders_bag_moves_as_mujocos_does(blenders, angle, controls):
    built = build(open_character("bopbag"))
    theirs = let_go(HostedSimulation(built, 1, blenders, 24), angle, controls)
    ours = let_go(Simulation(built, 1, SimulationConfig()), angle, controls)
    # The capsule's inertia is reckoned in another way, and there is no damping at the hinge.
    assert np.abs(theirs - ours).max() < 0.12 * np.abs(ours - ours[0]).max()


def test_blenders_bag_falls_to_its_hinges_end_and_no_further(blenders):
    built = build(open_character("bopbag"))
    simulation = HostedSimulation(built, 1, blenders, 48)
    for angle in (1.4, -1.4):
        fallen = let_go(simulation, angle, [0.0] * 40)
        assert np.sign(angle) * fallen[-1] == pytest.approx(np.pi / 2, abs=0.02)


def test_blenders_simulation_repeats_itself_and_outlives_its_blender(blenders):
    simulation = HostedSimulation(build(open_character("bopbag")), 1, blenders, 24)
    controls = list(np.random.default_rng(0).uniform(-60, 60, 12))
    first = let_go(simulation, 0.4, controls)
    np.testing.assert_array_equal(let_go(simulation, 0.4, controls), first)
    let_go(simulation, 0.4, controls[:6])
    os.kill(blenders.process.pid, signal.SIGKILL)
    for control in controls[6:]:
        simulation.advance(np.array([[control]]))
    assert simulation.qpos[0, 0] == first[-1]


def test_a_run_of_blenders_is_judged_in_blender_again(blender, tmp_path):
    done = small("blender:bopbag", tmp_path / "run")
    program = artifact.read_manifest(tmp_path / "run")["settings"]["task"]["host"]["program"]
    assert program == f"Blender {blender}"
    again = mimic.evaluate(tmp_path / "run", episodes=32, episode_s=0.5)
    assert again["normalized_return"] == done["normalized_return"]
