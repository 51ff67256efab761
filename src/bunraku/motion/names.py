"""Which joint of one skeleton is which of another, guessed from their names; with an editable map.

A name is cut into words (``mixamorig:LeftUpLeg`` into left, up, leg; ``lfemur`` into left, femur; ``thigh_right`` into
right, thigh) and the words name a *part* of the body by the vocabulary below.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.core.physique import Physique
from bunraku.core.skeleton import Skeleton
from bunraku.motion.pose import rest_pose

# Within a part, the first word that a skeleton has is taken; after "|" what is taken only when no other word of the
# same skeleton and side says it (a "shoulder" is a collar bone where there is an "arm", otherwise the upper arm).
SIDED: dict[str, str] = {
    "hip": "thigh upleg upperleg femur upperlimb hip",
    "knee": "shin calf tibia leg lowerleg lowleg shank knee",
    "ankle": "foot ankle",
    "toe": "toebase toe toes ball",
    "shoulder": "upperarm uparm humerus arm shoulder",
    "elbow": "lowerarm forearm lowarm radius elbow",
    "wrist": "hand wrist",
}
COLLARS = frozenset({"clavicle", "collar", "collarbone"})
MIDDLE: dict[str, str] = {
    "pelvis": "pelvis hips hip root",
    "spine": "spine lowerback upperback thorax chest upperchest torso abdomen waist lowerwaist upperwaist belly lwaist "
    "uwaist waistlower waistupper back",
    "neck": "neck lowerneck upperneck",
    "head": "head skull",
}
_SIDES = {"l": "left", "r": "right", "left": "left", "right": "right", "lft": "left", "rgt": "right", "rt": "right"}


@dataclass(frozen=True)
class Part:
    """What a joint's name says."""

    kind: str
    """A key of SIDED or MIDDLE, or "collar"."""
    side: str
    """left, right or empty."""
    rank: int
    """Place of the word in the vocabulary; the lowest is taken."""


def part(name: str, sided_arm: bool = True) -> Part | None:
    """What a joint is by its name alone; None where the vocabulary does not know it.

    `sided_arm` says whether the skeleton has other names for the upper arms: then a shoulder is a collar bone.
    """
    bare = re.sub(r"^(mixamorig\d*|bip\d*|character\d*|def|org)[:_ .\-]+", "", name.strip(), flags=re.IGNORECASE)
    bare = bare.rsplit(":", 1)[-1]
    whole = re.sub(r"[^a-z]", "", bare.lower())
    middle = _middle(whole)
    if middle:
        return middle
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", bare)
    words = [word.lower() for word in words]
    side = next((_SIDES[word] for word in words if word in _SIDES), "")
    rest = "".join(word for word in words if word not in _SIDES)
    if not side:
        side, rest = _glued(whole)
    if not side:
        return None
    return _sided(rest, side, sided_arm)


def _middle(word: str) -> Part | None:
    for kind, vocabulary in MIDDLE.items():
        if word in vocabulary.split():
            return Part(kind, "", vocabulary.split().index(word))
    return None


def _glued(whole: str) -> tuple[str, str]:
    """A side that is stuck to the word, as in lfemur or leftfoot."""
    known = {word for vocabulary in SIDED.values() for word in vocabulary.split()} | COLLARS
    for prefix in ("left", "right", "l", "r"):
        if whole.startswith(prefix) and whole[len(prefix) :] in known:
            return _SIDES[prefix], whole[len(prefix) :]
    return "", whole


def _sided(word: str, side: str, sided_arm: bool) -> Part | None:
    if word in COLLARS or (word == "shoulder" and sided_arm):
        return Part("collar", side, 0)
    for kind, vocabulary in SIDED.items():
        if word in vocabulary.split():
            return Part(kind, side, vocabulary.split().index(word))
    return None


def parts(skeleton: Skeleton) -> dict[str, Part]:
    """What the joints of a skeleton are, by their names; joints that are not known are left out."""
    arms = {each.side for name in skeleton.names if (each := part(name)) and each.kind == "shoulder"}
    found = {name: part(name, bool(arms)) for name in skeleton.names}
    return {name: each for name, each in found.items() if each is not None}


def sided_joint(skeleton: Skeleton, kind: str, side: str) -> str | None:
    """The joint that is a part of the body: ("knee", "left"), ("head", "")."""
    known = [(each.rank, name) for name, each in parts(skeleton).items() if (each.kind, each.side) == (kind, side)]
    return min(known)[1] if known else None


def legs(skeleton: Skeleton) -> tuple[tuple[str, str, str], ...]:
    """Names of hip, knee and ankle of each leg that is known by its names: left, then right."""
    out = list[tuple[str, str, str]]()
    for side in ("left", "right"):
        leg = [sided_joint(skeleton, kind, side) for kind in ("hip", "knee", "ankle")]
        if None not in leg:
            out.append((str(leg[0]), str(leg[1]), str(leg[2])))
    return tuple(out)


