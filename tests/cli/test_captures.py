"""Captures of other formats, by commands: inverted, recorded with their hash, refused in one line."""

import json

import numpy as np
import pytest

from bunraku.formats.gltf import write_gltf
from bunraku.rigs.open import open_rig
from small_rigs import limbed


@pytest.fixture
def rig(tmp_path):
    write_gltf(tmp_path / "rig.glb", limbed(morphs=0))
    return tmp_path / "rig.glb"


@pytest.fixture
def folder(tmp_path, rig):
    """Four frames of the rig as .obj files, the third missing."""
    opened = open_rig(rig)
    shots = tmp_path / "objs"
    shots.mkdir()
    for frame in (8, 9, 11):
        values = opened.spec.neutral.copy()
        values[opened.spec.index("arm.rz")] = 0.1 * frame
        rows = [f"v {x!r} {y!r} {z!r}" for x, y, z in opened.evaluate(values[None])[0].tolist()]
        (shots / f"face.{frame}.obj").write_text("\n".join(rows))
    return shots


def test_a_folder_is_inverted_and_a_changed_file_in_it_is_noticed(run, tmp_path, rig, folder):
    ended = run("rig", "invert", folder, "--rig", rig, "--out", tmp_path / "take", "--json")
    assert ended.status == 0, ended.err
    assert json.loads(ended.out)["relative_error"] < 1e-6
    measured = json.loads(run("rig", "evaluate", tmp_path / "take", "--json").out)
    assert measured["capture_changed"] is False
    file = folder / "face.9.obj"
    file.write_text(file.read_text().replace("v ", "v  ", 1))
    measured = json.loads(run("rig", "evaluate", tmp_path / "take", "--json").out)
    assert measured["capture_changed"] is True


def test_bad_captures_end_with_status_2_and_one_line_that_names_them(run, tmp_path, rig, folder):
    (tmp_path / "cut.abc").write_bytes(b"Ogawa\xff\x00\x01" + bytes(4))
    (tmp_path / "bad.usda").write_text("#usda 1.0\n(\n subLayers = [@/elsewhere/secret.usda@]\n)\n")
    file = folder / "face.9.obj"
    file.write_text(file.read_text() + "\nv 0 0 0\n")
    for capture in (tmp_path / "cut.abc", tmp_path / "bad.usda", folder, f"{rig}#Nothing"):
        ended = run("rig", "invert", capture, "--rig", rig, "--out", tmp_path / "take")
        assert ended.status == 2
        line = ended.err.strip().splitlines()[-1]
        assert str(capture).partition("#")[0] in line or "Nothing" in line
        assert not (tmp_path / "take").exists()


def test_an_animation_of_a_gltf_file_is_a_capture(run, tmp_path, rig):
    from fractions import Fraction

    from bunraku.core.curves import curves
    from bunraku.formats.gltf import append_animation
    from bunraku.rigs.skinned import keyed, open_gltf_rig

    opened = open_gltf_rig(rig)
    values = np.tile(opened.spec.neutral, (5, 1))
    values[:, opened.spec.index("leg.rx")] = np.linspace(0, 1, 5)
    append_animation(rig, keyed(opened, curves(opened.spec.names, values, Fraction(24)), "Kick"), tmp_path / "kick.glb")
    ended = run("rig", "invert", f"{tmp_path / 'kick.glb'}#Kick", "--rig", rig, "--out", tmp_path / "take", "--json")
    assert ended.status == 0, ended.err
    told = json.loads(ended.out)
    assert (told["frames"], told["relative_error"] < 1e-6) == (5, True)


def test_a_usd_rig_is_described_with_its_unit_and_axis(run, data_dir):
    ended = run("rig", "describe", data_dir / "rigs" / "usdskel" / "dqs.usda", "--json")
    assert ended.status == 0, ended.err
    told = json.loads(ended.out)
    assert told["about"] == {"unit_m": 0.01, "up_axis": "Y", "fps": 24.0}
    assert told["differentiable"] is True
    assert told["animations"] == ["Animation"]
