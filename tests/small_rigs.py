"""Small rigs to solve on: a limbed character, one with every kind of node, and a linear one with known answers."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bunraku.core.animation import Animation, Channel
from bunraku.core.controls import ControlSpec, control_spec
from bunraku.core.rotations import quat_from_rotvec, quat_multiply
from bunraku.core.skeleton import skeleton
from bunraku.core.skinning import SkinnedCharacter
from bunraku.core.transforms import invert_affine, rest_transforms
from bunraku.rigs.skinned import SkinnedRig
from bunraku.rigs.skinned_controls import discover

LIMBS = ("root", "spine", "head", "arm", "hand", "leg")
PARENTS = (-1, 0, 1, 1, 3, 0)
OFFSETS = np.array([[0, 1.0, 0], [0, 0.5, 0], [0, 0.45, 0.05], [0.3, 0.35, 0], [0.4, 0, 0.05], [0.15, -0.1, 0]])


def limbed(seed=0, morphs=2, per_joint=14, dead=False):
    """Six joints that each carry a cloud of vertices, blended at its rim into the parent; morphs of the whole mesh."""
    rng = np.random.default_rng(seed)
    names, parents, offsets = list(LIMBS), list(PARENTS), OFFSETS
    if dead:
        names, parents, offsets = [*names, "dead"], [*parents, 4], np.concatenate([offsets, [[0.1, 0, 0]]])
    joints = len(names)
    bones = skeleton(names, parents, offsets, quat_from_rotvec(0.4 * rng.normal(size=(joints, 3))))
    rest = rest_transforms(bones)
    cloud = [rest[j, :, 3] + 0.12 * rng.normal(size=(per_joint, 3)) for j in range(6)]
    influences = np.array([[j, max(parents[j], 0)] for j in range(6) for _ in range(per_joint)])
    share = np.tile(np.where(np.arange(per_joint) < per_joint // 3, 0.65, 1.0), 6)
    inverse = np.tile(np.eye(4), (joints, 1, 1))
    inverse[:, :3] = invert_affine(rest)
    count = 6 * per_joint
    return SkinnedCharacter(
        bones,
        np.concatenate(cloud),
        np.arange(count - count % 3).reshape(-1, 3),
        np.arange(joints),
        inverse,
        influences,
        np.stack([share, 1 - share], axis=1),
        tuple(f"body.m{i}" for i in range(morphs)),
        0.08 * rng.normal(size=(morphs, count, 3)),
        np.zeros(morphs),
    )


def rig_of(character, animations=(), name="limbed"):
    slots, spec = discover(character, animations, np.unique(character.binding_joints), name)
    return SkinnedRig(character, spec, slots, tuple(animations))


def limbed_rig(seed=0, **more):
    return rig_of(limbed(seed, **more))


def odd_rig(seed=0):
    """Every node translates, turns and scales; non-uniform, mirrored and sheared stretches; two morphs; two binds."""
    rng = np.random.default_rng(seed)
    joints, count = 5, 24
    stretch = np.stack([np.diag(rng.uniform(0.6, 1.6, 3)) for _ in range(joints)])
    stretch[1] += 0.2 * rng.normal(size=(3, 3))
    stretch[2] = -stretch[2]
    quat = quat_from_rotvec(rng.normal(size=(joints, 3)))
    bones = skeleton([f"j{i}" for i in range(joints)], [3, 0, 1, -1, 0], rng.normal(size=(joints, 3)), quat, stretch)
    binds = np.tile(np.eye(4), (joints + 1, 1, 1))
    binds[:, :3] += 0.3 * rng.normal(size=(joints + 1, 3, 4))
    weights = rng.random((count, 4)) + 0.05
    character = SkinnedCharacter(
        bones,
        rng.normal(size=(count, 3)),
        np.zeros((0, 3), np.int64),
        np.array([0, 1, 2, 3, 4, 2]),
        binds,
        rng.integers(0, joints + 1, size=(count, 4)),
        weights / weights.sum(axis=1, keepdims=True),
        ("blob.a", "blob.b"),
        rng.normal(size=(2, count, 3)) * (rng.random((2, count, 1)) < 0.6),
        np.array([0.25, 0.0]),
    )
    times = np.array([0.0, 1.0])
    channels = []
    for j in range(joints):
        turned = quat_multiply(quat[j], quat_from_rotvec(np.array([0.1, 0, 0])))
        channels += [
            Channel(j, "translation", "LINEAR", times, bones.rest_translation[j] + [[[0.0, 0, 0]], [[0.2, 0, 0]]]),
            Channel(j, "rotation", "LINEAR", times, np.stack([quat[j], turned])[:, None]),
            Channel(j, "scale", "LINEAR", times, np.diagonal(stretch[j]) * np.array([[[1.0, 1, 1]], [[1.1, 1, 1]]])),
        ]
    return rig_of(character, [Animation("all", tuple(channels))], "odd")


@dataclass(frozen=True)
class Linear:
    """mesh(c) = neutral + Σ (c − c₀)·W_c: what least squares has an answer for."""

    spec: ControlSpec
    neutral: np.ndarray
    shapes: np.ndarray  # controls × vertices × 3

    faces = np.zeros((0, 3), np.int32)
    basis = None
    axes = 1

    @property
    def origin(self):
        return np.zeros_like(self.neutral)

    def evaluate(self, controls):
        return self.neutral + np.einsum("nc,cvx->nvx", controls - self.spec.neutral, self.shapes)

    def jvp(self, controls, tangents):
        return np.einsum("nc,cvx->nvx", tangents, self.shapes)

    def vjp(self, controls, cotangents):
        return np.einsum("nvx,cvx->nc", cotangents, self.shapes)

    def reduce(self):
        return LinearCoordinates(self)


@dataclass(frozen=True)
class LinearCoordinates:
    rig: Linear
    concurrent = True
    axes = 1
    basis = None

    @property
    def origin(self):
        return np.zeros_like(self.rig.neutral)

    def evaluate(self, controls):
        return self.rig.evaluate(controls).reshape(len(controls), -1)

    def linearize(self, controls):
        rows = self.rig.shapes.reshape(len(self.rig.shapes), -1)
        return self.evaluate(controls), np.tile(rows, (len(controls), 1, 1))


def linear_rig(seed=0, controls=5, vertices=12, lower=-1.0, upper=1.0, mixed=0.0):
    """`mixed` correlates the shapes, which makes bounds interact."""
    rng = np.random.default_rng(seed)
    neutral = rng.normal(size=(vertices, 3))
    shapes = rng.normal(size=(controls, vertices, 3)) + mixed * rng.normal(size=(vertices, 3))
    return Linear(control_spec([f"c{i}" for i in range(controls)], lower, upper), neutral, shapes)


@dataclass
class BlackBox:
    """A rig without derivatives that counts the poses it was asked for."""

    rig: object
    asked: int = 0

    @property
    def spec(self):
        return self.rig.spec

    @property
    def faces(self):
        return self.rig.faces

    @cached_property
    def neutral(self):
        return self.rig.neutral

    def evaluate(self, controls):
        self.asked += len(controls)
        return self.rig.evaluate(controls)


def differences(function, at, step=1e-6):
    """Central differences of a vector function of one vector: one row per input."""
    rows = []
    for i in range(len(at)):
        low, high = at.copy(), at.copy()
        low[i] -= step
        high[i] += step
        rows.append((function(high) - function(low)) / (2 * step))
    return np.array(rows)
