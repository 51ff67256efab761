"""Is a clip even in time, whole and free of glitches? Seams, rates, spikes, jumps, frozen frames."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.clip import Clip
from bunraku.core.rotations import geodesic_angle, quat_conjugate, quat_multiply, rotvec_from_quat
from bunraku.motion.pose import speeds
from bunraku.motion.problem import CheckConfig, Problem, problem, span

_AROUND = 6  # frames on each side that a spike is compared with


def seam_jumps(clip: Clip) -> Float[np.ndarray, "joints"]:
    """Angle of each joint between the last frame and the first [rad]."""
    return geodesic_angle(clip.joint_quat[-1], clip.joint_quat[0])


def root_velocity(clip: Clip) -> Float[np.ndarray, "segments 3"]:
    """Velocity of the root from frame to frame [m/s]."""
    return np.diff(clip.root_pos_w, axis=0) / np.diff(clip.times_s)[:, None]


def frame_short(clip: Clip, cfg: CheckConfig) -> bool:
    """The cycle lacks its closing frame: from the last frame to the first it moves on as it does on either side."""
    if clip.frames < 4 or seam_jumps(clip).max() <= cfg.seam_rad / 5:
        return False

    def step(a: int, b: int) -> np.ndarray:
        return rotvec_from_quat(quat_multiply(quat_conjugate(clip.joint_quat[a]), clip.joint_quat[b])).ravel()

    gap, around = step(-1, 0), (step(-2, -1) + step(0, 1)) / 2
    return bool(np.linalg.norm(gap - around) < 0.35 * np.linalg.norm(gap))


def seam(clip: Clip, cfg: CheckConfig) -> list[Problem]:
    """What leaps from the last frame to the first of a clip that loops."""
    if clip.loop != "wrap" or clip.frames < 3:
        return []
    out = list[Problem]()
    jumps = seam_jumps(clip)
    worst, many = int(jumps.argmax()), int((jumps > cfg.seam_rad).sum())
    short = frame_short(clip, cfg)
    if many or short:
        name = clip.skeleton.names[worst]
        says = (
            f"from the last frame to the first {name} leaps by {jumps[worst]:.2f} rad ({np.degrees(jumps[worst]):.0f}°)"
        )
        says += f"; {many} joints by more than {cfg.seam_rad:g} rad" if many > 1 else ""
        mends = "spreads the leap over the first and last fifth of the cycle"
        if short:
            says += "; that is one more step of the motion: the closing frame is missing"
            mends = "adds the closing frame"
        out.append(problem("loop_seam", name, jumps[worst], "rad", says, mends, cfg.seam_rad))
    height = float(clip.root_pos_w[0, 2] - clip.root_pos_w[-1, 2])
    if abs(height) > cfg.seam_m:
        way = "rises" if height > 0 else "drops"
        says = f"from the last frame to the first the root {way} by {abs(height) * 100:.1f} cm"
        mends = "spreads it over the first and last fifth of the cycle"
        out.append(problem("loop_height", "root", abs(height), "m", says, mends, cfg.seam_m))
    change = np.linalg.norm(np.diff(root_velocity(clip), axis=0), axis=1)
    leap = float(np.linalg.norm(root_velocity(clip)[0] - root_velocity(clip)[-1]))
    if leap > max(cfg.seam_m_s, 3 * float(np.median(change))):
        says = (
            f"at the seam the root's velocity changes by {leap:.2f} m/s at once (elsewhere {np.median(change):.2f} m/s)"
        )
        out.append(problem("loop_velocity", "root", leap, "m/s", says, "", cfg.seam_m_s))
    return out


def could_loop(clip: Clip, cfg: CheckConfig) -> list[Problem]:
    """A clip that is not marked as a loop, and would be a good one."""
    if clip.loop == "wrap" or clip.frames < 8 or speeds(clip).max() < 0.3:
        return []
    jump = float(seam_jumps(clip).max())
    velocity = float(np.linalg.norm(root_velocity(clip)[0] - root_velocity(clip)[-1]))
    level = abs(float(clip.root_pos_w[0, 2] - clip.root_pos_w[-1, 2]))
    if jump > cfg.could_loop_rad or velocity > cfg.seam_m_s or level > cfg.seam_m:
        return []
    says = f"it does not loop, but its ends meet: {jump:.2f} rad, {level * 100:.1f} cm, {velocity:.2f} m/s"
    mends = "leaves it; --loop wrap makes it a loop"
    return [problem("could_loop", "last and first frame", jump, "rad", says, mends)]


def rates(clip: Clip, cfg: CheckConfig) -> list[Problem]:
    """Too short, too slow a rate, or more than one."""
    out = list[Problem]()
    if clip.frames < 4 or clip.duration_s < cfg.shortest_s:
        says = f"{clip.frames} frames in {clip.duration_s:.2f} s"
        out.append(problem("too_short", "all frames", clip.duration_s, "s", says))
    if clip.frames < 2:
        return out
    step = np.diff(clip.times_s)
    median = float(np.median(step))
    spread = float((step.max() - step.min()) / median)
    if spread > cfg.uneven:
        odd = np.flatnonzero(np.abs(step - median) > cfg.uneven * median)
        says = f"frames last from {step.min() * 1e3:.1f} to {step.max() * 1e3:.1f} ms"
        says += f" ({1 / step.max():.1f} to {1 / step.min():.1f} per second)"
        mends = f"resamples it at {1 / even_step(clip):.1f} frames per second"
        out.append(problem("frame_rate_uneven", span(odd), spread, "1", says, mends, cfg.uneven * 5))
    if 1 / median < cfg.lowest_fps:
        says = f"{1 / median:.1f} frames per second"
        out.append(problem("frame_rate_low", "all frames", 1 / median, "1/s", says))
    return out


def even_step(clip: Clip) -> float:
    """The even step nearest to the median one that divides the clip's length [s]."""
    median = float(np.median(np.diff(clip.times_s)))
    return clip.duration_s / max(1, round(clip.duration_s / median))


