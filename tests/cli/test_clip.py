"""The clip group: what is wrong with a clip, and a better one."""

import json
from dataclasses import replace

import numpy as np
import pytest

import bunraku
from bunraku.core.errors import BunrakuError
from bunraku.formats.clip import load_clip, save_clip
from bunraku.motion.pose import clip_pose
from bunraku.motion.retarget import RetargetConfig, retarget
from small_bodies import BACK, body_on, other_body, turn, walk


def result(ended):
    """The JSON of a command that went well."""
    assert ended.status == 0, ended.err
    (line,) = ended.out.splitlines()
    return json.loads(line)


def complaint(ended):
    assert (ended.status, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    return line


@pytest.fixture
def dirty(tmp_path):
    """A walk 5 cm too low whose neck leaps at the seam."""
    moved = turn(walk(), "neck", np.linspace(0, 0.4, 31)[:, None] * BACK)
    path = tmp_path / "dirty.npz"
    save_clip(path, replace(moved, root_pos_w=moved.root_pos_w - np.array([0, 0, 0.05])))
    return path


@pytest.fixture
def foreign(tmp_path):
    """A clean walk on a skeleton of other names."""
    bones, named = other_body()
    path = tmp_path / "foreign.npz"
    save_clip(path, retarget(walk(), body_on(bones, named), cfg=RetargetConfig(ground=False)).clip)
    return path


def test_check_has_the_promised_keys_and_ends_well_whatever_it_finds(run, dirty):
    told = result(run("clip", "check", dirty, "--json"))
    assert {"frames", "duration_s", "loop", "joints", "fps_min", "fps_max", "problems"} <= told.keys()
    assert (told["frames"], told["joints"], told["loop"], told["character"]) == (31, 15, "wrap", "humanoid")
    for each in told["problems"]:
        assert {"kind", "where", "amount", "unit", "mends"} <= each.keys()
    found = {each["kind"]: each for each in told["problems"]}
    assert found["loop_seam"]["where"] == "neck"
    assert found["loop_seam"]["amount"] == pytest.approx(0.4)
    assert found["below_ground"]["amount"] == pytest.approx(50)


def test_check_tells_people_what_it_means_and_what_mending_does(run, dirty, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    out = run("clip", "check", dirty).out
    assert "31 frames, 1.00 s, 30.0 frames per second, 15 joints, loops; on humanoid" in out
    assert "neck leaps by 0.40 rad (23°)" in out
    assert "the target leaps once a cycle" in out
    assert "lifts the whole clip" in out


def test_check_of_a_clean_clip_says_so(run, tmp_path):
    assert "Nothing is wrong with it." in run("clip", "check", "squatting").out
    assert result(run("clip", "check", "marching", "--json"))["problems"] == []


def test_clips_made_in_code_go_by_name_unless_a_file_has_it(run, tmp_path, monkeypatch):
    assert bunraku.open_clip("squatting").duration_s == 3
    monkeypatch.chdir(tmp_path)
    (tmp_path / "squatting").write_text("")
    assert "no clip by its ending" in complaint(run("clip", "check", "squatting"))
    line = complaint(run("clip", "check", "squat"))
    assert "squat: no such clip" in line
    assert "made in code: standing, squatting, weight_shift, marching, arm_raise" in line


def test_convert_changes_nothing_but_the_format(run, dirty, tmp_path):
    told = result(run("clip", "convert", dirty, tmp_path / "again.npz", "--json"))
    assert told["notes"] == []
    before, after = load_clip(dirty), load_clip(tmp_path / "again.npz")
    np.testing.assert_array_equal(before.joint_quat, after.joint_quat)
    told = result(run("clip", "convert", dirty, tmp_path / "again.txt", "--json"))
    np.testing.assert_allclose(clip_pose(load_clip(tmp_path / "again.txt"))[0], clip_pose(before)[0], atol=1e-5)


def test_convert_mends_and_tells_what_it_did_and_what_is_left(run, dirty, tmp_path):
    out = run("clip", "convert", dirty, tmp_path / "clean.npz", "--mend").out
    assert "seam of up to 0.40 rad closed" in out
    assert "lifted by 5.0 cm" in out
    assert "Nothing is left to complain about." in out
    assert result(run("clip", "check", tmp_path / "clean.npz", "--json"))["problems"] == []


def test_convert_carries_over_and_writes_the_map_which_can_be_edited(run, foreign, tmp_path):
    out, written = tmp_path / "ours.npz", tmp_path / "map.json"
    words = ("clip", "convert", foreign, out, "--character", "humanoid")
    told = result(run(*words, "--write-map", written, "--json"))
    assert told["carried_over"]["limb_error_deg"] < 1e-6
    np.testing.assert_allclose(clip_pose(load_clip(out))[0][:, 0], clip_pose(walk())[0][:, 0], atol=1e-6)
    names = json.loads(written.read_text())
    assert names["left_knee"] == "left_shin"
    written.write_text(json.dumps(names | {"neck": ""}))
    told = result(run(*words, "--map", written, "--overwrite", "--json"))
    assert told["carried_over"]["at_rest"] == ["neck"]


def test_check_of_a_foreign_clip_tells_how_it_would_be_carried_over(run, foreign):
    told = result(run("clip", "check", foreign, "--character", "humanoid", "--json"))
    assert told["carried_over"]["map"]["root"] == "pelvis"
    assert [each["kind"] for each in told["problems"]] == ["other_skeleton"]
    assert "left_knee ← left_shin" in run("clip", "check", foreign, "--character", "humanoid").out


def test_a_clip_is_said_to_loop_and_then_mended_as_a_loop(run, tmp_path):
    path = tmp_path / "walk.bvh"
    save_clip(path, walk())
    assert [each["kind"] for each in result(run("clip", "check", path, "--json"))["problems"]] == ["could_loop"]
    told = result(run("clip", "convert", path, tmp_path / "walk.npz", "--loop", "wrap", "--mend", "--json"))
    assert told["problems_left"] == []
    assert load_clip(tmp_path / "walk.npz").loop == "wrap"


def test_narrow_terminals_get_lines_in_place_of_a_table(run, dirty, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("clip", "check", dirty).out.splitlines()
    assert any(line.startswith("medium  loop seam [neck]: from the last frame") for line in lines)
    assert "        --mend: spreads the leap over the first and last fifth of the cycle" in lines


def test_mistakes_are_one_line_with_status_2(run, foreign, tmp_path):
    out, bad = tmp_path / "out.npz", tmp_path / "map.json"
    assert "no such clip" in complaint(run("clip", "check", tmp_path / "none.bvh"))
    assert "humanoyd" in complaint(run("clip", "check", foreign, "--character", "humanoyd"))
    assert "has no free joint at its root" in complaint(run("clip", "check", foreign, "--character", "bopbag"))
    assert "these are written: .npz" in complaint(run("clip", "convert", foreign, tmp_path / "out.amc"))
    assert "say with --character" in complaint(run("clip", "convert", foreign, out, "--map", bad))
    on = ("clip", "convert", foreign, out, "--character", "humanoid", "--map", bad)
    assert "cannot be read" in complaint(run(*on))
    bad.write_text("{")
    assert "is no JSON" in complaint(run(*on))
    bad.write_text('{"root": 3}')
    assert "expected {" in complaint(run(*on))
    bad.write_text('{"left_knee": "left_shn"}')
    line = complaint(run(*on))
    assert "no joint 'left_shn'; in" in line
    assert "'left_knee': 'left_shn'; the clip has: pelvis, torso" in line
    out.write_bytes(b"mine")
    assert "exists already" in complaint(run("clip", "convert", foreign, out))
    assert out.read_bytes() == b"mine"


def test_the_same_in_python(dirty, tmp_path):
    assert bunraku.check_clip(dirty)["problems"]
    told = bunraku.convert_clip(dirty, tmp_path / "clean.npz", mend=True)
    assert told["problems_left"] == []
    with pytest.raises(BunrakuError, match="exists already"):
        bunraku.convert_clip(dirty, tmp_path / "clean.npz", mend=True)
