import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import restrict
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.guidance import Instructions
from bunraku.inversion.invert import InvertConfig, invert, remeasure
from bunraku.inversion.plan import Counted, plan
from bunraku.rigs.cube import Cube, animation
from bunraku.rigs.face import Face
from small_rigs import BlackBox, limbed_rig, linear_rig

Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def shot(rig, frames=4, seed=0, axes=None):
    rng = np.random.default_rng(seed)
    controls = rig.spec.neutral + 0.2 * rng.normal(size=(frames, len(rig.spec)))
    controls[:, [rig.spec.index(f"root.{k}{a}") for k in "tr" for a in "xyz"]] *= 0.1
    controls = np.clip(controls, rig.spec.lower, rig.spec.upper)
    mesh = rig.evaluate(controls)
    return mesh_sequence(mesh if axes is None else mesh @ axes, fps=25, start_frame=7), controls


def test_a_take_says_what_was_found_and_how_well():
    rig = limbed_rig(dead=True)
    capture, true = shot(rig)
    take = invert(rig, capture, true_curves=curves(rig.spec.names, true, 25))
    assert take.curves.names == rig.spec.names
    assert (take.curves.fps, take.curves.start_frame) == (25, 7)
    assert take.metrics.number("relative_error") < 1e-9
    assert take.metrics.number("control_error") < 1e-7
    assert take.metrics["unobservable"] == ["dead.rx", "dead.ry", "dead.rz"]
    assert take.metrics["alignment"] == "identity"
    assert take.metrics.number("rig_evaluations") > 4
    np.testing.assert_array_equal(take.alignment, np.eye(3, 4))
    assert take.settings["align"] == "auto"


def test_true_curves_change_nothing_but_the_error_that_is_reported():
    rig = limbed_rig()
    capture, true = shot(rig)
    with_them = invert(rig, capture, true_curves=curves(rig.spec.names, true + 0.3, 25))
    without = invert(rig, capture)
    np.testing.assert_array_equal(with_them.curves.values, without.curves.values)
    assert set(with_them.metrics.values) - set(without.metrics.values) == {"control_error"}


def test_true_curves_of_other_controls_are_not_looked_at():
    rig = limbed_rig()
    narrow = restrict(rig, ("arm.*", "leg.*"))
    true = 0.2 * np.random.default_rng(0).normal(size=(3, len(narrow.spec)))
    capture = mesh_sequence(narrow.evaluate(true))
    whole = curves(narrow.spec.names, true).ordered_as(rig.spec)
    take = invert(narrow, capture, true_curves=curves(rig.spec.names, whole))
    assert take.metrics.number("control_error") < 1e-7
    foreign = invert(narrow, capture, true_curves=curves(["nose"], np.zeros((3, 1))))
    assert "control_error" not in foreign.metrics.values


def test_a_capture_in_other_axes_is_mended_or_solved_as_given_with_a_warning():
    rig = limbed_rig()
    capture, true = shot(rig, axes=Z_UP)
    mended = invert(rig, capture)
    assert mended.metrics["alignment"] == "1 * (x, z, -y)"
    np.testing.assert_allclose(mended.curves.values, true, atol=1e-6)
    np.testing.assert_array_equal(mended.alignment, np.concatenate([Z_UP, np.zeros((3, 1))], axis=1))
    given = invert(rig, capture, InvertConfig(align="none"))
    said = str(given.metrics["alignment"])
    assert said.startswith("none")
    assert said.endswith("the capture looks like 1 * (x, z, -y)")
    np.testing.assert_array_equal(given.alignment, np.eye(3, 4))
    assert np.abs(given.curves.values - true).max() > 0.5


def test_metrics_measured_again_are_the_same():
    rig = limbed_rig(dead=True)
    capture, true = shot(rig, axes=100 * Z_UP)
    known = curves(rig.spec.names, true, 25)
    take = invert(rig, capture, true_curves=known)
    again = remeasure(rig, capture, take, known)
    assert again.values == take.metrics.values


def test_a_black_box_costs_what_it_was_asked():
    box = BlackBox(Cube())
    capture = mesh_sequence(Cube().evaluate(animation(3).values))
    take = invert(box, capture)
    assert take.metrics.number("relative_error") < 1e-7
    spent = take.metrics.number("rig_evaluations")
    # Looking at what is observable costs a Jacobian a frame more, measuring the error a pose.
    assert spent < box.asked <= spent + 3 * (8 + 1)


