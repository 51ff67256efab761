"""What a report says in words: one sentence of verdict, and then what was solved, how well, and where it is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bunraku.report.run import RunReport
    from bunraku.report.take import TakeReport

Said = dict[str, str]
_SHARES = ((1e-5, "to numerical precision"), (1e-3, "very closely"), (1e-2, "closely"), (3e-2, "roughly"))
_NAMED = 4
_LETTERS = 60


def number(value: float) -> str:
    """Three digits, without an exponent where people can do without."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "unknown"
    if 1e-4 <= abs(value) < 1e6:
        digits = max(0, 2 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.2e}"


def percent(share: float) -> str:
    """A share of 1 in percent."""
    return f"{number(100 * share)}\u00a0%"


def short(name: str) -> str:
    """A name in a sentence: of a very long one its beginning."""
    return name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…"


def listed(names: Sequence[str]) -> str:
    """Some names, and how many more."""
    shown = ", ".join(map(short, names[:_NAMED]))
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def said_of_take(report: TakeReport) -> Said:
    """`verdict`, `what`, `how_well`, `where`."""
    metrics = report.metrics
    mean, relative = metrics.get("mean_vertex_error"), metrics.get("relative_error")
    largest = metrics.get("max_vertex_error")
    frames, controls = report.curves.frames, len(report.curves.names)
    seconds = frames / float(report.curves.fps)
    size = f"{frames:,} frames, {number(seconds)} s, {metrics.get('vertices', 0):,} points"
    what = f"Solved: the motion of {short(report.capture)} ({size}) as curves of {controls} controls "
    what += f"of the rig {short(report.rig)}."
    if mean is None or relative is None:
        return {"verdict": "This take does not say how well it follows its capture.", "what": what}
    how = next((words for share, words in _SHARES if relative <= share), "poorly")
    verdict = (
        f"The rig follows the capture {how}: points are {number(mean)} {report.unit} apart on average, "
        f"{percent(relative)} of the rig's size."
    )
    worst = int(report.frame_error.argmax())
    where = f"Worst in frame {worst + report.curves.start_frame:,} (mean {number(float(report.frame_error[worst]))})."
    if largest is not None:
        where = f"The largest single distance is {number(largest)} {report.unit}. " + where
    return {
        "verdict": verdict,
        "what": what,
        "where": where + _noise(metrics, mean, report.unit) + _trouble(metrics, controls),
    }


def _noise(metrics: Mapping[str, Any], mean: float, unit: str) -> str:
    """How much of the distance noise alone would make: its mean length in three dimensions is 1.596 deviations."""
    sigma = metrics.get("noise")
    if not isinstance(sigma, float) or 1.596 * sigma < 0.5 * mean or mean == 0:
        return ""
    expected = number(1.596 * sigma)
    return f" The capture flickers by itself: noise like that alone would put points {expected} {unit} off."


def _trouble(metrics: Mapping[str, Any], controls: int) -> str:
    dead, traded = (list(metrics.get(kind) or []) for kind in ("unobservable", "interchangeable"))
    said = ""
    if dead:
        said += f" {len(dead)} of {controls} controls could not be seen in this capture: {listed(dead)}."
    if traded:
        said += f" {len(traded)} can stand in for each other, their curves being one choice of many: {listed(traded)}."
    missing = metrics.get("missing_vertices")
    if missing:
        said += f" {missing:,} captured points were missing."
    return said


def said_of_run(report: RunReport) -> Said:
    """The same of a training."""
    result = report.result
    samples, seconds = result.get("samples", 0), result.get("train_wall_seconds", 0.0)
    follows = f"to follow {short(report.clip)}" if report.clip else "to hold its reference pose"
    what = (
        f"{short(report.character)} learnt {follows} from {count(samples)} samples in {duration(seconds)} "
        f"({result.get('steps_per_second', 0.0):,.0f} steps/s)."
    )
    reached = result.get("normalized_return")
    if reached is None:
        return {"verdict": "This run has not been evaluated.", "what": what}
    others = [row for row in result.get("controllers", []) if not str(row["controller"]).startswith("policy")]
    verdict = f"The policy reaches {reached:.3f} of the return (1 is perfect)"
    if others:
        verdict += "; without learning: " + ", ".join(
            f"{row['controller']} {row['normalized_return']:.3f}" for row in others[:3]
        )
    if report.paper is not None:
        verdict += f"; the paper has {report.paper[1]:.3f} with {report.paper[0]:g} M samples"
    whole = result.get("full_episodes")
    where = "" if whole is None else f"{percent(whole)} of the episodes last to their end"
    if whole is not None and whole < 1 and result.get("mean_episode_s") is not None:
        where += f"; they last {number(result['mean_episode_s'])} s on average"
    return {"verdict": verdict + ".", "what": what, "where": f"{where}." + _weakest(result) + _played(report)}


def _weakest(result: Mapping[str, Any]) -> str:
    terms = {name: value for name, value in (result.get("reward_terms") or {}).items() if isinstance(value, float)}
    if not terms:
        return ""
    name = min(terms, key=lambda key: terms[key])
    return f" The weakest part of the reward is {name.replace('_', ' ')} ({terms[name]:.2f} of 1)."


def _played(report: RunReport) -> str:
    if report.playback is None:
        return ""
    return " In the motion shown below it falls." if report.playback.fell else ""


def count(number_of: float) -> str:
    """Large counts in words."""
    for size, word in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number_of >= size:
            return f"{number_of / size:.3g} {word}"
    return f"{number_of:.0f}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 99.5:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
