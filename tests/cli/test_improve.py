"""A model improved around a shot from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from bunraku.api.doors import loaded_model
from bunraku.rigs.cube import Cube, animation

OPTIONS = ("--rounds", "1", "--samples-per-round", "60", "--tune.products", "10", "--align", "none", "--json")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A rough model of the cube, its samples, and a shot."""
    from bunraku import api
    from bunraku.inversion.draw import SampleConfig
    from bunraku.inversion.fit import FitConfig

    folder = tmp_path_factory.mktemp("improve")
    np.savez(folder / "shot.npz", vertices=Cube().evaluate(animation(12).values), fps=24)
    api.sample("cube", folder / "samples", SampleConfig(200, sampler="sobol"))
    api.fit(folder / "samples", folder / "model", FitConfig(products=20, degree=2, enough=1.0))
    return folder


def improved(run, place: Path, *more):
    return run("rig", "improve", place / "model", place / "shot.npz", "--rig", "cube", *OPTIONS, *more)


def test_a_model_is_improved_and_the_same_command_repeats_its_result(run, place):
    ended = improved(run, place, "--out", place / "better", "--samples", place / "samples")
    assert ended.status == 0, ended.err
    told = json.loads(ended.out)
    assert told["approximation_error"] < 0.3 * told["approximation_error_before"]
    assert told["rig_evaluations"] == 60 + 12 == told["history"][-1]["evaluations"]
    assert (told["rounds"], told["best_round"], told["stopped"]) == (1, 1, "rounds")
    assert improved(run, place, "--out", place / "better", "--samples", place / "samples").out == ended.out
    assert loaded_model(place / "better").spec.names == Cube().spec.names
    assert not list((place / "better").glob("rounds/*/model"))
    again = ("--out", place / "best", "--samples", place / "samples")
    more = run("rig", "improve", place / "better", place / "shot.npz", "--rig", "cube", *OPTIONS, *again)
    assert json.loads(more.out)["approximation_error_before"] < 0.3 * told["approximation_error_before"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rig", "face"), "is of another rig than face, which has no control 'rx'"),
        (("--rig", "SAMPLES"), "recorded samples cannot be evaluated anew; name the rig itself"),
        (("--rounds", "0"), "--rounds 0: must be at least 1"),
        (("--out", "MODEL"), "is what is to be improved; choose another folder"),
        (("--samples", "MODEL"), "is a model; expected a samples"),
    ],
)
def test_what_makes_no_sense_is_one_line(run, place, words, said):
    stands_for = {"SAMPLES": place / "samples", "MODEL": place / "model"}
    asked = {"--rig": "cube", "--out": place / "new", words[0]: stands_for.get(words[1], words[1])}
    options = [word for pair in asked.items() for word in pair]
    ended = run("rig", "improve", place / "model", place / "shot.npz", *options)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not (place / "new").exists()


def test_a_shot_of_another_mesh_is_refused_before_anything_is_written(run, place):
    np.savez(place / "other.npz", vertices=np.zeros((3, 7, 3)), fps=24)
    ended = run("rig", "improve", place / "model", place / "other.npz", "--rig", "cube", "--out", place / "no")
    assert ended.status == 2
    assert "other.npz: has 7 vertices, the model 8" in ended.err
    assert not (place / "no").exists()
