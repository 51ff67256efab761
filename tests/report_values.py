"""Small takes and runs as reports take them: a ball that swells, and three bodies that move."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from bunraku.core.controls import control_spec
from bunraku.core.curves import curves
from bunraku.core.keys import keyed_curves, keys
from bunraku.core.playback import Playback
from bunraku.core.solid import Solid
from bunraku.report.film import Footage, film
from bunraku.report.run import RunReport
from bunraku.report.take import TakeReport

FRAMES = 24
WORST = 17


def ball(rings: int = 12, around: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of a ball of radius 1."""
    a, b = np.meshgrid(np.linspace(0.1, np.pi - 0.1, rings), 2 * np.pi * np.arange(around) / around, indexing="ij")
    points = np.stack([np.sin(a) * np.cos(b), np.cos(a), np.sin(a) * np.sin(b)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij")
    at, beside = i * around + j, i * around + (j + 1) % around
    faces = np.concatenate(
        [np.stack([at, beside, at + around], -1), np.stack([beside, beside + around, at + around], -1)]
    )
    return points, faces.reshape(-1, 3)


def meshes(frames: int = FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """The ball as it was solved, and its capture: everywhere a little off, in one frame a corner much."""
    points, _ = ball()
    swell = 1 + 0.3 * np.sin(np.arange(frames) / 4)
    solved = points * swell[:, None, None]
    solved[:, :, 1] += 0.02 * np.arange(frames)[:, None]
    captured = solved + 0.01 * np.sin(np.arange(points.size).reshape(points.shape))
    captured[WORST, :8] += [0.2, 0.0, 0.0]
    return solved, captured


def footage() -> Footage:
    solved, captured = meshes()
    points, faces = ball()
    there = np.ones(captured.shape[:2], bool)
    there[:, 5] = False
    return Footage(faces, points, lambda rows: solved[rows], lambda rows: (captured[rows], there[rows]))


def take_report(names: tuple[str, ...] = ("swell", "rise", "idle"), **changes) -> TakeReport:
    solved, captured = meshes()
    apart = np.linalg.norm(captured - solved, axis=2)
    error = apart.mean(axis=1)
    rows = np.arange(FRAMES)
    values = np.stack([np.sin(rows / 4), 0.02 * rows, 0 * rows], axis=1)
    keyed = [keys([100, 112, 123], values[[0, 12, 23], column]) for column in range(3)]
    report = TakeReport(
        name="shots/ball",
        rig="ball.glb",
        capture="capture.npz",
        curves=curves(names, values, Fraction(24), 100),
        metrics={
            "frames": FRAMES,
            "vertices": apart.shape[1],
            "controls": 3,
            "mean_vertex_error": float(apart.mean()),
            "p95_vertex_error": float(np.quantile(apart, 0.95)),
            "max_vertex_error": float(apart.max()),
            "relative_error": float(apart.mean() / 3.46),
            "active_controls": 1.5,
            "unobservable": [names[2]],
            "interchangeable": [],
            "wall_seconds": 1.25,
        },
        frame_error=error,
        frame_max=apart.max(axis=1),
        vertex_error=apart.mean(axis=0),
        vertex_max=apart.max(axis=0),
        settings={"refine": 3, "rig": {"source": "ball.glb"}},
        provenance={"python": "3.11"},
        alignment=np.eye(3, 4),
        spec=control_spec(names, -2.0, 2.0, 0.0),
        keys=keyed_curves(names, keyed, [0, 0, 0], Fraction(24), 100, FRAMES),
        film=film(footage(), rows, np.argsort(-error), 1_000_000),
    )
    return replace(report, **changes)


def playback(frames: int = 30) -> Playback:
    t = np.arange(frames) / 30
    pos = np.zeros((frames, 3, 3))
    pos[:, :, 2] = [1.0, 1.4, 1.7]
    pos[:, :, 0] = t[:, None]
    quat = np.zeros((frames, 3, 4))
    quat[..., 0] = 1
    solids = tuple(
        Solid(body, kind, np.array(size), np.zeros(3), np.array([1.0, 0, 0, 0]))
        for body, kind, size in (
            (0, "box", [0.2, 0.1, 0.1]),
            (1, "capsule", [0.1, 0.1, 0.1]),
            (2, "ellipsoid", [0.12] * 3),
        )
    )
    ghost = pos + np.linspace(0, 0.3, frames)[:, None, None] * np.array([0.0, 1, 0])
    return Playback(("hips", "chest", "head"), t, pos, quat, solids, ghost, quat, np.cos(t), fell=True)


def run_report(**changes) -> RunReport:
    rows = [
        {
            "samples": 1000 * k,
            "return": 1 - 0.9**k if k else None,
            "episode_s": 2.0,
            "terms": {"pose": 0.5 + 0.01 * k, "velocity": 0.4},
            "times": {"wall": 2.0 * k, "cpu": 1.9 * k, "physics": k, "update": 0.5 * k},
        }
        for k in range(20)
    ]
    result = {
        "samples": 19000,
        "train_wall_seconds": 38.0,
        "steps_per_second": 500.0,
        "normalized_return": 0.91,
        "full_episodes": 0.75,
        "mean_episode_s": 17.0,
        "episodes": 32,
        "reward_terms": {"pose": 0.9, "velocity": 0.6},
        "controllers": [
            {"controller": "policy (last)", "normalized_return": 0.91, "full_episodes": 0.75},
            {"controller": "no action", "normalized_return": 0.2, "full_episodes": 0.0},
        ],
        "times": {"physics": 20.0, "update": 10.0},
    }
    report = RunReport(
        "runs/walk",
        "humanoid",
        "humanoid3d_walk.txt",
        result,
        rows,
        {"seed": 0},
        {"python": "3.11"},
        (61.0, 0.985),
        playback(),
    )
    return replace(report, **changes)
