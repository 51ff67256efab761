import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion import misfit as module
from bunraku.inversion.account import Observability
from bunraku.inversion.evaluate import control_error, evaluate, roughness
from small_rigs import Linear

SPEC = control_spec(["x", "y"], [0.0, -1], [10, 1], [5, 0])


def rig():
    """x shifts vertex 0 along x, y vertex 1 along y; the box is 3 × 4."""
    neutral = np.array([[0.0, 0, 0], [3, 4, 0]])
    shapes = np.zeros((2, 2, 3))
    shapes[0, 0, 0] = shapes[1, 1, 1] = 1.0
    return Linear(SPEC, neutral, shapes)


def test_every_metric_by_hand():
    neutral = rig().neutral
    controls = np.array([[5.0, 0], [6, 0.01], [5, 0.5]])
    captured = np.repeat(neutral[None], 3, axis=0)
    true = np.array([[5.0, 0], [5, 0], [5, 0]])
    nothing = np.zeros(2, bool)
    found = evaluate(
        rig(), mesh_sequence(captured), controls, seen_by=Observability(nothing, nothing), true_controls=true
    )
    distances = np.array([[0, 0], [1, 0.01], [0, 0.5]])
    values = found.metrics.values
    assert (values["frames"], values["vertices"]) == (3, 2)
    assert values["controls"] == 2
    assert values["missing_vertices"] == 0
    assert values["mean_vertex_error"] == pytest.approx(1.51 / 6)
    assert values["p95_vertex_error"] == pytest.approx(np.percentile(distances, 95))
    assert values["max_vertex_error"] == pytest.approx(1)
    assert values["relative_error"] == pytest.approx(1.51 / 6 / 5)
    # second differences over ranges: x −2/10, y (0 − 0.02 + 0.5)/2
    assert values["roughness"] == pytest.approx(((-0.2) ** 2 + 0.24**2) / 2)
    # over 2 % of the range: x by 1 of 10 in frame 1, y by .5 of 2 in frame 2 (.01 of 2 is not)
    assert values["active_controls"] == pytest.approx(2 / 3)
    assert values["unobservable"] == values["interchangeable"] == []
    assert values["control_error"] == pytest.approx((1 / 10 + 0.01 / 2 + 0.5 / 2) / 6)
    np.testing.assert_allclose(found.frame_error, distances.mean(axis=1))
    np.testing.assert_allclose(found.vertex_error, distances.mean(axis=0))
    np.testing.assert_allclose(found.frame_max, [0, 1, 0.5])
    np.testing.assert_allclose(found.vertex_max, [1, 0.5])
    assert found.metrics.units["mean_vertex_error"] == "rig unit"


def test_what_is_missing_is_counted_and_left_out():
    captured = np.repeat(rig().neutral[None], 3, axis=0)
    captured[1, 0] = np.nan
    captured[2] = np.nan
    controls = np.array([[5.0, 0.2], [9, 0.4], [9, 0.9]])
    found = evaluate(rig(), mesh_sequence(captured), controls)
    assert found.metrics["missing_vertices"] == 3
    assert found.metrics["mean_vertex_error"] == pytest.approx((0 + 0.2 + 0.4) / 3)
    assert found.metrics["max_vertex_error"] == pytest.approx(0.4)
    np.testing.assert_allclose(found.frame_error, [0.1, 0.4, 0])
    np.testing.assert_allclose(found.vertex_error, [0, 0.3])
    np.testing.assert_allclose(found.frame_max, [0.2, 0.4, 0])
    np.testing.assert_allclose(found.vertex_max, [0, 0.4])
    assert "control_error" not in found.metrics.values
    assert "unobservable" not in found.metrics.values


def test_long_shots_are_measured_in_parts(monkeypatch):
    controls = np.stack([np.linspace(0, 10, 7), np.zeros(7)], axis=1)
    shot = mesh_sequence(np.repeat(rig().neutral[None], 7, axis=0))
    whole = evaluate(rig(), shot, controls)
    monkeypatch.setattr(module, "BATCH_BYTES", 2 * 24 * 2)
    assert evaluate(rig(), shot, controls).metrics == whole.metrics


def test_controls_that_are_not_determined_are_named_and_do_not_err():
    dead, traded = np.array([True, False]), np.array([False, False])
    controls, true = np.array([[9.0, 0.5]]), np.array([[5.0, 0]])
    shot = mesh_sequence(rig().neutral[None])
    found = evaluate(rig(), shot, controls, seen_by=Observability(dead, traded), true_controls=true).metrics
    assert found["unobservable"] == ["x"]
    assert found["control_error"] == pytest.approx(0.25)
    found = evaluate(rig(), shot, controls, seen_by=Observability(traded, ~traded), true_controls=true).metrics
    assert found["interchangeable"] == ["x", "y"]
    assert "interchangeable_groups" not in found.values
    assert np.isnan(found.number("control_error"))


def test_two_frames_have_no_roughness():
    assert roughness(SPEC, np.array([[0.0, 1], [10, -1]])) == 0.0


def test_rotations_err_by_their_angle_over_a_full_turn():
    spec = control_spec(["rx", "ry", "rz", "m"], [-9.0] * 3 + [0], [9.0] * 3 + [2], rotations=[[0, 1, 2]])
    true = np.array([[0, 0, np.pi / 2, 1.0], [0, 0, 2 * np.pi - 0.1, 1]])
    found = np.array([[0, 0, 0, 1.0], [0, 0, -0.2, 0.5]])  # a quarter turn; a tenth of a radian beside the branch
    everything = np.ones(4, bool)
    expected = ((np.pi / 2 + 0.1) / (2 * np.pi) + 0.5 / 2) / 4
    assert control_error(spec, found, true, everything) == pytest.approx(expected)
    same_pose = true + np.array([[0, 0, 2 * np.pi, 0]])
    assert control_error(spec, same_pose, true, everything) == pytest.approx(0, abs=1e-12)


def test_two_axes_at_once_err_by_the_angle_between_the_poses():
    spec = control_spec(["rx", "ry", "rz"], -9.0, 9.0, rotations=[[0, 1, 2]])
    true, found = np.array([[0, 0, np.pi / 2]]), np.array([[0, np.pi / 2, 0]])
    # Quarter turns about z and about y are 120° apart.
    assert control_error(spec, found, true, np.ones(3, bool)) == pytest.approx(1 / 3)


def test_a_rotation_that_is_determined_in_part_counts_for_nothing():
    spec = control_spec(["rx", "ry", "rz", "m"], -1.0, 1.0, rotations=[[0, 1, 2]])
    observable = np.array([True, True, False, True])
    assert control_error(spec, np.ones((2, 4)), np.zeros((2, 4)), observable) == pytest.approx(0.5)
