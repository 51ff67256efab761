"""Captures as they come: noise, outliers, gaps, markers, other topologies, units, axes, drift, a cut.

    BUNRAKU_DATA=… python benchmarks/rig_dirty.py [--rigs face CesiumMan robot] [--cases …] [--encoder]

Each case spoils the same shot of a rig whose curves are known; every method then sees the same capture. On the
procedural face (a black box) all methods work through one approximation and ours asks the rig afterwards; glTF rigs
are solved on directly. Per-frame LM and the linear solve get correspondences, axes and units as they really are: ours
finds them. The published recipe's encoder (a network trained for this shot through the approximation, here with our
training) is there for the face, where --encoder asks for it.

Control errors, and the roughness of what is solved less the truth, are means over the controls that the clean mesh
determines, as shares of their ranges (of interchangeable controls the truth is one choice among many); `information` is
what noise allows at least without knowing that curves are smooth: the Cramér–Rao bound from the Jacobian, the root of
its mean square over the same controls, beside the root mean square error of ours; for missing frames, what a cubic
spline through the frames that are there makes of the truth and of that bound, beside ours in the missing ones.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from record import print_table, record
from scipy.interpolate import make_interp_spline
from scipy.optimize import lsq_linear

from bunraku.compute.threads import one_thread
from bunraku.core.mesh_sequence import MeshSequence, mesh_sequence
from bunraku.core.reduced import observe
from bunraku.core.rig import DifferentiableRig, Rig, diagonal
from bunraku.core.rotations import quat_from_rotvec, quat_rotate
from bunraku.inversion.account import control_deviation, observability
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.attachment import Attachment, attached
from bunraku.inversion.correspondence import by_surface
from bunraku.inversion.dataset import load_samples
from bunraku.inversion.draw import SampleConfig
from bunraku.inversion.encoder import train_encoder
from bunraku.inversion.evaluate import control_error, roughness
from bunraku.inversion.fit import FitConfig, fit
from bunraku.inversion.invert import InvertConfig, invert
from bunraku.inversion.problem import vertex_weights
from bunraku.inversion.sample import sample
from bunraku.inversion.solve import SolveConfig, solve
from bunraku.rigs.face import Face, animation
from bunraku.rigs.skinned import bake, open_gltf_rig

FRAMES, FACE_SHOT, NOISE = 96, 100, 0.005
PLAIN = SolveConfig(smooth=0.0, sparse=0.0, robust="none")


@dataclass(frozen=True, eq=False)
class Shot:
    """A rig and curves of it."""

    name: str
    rig: Rig
    on: DifferentiableRig
    """What is solved on: the rig itself, or its approximation."""
    true: np.ndarray
    mesh: np.ndarray

    @property
    def model(self) -> Approximation | None:
        """Where it is an approximation."""
        return self.on if isinstance(self.on, Approximation) else None


@dataclass(frozen=True, eq=False)
class Dirt:
    """A spoilt capture, and what others are told of it."""

    capture: MeshSequence
    known: MeshSequence | None = None
    """What the methods beside ours see: axes, unit and drift are right. None: the same capture."""
    to: Attachment | None = None
    """Which points these are."""
    sigma: float = 0.0
    """Noise per coordinate."""


def noisy(shot: Shot, share: float, rng: np.random.Generator) -> np.ndarray:
    return shot.mesh + share * diagonal(shot.rig.neutral) * rng.standard_normal(shot.mesh.shape)


def clean(shot: Shot, _: np.random.Generator) -> Dirt:
    return Dirt(mesh_sequence(shot.mesh))


def noise(share: float) -> Callable[[Shot, np.random.Generator], Dirt]:
    def spoil(shot: Shot, rng: np.random.Generator) -> Dirt:
        return Dirt(mesh_sequence(noisy(shot, share, rng)), sigma=share * diagonal(shot.rig.neutral))

    return spoil


def outliers(share: float) -> Callable[[Shot, np.random.Generator], Dirt]:
    """Vertices a tenth of the diagonal off."""

    def spoil(shot: Shot, rng: np.random.Generator) -> Dirt:
        mesh, length = noisy(shot, NOISE, rng), diagonal(shot.rig.neutral)
        off = rng.random(mesh.shape[:2]) < share
        mesh[off] += 0.1 * length * rng.standard_normal((int(off.sum()), 3))
        return Dirt(mesh_sequence(mesh), sigma=NOISE * length)

    return spoil


def missing(vertices: float = 0.0, frames: float = 0.0) -> Callable[[Shot, np.random.Generator], Dirt]:
    def spoil(shot: Shot, rng: np.random.Generator) -> Dirt:
        valid = rng.random(shot.mesh.shape[:2]) >= vertices
        gone = rng.random(len(valid)) < frames
        gone[[0, -1]] = False
        valid[gone] = False
        return Dirt(mesh_sequence(noisy(shot, NOISE, rng), valid=valid), sigma=NOISE * diagonal(shot.rig.neutral))

    return spoil


def half(shot: Shot, rng: np.random.Generator) -> Dirt:
    """Only the vertices of one side."""
    neutral = np.asarray(shot.rig.neutral)
    valid = np.broadcast_to(neutral[:, 0] > np.median(neutral[:, 0]), shot.mesh.shape[:2])
    return Dirt(mesh_sequence(noisy(shot, NOISE, rng), valid=valid.copy()), sigma=NOISE * diagonal(shot.rig.neutral))


def points(count: int) -> Callable[[Shot, np.random.Generator], Dirt]:
    """So many points on the surface, in any order; their places are found by one neutral frame."""

    def spoil(shot: Shot, rng: np.random.Generator) -> Dirt:
        chosen = rng.choice(len(shot.rig.faces), min(count, len(shot.rig.faces)), replace=False)
        share = rng.dirichlet([1, 1, 1], len(chosen))
        corners = np.asarray(shot.rig.faces)[chosen]

        def placed(mesh: np.ndarray) -> np.ndarray:
            return np.einsum("pk,...pkx->...px", share, mesh[..., corners, :])

        length = diagonal(shot.rig.neutral)
        to = by_surface(placed(np.asarray(shot.rig.neutral)), shot.rig)
        mesh = placed(shot.mesh)
        mesh += NOISE * length * rng.standard_normal(mesh.shape)
        return Dirt(mesh_sequence(mesh), to=to, sigma=NOISE * length)

    return spoil


def moved(scale: float = 1.0, axes: np.ndarray | None = None) -> Callable[[Shot, np.random.Generator], Dirt]:
    def spoil(shot: Shot, rng: np.random.Generator) -> Dirt:
        known = noisy(shot, NOISE, rng)
        turned = known if axes is None else known @ axes
        return Dirt(mesh_sequence(scale * turned), mesh_sequence(known), sigma=NOISE * diagonal(shot.rig.neutral))

    return spoil


def drifting(shot: Shot, rng: np.random.Generator) -> Dirt:
    """The whole mesh wanders by a tenth of the diagonal and ten degrees."""
    known, length = noisy(shot, NOISE, rng), diagonal(shot.rig.neutral)
    t = np.linspace(0, 2 * np.pi, len(known))
    turn = quat_from_rotvec(np.deg2rad(10) * np.stack([np.sin(t), np.sin(0.7 * t), 0.5 * np.sin(1.3 * t)], axis=1))
    way = 0.1 * length * np.stack([np.sin(0.8 * t), 1 - np.cos(t), np.sin(1.1 * t)], axis=1)
    mesh = quat_rotate(turn[:, None], known) + way[:, None]
    return Dirt(mesh_sequence(mesh), mesh_sequence(known), sigma=NOISE * length)


CASES: dict[str, Callable[[Shot, np.random.Generator], Dirt]] = {
    "clean": clean,
    "noise 0.1 %": noise(0.001),
    "noise 0.5 %": noise(NOISE),
    "noise 2 %": noise(0.02),
    "8 % outliers": outliers(0.08),
    "20 % outliers": outliers(0.2),
    "30 % of the vertices missing": missing(vertices=0.3),
    "20 % of the frames missing": missing(frames=0.2),
    "half the mesh": half,
    "60 markers": points(60),
    "another topology, shuffled": points(900),
    "unit × 100": moved(scale=100.0),
    "Z up": moved(axes=np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])),
    "drifting head": drifting,
    "a cut in the middle": noise(NOISE),
}


def linear(on: DifferentiableRig, capture: MeshSequence) -> np.ndarray:
    """Bounded linear least squares of every frame, around neutral."""
    spec, reduced = on.spec, on.reduce()
    origin, rows = reduced.linearize(spec.neutral[None])
    seen = observe(reduced, capture.vertices, vertex_weights(capture))
    out = np.empty((capture.frames, len(spec)))
    for frame in range(capture.frames):
        chosen = np.array([frame])
        system = seen.whiten(chosen, np.asarray(rows, np.float64) * spec.range[:, None])[0].T
        right = seen.whiten(chosen, seen.target[chosen] - origin)[0]
        orthogonal, upper = np.linalg.qr(system)
        box = ((spec.lower - spec.neutral) / spec.range, (spec.upper - spec.neutral) / spec.range + 1e-12)
        out[frame] = spec.neutral + spec.range * lsq_linear(upper, orthogonal.T @ right, box).x
    return out


def ours(shot: Shot, dirt: Dirt) -> np.ndarray:
    rig, model = shot.rig, shot.model
    if dirt.to is not None:
        rig = attached(rig, dirt.to)
        model = None if model is None else attached(model, dirt.to)
    take = invert(rig, dirt.capture, InvertConfig(), approximation=model)  # pyright: ignore[reportArgumentType]
    return take.curves.values


def measure(shot: Shot, case: str, encoder: bool) -> list[dict[str, Any]]:
    """The rows of a case, one for each method."""
    if case == "a cut in the middle":
        # The second half comes first.
        order = np.roll(np.arange(len(shot.true)), len(shot.true) // 2)
        shot = replace(shot, true=shot.true[order], mesh=shot.mesh[order])
    dirt = CASES[case](shot, np.random.default_rng([FACE_SHOT, 2]))
    on = shot.on if dirt.to is None else attached(shot.on, dirt.to)
    assert isinstance(on, DifferentiableRig)
    known = dirt.known or dirt.capture
    methods: dict[str, Callable[[], np.ndarray]] = {
        "per-frame LM": lambda: solve(on, known, PLAIN).controls,
        "bounded linear": lambda: linear(on, known),
        "ours": lambda: ours(shot, dirt),
    }
    if encoder and shot.model is not None and dirt.to is None:
        model = shot.model
        methods["encoder"] = lambda: train_encoder(model, known).encode(known.vertices, vertex_weights(known))
    determined = observability(shot.on, shot.true).determined
    rows: list[dict[str, Any]] = []
    for method, solved in methods.items():
        cpu = time.process_time()
        controls = solved()
        rows.append(row(shot, case, method, controls, determined) | {"CPU s": time.process_time() - cpu})
        if method == "ours":
            rows[-1] |= information(shot, case, dirt, on, known, controls, determined)
    return rows


def row(shot: Shot, case: str, method: str, controls: np.ndarray, determined: np.ndarray) -> dict[str, Any]:
    spec = shot.rig.spec
    moving = (np.abs(shot.true - spec.neutral) > 0.02 * spec.range).sum(axis=1).mean()
    found = (np.abs(controls - spec.neutral) > 0.02 * spec.range).sum(axis=1).mean()
    rough = roughness(spec, shot.true)
    wrong = (controls - shot.true) / spec.range
    return {
        "rig": shot.name,
        "case": case,
        "method": method,
        "control error": control_error(spec, controls, shot.true, determined),
        "roughness of the error": float((np.diff(wrong[:, determined], n=2, axis=0) ** 2).mean()),
        "roughness / true": roughness(spec, controls) / rough,
        "active / true": float(found / moving),
        "mesh / diagonal": float(np.linalg.norm(shot.rig.evaluate(controls) - shot.mesh, axis=2).mean())
        / diagonal(shot.rig.neutral),
    }


def information(
    shot: Shot,
    case: str,
    dirt: Dirt,
    on: DifferentiableRig,
    known: MeshSequence,
    controls: np.ndarray,
    determined: np.ndarray,
) -> dict[str, Any]:
    """What is possible, beside the same of ours."""
    spec = shot.rig.spec
    wrong = (controls - shot.true) / spec.range
    bound = control_deviation(on, shot.true, dirt.sigma, vertex_weights(known)) if dirt.sigma else np.zeros(wrong.shape)
    if case == "20 % of the frames missing":
        assert known.valid is not None
        there = known.valid.any(axis=1)
        frames = np.arange(len(there))
        # The spline as a matrix: what it makes of the truth, and of what noise leaves of it in the frames around.
        spline = make_interp_spline(frames[there], np.eye(int(there.sum())), k=3)(frames[~there])
        missed = (spline @ shot.true[there] - shot.true[~there]) / spec.range
        possible = np.sqrt(missed**2 + spline**2 @ bound[there] ** 2)
        return ratio(wrong[~there][:, determined], possible[:, determined])
    if case not in ("half the mesh", "60 markers"):
        return {}
    # What the mesh shows to less than a fifth of the range is not observable here.
    seen = determined & (np.sqrt((bound**2).mean(axis=0)) < 0.2)
    return ratio(wrong[:, seen], bound[:, seen]) | {"observable": int(seen.sum())}


def ratio(wrong: np.ndarray, possible: np.ndarray) -> dict[str, Any]:
    own, least = (float(np.sqrt((values**2).mean())) for values in (wrong, possible))
    return {"RMS error": own, "information": least, "of information": own / least}


def shots(names: list[str], data: Path) -> list[Shot]:
    made: list[Shot] = []
    if "face" in names:
        rig = Face()
        with tempfile.TemporaryDirectory() as folder:
            sample(rig, SampleConfig(4000, seed=FACE_SHOT), Path(folder) / "samples")
            model = fit(load_samples(Path(folder) / "samples"), FitConfig(seed=FACE_SHOT))
        true = animation(rig, FRAMES, FACE_SHOT).values
        made.append(Shot("face", rig, model, true, rig.evaluate(true)))
    for name in names:
        if name != "face":
            rig = open_gltf_rig(next((data / "rigs").glob(f"{name}.gl*")))
            capture, true = bake(rig, rig.animations[0].name, Fraction(24))
            frames = min(FRAMES, capture.frames)
            assert true is not None
            made.append(Shot(name, rig, rig, true.ordered_as(rig.spec)[:frames], np.asarray(capture.vertices[:frames])))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rigs", nargs="+", default=["face", "CesiumMan", "robot"])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--encoder", action="store_true")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    rows: list[dict[str, Any]] = []
    with one_thread():
        for shot in shots(asked.rigs, Path(os.environ.get("BUNRAKU_DATA", "data"))):
            for case in asked.cases:
                if case == "drifting head" and shot.name != "face":
                    continue  # their roots follow: the drift is theirs
                rows += measure(shot, case, asked.encoder)
                print(f"{shot.name}, {case}: {rows[-1]['control error']:.2e}", flush=True)
    against(rows)
    print_table("dirty captures", rows)
    record("rig_dirty", {**vars(asked), "frames": FRAMES, "load_at_start": load}, rows)


def against(rows: list[dict[str, Any]]) -> None:
    """Every error as a multiple of the same method's with noise alone, and LM's as one of ours."""
    known = {(row["rig"], row["case"], row["method"]): row for row in rows}
    for own in rows:
        plain = known.get((own["rig"], "noise 0.5 %", own["method"]))
        if plain is not None:
            own["× noise 0.5 %"] = own["control error"] / plain["control error"]
        rough = known.get((own["rig"], own["case"], "per-frame LM"))
        if own["method"] == "ours" and rough is not None:
            own["LM / ours"] = rough["control error"] / max(own["control error"], 1e-12)
            own["LM / ours, roughness"] = rough["roughness of the error"] / max(own["roughness of the error"], 1e-18)


if __name__ == "__main__":
    main()
