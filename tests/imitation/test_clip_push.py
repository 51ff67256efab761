"""The largest push while following a clip."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.clip_push import DIRECTIONS_H, _Trial, clip_pushes
from bunraku.imitation.push import PushConfig
from nodding import environment

QUICK = PushConfig(phases=2, settle_s=0.1, recover_s=0.6, greatest_n=1600.0, resolution_n=25.0)


def nothing(seen):
    return np.zeros((len(seen), 28))


def standing(count, episode_s):
    return environment(count, episode_s=episode_s)


def test_a_stander_survives_no_push_and_falls_at_a_huge_one_and_something_lies_between():
    pushes = clip_pushes(nothing, standing, QUICK)
    assert [push.direction for push in pushes] == ["forward", "sideways"]
    for push in pushes:
        assert push.body == "root"
        assert push.push_s == pytest.approx(0.2)
        assert push.stands_again_n.shape == (2,)
        assert (push.stands_again_n < 1600).all()
    assert max(float(push.stands_again_n.max()) for push in pushes) > 0


def test_pushes_are_in_the_heading_of_the_clip_at_the_moment_of_the_push():
    trial = _Trial(nothing, standing, QUICK)
    # The clip faces +x throughout.
    assert trial.directions_w == pytest.approx(np.repeat(np.array(list(DIRECTIONS_H.values())), 2, axis=0))
    # A loop is joined a tenth of a second before each phase (0 and half a second of one), modulo the cycle.
    assert trial.begun_s == pytest.approx([0.9, 0.4, 0.9, 0.4])
    assert set(trial.checked) == {3 + 6 + 18}


def test_a_clip_that_does_not_loop_is_pushed_at_its_phases_and_checked_at_its_end_at_the_latest():
    def make(count, episode_s):
        return environment(count, episode_s=episode_s, loop="none")

    trial = _Trial(nothing, make, PushConfig(phases=2, recover_s=5.0))
    assert trial.begun_s == pytest.approx([0.0, 0.5, 0.0, 0.5])
    # The clip lasts 1 s and is held for .25 s: 38 steps from its start, 22 from its middle.
    assert list(trial.checked[:2]) == [38, 22]
    assert trial.survived(np.zeros(4)).all()


def test_no_phases_are_refused():
    with pytest.raises(BunrakuError, match="phases = 0"):
        clip_pushes(nothing, standing, PushConfig(phases=0))
