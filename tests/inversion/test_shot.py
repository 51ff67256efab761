"""The whole shot's matrix."""

import numpy as np
import pytest

from bunraku.inversion import terms
from bunraku.inversion.shot import banded

FRAMES, COUNT = 6, 4


def dense(blocks, weight, held, damping):
    """The same matrix in full, entry by entry: JᵀJ of the mesh on its diagonal blocks, of second differences beside."""
    size = FRAMES * COUNT
    full = np.zeros((size, size))
    for t in range(FRAMES):
        full[t * COUNT : (t + 1) * COUNT, t * COUNT : (t + 1) * COUNT] = blocks[t]
    for t in range(FRAMES - 2):
        for c in range(COUNT):
            bend = np.zeros(size)
            bend[[t * COUNT + c, (t + 1) * COUNT + c, (t + 2) * COUNT + c]] = weight[t, c] * np.array([1, -2, 1])
            full += np.outer(bend, bend)
    flat = held.ravel()
    full[flat] = full[:, flat] = 0.0
    diagonal = np.arange(size)
    strongest = max(blocks[:, c, c].max() for c in range(COUNT))
    floor = np.maximum(full[diagonal, diagonal], 1e-9 * strongest)
    full[diagonal, diagonal] += np.repeat(damping, COUNT) * floor + 1e-12 * strongest + flat
    return full


@pytest.mark.parametrize("resting", [[], [1], [0, 3]])
def test_the_banded_matrix_is_the_whole_one_without_what_never_moves(resting):
    rng = np.random.default_rng(len(resting))
    factors = rng.normal(size=(FRAMES, COUNT, 7))
    blocks = factors @ np.swapaxes(factors, 1, 2)
    weight = rng.uniform(0.1, 2, (FRAMES - 2, COUNT))
    held = rng.uniform(size=(FRAMES, COUNT)) < 0.3
    held[0], held[:, resting] = False, True
    damping = rng.uniform(0, 0.1, FRAMES)
    moving = np.flatnonzero(~held.all(axis=0))
    bands = banded(blocks, terms.smoothness_bands(FRAMES, weight), held, damping, moving)
    chosen = (np.arange(FRAMES)[:, None] * COUNT + moving).ravel()
    expected = dense(blocks, weight, held, damping)[np.ix_(chosen, chosen)]
    size = len(chosen)
    assert bands.shape == (2 * len(moving) + 1, size)
    rebuilt = np.zeros((size, size))
    for below in range(bands.shape[0]):
        at = np.arange(size - below)
        rebuilt[at + below, at] = rebuilt[at, at + below] = bands[below, : size - below]
        assert not bands[below, size - below :].any()
    np.testing.assert_allclose(rebuilt, expected, atol=1e-12)
