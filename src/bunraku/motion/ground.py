"""Does a clip stand on the ground? Depth, floating, sliding feet. The ground is the plane z = 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.clip import Clip
from bunraku.core.physique import Physique
from bunraku.motion.axes import leg_length
from bunraku.motion.names import parts
from bunraku.motion.pose import ball_centres, clip_pose, fitted
from bunraku.motion.problem import CheckConfig, Problem, problem, span

GRAVITY = 9.81
_LEAST_SLOPE_DEG = 0.3
_LEAST_RISE_M = 0.03
_LEAST_SPREAD_M = 0.5
_STILL_M_S = 0.2
_SWING_M_S = 0.8
_SHORTEST_S = 0.1  # less time in the air than this says nothing about how the body falls


@dataclass(frozen=True, eq=False)
class Footing:
    """The points that a moving body may rest on."""

    pos: Float[np.ndarray, "frames points 3"]
    """Lowest point of each ball; without a character the joints themselves."""
    names: tuple[str, ...]
    """The joint that carries each."""
    feet: Bool[np.ndarray, "points"]
    standing: Bool[np.ndarray, "frames points"]
    """It touches the ground, as far as heights tell."""
    exact: bool
    """Points are those of a character's shapes, so that height 0 is the ground's."""


def footing(clip: Clip, physique: Physique | None, cfg: CheckConfig) -> Footing:
    """Where a clip on the character's skeleton (`fitted`) may touch the ground; any clip, without a character."""
    if physique is not None and len(physique.ball_joints):
        pos = ball_centres(clip, physique)
        pos[..., 2] -= physique.ball_radius
        names = tuple(physique.skeleton.names[joint] for joint in physique.ball_joints)
        feet = np.array([name in physique.feet for name in names])
        return Footing(pos, names, feet, pos[..., 2] < cfg.contact_m, True)
    pos, _ = clip_pose(clip)
    known = parts(clip.skeleton)
    feet = np.array([name in known and known[name].kind in ("ankle", "toe") for name in clip.skeleton.names])
    # A joint stands above the sole by a height that nobody tells: the least one it has for a while.
    usual = np.percentile(pos[..., 2], 10, axis=0)
    return Footing(pos, clip.skeleton.names, feet, pos[..., 2] < usual + cfg.contact_m, False)


def grounded(clip: Clip, physique: Physique | None, cfg: CheckConfig) -> list[Problem]:
    """Below the ground, above it without flying, or sliding over it."""
    points = footing(clip, physique, cfg)
    out = [*_below(points, cfg), *_floating(clip, points, cfg), *_sliding(clip, points, cfg)]
    normal = floor_normal(clip, points)
    if normal is not None:
        slope = float(np.degrees(np.arccos(normal[2])))
        rise = float(np.ptp(clip.root_pos_w[:, :2] @ normal[:2])) / normal[2]
        says = (
            f"where feet stand still the floor rises by {rise * 100:.1f} cm over the clip: it is tilted by {slope:.1f}°"
        )
        out.append(problem("tilted_floor", "all frames", slope, "deg", says, "levels the floor", _LEAST_SLOPE_DEG))
    return out


def floor_normal(clip: Clip, points: Footing) -> Float[np.ndarray, "3"] | None:
    """The normal of the plane through the points on which feet stand still; None where it is level enough or not known.

    Only directions in which those points spread by half a metre count, and the plane must explain three quarters of
    the variance of their heights: stairs and soft mats do not make a slope.
    """
    still = _still_points(clip, points) if clip.frames > 2 else np.zeros((0, 3))
    if len(still) < 8:
        return None
    flat = still[:, :2] - still[:, :2].mean(axis=0)
    height = still[:, 2] - still[:, 2].mean()
    _, spread, ways = np.linalg.svd(flat, full_matrices=False)
    wide = spread / np.sqrt(len(still)) > _LEAST_SPREAD_M
    if not wide.any():
        return None
    along = flat @ ways[wide].T
    slope = ways[wide].T @ np.linalg.lstsq(along, height, rcond=None)[0]
    left = height - flat @ slope
    normal = np.array([-slope[0], -slope[1], 1.0]) / np.sqrt(1 + slope @ slope)
    tilted = np.degrees(np.arccos(normal[2])) > _LEAST_SLOPE_DEG and np.ptp(flat @ slope) > _LEAST_RISE_M
    return normal if tilted and left.var() < 0.25 * height.var() else None


