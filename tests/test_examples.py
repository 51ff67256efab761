"""The examples run as a newcomer runs them: each a process of its own, one after the other, in an empty folder."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(folder, name, *words):
    command = [sys.executable, str(EXAMPLES / name), *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("examples")


def test_the_three_steps_of_the_toy(folder):
    assert "1000 poses" in run(folder, "01_sample.py")
    assert "Learnt from 1000 samples" in run(folder, "02_fit.py")
    said = run(folder, "03_invert.py")
    exact = next(line for line in said.splitlines() if line.startswith("8 true evaluations"))
    assert float(exact.split("mean vertex error ")[1].split(",")[0]) < 1e-8
    header, *rows = (folder / "out" / "cube" / "curves.csv").read_text().splitlines()
    assert header == "frame,time_s,rx,ry,rz,sx,sy,sz"
    assert len(rows) == 128


def test_the_third_step_makes_what_is_not_there(folder):
    assert "Curves to look at" in run(folder, "03_invert.py", folder / "alone")
    assert (folder / "alone" / "model" / "manifest.json").exists()


def test_a_real_character_is_the_puppet_when_none_is_given(folder):
    assert "3802 vertices" in run(folder, "04_gltf.py")
    assert (folder / "out" / "gltf" / "recovered.glb").exists()


def test_a_real_character_of_ones_own(folder, data_dir):
    said = run(folder, "04_gltf.py", data_dir / "rigs" / "CesiumMan.glb", folder / "own")
    assert "3273 vertices" in said
    assert (folder / "own" / "curves.csv").exists()


def test_a_spoilt_clip_is_mended(folder):
    said = run(folder, "05_clip.py")
    assert "as centimetres they would be 0.83 m" in said
    assert "Problems left: none" in said
    assert (folder / "out" / "clip" / "better.npz").exists()


def test_a_control_rig_of_blenders_is_followed(folder, blender):
    said = run(folder, "06_rigify.py", folder / "rigify", 60, 6)
    assert "243 controls" in said
    assert float(said.split("relative error ")[1].split(",")[0]) < 1e-3
    assert (folder / "rigify" / "curves.csv").exists()


def test_five_lines_invert_a_rig(folder):
    said = run(folder, "00_five_lines.py")
    assert float(said.split("error on the rig: ")[1].split(" m")[0]) < 1e-9
    assert (folder / "curves.csv").read_text().startswith("frame,time_s,pelvis.tx")


def test_a_dirty_capture_is_mended_and_solved(folder):
    said = run(folder, "07_dirty.py")
    assert "Axes and unit that were found: 0.01" in said
    assert float(said.split("The rig is ")[1].split(" mm")[0]) < 1
    assert (folder / "out" / "dirty" / "take" / "report.html").exists()


def test_curves_become_keys_and_leave(folder):
    said = run(folder, "08_keys.py")
    fewer = [float(line.split("keys, ")[1].split(" times")[0]) for line in said.splitlines() if "times fewer" in line]
    assert 4 < fewer[0] < fewer[1]
    assert (folder / "out" / "keys" / "shot.anim").read_text().startswith("animVersion")


def test_what_has_learnt_to_stand_stands_in_other_physics(folder):
    assert run(folder, "09_stand.py").splitlines()[-1] == "It stands."


def test_a_function_is_a_rig(folder):
    said = run(folder, "10_function.py")
    assert float(said.split("off by at most ")[1].split()[0]) < 1e-9


def test_every_example_is_run_here():
    run_here = Path(__file__).read_text()
    assert all(f'"{file.name}"' in run_here for file in EXAMPLES.glob("*.py"))
