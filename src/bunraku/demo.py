"""What a new user sees first: two rigs inverted on data that is made on the spot, and a bop bag that learns to stand.

The cube is the published toy: sampled, approximated, a straight shot of it inverted by an encoder and by the solver.
The figure is a skinned puppet: its own walk is baked, dirtied with noise, and won back as curves. The bop bag is
trained by the method of its article, from as many frames. Each step is a call of `api` or `mimic` with an output of
its own, so that a demo that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from bunraku import api, mimic
from bunraku.core.progress import Progress, silent

KIND = "demo"
REPORT = "report.html"
TITLES = {
    "cube": "The cube, as published: samples, approximation, curves",
    "figure": "The figure: its own walk, dirtied with noise, won back as curves",
    "bopbag": "The bop bag: learns to stand from as many frames as published",
}
ABOUT = {
    "cube": """\
The published recipe's row is stored (measured by benchmarks/rig_toy.py, its encoder cut at 50 CPU s), not run here.
cpu seconds include fitting the approximation to its samples; evaluations are of the true rig, after sampling.
""",
    "figure": """\
Measured against mesh and curves before the noise; the roughness in the capture's row is that of the true curves.
Errors are mean and largest vertex distances on the true rig (the cube is 2 wide; the figure 1.64 m high); control
error is the mean distance to the true curves, as a share of each control's range.
""",
    "bopbag": """\
32 episodes of 20 s from up to 86 degrees off upright; standing is the share that stands at the end. The return is the
mean reward of a frame, 1 at best: resting anywhere is worth 0.4.
""",
}
CUBE = "cube:published"


@dataclass(frozen=True)
class DemoConfig:
    """What the demo makes."""

    samples: int = 1000
    """Poses of the cube to learn from, as published."""
    frames: int = 128
    """Length of the cube's shot, as published."""
    animation: str = "walk"
    """Which of the figure's animations is baked: walk or wave."""
    noise: float = 0.002
    """Standard deviation of the noise on each coordinate of the figure's mesh, as a share of its diagonal."""
    smooth: float | Literal["auto"] = "auto"
    """Weight of smoothness with which the noisy figure is inverted; auto: as its noise says."""
    mimic_samples: int = 6144
    """Frames that the bop bag learns from, as published."""
    seed: int = 0
    """Of everything that is drawn at random."""


