import pytest

from bunraku import mimic
from bunraku.core.errors import BunrakuError


def test_the_policy_stands_beside_no_action_and_a_spring(finished):
    result = mimic.evaluate(finished, episodes=4, episode_s=1.0, push=False)
    rows = {row["controller"]: row for row in result["controllers"]}
    assert list(rows) == ["policy (last)", "no action", "PD, hand-tuned"]
    assert rows["policy (last)"]["normalized_return"] == result["normalized_return"]
    assert (result["episodes"], result["episode_s"]) == (4, 1.0)
    best = mimic.evaluate(finished, episodes=4, episode_s=1.0, policy="best", push=False)
    assert best["controllers"][1:] == result["controllers"][1:]


def test_pushes_are_told_by_direction(finished):
    pushes = mimic.evaluate(finished, episodes=1, episode_s=0.5)["pushes"]
    assert pushes["body"] == "bag"
    assert [row["direction"] for row in pushes["directions"]] == ["+x", "-x", "+y", "-y"]
    # A policy of two sessions does not stand.
    assert {row["stays_upright_n"] for row in pushes["directions"]} == {0.0}


def test_no_episodes_are_refused(finished):
    with pytest.raises(BunrakuError, match="episodes = 0: expected at least 1"):
        mimic.evaluate(finished, episodes=0)
