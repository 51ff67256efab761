import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.rollout import Episodes, Segment, collect, next_values
from pendulum import Pendulums


def segment(rewards, terminated, truncated):
    rewards = np.array(rewards, float)
    following = np.arange(rewards.size, dtype=np.float32).reshape(*rewards.shape, 1)
    flags = [np.array(side, bool) for side in (terminated, truncated)]
    return Segment(following - 1, following, rewards, *flags, following, {}, 0.0)


def test_a_segment_chains_and_shows_where_an_episode_stopped():
    environment = Pendulums(3, episode_steps=5)
    start = environment.reset(1)
    made, after = collect(environment, start, lambda seen: -seen[:, :1], 12)
    assert made.observations.shape == (12, 3, 2)
    np.testing.assert_array_equal(made.observations[0], start)
    np.testing.assert_array_equal(made.actions, -made.observations[..., :1])
    assert np.flatnonzero(made.truncated[:, 0]).tolist() == [4, 9]
    assert not made.terminated.any()
    inside = ~made.ended[:-1]
    np.testing.assert_array_equal(made.next_observations[:-1][inside], made.observations[1:][inside])
    # Where an episode stopped, its last state is kept and the new one is another.
    assert (made.next_observations[4] != made.observations[5]).any(axis=1).all()
    np.testing.assert_array_equal(after, made.next_observations[-1])
    assert made.terms.keys() == {"pose", "velocity"}


def test_time_outs_are_worth_what_comes_after_and_terminations_nothing():
    made = segment([[0, 0]] * 3, [[0, 1], [0, 0], [0, 0]], [[0, 0], [1, 0], [0, 0]])
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    # The estimate is 100 + the number that stands for the state.
    result = next_values(made, values, lambda seen: 100.0 + seen[:, 0].astype(float))
    # Character 0: V(s_1); time out in state 2; end of the segment in state 4. Character 1: terminal; V(s_2); state 5.
    np.testing.assert_array_equal(result, [[3, 0], [102, 6], [104, 105]])


def test_an_end_of_the_segment_that_is_a_termination_is_worth_nothing():
    made = segment([[0.0]], [[1]], [[0]])
    assert next_values(made, np.ones((1, 1)), lambda seen: np.ones(len(seen))) == 0


def test_episodes_are_summed_across_segments():
    first, none = Episodes.starting(2).after(segment([[1, 10], [2, 20]], [[0, 0]] * 2, [[0, 0], [0, 1]]))
    np.testing.assert_array_equal(none, [[30, 2]])
    second, ended = first.after(segment([[4, 5], [6, 7]], [[1, 0], [0, 0]], [[0, 0]] * 2))
    np.testing.assert_array_equal(ended, [[7, 3]])
    np.testing.assert_array_equal([second.reward, second.steps], [[6, 12], [1, 2]])


def test_a_reward_that_is_not_a_number_names_its_term():
    environment = Pendulums(2, spoil_at=3)
    with pytest.raises(BunrakuError, match="term 'pose' is not a finite number"):
        collect(environment, environment.reset(0), lambda seen: seen[:, :1], 5)