def linear_model(rig):
    """The approximation that a linear rig is of itself."""
    vertices, count = rig.neutral.size, len(rig.spec)
    return Approximation(
        rig.spec,
        rig.faces,
        rig.neutral,
        rig.spec.neutral,
        np.ones(count),
        rig.neutral.ravel(),
        None,
        1.0,
        rig.shapes.reshape(count, -1).T.astype("f4"),
        np.zeros((0, 1), np.int64),
        np.zeros((vertices, 0), "f4"),
        (),
    )


def test_an_approximation_is_refined_on_the_rig_within_the_budget():
    rig = linear_rig()
    true = np.random.default_rng(0).uniform(-0.9, 0.9, (4, 5))
    box = BlackBox(rig)
    capture = mesh_sequence(rig.evaluate(true))
    take = invert(box, capture, InvertConfig(refine=5), approximation=linear_model(rig), sampled=50)
    assert take.metrics["rig_evaluations"] == 50 + 4 * 5
    np.testing.assert_allclose(take.curves.values, true, atol=1e-9)  # the model's own numbers are single


def test_counting_counts_poses():
    counted = Counted(Cube())
    counted.evaluate(np.zeros((5, 6)))
    counted.evaluate(np.zeros((2, 6)))
    assert counted.asked == 7
    assert counted.spec.names == Cube().spec.names


class Priced:
    """A rig whose evaluation takes a given time by a clock of its own."""

    def __init__(self, each_s, clock):
        self.each_s, self.clock = each_s, clock
        self.spec, self.faces, self.neutral = Cube().spec, Cube().faces, Cube().neutral

    def evaluate(self, controls):
        self.clock[0] += self.each_s * len(controls)
        return np.zeros((len(controls), 8, 3))


def test_the_plan_compares_costs(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("bunraku.inversion.plan.time.perf_counter", lambda: clock[0])
    cheap, dear = Priced(1e-6, clock), Priced(1.0, clock)
    assert plan(cheap, 100, 1000).way == "finite differences"
    assert plan(dear, 100, 1000).way == "approximation"  # 3,000 s against 1,800
    assert plan(dear, 10, 1000).way == "finite differences"  # 300 s against 1,080
    assert "1e+03 ms" in plan(dear, 10, 1000).reason
    many = Priced(1.0, clock)
    many.spec = control_spec([f"c{k}" for k in range(67)])
    assert plan(many, 100, 4000).way == "approximation"
    assert plan(many, 100, 4000, steady=True).way == "follow"  # 3,268 s against 4,804
    assert plan(many, 200, 4000, steady=True).way == "approximation"  # 6,268 s against 5,604
    many.each_s = 1e-3  # too fast to be worth it
    assert plan(many, 100, 4000, steady=True).way == "approximation"
    assert plan(limbed_rig(), 100, 1000).way == "derivatives"


def test_a_capture_of_another_mesh_is_refused():
    with pytest.raises(BunrakuError, match="the capture has 5 vertices, the rig 84"):
        invert(limbed_rig(), mesh_sequence(np.zeros((1, 5, 3))))


def test_an_approximation_of_other_controls_or_another_mesh_is_refused():
    rig = linear_rig()
    capture = mesh_sequence(rig.neutral[None])
    with pytest.raises(BunrakuError, match="different controls, among them: c5"):
        invert(BlackBox(rig), capture, approximation=linear_model(linear_rig(controls=6)))
    with pytest.raises(BunrakuError, match="the model has 7 vertices, the rig 12"):
        invert(BlackBox(rig), capture, approximation=linear_model(linear_rig(vertices=7)))


def test_a_black_box_is_followed_from_the_capture_alone_and_what_it_cost_is_counted():
    face = Face()
    few = BlackBox(restrict(face, face.spec.names[:16]))
    values = few.spec.neutral + 0.4 * few.spec.range * np.sin(np.linspace(0, 1, 12))[:, None]
    capture = mesh_sequence(few.evaluate(values), few.faces, 24)
    few.asked = 0
    take = invert(few, capture, InvertConfig(method="follow"))
    assert take.metrics.number("relative_error") < 3e-5
    assert take.metrics.number("rig_evaluations") <= few.asked < 12 * 30 + 20 * 16
    locked = Instructions(lock=(few.spec.names[0],), freeze={few.spec.names[1]: float(few.spec.upper[1])})
    curves = invert(few, capture, InvertConfig(method="follow"), instructions=locked).curves.values
    assert (curves[:, :2] == [few.spec.neutral[0], few.spec.upper[1]]).all()
