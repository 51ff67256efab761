import pytest

from bunraku.imitation.character import BUILT_IN, open_character
from bunraku.imitation.environment import SimulatedEnvironment
from bunraku.imitation.recipes import PUBLISHED_SAMPLES, recipe


@pytest.mark.parametrize("algorithm", ["awr", "ppo"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_character_has_a_recipe_for_both_learners(name, algorithm):
    made = recipe(name, algorithm)
    assert made.train.algorithm == algorithm
    SimulatedEnvironment(open_character(name), made.environment).close()


@pytest.mark.parametrize("algorithm", ["awr", "ppo"])
def test_the_bop_bag_is_trained_within_the_published_budget(algorithm):
    made = recipe("bopbag", algorithm)
    steps = made.train.steps or round(24 * made.environment.episode_s)
    # Whole updates, so that no more is used than the budget says.
    assert made.train.samples == PUBLISHED_SAMPLES == 6144
    assert PUBLISHED_SAMPLES % (made.train.count * steps) == 0