def guess_map(skeleton: Skeleton, physique: Physique) -> dict[str, str]:
    """For each joint that a character can turn, the joint of a skeleton that drives it; without those not found.

    What the character's file says goes first, then equal names, letter case aside; then equal parts of the body.
    Spines, necks and heads are matched from the top down: the last joint of a chain drives, and so brings with it what
    the ones below it did.
    """
    target = physique.skeleton
    turning = [name for name in target.names if name not in physique.fixed and physique.names.get(name) != ""]
    lower = {name.lower(): name for name in skeleton.names}
    found = {name: lower[name.lower()] for name in turning if name.lower() in lower}
    found |= _said(skeleton, physique)
    if len(found) == len(turning):
        return found
    mine, theirs = parts(target), parts(skeleton)
    for name in turning:
        if name in mine and name not in found and mine[name].kind in SIDED:
            driver = sided_joint(skeleton, mine[name].kind, mine[name].side)
            if driver:
                found[name] = driver
    _match_pelvis(target, mine, theirs, found)
    _match_chain(target, skeleton, "spine", [n for n in turning if n in mine], mine, theirs, found)
    _match_head(turning, mine, theirs, skeleton, found)
    root = target.names[target.order[0]]
    found.setdefault(root, skeleton.names[skeleton.order[0]])
    return {name: found[name] for name in turning if name in found}


def part_named(name: str) -> Part | None:
    """The part of the body that is meant by "left_knee", "spine" and the like."""
    side, _, kind = name.rpartition("_")
    if name in MIDDLE:
        return Part(name, "", 0)
    return Part(kind, side, 0) if kind in (*SIDED, "collar") and side in ("left", "right") else None


def _said(skeleton: Skeleton, physique: Physique) -> dict[str, str]:
    """The joints that drive those which the character's file says something of; a part that is not there is left out.

    Raises:
        BunrakuError: it says something that is neither a part of the body nor a joint of the skeleton.
    """
    out = dict[str, str]()
    for name, said in physique.names.items():
        meant = part_named(said)
        driver = said if said in skeleton.names else sided_joint(skeleton, meant.kind, meant.side) if meant else None
        if said and driver is None and meant is None:
            owner = (
                f"for {name!r} of the character; expected a part of the body (left_knee, spine, …) or one of the clip's"
            )
            raise unknown_name("joint", said, skeleton.names, owner)
        if driver:
            out[name] = driver
    return out


def _match_pelvis(
    target: Skeleton, mine: Mapping[str, Part], theirs: Mapping[str, Part], found: dict[str, str]
) -> None:
    drivers = [name for name, each in theirs.items() if each.kind == "pelvis"]
    for name in target.names:
        if name in mine and mine[name].kind == "pelvis" and name not in found and drivers:
            found[name] = min(drivers, key=lambda driver: theirs[driver].rank)


def _from_the_top(skeleton: Skeleton, names: Iterable[str]) -> list[str]:
    """By height at rest, the highest first; of equal ones the deeper first."""
    pos, _ = rest_pose(skeleton)
    up = pos[:, 2] if pos[:, 2].std() >= pos[:, 1].std() else pos[:, 1]
    place = {name: skeleton.names.index(name) for name in names}
    depth = {int(joint): level for level, joint in enumerate(skeleton.order)}
    return sorted(names, key=lambda name: (-round(float(up[place[name]]), 6), -depth[place[name]]))


def _match_chain(
    target: Skeleton,
    source: Skeleton,
    kind: str,
    turning: Iterable[str],
    mine: Mapping[str, Part],
    theirs: Mapping[str, Part],
    found: dict[str, str],
) -> None:
    wanted = _from_the_top(target, [n for n in turning if mine[n].kind == kind and n not in found])
    chain = _from_the_top(source, [n for n, each in theirs.items() if each.kind == kind])
    if not wanted or not chain:
        return
    # The top ones correspond; between them the longer chain is thinned evenly.
    for i, name in enumerate(wanted[: len(chain)]):
        found[name] = chain[round(i * len(chain) / max(len(wanted), 1)) if len(chain) > len(wanted) else i]


def _match_head(
    turning: Iterable[str],
    mine: Mapping[str, Part],
    theirs: Mapping[str, Part],
    skeleton: Skeleton,
    found: dict[str, str],
) -> None:
    heads = _from_the_top(skeleton, [n for n, each in theirs.items() if each.kind == "head"])
    necks = _from_the_top(skeleton, [n for n, each in theirs.items() if each.kind == "neck"])
    wanted = [n for n in turning if n in mine and mine[n].kind in ("neck", "head") and n not in found]
    both = {mine[n].kind for n in wanted} == {"neck", "head"}
    for name in wanted:
        first, second = (necks, heads) if both and mine[name].kind == "neck" else (heads, necks)
        driver = (first or second)[:1]
        if driver:
            found[name] = driver[0]


def checked_map(
    names_map: Mapping[str, str], skeleton: Skeleton, physique: Physique, name: str = "map"
) -> dict[str, str]:
    """A map {target joint: source joint} whose names all exist; an empty source leaves the target at rest.

    Raises:
        BunrakuError: an unknown joint on either side, a target that cannot turn.
    """
    for target, source in names_map.items():
        pair = f"{name}: {target!r}: {source!r}"
        if target not in physique.skeleton.names:
            raise unknown_name("joint", target, physique.skeleton.names, f"in {pair}; the character has")
        if source and source not in skeleton.names:
            raise unknown_name("joint", source, skeleton.names, f"in {pair}; the clip has")
        if source and target in physique.fixed:
            raise BunrakuError(f"{pair}: the character cannot turn {target!r}")
    return {target: source for target, source in names_map.items() if source}
