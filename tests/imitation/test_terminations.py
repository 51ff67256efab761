"""Why episodes end."""

import numpy as np

from bunraku.imitation.terminations import fallen, timed_out


def test_one_joint_beyond_the_limit_is_a_fall():
    assert fallen(np.array([[0.1, 1.3], [1.2, 0.0]]), 1.2).tolist() == [True, False]


def test_time_is_over_with_the_last_step():
    assert timed_out(np.array([95, 96, 97]), 96).tolist() == [False, True, True]
