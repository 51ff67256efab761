"""Every picture of README and docs, made anew: `make pictures`, or

    python tools/pictures.py [--work FOLDER] [NAME …]

Rigs and clips are those that come with the project; what is inverted and trained for the pictures stays in the work
folder (build/pictures) and is found there again. A picture is one command of the project's own, or a screenshot of one
of its pages in a headless Chromium. The humanoid's training takes some ten minutes of a core, all the rest about three.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import diagonal
from bunraku.formats.gltf import write_gltf
from bunraku.formats.npz import load_npz_sequence, save_npz_sequence

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
LARGEST = 300_000
"""Bytes of a picture."""
SAMPLES = 330_000
"""What the humanoid learns from: enough to follow its clip, not to follow it well."""
FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Make the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "pictures", help="where takes and runs are kept")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MADE))
    asked = parser.parse_args()
    if unknown := sorted(set(asked.names) - set(MADE)):
        parser.error(f"no picture {', '.join(unknown)}; there are: {', '.join(MADE)}")
    asked.work.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in asked.names or MADE:
        file = PICTURES / name
        MADE[name](asked.work, file)
        if file.suffix == ".png":
            _fewer_colours(file)
        size = file.stat().st_size
        print(f"{file.relative_to(ROOT)}: {size // 1000} kB", flush=True)
        if size > LARGEST:
            sys.exit(f"{name}: {size} bytes, but at most {LARGEST} are wanted")


def bunraku(*words: object) -> None:
    """A command, whose results go to nobody; what is wrong ends it all."""
    command = [sys.executable, "-m", "bunraku.cli.main", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


# What the pictures show


def dirtied(clean: np.ndarray, faces: np.ndarray, file: Path) -> None:
    """What a scanner might have seen of a mesh: noise, one vertex in fifty far off."""
    rng = np.random.default_rng(0)
    size = diagonal(clean[0])
    seen = clean + rng.normal(scale=0.001 * size, size=clean.shape)
    off = rng.random(clean.shape[:2]) < 0.02
    seen[off] += rng.normal(scale=0.02 * size, size=(int(off.sum()), 3))
    save_npz_sequence(file, mesh_sequence(seen, faces, 24))


def face_take(work: Path) -> Path:
    """The face's own shot, dirtied and inverted: a rig that is asked as a black box."""
    from bunraku.rigs.face import Face, animation

    take = work / "face"
    if not (take / "curves.safetensors").exists():
        rig = Face()
        dirtied(rig.evaluate(animation(rig, 48).values), rig.faces, work / "face.npz")
    bunraku("rig", "invert", work / "face.npz", "--rig", "face", "--out", take, "--no-report")
    return take


def figure_take(work: Path) -> Path:
    """The figure's walk, dirtied and inverted, its curves as keys."""
    from bunraku.rigs.figure import figure

    rig, clean, take = work / "figure.glb", work / "walk.npz", work / "figure"
    if not rig.exists():
        write_gltf(rig, *figure())
        bunraku("rig", "bake", rig, "--animation", "walk", "--out", clean, "--overwrite")
        mesh = load_npz_sequence(clean)
        dirtied(mesh.vertices, mesh.faces, work / "capture.npz")
    bunraku("rig", "invert", work / "capture.npz", "--rig", rig, "--out", take, "--no-report")
    if not (take / "keys.json").exists():
        bunraku("rig", "simplify", take, "--tolerance", "0.2%")
        bunraku("rig", "account", take)
    return take


def bag_run(work: Path) -> Path:
    """A bop bag that has learnt to stand."""
    bunraku("mimic", "train", "bopbag", "--seed", "0", "--out", work / "bag", "--no-report")
    return work / "bag"


def humanoid_run(work: Path) -> Path:
    """A humanoid that has learnt to squat, more or less."""
    how = ("--clip", "squatting", "--samples", SAMPLES, "--seed", "0", "--no-report")
    bunraku("mimic", "train", "humanoid", *how, "--out", work / "squatting")
    return work / "squatting"


