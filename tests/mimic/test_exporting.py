"""What leaves a run: networks, numbers, motion."""

import json

import numpy as np
import onnxruntime
import pytest

from bunraku import mimic
from bunraku.core.errors import BunrakuError
from bunraku.formats.clip import load_clip
from bunraku.imitation.run import load_policy
from bunraku.player import Player


def test_onnx_and_the_player_act_as_the_run_does(finished, tmp_path):
    mimic.export(finished, tmp_path / "p.onnx")
    mimic.export(finished, tmp_path / "p.npz")
    policy, player = load_policy(finished), Player(tmp_path / "p.npz")
    session = onnxruntime.InferenceSession(str(tmp_path / "p.onnx"), providers=["CPUExecutionProvider"])
    seen = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    np.testing.assert_array_equal(player.act(seen), policy.act(seen))
    np.testing.assert_allclose(session.run(None, {"observation": seen})[0], policy.act(seen), atol=1e-6)
    # One unit of action is 40 N m; the hinge's motor has 80.
    np.testing.assert_allclose(player.controls(seen), np.clip(40 * policy.act(seen), -80, 80), rtol=1e-6)
    about = {name: json.loads(value) if value[0] in "[0123456789" else value
             for name, value in session.get_modelmeta().custom_metadata_map.items()}  # fmt: skip
    layout = [{"name": "hinge.angle", "size": 1, "unit": "rad"}, {"name": "hinge.velocity", "size": 1, "unit": "rad/s"}]
    assert (about["physics_hz"], about["control_hz"], about["character"]) == (192.0, 24.0, "bopbag")
    assert about["layout"] == player.layout == layout
    np.testing.assert_array_equal(about["mean"], policy.mean)


def test_a_motion_is_where_every_body_was(finished, tmp_path):
    said = mimic.export(finished, tmp_path / "m.npz", motion=1.0)
    assert (said["kind"], said["frames"]) == ("motion", 25)
    with np.load(tmp_path / "m.npz") as file:
        assert file["body_pos_w"].shape == (25, 1, 3)
        assert file["body_quat_w"].shape == (25, 1, 4)
    moved = load_clip(tmp_path / "m.npz")
    assert moved.skeleton.names == ("bag",)
    assert moved.duration_s == pytest.approx(1.0)


def test_exports_that_cannot_be_are_refused(finished, tmp_path):
    (tmp_path / "there.npz").touch()
    for to, more, match in (
        ("there.npz", {}, "exists already"),
        ("no/p.npz", {}, "its folder .* does not exist"),
        ("p.fbx", {}, "a policy is written as .onnx or .npz"),
        ("p.onnx", {"motion": 1.0}, "a motion as .npz"),
    ):
        with pytest.raises(BunrakuError, match=match):
            mimic.export(finished, tmp_path / to, **more)
    with pytest.raises(BunrakuError, match="no such folder"):
        mimic.export(tmp_path / "nothing", tmp_path / "p.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["there.npz"]
