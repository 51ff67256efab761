"""Characters that are their own mirror image, and some that nearly are."""

import numpy as np
import pytest

from bunraku.imitation.character import character_from_xml, open_character
from bunraku.imitation.environment import EnvironmentConfig, SimulatedEnvironment
from bunraku.imitation.rewards import bopbag_reward

ARMS = """<mujoco><option timestep=".005"/><worldbody><body name="trunk" pos="0 0 1"><freejoint name="root"/>
<geom type="box" size=".1 .2 .3" mass="5"/>
<body name="left" pos="0 .3 .2"><joint name="left" axis="1 0 1" damping="{damping}" armature=".1"/>
<geom type="capsule" fromto="0 0 0 0 .3 0" size=".05" mass="{mass}"/></body>
<body name="right" pos="0 -.3 .2"><joint name="right" axis="1 0 1" damping=".5" armature=".1"/>
<geom type="capsule" fromto="0 0 0 0 -.3 0" size=".05" mass="1"/></body></body></worldbody>
<actuator><motor joint="right" ctrllimited="true" ctrlrange="{lowest} 3"/>
<motor joint="left" ctrllimited="true" ctrlrange="-3 3"/></actuator></mujoco>"""


def armed(damping=0.5, mass=1.0, lowest=-3.0, **settings):
    character = character_from_xml(ARMS.format(damping=damping, mass=mass, lowest=lowest), "armed")
    return SimulatedEnvironment(character, EnvironmentConfig(2, **settings))


def built_in(name, **options):
    return SimulatedEnvironment(open_character(name), EnvironmentConfig(2), **options)


def test_the_bop_bag_falls_forward_as_it_falls_back():
    mirror = built_in("bopbag").mirror
    assert mirror.observation.index.tolist() == [0, 1]
    assert mirror.observation.sign.tolist() == [-1, -1]
    assert (mirror.action.index.tolist(), mirror.action.sign.tolist()) == ([0], [-1])


def test_rotation_vectors_turn_about_the_mirror_and_offsets_cross_it():
    mirror = built_in("bopbag6").mirror
    # At the plane y = 0: (rx, ry, rz) becomes (−rx, ry, −rz), (x, y, z) becomes (x, −y, z).
    turned, moved = [-1, 1, -1], [1, -1, 1]
    assert mirror.observation.sign.tolist() == [*turned, *moved, *turned, *moved]
    assert mirror.action.sign.tolist() == turned


@pytest.mark.parametrize("name", ["bopbag2", "bopbag3"])
def test_ragdolls_are_their_own_mirror_image(name):
    assert built_in(name).mirror is not None


def test_left_and_right_change_places():
    mirror = armed().mirror
    # Observation: left and right (sine, cosine), the root's six numbers and place, then velocities as far. An axis
    # (1, 0, 1) is (−1, 0, −1) as a pseudo-vector in the mirror y = 0.
    place = [10, 11, 12]
    assert mirror.observation.index.tolist() == [2, 3, 0, 1, 4, 5, 6, 7, 8, 9, *place, 14, 13, 15, 16, 17, 18, 19, 20]
    matrix = [1, -1, 1, -1, 1, -1]
    wanted = [-1, 1, -1, 1, *matrix, 1, -1, 1, -1, -1, -1, 1, -1, 1, -1, 1]
    assert mirror.observation.sign.tolist() == wanted
    assert (mirror.action.index.tolist(), mirror.action.sign.tolist()) == ([1, 0], [-1, -1])


@pytest.mark.parametrize("change", [{"mass": 1.1}, {"damping": 0.8}, {"lowest": -2.0}])
def test_who_differs_between_left_and_right_has_no_mirror(change):
    assert armed(**change).mirror is None


def test_a_reward_that_may_know_left_from_right_has_no_mirror():
    assert built_in("bopbag", reward=lambda tracking: bopbag_reward(tracking).total).mirror is None


def test_a_mirrored_episode_stays_one():
    environment = armed()
    mirror, simulation = environment.mirror, environment.simulation
    seen = environment.reset(0)
    qpos, qvel = environment.built.reference_qpos, np.zeros((2, environment.built.model.nv))
    qpos = np.tile(qpos, (2, 1))
    qpos[:, -2:] = [[0.4, -0.1], [0.1, -0.4]]
    simulation.place(np.ones(2, bool), qpos, qvel)
    rng = np.random.default_rng(0)
    for _ in range(10):
        action = rng.normal(size=2)
        seen = environment.step(np.stack([action, mirror.action.of(action)])).observation
    np.testing.assert_allclose(seen[1], mirror.observation.of(seen[0]), atol=1e-5)
    assert np.abs(seen[1] - seen[0]).max() > 0.1
