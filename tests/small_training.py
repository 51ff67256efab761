"""A training of two sessions, for tests of what is around it."""

import functools

from bunraku import mimic
from bunraku.imitation import push
from bunraku.imitation.environment import EnvironmentConfig
from bunraku.imitation.evaluate import EvaluateConfig
from bunraku.imitation.learner import AWRConfig, TrainConfig
from bunraku.imitation.policy import PolicyConfig
from bunraku.imitation.push import PushConfig

POLICY = PolicyConfig((8,), (8,), "relu", deviation=1.0)
SMALL = TrainConfig("awr", 192, count=8, steps=0, policy=POLICY, awr=AWRConfig(epochs=2))
TASK = EnvironmentConfig(episode_s=0.5)


def briefly(patch):
    """Evaluations of half a second and few pushes, by a monkeypatch."""
    patch.setattr(EvaluateConfig, "episode_s", 0.5)
    brief = functools.partial(PushConfig, phases=1, settle_s=0.2, recover_s=0.5, resolution_n=250.0)
    patch.setattr(push, "PushConfig", brief)


def small(character, out, **more):
    """Train it."""
    return mimic.train(character, out, **{"cfg": SMALL, "environment": TASK, **more})