def demo(
    out: Path, cfg: DemoConfig | None = None, *, overwrite: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """Invert the cube and the figure into the folder `out`; the result holds a row for each way that was measured.

    Raises:
        BunrakuError: `out` holds something else, or a demo of other settings and `overwrite` is False.
    """
    from bunraku.core import artifact

    cfg = cfg or DemoConfig()
    output = artifact.open_output(out, KIND, asdict(cfg), seed=cfg.seed, overwrite=overwrite)
    if output.result is not None:
        return dict(output.result)
    started = time.perf_counter()
    result = {
        "cube": _cube(out / "cube", cfg, progress),
        "figure": _figure(out / "figure", cfg, progress),
        "bopbag": _bopbag(out / "bopbag", cfg, progress),
    }
    result |= {
        "report": _report(out, result),
        "files": _files(out),
        "wall_seconds": time.perf_counter() - started,
        "out": str(out),
    }
    artifact.finish_output(out, {}, {}, result)
    return result


def _report(out: Path, result: Mapping[str, Any]) -> str:
    """One page of it all."""
    from bunraku.api.reporting import run_report, take_report, write_pages
    from bunraku.report.page import Table, Tables

    cube, learned = result["cube"][-1], result["bopbag"][0]
    verdict = (
        f"Curves of the cube put its corners {cube['mean_error']:.1e} off, where the published recipe leaves "
        f"{result['cube'][0]['mean_error']:.3f}. The figure's walk came back from a noisy mesh "
        f"{result['figure'][-1]['mean_error'] * 1000:.2f} mm from the clean one. "
        f"The bop bag learnt to stand: {learned['standing']:.0%} of its episodes end upright."
    )
    tables = [Table(TITLES[what], result[what], ABOUT[what]) for what in TITLES]
    parts = [
        Tables("overview", verdict, tables),
        take_report(out / "figure" / "take", name="figure: a skinned character inverted"),
        take_report(out / "cube" / "take", name="cube: the published toy"),
        run_report(out / "bopbag" / "run", name="bop bag: a simulated skill"),
    ]
    write_pages(parts, out / REPORT, "Bunraku's demo")
    return str(out / REPORT)


def _files(out: Path) -> dict[str, str]:
    names = {
        "cube curves": "cube/curves.csv",
        "figure": "figure/figure.glb",
        "figure curves": "figure/curves.csv",
        "figure with the take as last animation": "figure/recovered.glb",
        "bop bag's learning curve": "bopbag/run/learning_curve.svg",
        "bop bag's policy, for bunraku/player.py": "bopbag/policy.npz",
        "bop bag's motion": "bopbag/motion.npz",
    }
    return {what: str(out / name) for what, name in names.items()}


def _cube(folder: Path, cfg: DemoConfig, progress: Progress) -> list[dict[str, Any]]:
    from bunraku.core.mesh_sequence import mesh_sequence
    from bunraku.formats.npz import save_npz_sequence
    from bunraku.inversion.draw import SampleConfig
    from bunraku.inversion.fit import FitConfig
    from bunraku.inversion.invert import InvertConfig
    from bunraku.rigs.cube import Cube, animation

    folder.mkdir(exist_ok=True)
    rig, shot = Cube(published_vertices=True), folder / "shot.npz"
    true = animation(cfg.frames, cfg.seed, straight=True)
    # The true curves go beside the shot for the errors of controls; `invert` never sees them.
    save_npz_sequence(shot, mesh_sequence(rig.evaluate(true.values), rig.faces, true.fps), true)
    sampling = SampleConfig(cfg.samples, sampler="sobol", seed=cfg.seed)
    api.sample(CUBE, folder / "samples", sampling, progress=progress)
    fitted = api.fit(folder / "samples", folder / "model", FitConfig(seed=cfg.seed), progress=progress)
    ways = {
        "encoder": ("take_encoder", InvertConfig(method="encoder", refine=0, seed=cfg.seed)),
        "solve": ("take_solve", InvertConfig(refine=0, seed=cfg.seed)),
        "solve+refine": ("take", InvertConfig(refine=8, seed=cfg.seed)),
    }
    rows = [_published()]
    for label, (name, how) in ways.items():
        take = api.invert_file(shot, CUBE, folder / name, how, model=folder / "model", progress=progress)
        cpu = take["cpu_seconds"] + fitted["cpu_seconds"]
        rows.append(_row(label, take, {"evaluations_per_frame": how.refine, "cpu_seconds": cpu}))
    api.export(folder / "take", folder / "curves.csv", overwrite=True)
    return rows


def _published() -> dict[str, Any]:
    """The published recipe's figures: stored, since it takes minutes."""
    stored = json.loads(resources.files("bunraku").joinpath("demo_figures.json").read_text("utf-8"))["published_recipe"]
    return {
        "way": stored["label"],
        "mean_error": stored["mean_vertex_error"],
        "max_error": None,
        "control_error": None,
        "evaluations_per_frame": 0,
        "cpu_seconds": stored["cpu_seconds"],
    }


def _row(way: str, metrics: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "way": way,
        "mean_error": metrics["mean_vertex_error"],
        "max_error": metrics["max_vertex_error"],
        "control_error": metrics["control_error"],
        **more,
    }


def _figure(folder: Path, cfg: DemoConfig, progress: Progress) -> list[dict[str, Any]]:
    from bunraku.formats.gltf import write_gltf
    from bunraku.inversion.invert import InvertConfig
    from bunraku.rigs.figure import figure

    folder.mkdir(exist_ok=True)
    rig, clean, capture = folder / "figure.glb", folder / "clean.npz", folder / "capture.npz"
    write_gltf(rig, *figure())
    api.bake(str(rig), cfg.animation, clean, fps=Fraction(24), overwrite=True)
    _dirty(clean, capture, cfg)
    rows = [_captured(rig, clean, capture)]
    roughly = InvertConfig(smooth=0.0, seed=cfg.seed)
    ways = {"frame by frame": ("take_rough", roughly), "with smoothness": ("take", replace(roughly, smooth=cfg.smooth))}
    for label, (name, how) in ways.items():
        spent = api.invert_file(capture, str(rig), folder / name, how, progress=progress)
        metrics = _against(rig, clean, folder / name)
        more = {"roughness": metrics["roughness"], "cpu_seconds": spent["cpu_seconds"]}
        rows.append(_row(label, metrics, more))
    api.export(folder / "take", folder / "curves.csv", overwrite=True)
    api.export(folder / "take", folder / "recovered.glb", overwrite=True)
    return rows


def _dirty(clean: Path, capture: Path, cfg: DemoConfig) -> None:
    """What a scanner might have seen of it: noise on every vertex, and no true curves beside it."""
    import numpy as np

    from bunraku.core.mesh_sequence import mesh_sequence
    from bunraku.core.rig import diagonal
    from bunraku.formats.npz import save_npz_sequence

    sequence = api.load_sequence(clean)
    sigma = cfg.noise * diagonal(sequence.vertices[0])
    noise = np.random.default_rng(cfg.seed).normal(scale=sigma, size=sequence.vertices.shape)
    save_npz_sequence(capture, mesh_sequence(sequence.vertices + noise, sequence.faces, sequence.fps))


def _captured(rig: Path, clean: Path, capture: Path) -> dict[str, Any]:
    """The capture itself as a row: how far its noise put it from the clean mesh, how rough the true curves are."""
    import numpy as np

    from bunraku.formats.npz import load_true_curves
    from bunraku.inversion.evaluate import roughness

    spec = api.open_rig(rig).spec
    true = load_true_curves(clean, spec.names)
    assert true is not None, "a baked animation carries its curves"
    off = np.linalg.norm(api.load_sequence(capture).vertices - api.load_sequence(clean).vertices, axis=2)
    row = {
        "way": "the capture",
        "mean_error": float(off.mean()),
        "max_error": float(off.max()),
    }
    return {**row, "control_error": 0.0, "roughness": roughness(spec, true.ordered_as(spec)), "cpu_seconds": None}


def _against(rig: Path, clean: Path, take: Path) -> Mapping[str, Any]:
    """A take's metrics against the mesh and the curves as they were before the noise."""
    from bunraku.formats.npz import load_true_curves
    from bunraku.inversion.evaluate import evaluate

    opened = api.open_rig(rig)
    true = load_true_curves(clean, opened.spec.names)
    assert true is not None, "a baked animation carries its curves"
    solved = api.load_take(take).curves.ordered_as(opened.spec)
    mesh = api.load_sequence(clean)
    return evaluate(opened, mesh, solved, true_controls=true.ordered_as(opened.spec)).metrics.values


def _bopbag(folder: Path, cfg: DemoConfig, progress: Progress) -> list[dict[str, Any]]:
    """The bop bag trained by advantage-weighted regression, beside what does not learn."""
    folder.mkdir(exist_ok=True)
    run = folder / "run"
    done = mimic.train(
        "bopbag", run, algorithm="awr", samples=cfg.mimic_samples, seed=cfg.seed, overwrite=True, progress=progress
    )
    mimic.export(run, folder / "policy.npz", overwrite=True)
    mimic.export(run, folder / "motion.npz", motion=4.0, overwrite=True)
    rows: list[dict[str, Any]] = []
    for row in done["controllers"]:
        learned = row["controller"].startswith("policy")
        rows.append(
            {
                "controller": "learned" if learned else row["controller"],
                "normalized_return": row["normalized_return"],
                "standing": row["standing"],
                "samples": done["samples"] if learned else None,
                "cpu_seconds": done["train_cpu_seconds"] if learned else None,
            }
        )
    return rows
