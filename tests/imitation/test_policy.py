import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.actor import Actor, critic
from bunraku.imitation.mirror import Mirror, Reflection
from bunraku.imitation.policy import Normaliser, PolicyConfig, normalised, policy_of
from bunraku.imitation.slot import Slot

LAYOUT = (Slot("angle", 2, "rad"), Slot("rate", 1, "rad/s"))


MIRROR = Mirror(
    Reflection(np.array([1, 0, 2]), np.array([1.0, 1.0, -1.0])), Reflection(np.array([1, 0]), np.array([-1.0, -1.0]))
)


def actor(activation="elu", hidden=(8, 5), mirror=None):
    made = Actor(3, 2, PolicyConfig(hidden, (8,), activation), np.random.default_rng(4), mirror)
    made.learn_to_look(np.random.default_rng(5).normal(3, 2, (40, 3)).astype(np.float32))
    return made


def test_statistics_gathered_in_pieces_are_those_of_the_whole():
    x = np.random.default_rng(0).normal([1, -200, 5], [1, 3, 0.01], (50, 3))
    pieces = Normaliser.nothing(3).seen(x[:7]).seen(x[7:30].reshape(23, 1, 3)).seen(x[30:])
    assert pieces.count == 50
    np.testing.assert_allclose(pieces.mean, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(pieces.deviation, x.std(axis=0), rtol=1e-10)


def test_before_anything_is_seen_observations_pass_unchanged():
    nothing = Normaliser.nothing(2)
    np.testing.assert_array_equal(normalised(np.array([3.0, -4.0]), nothing.mean, nothing.deviation), [3, -4])


def test_what_never_changes_is_not_blown_up_and_outliers_are_cut_off():
    seen = Normaliser.nothing(2).seen(np.array([[7.0, 1.0], [7.0, -1.0]]))
    np.testing.assert_allclose(normalised(np.array([7.0, 500.0]), seen.mean, seen.deviation), [0, 10])


@pytest.mark.parametrize("activation", ["relu", "elu", "silu", "tanh"])
def test_the_policy_of_numbers_acts_as_the_network_does(activation):
    made = actor(activation)
    seen = np.random.default_rng(6).normal(3, 4, (20, 3)).astype(np.float32)
    policy = made.policy(LAYOUT)
    wanted = made.mean(made.look(seen))
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(policy.act(seen), wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(policy.act(seen[3]), wanted[3], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("hidden", [(), (8,), (8, 5, 4)])
def test_with_a_mirror_the_network_and_its_numbers_treat_mirror_images_alike(hidden):
    made = actor("tanh", hidden, MIRROR)
    made.parameters += 0.3 * np.random.default_rng(1).standard_normal(made.parameters.shape, dtype=np.float32)
    policy, seen = made.policy(LAYOUT), np.random.default_rng(6).normal(1, 4, (20, 3)).astype(np.float32)
    wanted = made.mean(made.look(seen))
    np.testing.assert_allclose(policy.act(seen), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(policy.act(MIRROR.observation.of(seen)), MIRROR.action.of(wanted), rtol=1e-4, atol=1e-5)
    assert np.abs(wanted - wanted[:, ::-1]).max() > 0.1
    assert np.abs(wanted[0] - wanted[1]).max() > 0.1


def test_with_a_mirror_the_normaliser_sees_both_sides():
    normaliser = actor(mirror=MIRROR).normaliser
    assert normaliser.count == 80
    np.testing.assert_allclose(normaliser.mean[0], normaliser.mean[1], rtol=1e-12)
    np.testing.assert_allclose(normaliser.mean[2], 0.0, atol=1e-12)


def test_with_a_mirror_returns_are_estimated_alike():
    estimate = critic(3, PolicyConfig((8,), (8,)), np.random.default_rng(3), MIRROR)
    seen = np.random.default_rng(4).normal(size=(5, 3)).astype(np.float32)
    one, other = (estimate(side) for side in (seen, MIRROR.observation.of(seen)))
    np.testing.assert_allclose(one, other, rtol=1e-5)
    assert np.ptp(one) > 0.01


def test_a_frozen_policy_does_not_follow_the_training():
    made = actor()
    policy, seen = made.policy(LAYOUT), np.ones(3, np.float32)
    before = policy.act(seen)
    made.parameters += 1
    np.testing.assert_array_equal(policy.act(seen), before)


def test_a_policy_survives_storage():
    policy = actor().policy(LAYOUT)
    again = policy_of(policy.arrays("best."), "best.", policy.description(), "run")
    seen = np.random.default_rng(7).normal(size=(4, 3))
    np.testing.assert_array_equal(again.act(seen), policy.act(seen))
    assert again.layout == LAYOUT


def test_an_incomplete_policy_is_refused_by_name():
    policy = actor().policy(LAYOUT)
    arrays = policy.arrays("best.")
    del arrays["best.bias1"]
    with pytest.raises(BunrakuError, match=r"^run: .*lacks best\.bias1"):
        policy_of(arrays, "best.", policy.description(), "run")


def test_a_policy_whose_sizes_do_not_fit_its_layout_is_refused():
    policy = actor().policy((*LAYOUT, Slot("more", 1, "m")))
    with pytest.raises(BunrakuError, match="do not fit"):
        policy_of(policy.arrays(""), "", policy.description(), "run")


def test_jitter_has_the_deviation_asked_for_and_follows_its_generator():
    made = Actor(3, 2, PolicyConfig((8,), (8,), deviation=0.5), np.random.default_rng(1))
    seen = np.zeros((4000, 3), np.float32)
    first, again, other = (made.jittered(seen, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    np.testing.assert_allclose(first.std(axis=0), 0.5, rtol=0.05)
    np.testing.assert_allclose(first.mean(axis=0), made.policy(LAYOUT).act(seen[0]), atol=0.03)
