"""Approximations improved around a shot, and what that costs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence, mesh_sequence
from bunraku.core.rig import diagonal
from bunraku.inversion.active import ActiveConfig, Improved, about, checked_frames, improve
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.dataset import SampleSet
from bunraku.inversion.finetune import TuneConfig
from bunraku.inversion.fit import FitConfig, fit
from bunraku.inversion.network import NetworkConfig
from bunraku.inversion.solve import SolveConfig, solve
from bunraku.rigs.cube import Cube, animation
from made_samples import sample_set
from small_rigs import BlackBox

CFG = ActiveConfig(rounds=2, samples_per_round=60, active=3.0, tune=TuneConfig(products=20, rehearsal=200))
PLAIN = SolveConfig(smooth=0.0)


@pytest.fixture(scope="module")
def known() -> SampleSet:
    return sample_set(Cube(), np.random.default_rng(0).random((300, 6)))


@pytest.fixture(scope="module")
def rough(known: SampleSet) -> Approximation:
    return fit(known, FitConfig(products=25, degree=2, network=NetworkConfig(hidden=())))


@pytest.fixture(scope="module")
def shot() -> MeshSequence:
    return mesh_sequence(Cube().evaluate(animation(24).values))


@pytest.fixture(scope="module")
def whole(known: SampleSet, rough: Approximation, shot: MeshSequence) -> Improved:
    return improve(Cube(), rough, known, shot, PLAIN, CFG)


def true_error(model: Approximation, shot: MeshSequence) -> float:
    off = Cube().evaluate(solve(model, shot, PLAIN).controls) - shot.vertices
    return float(np.linalg.norm(off, axis=2).mean()) / diagonal(Cube().neutral)


def assert_same(one: Approximation, other: Approximation) -> None:
    for name in ("mean", "basis", "skip", "terms", "products"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_the_error_on_the_true_rig_falls_and_every_evaluation_is_counted(known, rough, shot):
    rig = BlackBox(Cube())
    found = improve(rig, rough, known, shot, PLAIN, CFG)
    first, last = found.history[0], found.history[found.best]
    assert last.approximation_error < 0.05 * first.approximation_error
    assert last.capture_error < 0.05 * first.capture_error
    assert true_error(found.approximation, shot) < 0.05 * true_error(rough, shot)
    assert found.evaluations == rig.asked == 60 + 60 + 20
    assert [one.evaluations for one in found.history] == [20, 80, 140]
    assert found.stopped == "rounds"


def test_what_was_sampled_comes_back_behind_what_was_known(known, rough, shot):
    found = improve(Cube(), rough, known, shot, PLAIN, replace(CFG, rounds=1))
    samples = found.samples
    assert samples.count == known.count + found.evaluations
    seen = list(map(samples.read_shard, range(samples.shards)))
    assert [shard.start for shard in seen[:3]] == [0, 256, 300]
    for shard in seen:
        np.testing.assert_allclose(shard.vertices, Cube().evaluate(shard.controls), atol=1e-6)


def test_a_round_is_measured_by_hand(rough, shot):
    """The first figures are those of the given approximation, at evenly spread frames of its own solution."""
    found = improve(Cube(), rough, None, shot, PLAIN, replace(CFG, rounds=1))
    frames = checked_frames(24, 20, 0)
    controls = solve(rough, shot, PLAIN).controls[frames]
    unit, meshes = diagonal(Cube().neutral), Cube().evaluate(controls)
    wrong = np.linalg.norm(rough.evaluate(controls) - meshes, axis=2).mean() / unit
    off = np.linalg.norm(meshes - shot.vertices[frames], axis=2).mean() / unit
    assert found.history[0].approximation_error == pytest.approx(wrong, rel=1e-5)
    assert found.history[0].capture_error == pytest.approx(off, rel=1e-5)


def test_checked_frames_by_hand():
    np.testing.assert_array_equal(checked_frames(12, 3, 0), [2, 6, 10])
    np.testing.assert_array_equal(checked_frames(5, 5, 3), np.arange(5))
    assert set(checked_frames(100, 10, 0)).isdisjoint(checked_frames(100, 10, 1))


@pytest.mark.parametrize("budget", [6, 50])
def test_the_budget_is_never_overdrawn(rough, shot, budget):
    rig = BlackBox(Cube())
    found = improve(rig, rough, None, shot, PLAIN, replace(CFG, rounds=3, budget=budget, improvement=0.0))
    assert found.evaluations == rig.asked <= budget
    assert len(found.history) >= 2
    assert about(found)["rig_evaluations"] == found.evaluations


def test_it_stops_when_the_error_falls_no_more_and_keeps_the_best(rough, shot):
    class Itself:
        """The approximation as the true rig: there is nothing to improve."""

        spec, faces, neutral = rough.spec, rough.faces, rough.neutral
        evaluate = staticmethod(rough.evaluate)

    found = improve(Itself(), rough, None, shot, PLAIN, replace(CFG, rounds=4))
    assert found.stopped == "patience"
    assert len(found.history) <= 3
    errors = [one.approximation_error for one in found.history]
    assert found.best == int(np.argmin(errors))
    assert max(errors) < 1e-6


class KilledError(Exception):
    pass


@pytest.mark.parametrize("when", [("sampling", 2), ("solve", 3), ("tune", 2)])
def test_an_interrupted_call_goes_on_to_the_same_result(known, rough, shot, whole, tmp_path: Path, when):
    stage, times = when
    seen: list[str] = []

    def dies(name: str, done: float, total: float, note: str = "") -> None:
        seen.append(name)
        if name == stage and done == total and seen.count("improve") >= times - 1:
            raise KilledError

    rig = BlackBox(Cube())
    with pytest.raises(KilledError):
        improve(rig, rough, known, shot, PLAIN, CFG, out=tmp_path / "rounds", progress=dies)
    resumed = improve(rig, rough, known, shot, PLAIN, CFG, out=tmp_path / "rounds")
    assert_same(resumed.approximation, whole.approximation)
    assert resumed.history == whole.history
    assert rig.asked == whole.evaluations  # nothing is asked twice


def test_another_shot_into_the_same_folder_is_refused(rough, shot, tmp_path: Path):
    improve(Cube(), rough, None, shot, PLAIN, replace(CFG, rounds=1), out=tmp_path / "rounds")
    other = mesh_sequence(shot.vertices[::-1].copy())
    with pytest.raises(BunrakuError, match="was made with inputs"):
        improve(Cube(), rough, None, other, PLAIN, replace(CFG, rounds=1), out=tmp_path / "rounds")


def test_poses_at_which_the_rig_fails_are_left_out_and_counted(known, rough, shot):
    class Moody(Cube):
        def evaluate(self, controls: np.ndarray) -> np.ndarray:
            mesh = super().evaluate(controls)
            mesh[controls[:, 0] > 0.6] = np.nan
            return mesh

    found = improve(Moody(), rough, known, shot, PLAIN, CFG)
    assert found.history[0].checked < 20
    assert found.evaluations == 140
    assert found.history[found.best].approximation_error < 0.1 * found.history[0].approximation_error


def test_a_rig_that_fails_everywhere_is_one_line(rough, shot):
    class Broken(Cube):
        def evaluate(self, controls: np.ndarray) -> np.ndarray:
            raise ZeroDivisionError("no licence")

    with pytest.raises(BunrakuError, match="no licence"):
        improve(Broken(), rough, None, shot, PLAIN, CFG)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rounds": 0}, "--rounds 0: must be at least 1"),
        ({"samples_per_round": 2}, "--samples-per-round 2: must be at least 3"),
        ({"budget": 5}, "--budget 5: a round and its validation need at least 6"),
        ({"improvement": 1.0}, "--improvement 1.0: expected a share"),
        ({"spread": float("nan")}, "--spread nan: must be at least 0"),
        ({"tune": TuneConfig(forget=0.5)}, "--tune.forget 0.5: must be at least 1"),
        ({"tune": TuneConfig(learning_rate=0)}, "--tune.learning-rate 0: must be above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(rough, shot, wrong, said):
    with pytest.raises(BunrakuError, match=said):
        improve(Cube(), rough, None, shot, PLAIN, replace(CFG, **wrong))


def test_a_capture_of_another_size_is_refused(rough, shot):
    with pytest.raises(BunrakuError, match="the capture has 7 vertices, the rig 8"):
        improve(Cube(), rough, None, mesh_sequence(shot.vertices[:, :7]), PLAIN, CFG)
