"""Pushes against controllers whose strength is known."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.character import open_character
from bunraku.imitation.controllers import no_action, pd_controller
from bunraku.imitation.environment import EnvironmentConfig, SimulatedEnvironment
from bunraku.imitation.push import PushConfig, pushes
from bunraku.imitation.start import StartConfig


@pytest.fixture(scope="module")
def bag():
    return open_character("bopbag")


def maker(bag):
    start = StartConfig(tilt_rad=0.01, spin_rad_s=0.0)
    return lambda count, episode_s: SimulatedEnvironment(bag, EnvironmentConfig(count, episode_s, start=start))


CFG = PushConfig(settle_s=1.5, phases=2, greatest_n=400.0)


def test_the_largest_push_is_found_and_one_a_little_larger_tips_it_over(bag):
    controller = pd_controller(bag)
    found = {push.direction: push for push in pushes(controller, maker(bag), "bag", CFG)}
    # The bag can rise from lying: it stands again after any push; and across its hinge none moves it.
    assert (found["+x"].stands_again_n == 400).all()
    assert (found["+y"].stays_upright_n == 400).all()
    largest = found["+x"].stays_upright_n
    # An impulse F·t at height h turns a body of inertia I by ω = F·t·h/I: the order of magnitude must be right.
    assert ((largest > 30) & (largest < 400)).all()
    np.testing.assert_allclose(found["-x"].stays_upright_n, largest, rtol=0.05)
    for force, upright in ((largest.min(), True), (largest.max() + 3 * CFG.resolution_n, False)):
        assert tilted(bag, controller, force) == upright
    assert found["+x"].row()["stays_upright_n"] == largest.min()
    assert found["+x"].push_s == pytest.approx(5 / 24)


def tilted(bag, controller, force):
    """Whether the bag stays within a radian when pushed so."""
    environment = maker(bag)(2, 100.0)
    seen, upright = environment.reset(0), True
    for k in range(150):
        if k == 36:
            environment.push("bag", np.tile([force, 0.0, 0.0], (2, 1)), 5)
        seen = environment.step(controller(seen)).observation
        upright &= bool((environment.tracking().angles < 1.0).all())
    return upright


def test_who_does_not_stand_survives_no_push(bag):
    for push in pushes(
        no_action(bag), maker(bag), "bag", PushConfig(phases=1, settle_s=6.0, recover_s=1.0, resolution_n=300.0)
    ):
        assert push.row() == {"direction": push.direction, "stands_again_n": 0.0, "stays_upright_n": 0.0}


def test_unknown_bodies_and_no_phases_are_refused(bag):
    with pytest.raises(BunrakuError, match="no body 'nose'; this character has: bag"):
        pushes(no_action(bag), maker(bag), "nose", PushConfig(phases=1))
    with pytest.raises(BunrakuError, match="phases = 0"):
        pushes(no_action(bag), maker(bag), "bag", PushConfig(phases=0))