def _still_points(clip: Clip, points: Footing) -> Float[np.ndarray, "still 3"]:
    """For each foot, the lowest point of it while it hardly moves."""
    out = [np.zeros((0, 3))]
    for foot in _feet(points):
        mine = np.array([name == foot for name in points.names])
        pos = points.pos[:, mine]
        lowest = pos[np.arange(clip.frames), pos[..., 2].argmin(axis=1)]
        speed = np.linalg.norm(np.diff(lowest, axis=0), axis=1) / np.diff(clip.times_s)
        still = np.concatenate([[False], (speed[1:] < _STILL_M_S) & (speed[:-1] < _STILL_M_S), [False]])
        # Without shapes, ankles and toes stand at heights of their own: each is taken relative to its own mean.
        chosen = lowest[still]
        out.append(chosen if points.exact or not len(chosen) else chosen - [0, 0, chosen[:, 2].mean()])
    return np.concatenate(out)


def _below(points: Footing, cfg: CheckConfig) -> list[Problem]:
    height = points.pos[..., 2]
    lowest = height.min(axis=1)
    if lowest.min() >= -cfg.sink_m:
        return []
    point = int(height.min(axis=0).argmin())
    deep = lowest < -cfg.sink_m
    says = f"{points.names[point]} is {-lowest.min() * 1e3:.0f} mm below the ground"
    says += f" ({deep.mean():.0%} of the frames are deeper than {cfg.sink_m * 1e3:.0f} mm)"
    mends = "lifts the body smoothly where it is too low"
    if sinks_throughout(lowest):
        says, mends = f"{says}: the whole clip is too low", "lifts the whole clip, then smoothly what is still too low"
    where = f"{points.names[point]}, {span(np.flatnonzero(deep))}"
    return [problem("below_ground", where, -lowest.min() * 1e3, "mm", says, mends, cfg.sink_m * 2e3)]


def sinks_throughout(lowest: Float[np.ndarray, "frames"]) -> bool:
    """Three quarters of the frames are below the ground: the clip's height is wrong as a whole."""
    return bool(np.percentile(lowest, 75) < -1e-3)


def _floating(clip: Clip, points: Footing, cfg: CheckConfig) -> list[Problem]:
    lowest = points.pos[..., 2].min(axis=1)
    limit = cfg.float_m if points.exact else max(0.25 * leg_length(clip.skeleton), 0.15)
    if lowest.min() > limit:
        says = f"nothing ever comes nearer to the ground than {lowest.min() * 100:.1f} cm"
        mends = "lowers the whole clip onto the ground"
        return [problem("floating", "all frames", lowest.min() * 1e3, "mm", says, mends, cfg.float_m * 1e3)]
    if not points.exact:
        return []
    hung = hanging(clip, lowest, points.pos.mean(axis=1)[:, 2], cfg)
    if not hung.any():
        return []
    worst = float(lowest[hung].max())
    says = (
        f"up to {worst * 100:.1f} cm above the ground without falling as a body in flight does"
        f" (for {_longest(clip, hung):.2f} s; a jump of that height takes {np.sqrt(8 * worst / GRAVITY):.2f} s)"
    )
    return [problem("floating", span(np.flatnonzero(hung)), worst * 1e3, "mm", says, "", cfg.float_m * 2e3)]


def _longest(clip: Clip, marked: np.ndarray) -> float:
    """Time of the longest stretch of marked frames [s]."""
    return max((float(clip.times_s[b - 1] - clip.times_s[a]) for a, b in runs(marked)), default=0.0)


