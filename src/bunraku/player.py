"""Plays an exported policy: needs numpy and nothing else, so that this one file can be copied next to the policy.

    player = Player("policy.npz")
    controls = player.controls(observation)   # what the character's actuators are set to, 1/control_hz long

`player.layout` says what the observation's numbers are, `player.about` what the policy was trained for. A policy that
follows a clip is played by a `Follower`, which works its observation out:

    follower = Follower("policy.npz")
    qpos, qvel = follower.begin()             # on the clip's first frame
    controls = follower.controls(qpos, qvel, time_s)   # once every 1/control_hz
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

FORMAT = "bunraku policy 2"


class Player:
    """A policy from the file that `bunraku mimic export RUN --to policy.npz` writes."""

    def __init__(self, path: str | Path) -> None:
        """Read it. Raises ValueError where the file is not such a policy."""
        with np.load(path, allow_pickle=False) as file:
            self.arrays = arrays = {name: file[name] for name in file.files}
        if str(arrays.get("format", "")) != FORMAT:
            raise ValueError(f"{path}: is not a policy that this player reads ({FORMAT})")
        self.about = json.loads(str(arrays["about"]))
        self.layout = self.about["layout"]
        self.activation = self.about["activation"]
        self.mean, self.deviation = arrays["mean"], arrays["deviation"]
        self.layers = [(arrays[f"weight{i}"], arrays[f"bias{i}"]) for i in range(self.about["layers"])]
        self.reference, self.scale = arrays["reference_control"], arrays["action_scale"]
        self.lowest, self.highest = arrays["lowest_control"], arrays["highest_control"]

    def act(self, observation: np.ndarray | Sequence[float]) -> np.ndarray:
        """The action for an observation (numbers as `layout` lists them) or for rows of them."""
        observation = np.asarray(observation, np.float32)
        if observation.shape[-1] != len(self.mean):
            raise ValueError(f"the observation has {observation.shape[-1]} numbers; expected {len(self.mean)}")
        limit = self.about["limit"]
        seen = observation - self.mean.astype(np.float32)
        x = np.clip(seen / self.deviation.astype(np.float32), -limit, limit)
        for weight, bias in self.layers[:-1]:
            x = _activated(x @ weight.T + bias, self.activation)
        weight, bias = self.layers[-1]
        return x @ weight.T + bias

    def controls(self, observation: np.ndarray | Sequence[float]) -> np.ndarray:
        """What the actuators are set to: reference + scale · action, within the actuators' limits.

        Raises ValueError for a policy that follows a clip: its actions are added to the clip.
        """
        if "clip" in self.about:
            raise ValueError("this policy follows a clip; a Follower plays it")
        return np.clip(self.reference + self.scale * self.act(observation), self.lowest, self.highest)


class Follower:
    """A policy that follows a clip: from a character's state to what its actuators are set to.

    States are MuJoCo's: `qpos` begins with the root's position [m] and rotation (wxyz), `qvel` with the root's velocity
    in the world and its angular velocity in its own frame; `about["joints"]` says where the others stand. World z up.
    """

    def __init__(self, path: str | Path) -> None:
        """Read it. Raises ValueError where the file is not such a policy."""
        self.player = Player(path)
        self.about, self._has = self.player.about, self.player.arrays
        if "clip" not in self.about:
            raise ValueError(f"{path}: its policy follows no clip; a Player plays it")
        self.step_s = 1 / self.about["control_hz"]
        self.begin()

    def begin(self, time_s: float = 0.0, origin_w: Sequence[float] = (0.0, 0.0)) -> tuple[np.ndarray, np.ndarray]:
        """Start at a time ≥ 0 of the clip, which is moved over the ground by `origin_w` [m].

        (qpos, qvel) to put the character there with: in flight the root's velocities are those of a body that gets to
        the landing, which the clip's own need not be.
        """
        self._cycle = self._cycle_at(time_s)
        self._origin_w = np.array(origin_w, np.float64)
        before, share, moves = self._place(time_s)
        rows = self._has["clip_begin_qvel"]
        return self.wanted(time_s)[0], moves * (rows[before] * (1 - share) + rows[before + 1] * share)

    def wanted(self, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """(qpos, qvel) of the clip at a time, where it is put now."""
        qpos, qvel = self._at(time_s)
        rows = self._has["clip_qpos"]
        beyond = self._cycle_at(time_s) - self._cycle
        qpos[:2] += self._origin_w + beyond * (rows[-1, :2] - rows[0, :2])
        return qpos, qvel

    def controls(self, qpos: np.ndarray, qvel: np.ndarray, time_s: float) -> np.ndarray:
        """What the actuators are set to for the next 1/control_hz; call it at every control step, times in order.

        Where a new cycle of a clip that loops begins, the clip is put where the character is.
        """
        return self.targets(qpos, self.player.act(self.observation(qpos, qvel, time_s)), time_s)

    def observation(self, qpos: np.ndarray, qvel: np.ndarray, time_s: float) -> np.ndarray:
        """What the policy sees of a state, as its layout lists it."""
        qpos, qvel = (np.asarray(values, np.float64) for values in (qpos, qvel))
        sizes = self._has["clip_qpos"].shape[1], self._has["clip_qvel"].shape[1]
        if (qpos.shape, qvel.shape) != ((sizes[0],), (sizes[1],)):
            raise ValueError(f"qpos and qvel have shapes {qpos.shape} and {qvel.shape}; expected {sizes}")
        if self._cycle_at(time_s) > self._cycle:
            self._cycle = self._cycle_at(time_s)
            self._origin_w = qpos[:2] - self._at(time_s)[0][:2]
        seen = self._seen(qpos, qvel, *self.wanted(time_s + self.step_s))
        share = time_s / self.about["clip"]["duration_s"]
        turn = 2 * np.pi * (share % 1.0 if self.about["clip"]["loops"] else min(share, 1.0))
        seen["phase"] = np.array([np.cos(turn), np.sin(turn)])
        unknown = [slot["name"] for slot in self.player.layout if slot["name"] not in seen]
        if unknown:
            raise ValueError(f"this policy sees {unknown[0]!r}, which this player does not know")
        return np.concatenate([seen[slot["name"]] for slot in self.player.layout])

    def targets(self, qpos: np.ndarray, action: np.ndarray, time_s: float) -> np.ndarray:
        """What the actuators are set to under an action: the clip's pose `lead_steps` ahead, turned by scale · action.

        A ball's servos pull at the components of its rotation vector, which jumps at half a turn: they are given
        log(q) + log(q⁻¹·q*), so that the way to the target q* is the shortest from wherever the joint stands.
        """
        has, lead = self._has, self.about["action"]["lead_steps"]
        wanted = self.wanted(time_s + lead * self.step_s)[0] if lead is not None else has["reference_qpos"]
        moved = has["action_scale"] * np.asarray(action, np.float64)
        controls = has["reference_control"] + moved
        hinges, balls = has["servo_hinges"], has["servo_balls"]
        controls[hinges] = has["servo_hinge_gear"] * (wanted[has["servo_hinge_q"]] + moved[hinges])
        own, target = (values[has["quat_q"]] for values in (np.asarray(qpos, np.float64), wanted))
        target = _multiply(target, _exp((moved[balls] @ has["servo_spread"]).reshape(-1, 3)))
        turns = _log(own) + _log(_multiply(_conjugate(own), target))
        controls[balls] = (turns[has["servo_ball_quat"]] * has["servo_ball_gear"]).sum(axis=-1)
        return controls

    def _cycle_at(self, time_s: float) -> int:
        return int(time_s // self.about["clip"]["duration_s"]) if self.about["clip"]["loops"] else 0

    def _at(self, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """The clip in its first cycle: between its rows linear, its velocity constant."""
        rows, (before, share, moves) = self._has["clip_qpos"], self._place(time_s)
        qpos = rows[before] * (1 - share) + rows[before + 1] * share
        for q in self._has["quat_q"]:
            qpos[q] /= np.linalg.norm(qpos[q])
        return qpos, self._has["clip_qvel"][before] * moves

    def _place(self, time_s: float) -> tuple[int, float, float]:
        """The row before a time, how far it is to the next, and 0 where a clip that does not loop has ended, else 1."""
        duration_s, loops = self.about["clip"]["duration_s"], self.about["clip"]["loops"]
        share, last = time_s / duration_s, len(self._has["clip_qpos"]) - 1
        place = (share % 1.0 if loops else min(share, 1.0)) * last
        before = min(int(place), last - 1)
        return before, place - before, 1.0 if loops or time_s < duration_s else 0.0

    def _seen(
        self, qpos: np.ndarray, qvel: np.ndarray, ahead: np.ndarray, ahead_qvel: np.ndarray
    ) -> dict[str, np.ndarray]:
        """All that a policy may see, by name. "_h" is the root's heading frame: the world's, turned about z."""
        has, pos, quat = self._has, *self._poses(qpos)
        x, y = np.eye(3)[:2]
        forward = _rotate(quat[1], x)[:2]
        length = np.linalg.norm(forward)
        c, s = forward / length if length > 1e-9 else (1.0, 0.0)
        own, target = qpos[has["quat_q"]], ahead[has["quat_q"]]
        turns = _log(_multiply(_conjugate(own), target))

        def h(v: np.ndarray) -> np.ndarray:
            return np.array([c * v[0] + s * v[1], c * v[1] - s * v[0], v[2]])

        seen = {
            "root.height": qpos[2:3],
            "root.sixd_h": np.concatenate([h(_rotate(qpos[3:7], x)), h(_rotate(qpos[3:7], y))]),
            "root.velocity_h": h(qvel[:3]),
            "root.spin_h": h(_rotate(qpos[3:7], qvel[3:6])),
            "root.offset_h": h(ahead[:3] - qpos[:3]),
            "root.rotvec": turns[0],
            "root.reference_velocity_h": h(ahead_qvel[:3]),
            "root.reference_spin": ahead_qvel[3:6],
        }
        hinge_q, hinge_v, quat_v = has["hinge_q"], has["hinge_v"], has["quat_v"]
        for i, name in enumerate(self.about["rotations"]):
            if i == len(hinge_q):
                continue  # the root
            if i < len(hinge_q):
                q, v = hinge_q[[i]], hinge_v[[i]]
                error = -((qpos[q] - ahead[q] + np.pi) % (2 * np.pi) - np.pi)
                seen[f"{name}.angle"] = qpos[q]
            else:
                ball = i - len(hinge_q)
                v, error = quat_v[ball], turns[ball]
                seen[f"{name}.sixd"] = np.concatenate([_rotate(own[ball], x), _rotate(own[ball], y)])
            seen.update({f"{name}.velocity": qvel[v], f"{name}.reference_velocity": ahead_qvel[v]})
            seen[f"{name}.error"] = error
        for i, body in enumerate(has["effector_body"]):
            point = pos[body] + _rotate(quat[body], has["effector_pos"][i])
            seen[f"effector{i}.position_h"] = h(point - [*pos[1, :2], 0.0])
        return seen

    def _poses(self, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World positions and rotations of all bodies, the world first."""
        has = self._has
        pos, quat = np.zeros((len(has["body_parent"]), 3)), np.tile([1.0, 0, 0, 0], (len(has["body_parent"]), 1))
        first = np.searchsorted(has["joint_body"], np.arange(len(pos) + 1))
        for body in range(1, len(pos)):
            above = has["body_parent"][body]
            p = pos[above] + _rotate(quat[above], has["body_pos"][body])
            r = _multiply(quat[above], has["body_quat"][body])
            for joint in range(first[body], first[body + 1]):
                p, r = self._moved(joint, qpos, p, r)
            pos[body], quat[body] = p, r
        return pos, quat

    def _moved(self, joint: int, qpos: np.ndarray, p: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A body after one of its joints: free, ball, slide or hinge, counted as MuJoCo does."""
        has = self._has
        kind, q, axis = has["joint_kind"][joint], has["joint_q"][joint], has["joint_axis"][joint]
        if kind == 0:
            return qpos[q : q + 3], _unit(qpos[q + 3 : q + 7])
        if kind == 2:
            return p + _rotate(r, axis) * (qpos[q] - has["joint_zero"][joint]), r
        anchor = p + _rotate(r, has["joint_anchor"][joint])
        turn = _unit(qpos[q : q + 4]) if kind == 1 else _exp(axis * (qpos[q] - has["joint_zero"][joint]))
        r = _multiply(r, turn)
        return anchor - _rotate(r, has["joint_anchor"][joint]), r


def _activated(x: np.ndarray, activation: str) -> np.ndarray:
    if activation == "relu":
        return np.maximum(x, 0)
    if activation == "tanh":
        return np.tanh(x)
    if activation == "elu":
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
    return x * (np.float32(0.5) * (1 + np.tanh(x / 2)))


def _unit(q: np.ndarray) -> np.ndarray:
    return q / np.linalg.norm(q)


def _conjugate(q: np.ndarray) -> np.ndarray:
    return q * [1.0, -1.0, -1.0, -1.0]


def _multiply(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The rotation q first, then p; wxyz."""
    pw, px, py, pz = p[..., 0], p[..., 1], p[..., 2], p[..., 3]
    qw, qx, qy, qz = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    w, x = pw * qw - px * qx - py * qy - pz * qz, pw * qx + px * qw + py * qz - pz * qy
    y, z = pw * qy - px * qz + py * qw + pz * qx, pw * qz + px * qy - py * qx + pz * qw
    return np.array([w, x, y, z]).T


def _rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """One vector by one quaternion, in Python's numbers: numpy takes longer for so few."""
    w, x, y, z = q.tolist()
    a, b, c = v.tolist()
    d, e, f = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return np.array([a + w * d + y * f - z * e, b + w * e + z * d - x * f, c + w * f + x * e - y * d])


def _exp(r: np.ndarray) -> np.ndarray:
    """Rotation vectors to quaternions."""
    angle = np.linalg.norm(r, axis=-1, keepdims=True)
    return np.concatenate([np.cos(angle / 2), np.sinc(angle / (2 * np.pi)) / 2 * r], axis=-1)


def _log(q: np.ndarray) -> np.ndarray:
    """Quaternions to rotation vectors of at most π."""
    q = np.where(q[..., :1] < 0, -q, q)
    length = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    small = length < 1e-8
    return q[..., 1:] * np.where(small, 2.0, 2 * np.arctan2(length, q[..., :1]) / np.where(small, 1.0, length))