# Pictures by commands


def face_sheet(work: Path, file: Path) -> None:
    """Capture beside solved, the error as colour."""
    size = ("--width", 520, "--height", 400, "--camera", "front")
    bunraku("rig", "export", face_take(work), "--to", file, "--sheet", 2, *size, "--overwrite")


def figure_film(work: Path, file: Path) -> None:
    """The same of the figure, in motion."""
    size = ("--width", 360, "--height", 300, "--seconds", 1)
    bunraku("rig", "export", figure_take(work), "--to", file, *size, "--overwrite")


def humanoid_sheet(work: Path, file: Path) -> None:
    """The character over the ghost of its clip."""
    size = ("--width", 320, "--height", 320, "--seconds", 6, "--sheet", 6)
    bunraku("mimic", "export", humanoid_run(work), "--to", file, *size, "--overwrite")


def bag_sheet(work: Path, file: Path) -> None:
    """The bag gets up."""
    size = ("--width", 240, "--height", 240, "--seconds", 0.5, "--sheet", 6, "--camera", "60,-12,6")
    bunraku("mimic", "export", bag_run(work), "--to", file, *size, "--overwrite")


# Pictures of pages


def take_page(work: Path, file: Path) -> None:
    """The report of a take."""
    _report(figure_take(work), file, 1180, 1000)


def run_page(work: Path, file: Path) -> None:
    """The report of a run."""
    _report(humanoid_run(work), file, 1180, 1000)


def phone_page(work: Path, file: Path) -> None:
    """The report of a take on a phone, at night."""
    _report(figure_take(work), file, 390, 800, dark=True)


def rig_view(work: Path, file: Path) -> None:
    """The viewer of a rig."""
    del work
    _view(["figure"], file)


def run_view(work: Path, file: Path) -> None:
    """The viewer of a run, its policy acting."""
    _view([str(humanoid_run(work))], file)


def _report(folder: Path, file: Path, width: int, height: int, *, dark: bool = False) -> None:
    bunraku("report", folder)
    with _page((folder / "report.html").resolve().as_uri(), width, height, dark=dark) as page:
        page.wait_for_selector("html[data-ready]")
        page.evaluate("window.report.part.stage.draw()")
        page.screenshot(path=file)


def _view(words: list[str], file: Path) -> None:
    """What the viewer shows some seconds after it was opened; it tells its address among the messages."""
    command = [sys.executable, "-u", "-m", "bunraku.cli.main", "view", *words]
    viewer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert viewer.stderr is not None
        address = next(word for line in viewer.stderr for word in line.split() if word.startswith("http"))
        with _page(address, 1100, 720) as page:
            page.wait_for_selector("canvas")
            page.wait_for_timeout(15_000)
            # viser's word on drawing without a graphics card, which is in nobody's way but here
            page.add_style_tag(content=".mantine-Notifications-root { display: none }")
            page.screenshot(path=file, timeout=120_000)
    finally:
        viewer.terminate()
        viewer.wait()


@contextmanager
def _page(address: str, width: int, height: int, *, dark: bool = False) -> Iterator:
    """An address in a headless Chromium."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        sys.exit("no Chromium (Debian: apt install chromium)")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, headless=True, args=list(FLAGS))
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
        page.set_default_timeout(120_000)
        page.goto(address)
        yield page
        browser.close()


def _fewer_colours(file: Path) -> None:
    """A .png with a palette, a third of its size."""
    with Image.open(file) as picture:
        fewer = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    fewer.save(file, optimize=True)


MADE: dict[str, Callable[[Path, Path], None]] = {
    "face.png": face_sheet,
    "figure.gif": figure_film,
    "report-take.png": take_page,
    "report-phone.png": phone_page,
    "viewer-rig.png": rig_view,
    "bag.png": bag_sheet,
    "humanoid.png": humanoid_sheet,
    "report-run.png": run_page,
    "viewer-run.png": run_view,
}

if __name__ == "__main__":
    main()
