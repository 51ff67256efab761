"""A run's policy while it is watched."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.live import Live
from bunraku.mimic.live import live


@pytest.fixture
def acting(finished):
    opened = live(finished)
    yield opened
    opened.close()


def test_it_steps_and_tells_what_it_is_worth(acting):
    assert isinstance(acting, Live)
    acting.restart()
    rewards = [acting.step() for _ in range(5)]
    assert [glimpse.time_s for glimpse in rewards] == pytest.approx(np.arange(1, 6) / acting.control_hz)
    assert rewards[-1].mean_reward == pytest.approx(np.mean([glimpse.reward for glimpse in rewards]))
    assert set(rewards[-1].terms) == {"pose", "velocity"}
    # The reference stands upright, whatever the bag does.
    np.testing.assert_allclose(rewards[-1].ghost_quat_w[0], [1, 0, 0, 0], atol=1e-9)


def test_a_push_moves_it(acting):
    def after(newtons: float) -> np.ndarray:
        acting._seed = 0
        acting.restart()
        acting.push("bag", np.array([newtons, 0.0, 0.0]), 0.2)
        return [acting.step() for _ in range(6)][-1].body_quat_w[0]

    assert np.abs(after(300.0) - after(0.0)).max() > 0.05


def test_another_physics_rate_is_refused_unless_allowed(acting):
    with pytest.raises(BunrakuError, match="bound to its rate"):
        acting.set_physics_hz(96.0, allowed=False)
    assert acting.physics_hz == acting.trained_hz == 192.0
    acting.set_physics_hz(96.0, allowed=True)
    assert acting.physics_hz == 96.0
    assert acting.step().time_s == pytest.approx(1 / 24)
    acting.set_physics_hz(192.0, allowed=False)
    assert acting.physics_hz == 192.0


@pytest.mark.parametrize("hz", [0.0, 100.0, 1e6, float("nan")])
def test_a_rate_must_be_a_multiple_of_the_control_rate(acting, hz: float):
    with pytest.raises(BunrakuError, match="multiple of the control rate"):
        acting.set_physics_hz(hz, allowed=True)
