"""A clip brought to a character, whatever skeleton, axes and units it comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bunraku.core.clip import Clip
from bunraku.core.physique import Physique
from bunraku.motion.check import check
from bunraku.motion.mend import MendConfig, mend
from bunraku.motion.names import guess_map
from bunraku.motion.pose import fits, fitted
from bunraku.motion.problem import CheckConfig, Problem, Report
from bunraku.motion.retarget import RetargetConfig, Retargeted, fewest, retarget

_ON_GROUND = frozenset({"below_ground", "floating", "sliding", "tilted_floor"})


@dataclass(frozen=True, eq=False)
class Carried:
    """A clip on a character's skeleton."""

    clip: Clip
    notes: tuple[str, ...]
    """One sentence for each thing that was done."""
    retargeted: Retargeted | None
    """How it was carried over; None when it was on the character's joints already."""


def carry(
    clip: Clip,
    physique: Physique,
    names_map: Mapping[str, str] | None = None,
    *,
    mended: bool = True,
    cfg: MendConfig | None = None,
    retarget_cfg: RetargetConfig | None = None,
) -> Carried:
    """A clip on a character's skeleton: axes and units first, which carrying over relies on, then its motion mended.

    Without `mended` a clip on other joints still has its axes and units put right, and nothing else is done.

    Raises:
        BunrakuError: the map names a joint that is not there.
    """
    cfg = cfg or MendConfig()
    if names_map is None and fits(clip, physique):
        done = mend(clip, physique, cfg) if mended else None
        return Carried(done.clip if done else fitted(clip, physique), done.notes if done else (), None)
    first = mend(clip, physique, cfg, motion=mended)
    over = retarget(first.clip, physique, names_map, retarget_cfg)
    left = f"; nothing drives {', '.join(over.at_rest)}" if over.at_rest else ""
    note = (
        f"carried over by {len(over.names_map)} joints, path scaled by {over.scale:.3f}, "
        f"limbs point {over.limb_error_deg:.2f}° off on average{left}"
    )
    second = mend(over.clip, physique, cfg) if mended else None
    notes = (*first.notes, note, *(second.notes if second else ()))
    return Carried(second.clip if second else over.clip, notes, over)


def check_for(
    clip: Clip, physique: Physique, names_map: Mapping[str, str] | None = None, cfg: CheckConfig | None = None
) -> tuple[Report, Carried | None]:
    """The report on a clip for a character on whatever joints, and how it was carried over where it had to be.

    What depends on the character (ranges, hinges, the ground) is then judged after carrying over, the rest before.

    Raises:
        BunrakuError: the map names a joint that is not there.
    """
    if names_map is None and fits(clip, physique):
        return check(clip, physique, cfg), None
    if names_map is None and len(guess_map(clip.skeleton, physique)) < fewest(physique):
        return check(clip, physique, cfg), None
    carried = carry(clip, physique, names_map, mended=False, cfg=MendConfig(check=cfg or CheckConfig()))
    own = check(clip, physique, cfg)
    after = check(carried.clip, physique, cfg)
    theirs = _ON_GROUND | {"limit", "hinge_axis"}
    problems = [each for each in own.problems if each.kind not in _ON_GROUND]
    problems += [each for each in after.problems if each.kind in theirs]
    return own.with_problems(problems), carried


def warnings(report: Report) -> tuple[Problem, ...]:
    """What somebody who trains on the clip should be told: all problems but notes."""
    return tuple(each for each in report.problems if each.severity != "note")
