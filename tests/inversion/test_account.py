import numpy as np

from bunraku.core.controls import control_spec
from bunraku.inversion.account import observability
from small_rigs import Linear, limbed_rig, linear_rig


def named(rig, which):
    return {name for name, chosen in zip(rig.spec.names, which, strict=True) if chosen}


def test_controls_that_move_nothing_are_dead():
    rig = limbed_rig(dead=True)
    seen = observability(rig, np.tile(rig.spec.neutral, (3, 1)))
    assert named(rig, seen.dead) == {"dead.rx", "dead.ry", "dead.rz"}
    assert not seen.interchangeable.any()
    assert named(rig, seen.determined) == set(rig.spec.names) - named(rig, seen.dead)


def test_controls_of_which_only_the_sum_matters_are_interchangeable():
    plain = linear_rig(controls=4)
    shapes = plain.shapes.copy()
    shapes[3] = 0.01 * shapes[1]  # the same motion, however small
    rig = Linear(plain.spec, plain.neutral, shapes)
    seen = observability(rig, np.zeros((2, 4)))
    assert named(rig, seen.interchangeable) == {"c1", "c3"}
    assert not seen.dead.any()


def test_a_rig_whose_controls_all_show_has_none_of_either():
    rig = linear_rig(controls=6)
    assert observability(rig, np.zeros((1, 6))).determined.all()


def test_ranges_do_not_matter():
    plain = linear_rig(controls=3)
    rig = Linear(control_spec(plain.spec.names, [-1e-4, -1, -1e4], [1e-4, 1, 1e4]), plain.neutral, plain.shapes)
    assert observability(rig, np.zeros((1, 3))).determined.all()


def test_a_control_that_shows_in_some_poses_is_not_dead():
    class Sometimes(Linear):
        def reduce(self):
            inner = Linear.reduce(self)

            class Coordinates(type(inner)):
                def linearize(self, controls):
                    values, rows = inner.linearize(controls)
                    rows[:, 2] *= controls[:, :1] > 0
                    return values, rows

            return Coordinates(self)

    plain = linear_rig(controls=3)
    rig = Sometimes(plain.spec, plain.neutral, plain.shapes)
    assert not observability(rig, np.array([[0.0, 0, 0], [1, 0, 0]])).dead.any()
    assert observability(rig, np.array([[0.0, 0, 0], [-1, 0, 0]])).dead.tolist() == [False, False, True]
