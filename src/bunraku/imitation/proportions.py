"""What a file does not say about a character is taken from the published humanoid: by part of the body, else by mass.

The published figures (45 kg, legs of .83 m): `humanoid.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from bunraku.motion.names import Part, part

_LIMIT: Mapping[str, float] = {
    "spine": 200,
    "pelvis": 200,
    "neck": 50,
    "head": 50,
    "hip": 200,
    "knee": 150,
    "ankle": 90,
    "toe": 30,
    "collar": 100,
    "shoulder": 100,
    "elbow": 60,
    "wrist": 20,
}
"""[N m]"""
_MASS_KG, _LEG_M = 45.0, 0.831
_WEIGHT: Mapping[str, float] = {
    "spine": 0.5,
    "pelvis": 0.5,
    "neck": 0.3,
    "head": 0.3,
    "hip": 0.5,
    "knee": 0.3,
    "ankle": 0.2,
    "toe": 0.1,
    "collar": 0.2,
    "shoulder": 0.3,
    "elbow": 0.2,
    "wrist": 0.1,
}
ROOT_WEIGHT = 1.0
_LIMBS = ("hip", "knee", "ankle", "toe", "collar", "shoulder", "elbow", "wrist")
_TRUNK = ("spine", "pelvis")
_LIFTS = 10.0
"""A joint that nothing is known of can hold so many times the weight of what it carries, stretched out."""
_LEAST_SHARE = 0.02
"""And at least this share of the torque of the whole body's weight at its height."""


@dataclass(frozen=True, eq=False)
class Proportions:
    """What a compiled model says about its bodies."""

    model: mujoco.MjModel
    parts: Mapping[int, Part]
    """Of bodies that their names or the names of their joints say something of."""
    mass: float
    carried: Float[np.ndarray, "bodies"]
    """Mass of each body with all that hangs on it [kg]."""
    lever: Float[np.ndarray, "bodies"]
    """From its origin to the centre of that mass, at rest [m]."""
    height: float
    """Of the body's origins, from the lowest to the highest, at rest [m]."""

    def leg(self) -> float:
        """Length of a leg: from hip to ankle where they are known, else half the height [m]."""
        at = {(each.kind, each.side): body for body, each in self.parts.items()}
        for side in ("left", "right"):
            if ("hip", side) in at and ("ankle", side) in at:
                pos = _rest(self.model).xpos
                return float(np.linalg.norm(pos[at["hip", side]] - pos[at["ankle", side]]))
        return self.height / 2

    def limit(self, body: int) -> float:
        """Torque that a body's joint is given where nothing says it [N m]."""
        known = self.parts.get(body)
        if known and known.kind in _LIMIT:
            return _LIMIT[known.kind] * self.mass / _MASS_KG * self.leg() / _LEG_M
        weight = 9.81 * self.carried[body] * self.lever[body]
        return float(max(_LIFTS * weight, _LEAST_SHARE * 9.81 * self.mass * self.height))

    def weight(self, body: int) -> float:
        """Share of a body's joint in the reward, before scaling; that of the trunk is divided among its bodies."""
        known = self.parts.get(body)
        if known and known.kind in _TRUNK:
            trunk = [b for b, each in self.parts.items() if each.kind in _TRUNK and self._turns(b)]
            return _WEIGHT[known.kind] / max(1, len(trunk))
        if known:
            return _WEIGHT[known.kind]
        # Through the published weights: a leg of .19 of the mass .5, a shank of .09 .3, a forearm of .03 .2.
        return float(np.clip(1.1 * np.sqrt(self.carried[body] / self.mass), 0.1, 0.5))

    def _turns(self, body: int) -> bool:
        return body > 1 and int(self.model.body_jntnum[body]) > 0

    def effectors(self) -> dict[str, np.ndarray]:
        """Places by body: origins of hands and feet; of legs and arms without, and if none is known, the last bodies.

        A last body that is no hand nor foot shows where the shape farthest from its joint is.
        """
        out = dict[str, np.ndarray]()
        ends = {b for b, each in self.parts.items() if each.kind in ("ankle", "wrist")}
        leaves = set(range(1, self.model.nbody)) - {int(p) for p in self.model.body_parentid[1:]}
        for leaf in sorted(leaves):
            chain = self._up(leaf)
            found = [b for b in chain if b in ends]
            limb = any(b in self.parts and self.parts[b].kind in _LIMBS for b in chain)
            if found:
                out[self.model.body(found[0]).name] = np.zeros(3)
            elif limb or not ends:
                out[self.model.body(leaf).name] = tip(self.model, leaf)
        return out

    def _up(self, body: int) -> list[int]:
        way = [body]
        while way[-1] > 1 and self.model.body_parentid[way[-1]] > 0:
            way.append(int(self.model.body_parentid[way[-1]]))
        return way


def tip(model: mujoco.MjModel, body: int) -> np.ndarray:
    """Centre of the shape farthest from a body's origin, in the body's frame: the hand of an arm without one."""
    first, count = int(model.body_geomadr[body]), int(model.body_geomnum[body])
    places = [np.array(model.geom_pos[first + i]) for i in range(count)]
    return max(places, key=lambda place: float(np.linalg.norm(place)), default=np.zeros(3))


def proportions(model: mujoco.MjModel, said: Mapping[str, Part]) -> Proportions:
    """Read a compiled model; `said` are parts by body that go before what names say."""
    data = _rest(model)
    carried = np.array(model.body_subtreemass)
    names = [model.body(b).name for b in range(model.nbody)]
    parts = dict[int, Part]()
    arms = {each.side for name in names if (each := part(name)) and each.kind == "shoulder"}
    for b in range(1, model.nbody):
        known = said.get(names[b]) or part(names[b], bool(arms)) or _by_joints(model, b)
        if known:
            parts[b] = known
    lever = np.linalg.norm(data.subtree_com - data.xpos, axis=1)
    heights = data.xpos[1:, 2]
    return Proportions(model, parts, float(carried[1]), carried, lever, float(heights.max() - heights.min()))


def _by_joints(model: mujoco.MjModel, body: int) -> Part | None:
    first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    known: Iterable[Part | None] = (part(_bare(model.joint(first + i).name)) for i in range(count))
    return next((each for each in known if each), None)


def _bare(name: str) -> str:
    """A hinge's name without its axis: hip_y_right, left_shoulder_pitch, right_shoulder2."""
    words: Sequence[str] = name.rstrip("0123456789").split("_")
    return "_".join(word.rstrip("0123456789") for word in words if word.lower() not in _AXES)


_AXES = ("x", "y", "z", "pitch", "roll", "yaw", "joint", "link")


def _rest(model: mujoco.MjModel) -> mujoco.MjData:
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    return data
