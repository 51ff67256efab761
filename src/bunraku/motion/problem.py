"""What counts as a problem of a clip, and how one is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

Severity = Literal["high", "medium", "low", "note"]
SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low", "note")


@dataclass(frozen=True)
class CheckConfig:
    """From where on something is a problem."""

    seam_rad: float = 0.1
    """Jump of a joint from the last frame to the first of a clip that loops [rad]."""
    seam_m: float = 0.02
    """Jump of the root's height there [m]."""
    seam_m_s: float = 0.5
    """Jump of the root's velocity there, if also three times what the clip does elsewhere [m/s]."""
    could_loop_rad: float = 0.15
    """A clip that does not loop, but whose ends differ by less than this, could [rad]."""
    lowest_fps: float = 15.0
    """Frames per second below which interpolation cuts corners."""
    uneven: float = 0.02
    """Spread of the frames' durations, as a share of their median."""
    limit_rad: float = 0.02
    """Angle beyond a joint's range [rad]."""
    off_axis_rad: float = 0.05
    """Turn of a hinge about other axes than its own [rad]."""
    sink_m: float = 0.01
    """Depth below the ground [m]."""
    float_m: float = 0.02
    """Height above the ground of the lowest point of a character that is not in flight [m]."""
    contact_m: float = 0.02
    """A foot whose lowest point is below this stands [m]."""
    slide_m_s: float = 0.15
    """Mean speed over the ground of the stillest point of feet that stand [m/s]."""
    spike_rad: float = 0.15
    """Distance of one frame's joint rotation from a cubic through the two frames on each side [rad]."""
    spike_m: float = 0.04
    """The same for the root's position [m]."""
    spike_factor: float = 8.0
    """A spike also stands out from its neighbourhood by this factor."""
    frozen_frames: int = 3
    """So many equal frames in the midst of motion."""
    facing_rad: float = 0.5
    """Angle between where the body first faces and the +X axis [rad]."""
    leg_m: float = 0.85
    """Leg length, hip to ankle, that lengths are judged by without a character [m]."""
    leg_ratio: float = 2.2
    """A leg so many times longer or shorter is in other units."""
    shortest_s: float = 0.2
    """Length of a clip [s]."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a clip."""

    kind: str
    where: str
    """Joint and frames."""
    amount: float
    unit: str
    says: str
    """What was seen, in words and numbers."""
    means: str
    """What it does to a training."""
    mends: str
    """What mending does about it; empty when it does nothing."""
    severity: Severity
    weight: float
    """How many times its limit it is: what problems are ordered and added up by."""


MEANS: Mapping[str, str] = MappingProxyType(
    {
        "quat_order": "every pose is nonsense; nothing can be learnt",
        "quat_length": "rotations are not rotations; lengths and angles are off",
        "quat_signs": "harmless here: q and -q are the same pose; tools that interpolate components break at it",
        "up_axis": "gravity pulls sideways; the character falls at once",
        "units": "the root is metres away from where the legs can be; the character falls or flies",
        "facing": "harmless by itself; matters when clips are mixed or compared",
        "missing_joint": "the joint stays at rest and the rest of the body pays for it",
        "other_skeleton": "it must be carried over before it can be imitated",
        "too_short": "hardly anything to imitate; velocities are guesses",
        "frame_rate_uneven": "a reader that assumes one rate plays parts of it too fast or too slow",
        "frame_rate_low": "between frames the motion is cut short: fast limbs are slower than they were",
        "loop_seam": "the target leaps once a cycle; return is lost there, and policies stumble",
        "loop_height": "the body is asked to leap up or down once a cycle",
        "loop_velocity": "the body is asked to change its speed at once, every cycle",
        "could_loop": "as a loop it could be trained on longer episodes",
        "limit": "the character cannot reach the pose; the joint presses against its stop",
        "hinge_axis": "the character's joint cannot follow; what hangs on it points elsewhere",
        "below_ground": "the ground pushes the character away from the pose; it starts with a kick",
        "floating": "the character cannot hang in the air; it drops and lags behind",
        "tilted_floor": "the further it goes, the higher or deeper it is above the level ground of the simulation",
        "sliding": "friction holds the foot that the clip drags; ankles and hips twist",
        "spike": "one frame asks for enormous speeds; velocity rewards drop, starts there fail",
        "stray_frame": "an episode that starts there starts with a leap to another pose",
        "jump": "two motions are glued together; no torque can follow",
        "frozen": "the motion stops dead and goes on; velocities jump twice",
    }
)
_FIRST = ("quat_order", "up_axis", "units", "missing_joint")  # what spoils all that is measured after it
_ALWAYS_HIGH = frozenset(
    {"quat_order", "up_axis", "units", "missing_joint", "too_short", "jump", "spike", "stray_frame"}
)
_NOTES = frozenset({"facing", "could_loop", "quat_signs", "other_skeleton"})


def problem(kind: str, where: str, amount: float, unit: str, says: str, mends: str = "", limit: float = 0.0) -> Problem:
    """A problem whose severity follows from its kind, or from how far the amount is beyond its limit.

    Five times the limit is high, twice medium. What has no limit weighs as ten times one, a note nothing.
    """
    weight = float(amount) / limit if limit else 10.0
    severity: Severity = "high" if weight >= 5 or kind in _ALWAYS_HIGH else "medium" if weight >= 2 else "low"
    if kind in _NOTES:
        severity, weight = "note", 0.0
    return Problem(kind, where, float(amount), unit, says, MEANS[kind], mends, severity, weight)


@dataclass(frozen=True)
class Report:
    """What is wrong with a clip, the worst first."""

    frames: int
    duration_s: float
    loop: str
    joints: int
    fps_min: float
    """Lowest rate between two frames; 0 when there is but one frame."""
    fps_max: float
    problems: tuple[Problem, ...]

    def of(self, kind: str) -> tuple[Problem, ...]:
        """The problems of a kind."""
        return tuple(each for each in self.problems if each.kind == kind)

    def with_problems(self, problems: Iterable[Problem]) -> Report:
        """The report with these problems in their place, the worst first."""

        def rank(each: Problem) -> tuple[int, int, float]:
            first = _FIRST.index(each.kind) if each.kind in _FIRST else len(_FIRST)
            return first, SEVERITIES.index(each.severity), -each.weight

        return replace(self, problems=tuple(sorted(problems, key=rank)))

    @property
    def weight(self) -> float:
        """All problems added up, each as many times its limit as it is."""
        return sum(each.weight for each in self.problems)

    def as_json(self) -> dict[str, Any]:
        """What `clip check --json` prints."""
        return asdict(self) | {"problems": [asdict(each) for each in self.problems]}


def span(frames: Any) -> str:
    """Frame numbers as words: runs in the order of time, the first four of them."""
    numbers = [int(frame) for frame in frames]
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [f"{first}" if first == last else f"{first}–{last}" for first, last in runs[:4]]
    more = f" and {len(runs) - 4} more places" if len(runs) > 4 else ""
    return ("frame " if len(numbers) == 1 else "frames ") + ", ".join(shown) + more
