"""The report of a long take: 10,000 frames of robot.glb (7,218 vertices, 14 animations in turn, noise on every vertex).

How large the page is, how long it takes to make, and how fast Chromium scrubs through it, drawing in software.

    BUNRAKU_DATA=… python benchmarks/report.py [--frames 10000] [--work FOLDER] [--no-browser]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from record import ROOT, print_table, record

from bunraku import api
from bunraku.core import artifact
from bunraku.core.curves import curves
from bunraku.core.metrics import Metrics
from bunraku.core.rig import diagonal
from bunraku.core.take import KIND, Take, save_take
from bunraku.rigs.open import rig_identity

NOISE = 1e-3
"""Standard deviation on each coordinate of the capture, as a share of the diagonal."""

SCRUB = """async (count) => {
  const { part } = window.report;
  const gl = part.stage.renderer.getContext();
  const pixel = new Uint8Array(4);
  const at = (i) => {
    part.transport.go((i * 7919) % part.part.frames);
    part.stage.draw();
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
  };
  for (let i = 0; i < 10; i++) at(i);
  const times = [];
  for (let i = 0; i < count; i++) {
    const before = performance.now();
    at(i);
    times.push(performance.now() - before);
  }
  return times.sort((a, b) => a - b);
}"""


def made_take(rig_file: Path, frames: int, folder: Path) -> Path:
    """A take as an inversion would have left it, without the inversion."""
    take = folder / f"take_{frames}"
    if artifact.kind_of(take) == KIND and artifact.read_manifest(take)["state"] == "finished":
        return take
    rig = api.open_rig(rig_file)
    true = _motion(rig_file, rig, frames, folder)
    solved = true + 0.01 * np.sin(np.arange(frames)[:, None] / 17 + np.arange(true.shape[1])) * (true != 0)
    size, generator = diagonal(rig.neutral), np.random.default_rng(0)
    capture = folder / f"capture_{frames}.npy"
    written = np.lib.format.open_memmap(capture, "w+", np.float32, (frames, *rig.neutral.shape))
    mean, largest, of_vertex, greatest = [], [], np.zeros(len(rig.neutral)), np.zeros(len(rig.neutral))
    for first in range(0, frames, 100):
        rows = slice(first, first + 100)
        clean = rig.evaluate(true[rows])
        seen = clean + generator.normal(scale=NOISE * size, size=clean.shape)
        written[rows] = seen
        apart = np.linalg.norm(seen - rig.evaluate(solved[rows]), axis=2)
        mean.append(apart.mean(axis=1))
        largest.append(apart.max(axis=1))
        of_vertex += apart.sum(axis=0) / frames
        greatest = np.maximum(greatest, apart.max(axis=0))
    written.flush()
    error = np.concatenate(mean)
    values = {
        "frames": frames,
        "vertices": len(rig.neutral),
        "controls": len(rig.spec),
        "mean_vertex_error": float(error.mean()),
        "max_vertex_error": float(greatest.max()),
        "relative_error": float(error.mean() / size),
        "unobservable": [],
        "interchangeable": [],
    }
    settings = {
        "capture": {"path": str(capture), "sha256": artifact.file_hash(capture)},
        "rig": rig_identity(str(rig_file)),
        "controls": [],
        "matching": None,
    }
    artifact.open_output(take, KIND, settings, overwrite=True)
    found = curves(rig.spec.names, solved, Fraction(24))
    arrays = (error, of_vertex, np.eye(3, 4))
    save_take(take, Take(found, Metrics(values, {}), *arrays, {}, {}, np.concatenate(largest), greatest))
    return take


def _motion(rig_file: Path, rig: Any, frames: int, folder: Path) -> np.ndarray:
    """All animations of the rig, one after the other, again and again."""
    parts = []
    for name in api.describe(str(rig_file))["animations"]:
        baked = folder / "baked.npz"
        api.bake(str(rig_file), name, baked, fps=Fraction(24), overwrite=True)
        with np.load(baked) as stored:
            values = np.tile(rig.spec.neutral, (len(stored["curves"]), 1))
            values[:, [rig.spec.index(str(each)) for each in stored["control_names"]]] = stored["curves"]
        parts.append(values)
    whole = np.concatenate(parts)
    return np.tile(whole, (-(-frames // len(whole)), 1))[:frames]


def scrubbed(page: Path, width: int, height: int) -> dict[str, float]:
    """Seconds until the page is ready, and milliseconds a frame of decoding and drawing, jumping about."""
    sys.path.insert(0, str(ROOT / "tests"))
    from playwright.sync_api import sync_playwright

    from browser import FLAGS, executable

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable(), headless=True, args=list(FLAGS))
        sight = browser.new_page(viewport={"width": width, "height": height})
        sight.set_default_timeout(120_000)
        before = time.perf_counter()
        sight.goto(page.resolve().as_uri())
        sight.wait_for_selector("html[data-ready]")
        ready = time.perf_counter() - before
        found = {name: value for mode in ("side", "overlay", "rig") for name, value in _scrub(sight, mode).items()}
        browser.close()
    return {"ready_s": ready, **found}


def _scrub(sight: Any, mode: str) -> dict[str, float]:
    """Frames/s of the median frame, and of the fastest tenth: what a machine that does nothing else would do."""
    sight.evaluate("(mode) => window.report.part.setMode(mode)", mode)
    times = sight.evaluate(SCRUB, 60)
    return {f"{mode}_fps": 1000 / times[len(times) // 2], f"{mode}_fps_undisturbed": 1000 / times[len(times) // 10]}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("BUNRAKU_DATA"))
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--work", type=Path, help="where the take is kept between runs")
    parser.add_argument("--no-browser", action="store_true")
    asked = parser.parse_args()
    if asked.data is None:
        parser.error("name the third-party data with --data or BUNRAKU_DATA")
    with tempfile.TemporaryDirectory() as own:
        work = asked.work or Path(own)
        work.mkdir(parents=True, exist_ok=True)
        take = made_take(asked.data / "rigs" / "robot.glb", asked.frames, work)
        load, wall, cpu = os.getloadavg()[0], time.perf_counter(), time.process_time()
        done = api.report(take, out=work / "report.html")
        row: dict[str, Any] = {
            "frames": asked.frames,
            "vertices": 7218,
            "megabytes": done["bytes"] / 1e6,
            "wall_s": time.perf_counter() - wall,
            "cpu_s": time.process_time() - cpu,
            "load": load,
        }
        if not asked.no_browser:
            row |= scrubbed(work / "report.html", 1280, 900)
    print_table("The report of a long take", [row])
    record("report", {"frames": asked.frames, "noise": NOISE, "page": "1280×900, SwiftShader"}, [row])


if __name__ == "__main__":
    main()
