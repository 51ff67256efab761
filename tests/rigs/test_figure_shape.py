import numpy as np

from bunraku.rigs.figure import figure
from bunraku.rigs.figure_shape import parts


def test_each_part_is_a_closed_surface_of_its_own():
    bones = figure()[0].skeleton
    for part in parts(bones):
        edges = np.concatenate([part.faces[:, [i, (i + 1) % 3]] for i in range(3)])
        edges = {(int(a), int(b)) for a, b in edges}
        assert edges == {(b, a) for a, b in edges}, part.name
        # Euler: V − E + F = 2 for what is a sphere
        assert len(part.positions) - len(edges) // 2 + len(part.faces) == 2, part.name


def test_each_part_has_volume_and_no_sliver():
    for part in parts(figure()[0].skeleton):
        a, b, c = (part.positions[part.faces[:, i]] for i in range(3))
        assert (a * np.cross(b, c)).sum() > 0, part.name
        assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 1e-8, part.name


def test_weights_of_every_part_sum_to_one():
    for part in parts(figure()[0].skeleton):
        assert part.weights.min() > -1e-12, part.name
        np.testing.assert_allclose(part.weights.sum(axis=1), 1, atol=1e-9)