def cubic_distance(clip: Clip) -> tuple[Float[np.ndarray, "frames joints"], Float[np.ndarray, "frames"]]:
    """How far each frame is from the cubic through the two frames before and the two after it.

    Joint rotations [rad], in the tangent space of the frame itself, and the root's position [m]; 0 where there are
    not two frames on either side. The cubic is Lagrange's, through the frames' own times.
    """
    turn, slide = np.zeros(clip.joint_quat.shape[:2]), np.zeros(clip.frames)
    inner = np.arange(2, clip.frames - 2)
    if not len(inner):
        return turn, slide
    around = [inner + k for k in (-2, -1, 1, 2)]
    time = [clip.times_s[k] - clip.times_s[inner] for k in around]
    angle, offset = np.zeros((len(inner), len(clip.skeleton), 3)), np.zeros((len(inner), 3))
    for k, frames in enumerate(around):
        weight = np.prod([time[m] / (time[m] - time[k]) for m in range(4) if m != k], axis=0)
        relative = quat_multiply(quat_conjugate(clip.joint_quat[inner]), clip.joint_quat[frames])
        angle += weight[:, None, None] * rotvec_from_quat(relative)
        offset += weight[:, None] * (clip.root_pos_w[frames] - clip.root_pos_w[inner])
    turn[inner], slide[inner] = np.linalg.norm(angle, axis=-1), np.linalg.norm(offset, axis=-1)
    return turn, slide


def _stands_out(distance: np.ndarray, step: np.ndarray, least: float, cfg: CheckConfig) -> np.ndarray:
    """Frames off their cubic, by more than `least` and far more than their neighbourhood, that go out and back.

    A limb that lands or turns round also leaves the cubic; but it was moving before. A glitch comes from nowhere: the
    steps to it and from it are each more than twice those before and after them.
    """
    out = np.zeros(distance.shape, bool)
    for frame in np.flatnonzero(distance > least):
        near = distance[max(0, frame - 2) : frame + 3]
        window = np.arange(max(2, frame - _AROUND), min(len(distance) - 2, frame + _AROUND + 1))
        window = window[np.abs(window - frame) > 2]
        usual = float(np.median(distance[window])) if len(window) else 0.0
        comes, goes = step[frame - 1], step[frame]
        lonely = min(comes, goes) > 2 * max(step[frame - 2], step[frame + 1])
        out[frame] = distance[frame] >= near.max() and distance[frame] > cfg.spike_factor * usual and lonely
    return out


def spike_frames(clip: Clip, cfg: CheckConfig) -> tuple[Bool[np.ndarray, "frames joints"], Bool[np.ndarray, "frames"]]:
    """Frames at which one joint, or the root, is off its path for this frame alone."""
    turn, slide = cubic_distance(clip)
    step = geodesic_angle(clip.joint_quat[:-1], clip.joint_quat[1:])
    joints = [_stands_out(turn[:, j], step[:, j], cfg.spike_rad, cfg) for j in range(turn.shape[1])]
    way = np.linalg.norm(np.diff(clip.root_pos_w, axis=0), axis=1)
    return np.stack(joints, axis=1), _stands_out(slide, way, cfg.spike_m, cfg)


