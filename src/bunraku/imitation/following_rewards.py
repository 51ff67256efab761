"""Rewards of a character with a free root: the one that every figure refers to, and two other readings of the paper.

Peng et al., "DeepMimic", ACM Trans. Graph. 37(4), 2018, section 5.3; the weights of the released code are from its
scenes/SceneImitate.cpp.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bunraku.imitation.following import Following
from bunraku.imitation.rewards import Reward, centre_of_mass, effectors, pose_squared, velocity

Array = Float[np.ndarray, "count"]


def following_reward(following: Following) -> Reward:
    """.65 · pose + .1 · velocity + .15 · effectors + .1 · centre of mass, weights normalised, effectors' mean."""
    own, wanted = following.landmarks, following.moment.landmarks
    terms = {
        "pose": pose_squared(following.angles, following.weights),
        "velocity": velocity(following.spins, following.weights),
        "effectors": effectors(own.effectors_h, wanted.effectors_h),
        "centre_of_mass": centre_of_mass(own.centre_w, wanted.centre_w),
    }
    return Reward(_paper(terms), terms)


def literal_following_reward(following: Following) -> Reward:
    """The same with plain sums over joints and end effectors, as the paper's formulas read."""
    own, wanted = following.landmarks, following.moment.landmarks
    ones, count = np.ones_like(following.weights), own.effectors_h.shape[1]
    terms = {
        "pose": pose_squared(following.angles, ones),
        "velocity": velocity(following.spins, ones),
        # exp(−40 Σ |Δp|²) = exp(−40 mean |Δp|²)^count
        "effectors": effectors(own.effectors_h, wanted.effectors_h) ** count,
        "centre_of_mass": centre_of_mass(own.centre_w, wanted.centre_w),
    }
    return Reward(_paper(terms), terms)


def _paper(terms: dict[str, Array]) -> Array:
    return 0.65 * terms["pose"] + 0.1 * terms["velocity"] + 0.15 * terms["effectors"] + 0.1 * terms["centre_of_mass"]


def released_following_reward(following: Following, centre_velocity_error: Float[np.ndarray, "count 3"]) -> Reward:
    """.5 · pose + .05 · velocity + .15 · effectors + .2 · root + .1 · velocity of the centre of mass.

    `centre_velocity_error` is simulated minus reference [m/s]; both are differences over a control step here.
    """
    own, wanted = following.landmarks, following.moment.landmarks
    offset = ((following.qpos[:, :3] - following.moment.qpos[:, :3]) ** 2).sum(axis=1)
    speed = ((following.qvel[:, :3] - following.moment.qvel[:, :3]) ** 2).sum(axis=1)
    first = len(following.body.hinge_q)
    turn, spin = following.angles[:, first] ** 2, following.spins[:, first] ** 2
    terms = {
        "pose": pose_squared(following.angles, following.weights),
        "velocity": velocity(following.spins, following.weights),
        "effectors": effectors(own.effectors_h, wanted.effectors_h),
        # exp(−5 (|Δp|² + .1 Δθ² + .01 |Δv|² + .001 |Δω|²))
        "root": np.exp(-5.0 * (offset + 0.1 * turn + 0.01 * speed + 0.001 * spin)),
        # exp(−10 · .1 |Δv|²)
        "centre_velocity": np.exp(-(centre_velocity_error**2).sum(axis=1)),
    }
    shares = {"pose": 0.5, "velocity": 0.05, "effectors": 0.15, "root": 0.2, "centre_velocity": 0.1}
    return Reward(sum((shares[name] * term for name, term in terms.items()), np.zeros(len(offset))), terms)
