"""The one-line functions, end to end: on a character that the test writes, a black box, and real files."""

import os
from fractions import Fraction

import numpy as np
import pytest

import bunraku as bk
from bunraku import api
from bunraku.core.animation import Animation, Channel
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_from_rotvec, quat_multiply
from bunraku.formats.gltf import write_gltf
from bunraku.inversion.invert import InvertConfig
from bunraku.rigs.cube import animation as cube_animation
from bunraku.rigs.skinned import bake, open_gltf_rig
from small_rigs import limbed


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with limbed.glb, and shot.npz baked from its animation."""
    monkeypatch.chdir(tmp_path)
    character = limbed()
    times = np.linspace(0, 1, 5)
    turn = quat_from_rotvec(np.outer(np.sin(2 * times), [0.5, 0.2, 0.1]))
    moves = Animation(
        "wave",
        (
            Channel(3, "rotation", "LINEAR", times, quat_multiply(character.skeleton.rest_quat[3], turn)[:, None]),
            Channel(0, "morphs", "LINEAR", times, np.stack([times, 1 - times], axis=1)[:, None]),
        ),
    )
    write_gltf(tmp_path / "limbed.glb", character, [moves])
    api.bake("limbed.glb", "wave", tmp_path / "shot.npz", fps=Fraction(4))
    return tmp_path


def refused(message, call, *args, **more):
    with pytest.raises(BunrakuError, match=message) as caught:
        call(*args, **more)
    assert "\n" not in str(caught.value)


def test_five_lines_of_python(here):
    rig = bk.open_rig("limbed.glb")
    take = bk.invert("shot.npz", rig)
    bk.save_curves(take.curves, "shot.csv")
    back = bk.load_curves("shot.csv")
    assert back.names == rig.spec.names
    np.testing.assert_allclose(back.values, np.load("shot.npz")["curves"], atol=1e-6)


def test_without_its_true_curves_a_capture_gives_identical_controls(here):
    arrays = dict(np.load("shot.npz"))
    np.savez("stripped.npz", **{k: v for k, v in arrays.items() if k not in ("curves", "control_names")})
    known = api.invert_file(here / "shot.npz", "limbed.glb", here / "a")
    blind = api.invert_file(here / "stripped.npz", "limbed.glb", here / "b")
    np.testing.assert_array_equal(bk.load_take("a").curves.values, bk.load_take("b").curves.values)
    assert set(known) - set(blind) == {"control_error"}
    assert known["control_error"] < 1e-7


def test_the_same_command_again_returns_the_stored_result_and_others_are_refused(here):
    first = api.invert_file(here / "shot.npz", "limbed.glb", here / "take")
    stamp = (here / "take" / "manifest.json").stat().st_mtime_ns
    assert api.invert_file(here / "shot.npz", "limbed.glb", here / "take") == first
    assert (here / "take" / "manifest.json").stat().st_mtime_ns == stamp
    command = (here / "shot.npz", "limbed.glb", here / "take", InvertConfig(smooth=0.5))
    refused('smooth = "auto", now 0.5; --overwrite', api.invert_file, *command)
    assert api.evaluate(here / "take")["frames"] == 5
    replaced = api.invert_file(*command, overwrite=True)
    assert replaced["roughness"] < first["roughness"]


@pytest.mark.parametrize("controls", [(), ("arm.*", "root.*", "body.*")])
def test_evaluating_a_take_reproduces_its_metrics(here, controls):
    made = api.invert_file(here / "shot.npz", "limbed.glb", here / "take", controls=controls)
    again = api.evaluate(here / "take")
    assert {name: again[name] for name in made} == made
    assert again["rig_changed"] is again["capture_changed"] is False
    assert made["controls"] == (23 if not controls else 11)
    assert made["control_error"] < 1e-7
    assert len(bk.load_take("take").curves.names) == 23


def test_a_take_says_when_its_rig_or_capture_has_changed(here):
    api.invert_file(here / "shot.npz", "limbed.glb", here / "take")
    character = limbed()
    write_gltf(here / "limbed.glb", type(character)(**{**vars(character), "positions": character.positions + 0.01}))
    arrays = dict(np.load("shot.npz"))
    np.savez("shot.npz", **{**arrays, "start_frame": 3})
    again = api.evaluate(here / "take")
    assert again["rig_changed"] is again["capture_changed"] is True
    assert again["mean_vertex_error"] > 1e-3


@pytest.mark.parametrize("ending", ["csv", "json", "npz"])
def test_a_take_is_exported_and_read_back(here, ending):
    api.invert_file(here / "shot.npz", "limbed.glb", here / "take")
    said = api.export(here / "take", here / f"out.{ending}")
    assert said["bytes"] == (here / f"out.{ending}").stat().st_size
    solved, back = bk.load_take("take").curves, bk.load_curves(f"out.{ending}")
    assert back.names == solved.names
    assert back.fps == solved.fps
    np.testing.assert_allclose(back.values, solved.values, atol=1e-9)
    if ending == "npz":
        np.testing.assert_allclose(bk.load_sequence("out.npz").vertices, np.load("shot.npz")["vertices"], atol=1e-6)
    refused("exists already", api.export, here / "take", here / f"out.{ending}")


def test_a_take_becomes_the_last_animation_of_a_copy_of_its_rig(here):
    api.invert_file(here / "shot.npz", "limbed.glb", here / "take")
    api.export(here / "take", here / "out.glb")
    copy = open_gltf_rig(here / "out.glb")
    assert [a.name for a in copy.animations] == ["wave", "take"]
    again, _ = bake(copy, "take", Fraction(4))
    np.testing.assert_allclose(again.vertices, np.load("shot.npz")["vertices"], atol=1e-6)


def test_exports_that_cannot_be_are_refused(here):
    api.invert_file(here / "shot.npz", "limbed.glb", here / "take")
    before = set(os.listdir())
    refused(r"x\.fbx: a take is written as", api.export, here / "take", here / "x.fbx")
    refused("its folder .* does not exist", api.export, here / "take", here / "no" / "x.csv")
    refused("no such folder", api.export, here / "nothing", here / "x.csv")
    assert set(os.listdir()) == before


def test_bad_input_is_one_line_and_nothing_is_written(here):
    vertices = np.load("shot.npz")["vertices"]
    np.savez("short.npz", vertices=vertices[:, :-1])
    np.savez("none.npz", vertices=vertices[:0])
    np.savez("nan.npz", vertices=vertices * np.nan)
    np.savez("unequal.npz", vertices=vertices, curves=np.zeros((2, 1)), control_names=["arm.rx"])
    (here / "cut.npz").write_bytes((here / "shot.npz").read_bytes()[:200])
    (here / "cut.glb").write_bytes((here / "limbed.glb").read_bytes()[:200])
    (here / "text.glb").write_text("not a glTF file")
    before = set(os.listdir())
    shot, rig, out = here / "shot.npz", "limbed.glb", here / "take"
    refused("83 vertices, limbed.glb has 84", api.invert_file, here / "short.npz", rig, out)
    refused("0 frames", api.invert_file, here / "none.npz", rig, out)
    refused("missing or not finite", api.invert_file, here / "nan.npz", rig, out)
    refused("5 frames, but true curves of 2", api.invert_file, here / "unequal.npz", rig, out)
    refused("cut.npz", api.invert_file, here / "cut.npz", rig, out)
    refused("nothing.npz", api.invert_file, here / "nothing.npz", rig, out)
    refused("cut.glb", api.invert_file, shot, "cut.glb", out)
    refused("text.glb", api.invert_file, shot, "text.glb", out)
    refused("no rig 'limbd.glb'; did you mean limbed.glb", api.invert_file, shot, "limbd.glb", out)
    refused("no control 'nose'", api.invert_file, shot, rig, out, controls=("nose",))
    refused("no such folder", api.invert_file, shot, rig, out, model=here / "model")
    refused("no animation 'walk'", api.bake, rig, "walk", here / "x.npz")
    refused("has no animations", api.bake, "cube", "walk", here / "x.npz")
    refused("exists already", api.bake, rig, "wave", shot)
    assert set(os.listdir()) == before


def test_missing_frames_are_counted(here):
    arrays = dict(np.load("shot.npz"))
    arrays["vertices"][2] = np.nan
    arrays["vertices"][3, 7] = np.inf
    np.savez("shot.npz", **arrays)
    made = api.invert_file(here / "shot.npz", "limbed.glb", here / "take")
    assert made["missing_vertices"] == 84 + 1
    assert made["relative_error"] < 1e-6


PYTHON_RIG = """
from bunraku.rigs.cube import Cube
opened = open("ran", "a").write("x")
controls = Cube().spec
def mesh(values):
    return Cube().evaluate(values)
