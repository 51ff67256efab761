import numpy as np

from bunraku.imitation.mirror import Reflection, reflection

SWAP = Reflection(np.array([1, 0, 2]), np.array([-1.0, -1.0, 1.0]))


def test_a_reflection_permutes_and_changes_signs_in_the_arrays_own_precision():
    seen = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    image = SWAP.of(seen)
    np.testing.assert_array_equal(image, [[-2, -1, 3], [-5, -4, 6]])
    assert image.dtype == np.float32
    np.testing.assert_array_equal(SWAP.of(image), seen)


def test_only_one_that_moves_nothing_is_nothing():
    assert Reflection(np.arange(2), np.ones(2)).nothing
    assert not SWAP.nothing
    assert not Reflection(np.arange(2), np.array([1.0, -1.0])).nothing


def test_labelled_numbers_follow_their_degrees_of_freedom():
    labels = [("angle", (0,)), ("cosine", (1, 1)), ("cosine", (0, 0)), ("angle", (1,)), ("matrix", (0, 2))]
    found = reflection([*labels, ("matrix", (1, 2))], SWAP)
    assert found.index.tolist() == [3, 2, 1, 0, 5, 4]
    assert found.sign.tolist() == [-1, 1, 1, -1, -1, -1]


def test_without_a_twin_there_is_no_reflection():
    assert reflection([("angle", (0,)), ("sine", (1,))], SWAP) is None
