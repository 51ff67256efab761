"""Meshes as they are looked at."""

from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.shown import Shown, remembered

FACES = np.array([[0, 1, 2]])
MESH = np.zeros((40, 3, 3)) + np.arange(40)[:, None, None]


def shown(**more) -> Shown:
    points = MESH + np.array([0.0, 3.0, 4.0])
    there = np.ones((40, 3), bool)
    there[2, 1] = False
    fields = {"captured": lambda rows: (points[rows], there[rows]), **more}
    return Shown("take", FACES, 40, Fraction(24), 10, lambda rows: MESH[rows], **fields)


def test_an_error_is_the_distance_from_the_capture_where_there_is_one():
    np.testing.assert_allclose(shown().error(2), [5.0, np.nan, 5.0])
    assert shown().usual_error() == pytest.approx(5.0)


def test_a_capture_of_another_topology_has_no_error():
    assert shown().compares
    assert not shown(captured_faces=FACES).compares
    assert not shown(captured=None).compares


def test_rows_are_asked_for_in_blocks_and_remembered():
    asked: list[np.ndarray] = []

    def vertices(rows: np.ndarray) -> np.ndarray:
        asked.append(rows)
        return MESH[rows]

    at = remembered(vertices, 40)
    assert (at(np.array([17, 3, 18])) == MESH[[17, 3, 18]]).all()
    assert [rows.tolist() for rows in asked] == [list(range(16, 32)), list(range(16))]
    assert (at(np.array([39])) == MESH[[39]]).all()
    assert asked[-1].tolist() == list(range(32, 40))
