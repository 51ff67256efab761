"""What is wrong with a clip, in plain words and numbers."""

from __future__ import annotations

import numpy as np

from bunraku.core.clip import Clip
from bunraku.core.physique import Physique
from bunraku.motion import axes, ground, limits, timing
from bunraku.motion.pose import fits, fitted
from bunraku.motion.problem import CheckConfig, Problem, Report


def check(clip: Clip, physique: Physique | None = None, cfg: CheckConfig | None = None) -> Report:
    """Look at a clip, and at how a character would take it.

    Ranges, hinges and depths need a character on whose joints, by name, the clip is; without one, or on other joints,
    the ground is judged by the joints themselves and the rest is left out. When the quaternions, the axes or the units
    are wrong, heights mean nothing and are not judged.
    """
    cfg = cfg or CheckConfig()
    found = [*axes.quat_order(clip, cfg), *axes.quat_signs(clip, cfg), *timing.rates(clip, cfg)]
    for look in (timing.strays, timing.seam, timing.could_loop, timing.spikes, timing.frozen):
        found += look(clip, cfg)
    spoilt = bool(axes.quat_order(clip, cfg))
    if not spoilt:
        frame = axes.up_axis(clip, cfg) + axes.units(clip, physique, cfg)
        spoilt = bool(frame)
        found += frame
    if physique is not None:
        found += limits.joints_missing(clip, physique, cfg)
        if fits(clip, physique):
            on = fitted(clip, physique)
            found += limits.ranges(on, physique, cfg) + limits.hinges(on, physique, cfg)
            found += [] if spoilt else ground.grounded(on, physique, cfg)
            return _report(clip, found + ([] if spoilt else axes.facing(clip, cfg)))
    if not spoilt:
        found += axes.facing(clip, cfg) + ground.grounded(clip, None, cfg)
    return _report(clip, found)


def _report(clip: Clip, found: list[Problem]) -> Report:
    step = np.diff(clip.times_s)
    slow, fast = (1 / float(step.max()), 1 / float(step.min())) if len(step) else (0.0, 0.0)
    return Report(clip.frames, clip.duration_s, clip.loop, len(clip.skeleton), slow, fast, ()).with_problems(found)