"""


@pytest.fixture
def black_box(tmp_path, monkeypatch):
    """A cube as python:black_box:mesh, its shot, and a plan that always approximates."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "black_box.py").write_text(PYTHON_RIG)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "black_box", raising=False)
    monkeypatch.setattr("bunraku.inversion.plan.FIT_S", -1e9)
    controls = cube_animation(6).values
    np.savez("shot.npz", vertices=bk.open_rig("cube").evaluate(controls))
    return tmp_path


def test_an_interrupted_inversion_goes_on_and_ends_with_identical_curves(black_box):
    shot, source = black_box / "shot.npz", "python:black_box:mesh"
    whole = api.invert_file(shot, source, black_box / "whole")
    assert whole["relative_error"] < 1e-4
    assert whole["rig_evaluations"] == 1000 + 6 * 8
    for stage in ("sampling", "solve"):
        seen = []

        def stop(name, done, total, note="", stage=stage, seen=seen):
            seen.append(name)
            if name.startswith(stage) and done > 0:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            api.invert_file(shot, source, black_box / stage, progress=stop)
        assert any(name.startswith(stage) for name in seen)
        refused("not finished", bk.load_take, black_box / stage)
        again = api.invert_file(shot, source, black_box / stage)
        np.testing.assert_array_equal(
            bk.load_take(black_box / stage).curves.values, bk.load_take(black_box / "whole").curves.values
        )
        assert again["relative_error"] == whole["relative_error"]


