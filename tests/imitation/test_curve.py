from xml.etree import ElementTree

import numpy as np

from bunraku.imitation.curve import Line, learning_curve

SVG = "{http://www.w3.org/2000/svg}"


def drawn(lines, title="t"):
    return ElementTree.fromstring(learning_curve(lines, title))


def points(element):
    return np.array([pair.split(",") for pair in element.get("points").split()], float)


def test_higher_returns_are_higher_up_and_more_samples_further_right():
    (line,) = drawn([Line("a", np.array([0.0, 50, 100]), np.array([0.0, 0.25, 1]))]).iter(f"{SVG}polyline")
    x, y = points(line).T
    np.testing.assert_allclose(x, [44, 328, 612])
    # 0 at the bottom (316), 1 at the top (44).
    np.testing.assert_allclose(y, [316, 248, 44])


def test_a_spread_is_drawn_around_its_line():
    x, y = np.linspace(0, 10, 5), np.linspace(0.2, 0.8, 5)
    (area,) = drawn([Line("a", x, y, y - 0.1, y + 0.1)]).iter(f"{SVG}polygon")
    assert points(area).shape == (10, 2)


def test_points_that_are_not_known_yet_are_left_out_and_names_are_escaped():
    root = drawn([Line("a < b", np.array([1.0, 2, 3]), np.array([np.nan, 0.5, 0.6]))], "1 & 2")
    (line,) = root.iter(f"{SVG}polyline")
    assert len(points(line)) == 2
    assert {"a < b", "1 & 2"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_long_curves_are_thinned_to_their_ends_included():
    (line,) = drawn([Line("a", np.arange(10_000.0), np.ones(10_000))]).iter(f"{SVG}polyline")
    assert len(points(line)) == 400
    np.testing.assert_allclose(points(line)[[0, -1], 0], [44, 612])


def test_nothing_yet_is_drawn_as_empty_axes():
    assert not list(drawn([]).iter(f"{SVG}polyline"))
    assert list(drawn([Line("a", np.array([1.0]), np.array([np.nan]))]).iter(f"{SVG}line"))


def test_axes_are_marked_with_round_numbers():
    root = drawn([Line("a", np.array([384.0, 6144]), np.array([0.3, 0.8]))])
    texts = [text.text for text in root.iter(f"{SVG}text")]
    marks = ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert [text for text in texts if text in marks][:6] == marks
    assert {"2 k", "4 k", "6 k"} <= set(texts)
