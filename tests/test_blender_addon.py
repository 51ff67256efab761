"""The Blender add-on: its archive, and its operators run in Blender without a window."""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bunraku.player import FORMAT
from bunraku.rigs.blender_program import find_blender

HERE = Path(__file__).parent
BUILD = HERE.parent / "integrations" / "blender" / "build_addon.py"
PROGRAM = Path(sys.executable).parent / "bunraku"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("build_addon", BUILD)
    assert spec is not None
    assert spec.loader is not None
    building = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(building)
    return building.build(tmp_path_factory.mktemp("addon") / "addon.zip")


def told(archive: Path, folder: Path, *words: str) -> dict:
    command = find_blender().words(HERE / "blender_addon_trial.py", (), scripts=False)
    command = tuple(word for word in command if word != "--")
    done = subprocess.run(
        [*command, str(archive), str(PROGRAM), *words],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "BLENDER_USER_RESOURCES": str(folder / "user")},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("TOLD ")]
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "DISABLED True False" in done.stdout
    return json.loads(lines[0].removeprefix("TOLD "))


def test_the_archive_holds_what_the_add_on_needs(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        names = set(file.namelist())
        manifest = file.read("bunraku_addon/blender_manifest.toml").decode()
        code = file.read("bunraku_addon/__init__.py").decode()
    assert {"LICENSE", "panel.py", "bundled/bunraku_player.py", "bundled/bunraku_blender/home.py"} <= {
        name.removeprefix("bunraku_addon/") for name in names
    }
    assert all(name.startswith("bunraku_addon/") for name in names)
    version = next(line for line in manifest.splitlines() if line.startswith("version")).split('"')[1]
    assert f'"version": ({version.replace(".", ", ")})' in code
    assert "GPL-3.0-or-later" in manifest


def test_a_capture_is_inverted_from_the_panel(archive: Path, blender: str, tmp_path: Path) -> None:
    column = tmp_path / "column.blend"
    words = [word for word in find_blender().words(HERE / "blender_column.py", (), scripts=False) if word != "--"]
    subprocess.run([*words, str(column)], check=True, capture_output=True, timeout=300)
    found = told(archive, tmp_path, "invert", str(column), str(tmp_path / "work"))
    assert max(found["errors"]) < 1e-4
    assert found["actions"] == ["Captured", "Captured"]
    assert found["old_kept"] is True
    assert found["attribute"] == ["FLOAT", "POINT"]
    assert found["yellow"] > 0.9
    assert "keys" in found["status"]
    assert "choose the rig's mesh first" in found["nothing"]
    assert "no control 'nothing.*'; this rig has: low.tx" in found["wrong"]
    broken = found["cancelled"]
    assert broken["again"] == ["CANCELLED"]
    assert broken["last"] == ["CANCELLED"]
    assert (broken["frame"], broken["ended"], broken["idle"]) == (4, True, True)
    assert broken["status"].startswith("cancelled")


def spring_as_policy(path: Path) -> None:
    """A policy of one layer: 60 N m against a radian, 10 against a radian per second."""
    about = {"layout": [], "activation": "tanh", "layers": 1, "limit": 10.0, "character": "bopbag", "control_hz": 24.0}
    np.savez(
        path,
        format=np.array(FORMAT),
        about=np.array(json.dumps({**about, "physics_hz": 192.0})),
        mean=np.zeros(2, np.float32),
        deviation=np.ones(2, np.float32),
        weight0=np.array([[-1.5, -0.25]], np.float32),
        bias0=np.zeros(1, np.float32),
        reference_control=np.zeros(1),
        action_scale=np.full(1, 40.0),
        lowest_control=np.full(1, -80.0),
        highest_control=np.full(1, 80.0),
    )


def test_a_policy_keeps_blenders_own_bag_upright(archive: Path, blender: str, tmp_path: Path) -> None:
    spring_as_policy(tmp_path / "policy.npz")
    found = told(archive, tmp_path, "play", str(tmp_path / "policy.npz"))
    assert found["first"] == pytest.approx(0.8, abs=1e-4)
    assert abs(found["last"]) < 0.1
    assert found["scenes"] == ["Bop bag", "Scene"]
    assert "choose a policy first" in found["nothing"]


def test_a_runs_motion_becomes_keys_on_an_armature(archive: Path, blender: str, tmp_path: Path) -> None:
    run = ["mimic", "train", "bopbag3", "--algorithm", "awr", "--samples", "512", "--no-report"]
    subprocess.run([str(PROGRAM), *run, "--out", str(tmp_path / "run")], check=True, capture_output=True, timeout=300)
    found = told(archive, tmp_path, "bake", str(tmp_path / "run"))
    assert found["bones"] == found["joints"] == ["lower", "middle", "upper"]
    strayed, turned = found["swing"]
    assert turned > 0.2
    assert strayed < 2e-3