def runs(marked: Bool[np.ndarray, "frames"]) -> list[tuple[int, int]]:
    """First frame, and the one after the last, of each stretch of marked frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def hanging(
    clip: Clip, lowest: Float[np.ndarray, "frames"], centre: Float[np.ndarray, "frames"], cfg: CheckConfig
) -> Bool[np.ndarray, "frames"]:
    """Frames off the ground during which the body's centre does not fall: its acceleration is above −g/2.

    The acceleration of a stretch off the ground is that of the parabola fitted to the centre's height in it.
    """
    off = lowest > cfg.float_m
    out = np.zeros(clip.frames, bool)
    for start, end in runs(off):
        time = clip.times_s[start:end]
        if len(time) < 4 or time[-1] - time[0] < _SHORTEST_S:
            continue
        acceleration = 2 * np.polyfit(time - time[0], centre[start:end], 2)[0]
        out[start:end] = acceleration > -GRAVITY / 2
    return out


def _sliding(clip: Clip, points: Footing, cfg: CheckConfig) -> list[Problem]:
    out = list[Problem]()
    for foot in _feet(points) if clip.frames > 1 else ():
        speed = foot_speed(clip, points, foot)
        mean = _mean_speed(clip, speed)
        if not mean > cfg.slide_m_s:
            continue
        stances = runs(np.isfinite(speed))
        steps = [float((speed * np.diff(clip.times_s))[a:b].sum()) for a, b in stances]
        says = f"{foot} slides at {mean:.2f} m/s while it stands, {100 * max(steps):.0f} cm in its longest stance"
        first, after = stances[int(np.argmax(steps))]
        where = f"{foot}, {span(range(first, after + 1))}"
        out.append(problem("sliding", where, mean, "m/s", says, "", cfg.slide_m_s))
    return out


def _feet(points: Footing) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name, is_foot in zip(points.names, points.feet, strict=True) if is_foot))


def _mean_speed(clip: Clip, speed: Float[np.ndarray, "segments"]) -> float:
    """Metres slid per second of stance; NaN for less than three frames of it."""
    standing, step = np.isfinite(speed), np.diff(clip.times_s)
    if standing.sum() < 3:
        return float("nan")
    return float((speed * step)[standing].sum() / step[standing].sum())


def foot_sliding(clip: Clip, physique: Physique, cfg: CheckConfig | None = None) -> dict[str, float]:
    """How far each foot of a character slides while it stands [m/s], by the foot's name; NaN for one that never does.

    Metres that the foot's stillest standing point moves horizontally, per second of stance: what `clip check` judges.

    Raises:
        BunrakuError: the clip is not on the character's joints.
    """
    points = footing(fitted(clip, physique), physique, cfg or CheckConfig())
    return {foot: _mean_speed(clip, foot_speed(clip, points, foot)) for foot in _feet(points)}


def foot_speed(clip: Clip, points: Footing, foot: str) -> Float[np.ndarray, "segments"]:
    """Horizontal speed of a foot's stillest standing point [m/s], so that rolling is not sliding; NaN in the air."""
    mine = np.array([name == foot for name in points.names])
    pos, standing = points.pos[:, mine, :2], points.standing[:, mine]
    speed = np.linalg.norm(np.diff(pos, axis=0), axis=-1) / np.diff(clip.times_s)[:, None]
    both = standing[1:] & standing[:-1]
    speed = np.where(both, speed, np.inf).min(axis=1)
    for start, end in runs(np.isfinite(speed)):
        # A foot that comes in or leaves fast is low, but still in flight.
        slow = np.flatnonzero(speed[start:end] < _SWING_M_S)
        first, last = (slow[0], slow[-1] + 1) if len(slow) else (end - start, end - start)
        speed[start : start + first] = np.inf
        speed[start + last : end] = np.inf
    return np.where(np.isfinite(speed), speed, np.nan)