def test_the_code_of_a_takes_rig_only_runs_when_it_is_named_again(black_box, monkeypatch):
    monkeypatch.setattr("bunraku.inversion.plan.FIT_S", 1e9)
    source = "python:black_box:mesh"
    made = api.invert_file(black_box / "shot.npz", source, black_box / "take")
    monkeypatch.delitem(__import__("sys").modules, "black_box")
    ran = (black_box / "ran").read_text()
    refused("runs code; name it again with --rig", api.evaluate, black_box / "take")
    refused("runs code; name it again with --rig", api.export, black_box / "take", black_box / "x.npz")
    api.export(black_box / "take", black_box / "x.csv")
    assert (black_box / "ran").read_text() == ran
    assert api.evaluate(black_box / "take", source)["relative_error"] == made["relative_error"]


SHORTEST = {
    "CesiumMan.glb": "animation",
    "Fox.glb": "Walk",
    "lumberjack.glb": "Walk",
    "quadruped_fox.glb": "Bite",
    "robot.glb": "Robot_Jump",
}


@pytest.mark.parametrize("name", SHORTEST)
def test_a_real_characters_own_animation_is_recovered(data_dir, name):
    rig = bk.open_rig(data_dir / "rigs" / name)
    sequence, _ = bake(rig, SHORTEST[name], Fraction(6))
    assert bk.invert(sequence, rig).metrics["relative_error"] <= 1e-6


@pytest.mark.parametrize("name", ["Individuals", "Pulse", "TheWave"])
def test_morphs_of_a_real_file_are_recovered(data_dir, name):
    rig = bk.open_rig(data_dir / "rigs" / "MorphStressTest.gltf")
    sequence, true = bake(rig, name, Fraction(5))
    take = bk.invert(sequence, rig)
    assert take.metrics["relative_error"] <= 1e-6
    np.testing.assert_allclose(take.curves.values, true.values, atol=1e-6)


def test_a_dance_that_blender_evaluated_is_recovered_in_its_axes(data_dir):
    rig = bk.open_rig(data_dir / "rigs" / "robot.glb")
    shot = bk.load_sequence(data_dir / "sequences" / "robot_dance.npz")
    fewer = type(shot)(shot.vertices[::8], shot.faces, shot.fps)
    take = bk.invert(fewer, rig)
    assert take.metrics["alignment"] == "1 * (x, z, -y)"
    assert take.metrics["relative_error"] <= 1e-5


def test_rotations_near_pi_are_recovered_on_a_continuous_branch(data_dir):
    rig = open_gltf_rig(data_dir / "rigs" / "robot.glb")
    sequence, true = bake(rig, "Robot_Dance", Fraction(24))
    solved = bk.invert(sequence, rig).curves.values
    near_pi = 0
    for triple in rig.spec.rotations:
        near_pi += np.linalg.norm(true.values[:, triple], axis=1).max() > 0.98 * np.pi
        for values in (true.values[:, triple], solved[:, triple]):
            before, after = values[:-1], values[1:]
            angle = np.linalg.norm(after, axis=1, keepdims=True)
            axis = after / np.maximum(angle, 1e-12)
            step = np.linalg.norm(after - before, axis=1)
            for turns in (-2, -1, 1, 2):  # no other vector of the same rotation is nearer, within the bounds
                other = after + 2 * np.pi * turns * axis
                inside = ((other >= rig.spec.lower[triple]) & (other <= rig.spec.upper[triple])).all(axis=1)
                inside &= angle[:, 0] > 1e-9  # no turn at all has no axis
                assert (step <= np.linalg.norm(other - before, axis=1) + 1e-6)[inside].all()
    assert near_pi >= 2
