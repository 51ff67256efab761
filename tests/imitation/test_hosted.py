"""States that another program simulates, here a program of three lines in the same process."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.character import build, open_character
from bunraku.imitation.hosted import LOSSES, HostedSimulation, LostWorldError
from bunraku.imitation.simulation import States


class Adding:
    """Positions grow by the controls; it is lost at the calls that are named."""

    def __init__(self, lost_at=(), answer=None):
        self.lost_at, self.answer = set(lost_at), answer
        self.calls, self.opened, self.holder = 0, 0, None

    def open(self, holder, count, frames):
        self.opened, self.holder = self.opened + 1, holder

    def begin(self, holder, qpos, qvel):
        self._call(holder)
        self.qpos = qpos.copy()

    def step(self, holder, controls):
        self._call(holder)
        self.qpos = self.qpos + controls
        return (self.qpos, controls) if self.answer is None else self.answer

    def _call(self, holder):
        self.calls += 1
        if holder is not self.holder or self.calls in self.lost_at:
            self.holder = None
            raise LostWorldError("the world is gone")


@pytest.fixture(scope="module")
def bag():
    return build(open_character("bopbag"))


def everywhere(simulation, qpos):
    simulation.place(np.ones(simulation.count, bool), np.array(qpos)[:, None], np.zeros((len(qpos), 1)))


def walked(simulation, steps=3):
    for k in range(steps):
        simulation.advance(np.full((simulation.count, 1), k + 1.0))
    return simulation.qpos[:, 0].tolist()


def test_it_is_stepped_as_any_simulation_is(bag):
    simulation: States = HostedSimulation(bag, 2, Adding(), 10)
    everywhere(simulation, [0.5, -0.5])
    assert walked(simulation) == [6.5, 5.5]
    assert simulation.qvel.tolist() == [[3.0], [3.0]]


def test_actuators_keep_their_limits(bag):
    simulation = HostedSimulation(bag, 1, Adding(), 10)
    simulation.advance(np.array([[500.0]]))
    assert simulation.qpos.tolist() == [[80.0]]


@pytest.mark.parametrize("lost_at", [{2}, {3}, {4}, {5}, {3, 5}])
def test_a_world_that_is_lost_is_opened_again_and_brought_back(bag, lost_at):
    world = Adding(lost_at)
    simulation = HostedSimulation(bag, 1, world, 10)
    everywhere(simulation, [0.25])
    assert walked(simulation) == [6.25]
    assert world.opened > 1


def test_a_world_that_is_lost_again_and_again_is_given_up(bag):
    world = Adding(range(3, 100))
    simulation = HostedSimulation(bag, 1, world, 10)
    everywhere(simulation, [0.0])
    with pytest.raises(BunrakuError, match=rf"the world is gone \({LOSSES} times\)"):
        walked(simulation)


def test_two_take_turns_in_one_world(bag):
    world = Adding()
    one, other = HostedSimulation(bag, 1, world, 10), HostedSimulation(bag, 2, world, 10)
    everywhere(one, [0.0])
    everywhere(other, [1.0, 2.0])
    assert walked(one, 2) == [3.0]
    assert walked(other, 2) == [4.0, 5.0]
    assert walked(one, 1) == [4.0]


def test_a_snapshot_goes_on_as_the_original(bag):
    simulation = HostedSimulation(bag, 1, Adding(), 10)
    everywhere(simulation, [0.5])
    walked(simulation)
    kept = simulation.snapshot()
    after = walked(simulation)
    other = HostedSimulation(bag, 1, Adding(), 10)
    other.restore(kept)
    assert walked(other) == after


def test_what_it_cannot_do_it_says(bag):
    simulation = HostedSimulation(bag, 2, Adding(), 2)
    with pytest.raises(BunrakuError, match="all episodes begin together"):
        simulation.place(np.array([True, False]), np.zeros((1, 1)), np.zeros((1, 1)))
    with pytest.raises(BunrakuError, match="cannot be pushed"):
        simulation.push("bag", np.zeros((2, 3)), 1)
    with pytest.raises(BunrakuError, match="opened for episodes of 2 steps"):
        walked(simulation)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((np.full((1, 1), np.nan), np.zeros((1, 1))), "not finite"),
        ((np.zeros((2, 1)), np.zeros((1, 1))), r"shapes \(2, 1\) and \(1, 1\); expected"),
    ],
)
def test_states_that_are_none_are_refused(bag, answer, why):
    simulation = HostedSimulation(bag, 1, Adding(answer=answer), 10)
    with pytest.raises(BunrakuError, match=why):
        walked(simulation)