def jump_segments(clip: Clip, cfg: CheckConfig) -> Bool[np.ndarray, "segments joints"]:
    """Segments in which a joint moves by a lot, and hardly in those before and after."""
    step = geodesic_angle(clip.joint_quat[:-1], clip.joint_quat[1:])
    out = np.zeros(step.shape, bool)
    if len(step) > 2:
        around = np.maximum(step[:-2], step[2:])
        out[1:-1] = (step[1:-1] > 3 * cfg.spike_rad) & (step[1:-1] > cfg.spike_factor * around)
    return out


def spikes(clip: Clip, cfg: CheckConfig) -> list[Problem]:
    """Frames off the path of their neighbours, and jumps from one path to another."""
    out = list[Problem]()
    turn, slide = cubic_distance(clip)
    joints, root = spike_frames(clip, cfg)
    if joints.any():
        worst = np.where(joints, turn, 0)
        frame, joint = (int(i) for i in np.unravel_index(int(worst.argmax()), worst.shape))
        where = f"{clip.skeleton.names[joint]}, frame {frame}"
        says = f"one frame is {turn[frame, joint]:.2f} rad off the path of those around it"
        more = int(joints.sum()) - 1
        says += f"; {more} more such frames and joints: {span(np.flatnonzero(joints.any(axis=1)))}" if more else ""
        mends = "replaces those frames of those joints by what lies between their neighbours"
        out.append(problem("spike", where, turn[frame, joint], "rad", says, mends, cfg.spike_rad))
    if root.any():
        frame = int(np.where(root, slide, 0).argmax())
        says = f"the root is {slide[frame] * 100:.1f} cm off the path of the frames around it"
        mends = "replaces the root's position there by what lies between its neighbours"
        out.append(problem("spike", f"root, {span(np.flatnonzero(root))}", slide[frame], "m", says, mends, cfg.spike_m))
    leaps = jump_segments(clip, cfg)
    if leaps.any():
        step = np.where(leaps, geodesic_angle(clip.joint_quat[:-1], clip.joint_quat[1:]), 0)
        frame, joint = (int(i) for i in np.unravel_index(int(step.argmax()), step.shape))
        says = f"{clip.skeleton.names[joint]} leaps by {step[frame, joint]:.2f} rad from frame {frame} to {frame + 1}"
        where = f"{clip.skeleton.names[joint]}, frame {frame + 1}"
        mends = "spreads the leap over a tenth of the clip on each side"
        out.append(problem("jump", where, step[frame, joint], "rad", says, mends))
    return out


def stray_frame(clip: Clip, cfg: CheckConfig) -> int | None:
    """0 or the last frame, when all motion is on its other side: a pose for reference at the start of a capture."""
    if clip.frames < 5:
        return None
    step = np.sort(geodesic_angle(clip.joint_quat[:-1], clip.joint_quat[1:]), axis=1)[:, -3:].sum(axis=1)
    for frame, alone, beside in ((0, step[0], step[1:3].max()), (clip.frames - 1, step[-1], step[-3:-1].max())):
        if alone > 4 * cfg.spike_rad and alone > cfg.spike_factor * beside:
            return frame
    return None


def strays(clip: Clip, cfg: CheckConfig) -> list[Problem]:
    """A first or last frame that is not part of the motion."""
    frame = stray_frame(clip, cfg)
    if frame is None:
        return []
    a, b = (0, 1) if frame == 0 else (-2, -1)
    leap = float(geodesic_angle(clip.joint_quat[a], clip.joint_quat[b]).max())
    says = f"between it and its neighbour joints leap by up to {leap:.2f} rad: a pose for reference, not of the motion"
    return [problem("stray_frame", f"frame {frame}", leap, "rad", says, "leaves the frame out")]


def frozen(clip: Clip, cfg: CheckConfig) -> list[Problem]:
    """Equal frames in the midst of motion; a clip that holds its first or last pose is none of it."""
    if clip.frames < cfg.frozen_frames + 3:
        return []
    fast = speeds(clip).max(axis=1)
    still = (fast < 1e-6) & (np.linalg.norm(root_velocity(clip), axis=1) < 1e-6)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(np.int8)))
    runs = [
        (int(start), int(end))
        for start, end in edges.reshape(-1, 2)
        if end - start >= cfg.frozen_frames - 1 and start > 0 and end < len(still)
    ]
    runs = [run for run in runs if max(fast[run[0] - 1], fast[run[1]]) > 0.5]
    if not runs:
        return []
    longest = max(end - start + 1 for start, end in runs)
    frames = [frame for start, end in runs for frame in range(start, end + 1)]
    says = f"up to {longest} frames in a row are equal while the motion before or after goes on"
    return [problem("frozen", span(frames), longest, "frames", says, "", cfg.frozen_frames)]
