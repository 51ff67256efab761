from dataclasses import replace

import numpy as np
import pytest

from bunraku.report.film import MISSING, film, thinned
from report_values import FRAMES, WORST, ball, footage, meshes

ROWS = np.arange(FRAMES)


def apart_of(found) -> np.ndarray:
    shares = found.apart.astype(float) / 127
    return np.sign(shares) * shares**2 * found.reach


def test_everything_is_kept_where_there_is_room():
    solved, captured = meshes()
    found = film(footage(), ROWS, ROWS, 1_000_000)
    assert found.seen.tolist() == ROWS.tolist()
    known = np.arange(solved.shape[1]) != 5
    off = apart_of(found) - (captured - solved)
    # Half a step of the square root scale: within 4 % of a tenth of the reach, finer below.
    assert np.abs(off[:, known]).max() < found.reach / 127 * 1.01
    assert (found.apart[:, 5] == MISSING).all()


def test_with_little_room_the_worst_frames_are_kept_and_the_rest_is_spread():
    found = film(footage(), ROWS, np.array([WORST, 3, *ROWS]), 0)
    assert len(found.seen) <= 8
    assert {0, 3, WORST, FRAMES - 1} <= set(found.seen.tolist())


def test_percentiles_leave_out_what_is_missing():
    solved, captured = meshes()
    found = film(footage(), ROWS, ROWS, 1_000_000)
    distances = np.delete(np.linalg.norm(captured - solved, axis=2), 5, axis=1)
    assert found.p95 is not None
    assert found.p95[WORST] == pytest.approx(np.quantile(distances[WORST], 0.95, method="higher"), rel=0.1)


def test_markers_have_places_of_their_own_on_the_rig():
    solved, _ = meshes()
    marked = replace(
        footage(),
        points=lambda rows: solved[rows][:, [3, 9]],
        captured=lambda rows: (solved[rows][:, [3, 9]] + [0, 0, 0.5], np.ones((len(rows), 2), bool)),
    )
    found = film(marked, ROWS, ROWS, 1_000_000)
    assert found.apart is not None
    assert found.apart.shape == (FRAMES, 2, 3)
    assert apart_of(found)[0] == pytest.approx(np.array([[0, 0, 0.5]] * 2))
    assert found.points is not None


def test_a_capture_of_another_topology_is_shown_but_not_compared():
    _, captured = meshes()
    everywhere = np.ones((FRAMES, 100), bool)
    other = replace(
        footage(),
        captured=lambda rows: (captured[rows, :100], everywhere[rows]),
        captured_faces=np.array([[0, 1, 2]]),
    )
    found = film(other, ROWS, ROWS, 1_000_000)
    assert found.apart is None
    assert found.p95 is None
    assert found.other is not None
    assert found.other.vertices(4) == pytest.approx(captured[4, :100], abs=3e-3)


def test_without_a_capture_the_rig_stands_alone():
    found = film(replace(footage(), captured=None), ROWS, ROWS, 1_000_000)
    assert found.apart is None
    assert len(found.seen) == 0


def test_a_mesh_that_is_too_fine_is_thinned_and_keeps_its_worst_vertex():
    points, faces = ball(60, 80)
    error = np.zeros(len(points))
    error[1234] = 1
    chosen, fewer = thinned(points, faces, 900, error)
    assert 200 < len(chosen) <= 900
    assert 1234 in chosen
    assert fewer.max() < len(chosen)
    assert (np.diff(np.sort(fewer, axis=1), axis=1) > 0).all()
    # The surface still has the ball's extent.
    assert np.ptp(points[chosen], axis=0) == pytest.approx(np.ptp(points, axis=0), rel=0.1)
