import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bunraku import api
from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.demo import DemoConfig, demo
from bunraku.inversion import invert
from bunraku.inversion.encoder import EncoderConfig
from bunraku.player import Player

SMALL = DemoConfig(frames=24, mimic_samples=768)


@pytest.fixture(autouse=True)
def brief_encoder(monkeypatch):
    """The encoder is most of a demo's time, and is tested elsewhere."""
    brief = functools.partial(EncoderConfig, hidden=(32,), samples=200, epochs=2)
    monkeypatch.setattr(invert, "EncoderConfig", brief)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(invert, "EncoderConfig", functools.partial(EncoderConfig, hidden=(32,), samples=200, epochs=2))
        return demo(tmp_path_factory.mktemp("shown") / "demo", SMALL)


def rows(result, of):
    return {row["way"]: row for row in result[of]}


def test_the_solver_is_better_than_the_published_recipe_and_exact_once_the_rig_is_asked(shown):
    cube = rows(shown, "cube")
    assert cube["solve"]["mean_error"] < cube["published, stored"]["mean_error"]
    assert cube["solve+refine"]["mean_error"] < 1e-8
    assert cube["solve+refine"]["control_error"] < 1e-8


def test_the_figure_lies_closer_to_the_clean_mesh_than_its_noisy_capture(shown):
    figure = rows(shown, "figure")
    assert figure["with smoothness"]["mean_error"] < 0.1 * figure["the capture"]["mean_error"]


def test_smoothness_brings_the_curves_nearer_to_the_true_ones(shown):
    rough, smooth = (rows(shown, "figure")[way] for way in ("frame by frame", "with smoothness"))
    assert smooth["control_error"] < rough["control_error"]
    assert smooth["roughness"] < 0.3 * rough["roughness"]


def test_the_noise_is_as_large_as_is_said(shown):
    capture = rows(shown, "figure")["the capture"]
    clean = api.load_sequence(f"{shown['out']}/figure/clean.npz").vertices[0]
    sigma = SMALL.noise * np.linalg.norm(np.ptp(clean, axis=0))
    # the mean length of a vector of three normal numbers is √(8/π)
    assert capture["mean_error"] == pytest.approx(np.sqrt(8 / np.pi) * sigma, rel=0.01)


def test_the_solver_is_not_handed_the_true_curves_of_the_figure(shown):
    with np.load(f"{shown['out']}/figure/capture.npz") as capture:
        assert set(capture.files) <= {"vertices", "faces", "fps", "start_frame"}


def test_it_leaves_curves_and_a_character_with_the_take_as_last_animation(shown):
    curves = api.load_curves(shown["files"]["figure curves"])
    last = api.describe(shown["files"]["figure with the take as last animation"])["animations"]
    assert curves.frames == 53
    assert last == ["wave", "walk", "take"]


def test_the_bop_bag_is_trained_beside_what_does_not_learn(shown):
    bag = {row["controller"]: row for row in shown["bopbag"]}
    assert bag.keys() == {"learned", "no action", "PD, hand-tuned"}
    assert bag["learned"]["samples"] == 768
    assert bag["PD, hand-tuned"]["standing"] == 1.0 > bag["no action"]["standing"]
    assert "<svg" in Path(shown["files"]["bop bag's learning curve"]).read_text()
    assert Player(shown["files"]["bop bag's policy, for bunraku/player.py"]).act(np.zeros(2)).shape == (1,)


def test_given_again_it_repeats_its_result_without_work(shown, monkeypatch):
    monkeypatch.setattr(api, "invert_file", None)  # calling it would raise
    assert demo(Path(shown["out"]), SMALL) == shown


def test_other_settings_are_refused_without_overwrite(shown):
    with pytest.raises(BunrakuError, match=r"was made with noise = 0\.002"):
        demo(Path(shown["out"]), replace(SMALL, noise=0.01))


def test_stopped_half_way_it_goes_on_to_the_same_errors(shown, tmp_path, monkeypatch):
    whole = api.export

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "export", stopped)
    with pytest.raises(KeyboardInterrupt):
        demo(tmp_path / "demo", SMALL)
    made = artifact.read_manifest(tmp_path / "demo" / "cube" / "model")["provenance"]
    monkeypatch.setattr(api, "export", whole)
    result = demo(tmp_path / "demo", SMALL)
    assert artifact.read_manifest(tmp_path / "demo" / "cube" / "model")["provenance"] == made
    for of in ("cube", "figure", "bopbag"):
        for row, other in zip(result[of], shown[of], strict=True):
            assert {**row, "cpu_seconds": 0} == {**other, "cpu_seconds": 0}


def test_killed_at_the_very_end_it_finds_every_part_again(shown):
    out = Path(shown["out"])
    manifest = artifact.read_manifest(out)
    artifact.write_json(out / artifact.MANIFEST, {**manifest, "state": "unfinished", "result": {}})
    again = demo(out, SMALL)
    assert (again["cube"], again["figure"]) == (shown["cube"], shown["figure"])  # their seconds are the stored ones
