"""The mesh term of one frame against the plain sum over its vertices."""

from dataclasses import dataclass

import numpy as np
import pytest

from bunraku.inversion.frame_term import Lens


@dataclass
class Basis:
    basis: np.ndarray | None
    axes: int
    origin: np.ndarray


def bases(vertices=9):
    rng = np.random.default_rng(1)
    origin = rng.normal(size=(vertices, 3))
    flat = np.linalg.qr(rng.normal(size=(3 * vertices, 5)))[0].T
    shared = np.linalg.qr(rng.normal(size=(vertices, 4)))[0].T
    return [Basis(flat, 1, origin), Basis(shared, 3, origin), Basis(None, 1, np.zeros((vertices, 3)))]


def mesh(about, z):
    if about.basis is None:
        return z.reshape(-1, 3)
    if about.axes == 1:
        return (z @ about.basis).reshape(-1, 3) + about.origin
    return (z.reshape(3, -1) @ about.basis).T + about.origin


@pytest.mark.parametrize("missing", [0, 2, 7])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_cost_gradient_and_hessian_are_those_of_the_vertices_that_are_there(which, missing):
    about, rng = bases()[which], np.random.default_rng(2)
    size = 27 if about.basis is None else about.axes * len(about.basis)
    valid = np.arange(9) >= missing
    frame = rng.normal(size=(9, 3))
    frame[~valid] = np.nan
    term = Lens(about).look(frame, valid)
    z, rows = rng.normal(size=size), rng.normal(size=(4, size))

    def cost(z):
        return float(((mesh(about, z) - frame)[valid] ** 2).sum())

    def said(z):
        return float(z @ (term.through(z[None])[0] - 2 * term.moment))

    assert said(z) - said(0 * z) == pytest.approx(cost(z) - cost(0 * z), rel=1e-5)
    hessian, gradient = term.normal(z, rows)
    step = 1e-4
    for index, row in enumerate(rows):
        slope = (cost(z + step * row) - cost(z - step * row)) / (2 * step)
        assert 2 * gradient[index] == pytest.approx(slope, rel=1e-4, abs=1e-4)
        bend = (cost(z + row) - 2 * cost(z) + cost(z - row)) / 2
        assert hessian[index, index] == pytest.approx(bend, rel=1e-4, abs=1e-5)
    assert term.seen == 3 * (9 - missing)


def test_another_pattern_is_not_seen_with_the_last_ones_metric():
    lens = Lens(bases()[0])
    frame = np.zeros((9, 3))
    first = lens.look(frame, np.arange(9) > 0).metric
    second = lens.look(frame, np.arange(9) > 1).metric
    third = lens.look(frame, np.arange(9) > 0).metric
    assert abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(first, third)
