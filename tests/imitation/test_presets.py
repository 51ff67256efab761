import pytest

from bunraku.imitation.presets import bopbag_awr_published, preset

CONTROL_HZ = 24


@pytest.mark.parametrize("algorithm", ["ppo", "awr"])
def test_the_bop_bag_is_trained_on_the_published_budget_to_the_sample(algorithm):
    made = preset("bopbag", algorithm)
    steps = made.train.steps or round(made.episode_s * CONTROL_HZ)
    assert made.train.samples == 6144
    assert 6144 % (made.train.count * steps) == 0


def test_advantage_weighted_regression_has_the_published_shape():
    made = bopbag_awr_published().train
    assert (made.policy.hidden, made.policy.critic_hidden, made.policy.activation) == ((512,), (512,), "relu")
    assert (made.awr.epochs, made.awr.validation, made.awr.patience) == (40, 0.3, 8)
    assert made.samples // (made.count * CONTROL_HZ) == 8


@pytest.mark.parametrize("algorithm", ["ppo", "awr"])
@pytest.mark.parametrize("character", ["bopbag6", "bopbag2", "bopbag3", "mine.xml"])
def test_every_character_has_settings_for_every_learner(character, algorithm):
    assert preset(character, algorithm).train.algorithm == algorithm
