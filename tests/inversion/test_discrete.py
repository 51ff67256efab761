from itertools import pairwise, product

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion.discrete import switched, viterbi
from bunraku.inversion.guidance import Instructions, Limits
from bunraku.inversion.invert import InvertConfig, invert
from bunraku.inversion.solve import SolveConfig
from small_rigs import linear_rig


def test_the_cheapest_path_is_the_one_that_trying_all_finds():
    rng = np.random.default_rng(0)
    costs, changing = rng.random((5, 3)), rng.random((3, 3)) * (1 - np.eye(3))

    def total(path):
        return sum(costs[t, s] for t, s in enumerate(path)) + sum(changing[a, b] for a, b in pairwise(path))

    best = min(product(range(3), repeat=5), key=total)
    assert tuple(viterbi(costs, changing)) == best


def test_five_switches_are_recovered_exactly_under_noise():
    rig = linear_rig(controls=9, vertices=60)
    names, rng = rig.spec.names, np.random.default_rng(4)
    true = 0.5 * np.sin(np.arange(48)[:, None] / 7 + np.arange(9))
    for column in range(5):
        flips = np.sort(rng.choice(np.arange(4, 44), 3, replace=False))
        true[:, column] = (np.searchsorted(flips, np.arange(48), side="right") + column) % 2
    mesh = rig.evaluate(true) + 0.15 * rng.normal(size=(48, 60, 3))
    switches = {name: [0.0, 1.0] for name in names[:5]}
    take = invert(rig, mesh_sequence(mesh), InvertConfig(), instructions=Instructions(switches=switches))
    np.testing.assert_array_equal(take.curves.values[:, :5], true[:, :5])
    assert np.abs(take.curves.values[:, 5:] - true[:, 5:]).mean() < 0.02


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"c0": [0.0]}, "switch 'c0': needs two values or more, has 1"),
        ({"c0": [0.0, 3.0]}, "switch 'c0': 3 is outside its bounds -1 … 1"),
        ({"nothing": [0, 1]}, "no control 'nothing'"),
        ({f"c{i}": [0.0, 0.5, 1.0] for i in range(6)}, "729 combinations; at most 256"),
    ],
)
def test_switches_that_cannot_be_are_refused(switches, message):
    rig = linear_rig(controls=6, vertices=20)
    assert rig.spec.names[0] == "c0"
    shot = mesh_sequence(rig.evaluate(np.zeros((3, 6))))
    with pytest.raises(BunrakuError, match=message):
        switched(rig, shot, switches, SolveConfig(), Limits.of(rig.spec))
