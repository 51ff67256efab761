import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import diagonal, restrict
from bunraku.core.rotations import matrix_from_rotvec
from bunraku.inversion.align import align
from bunraku.inversion.refine import FiniteDifferences
from bunraku.inversion.separate import separate
from bunraku.inversion.solve import SolveConfig, solve
from bunraku.inversion.stabilise import StabiliseConfig, drift, known, restore, settled, stabilise
from bunraku.inversion.still import chosen_vertices, stable_vertices
from bunraku.rigs.face import Face, animation
from small_rigs import Linear, limbed_rig

Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # from a Z-up file: x, z, −y


def nodding(still=60, moving=30, seed=0):
    """Three controls move a part of a cloud; the rest stands still."""
    rng = np.random.default_rng(seed)
    neutral = 50 * rng.normal(size=(still + moving, 3))
    shapes = np.zeros((3, still + moving, 3))
    shapes[:, still:] = 30 * rng.normal(size=(3, moving, 3))
    return Linear(control_spec(["jaw", "brow", "lip"], 0.0, 1.0), neutral, shapes)


def shot(rig, frames=12, seed=1):
    phase = np.linspace(0, 3, frames)[:, None]
    controls = 0.5 + 0.4 * np.sin(phase + np.arange(len(rig.spec)))
    return controls, rig.evaluate(controls)


def moved(mesh, turn=0.2, shift=30.0):
    """A head that turns and shifts smoothly, and how it does."""
    phase = np.linspace(0, 2.5, len(mesh))[:, None]
    rotation = matrix_from_rotvec(turn * np.sin(phase + np.array([0, 1, 2])))
    return mesh @ np.swapaxes(rotation, 1, 2) + shift * np.cos(phase + np.array([2, 0, 1]))[:, None], rotation


def test_a_known_drift_is_taken_out_to_rounding_and_put_back():
    rig = nodding()
    _, mesh = shot(rig)
    seen, rotation = moved(mesh)
    found = stabilise(mesh_sequence(seen), rig.neutral, stable_vertices(rig))
    np.testing.assert_allclose(found.transforms[:, :, :3], np.swapaxes(rotation, 1, 2), atol=1e-12)
    np.testing.assert_allclose(found.apply(mesh_sequence(seen)).vertices, mesh, atol=1e-10)
    np.testing.assert_allclose(found.restore(mesh), seen, atol=1e-10)
    assert "from 60 vertices that no control moves" in str(found)


def test_what_is_said_is_how_far_and_by_how_much():
    rig = nodding()
    turned = (rig.neutral - rig.neutral.mean(axis=0)) @ matrix_from_rotvec(np.array([0, 0, np.deg2rad(12)])).T
    seen = np.stack([rig.neutral, turned + rig.neutral.mean(axis=0) + [0, 34, 0]])
    found = drift(rig, mesh_sequence(seen))
    assert str(found).startswith("the head drifts by up to 34 and 12°: taken out per frame, from 60 vertices that no")


def test_a_scale_is_taken_out_where_asked_and_said_where_not():
    rig = nodding()
    _, mesh = shot(rig)
    seen = 1.1 * moved(mesh)[0]
    same_size = stabilise(mesh_sequence(seen), rig.neutral, stable_vertices(rig), StabiliseConfig(mode="similarity"))
    np.testing.assert_allclose(same_size.apply(mesh_sequence(seen)).vertices, mesh, atol=1e-10)
    np.testing.assert_allclose(same_size.restore(mesh), seen, atol=1e-10)
    assert "its size is 110 % of the rig's" in str(drift(rig, mesh_sequence(seen)))


def test_a_whole_shot_out_of_place_is_put_right_by_one_motion():
    rig = nodding()
    _, mesh = shot(rig)
    turn = matrix_from_rotvec(np.array([0.1, 0.4, 0]))
    found = drift(rig, mesh_sequence(mesh @ turn.T + [5, 0, 9]), StabiliseConfig(per="shot"))
    np.testing.assert_allclose(found.transforms, np.tile(found.transforms[0], (12, 1, 1)), atol=0)
    np.testing.assert_allclose(found.transforms[0, :, :3], turn.T, atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.5, 5.0])
def test_a_head_that_stands_still_is_left_alone(noise):
    rig = nodding()
    _, mesh = shot(rig)
    found = drift(rig, mesh_sequence(mesh + noise * np.random.default_rng(2).normal(size=mesh.shape)))
    assert found.is_identity
    assert str(found).startswith("none: the whole moves by no more than can be told")


def test_a_rig_whose_root_follows_a_drift_is_left_alone():
    rig = limbed_rig()
    seen = mesh_sequence(rig.evaluate(np.tile(rig.spec.neutral, (3, 1))) + 0.3)
    found = drift(rig, seen)
    assert found.is_identity
    assert "nothing stands still on this rig" in str(found)
    with pytest.raises(BunrakuError, match="cannot stabilise: nothing stands still"):
        stabilise(seen, rig.neutral, stable_vertices(rig))


def test_frames_that_show_too_little_are_interpolated_and_counted():
    rig = nodding()
    seen, _ = moved(shot(rig, frames=40)[1])
    dirty = seen.copy()
    dirty[10:12, 2:60] = np.nan
    dirty[39] = np.nan
    found = drift(rig, mesh_sequence(dirty))
    assert np.flatnonzero(found.held).tolist() == [10, 11, 39]
    assert "; 3 frames that show too little interpolated" in str(found)
    right = stabilise(mesh_sequence(seen), rig.neutral, stable_vertices(rig))
    np.testing.assert_allclose(found.transforms[10], right.transforms[10], atol=0.2)
    np.testing.assert_allclose(found.transforms[39], found.transforms[38], atol=1e-9)
    out = found.apply(mesh_sequence(dirty))
    assert out.missing == 2 * 58 + 90
    assert not out.vertices[39].any()


def test_unit_axes_and_drift_together():
    rig = nodding()
    _, mesh = shot(rig)
    noisy = moved(mesh)[0] + 0.5 * np.random.default_rng(3).normal(size=mesh.shape)
    capture = mesh_sequence(noisy @ Z_UP / 100)

    def not_asked(_):
        raise AssertionError("nothing need be solved")

    alignment = align(capture, rig.neutral, not_asked, stable_vertices(rig).weights)
    np.testing.assert_array_equal(alignment.axes, Z_UP)
    assert alignment.scale == 100
    assert not alignment.offset.any()
    found = drift(rig, alignment.apply(capture))
    left = found.apply(alignment.apply(capture)).vertices - mesh
    assert np.sqrt((left**2).mean()) < 0.55


def test_a_users_transforms_are_checked_and_used():
    rig = nodding()
    seen, rotation = moved(shot(rig)[1])
    given = np.concatenate([np.swapaxes(rotation, 1, 2), np.zeros((12, 3, 1))], axis=2)
    assert known(given, rig.neutral).apply(mesh_sequence(seen)).frames == 12
    sheared, flipped, hole = given.copy(), given.copy(), given.copy()
    sheared[4, 0, 1] += 0.1
    flipped[5, :, 0] *= -1
    hole[6, 0, 0] = np.nan
    for wrong, said in (
        (sheared, "frame 4 is not a rotation"),
        (flipped, "frame 5 is not"),
        (hole, "frame 6 is not fin"),
    ):
        with pytest.raises(BunrakuError, match=f"head.npz: {said}"):
            known(wrong, rig.neutral, name="head.npz")
    with pytest.raises(BunrakuError, match="the capture has 11 frames; 12 were stabilised"):
        known(given, rig.neutral).apply(mesh_sequence(seen[:11]))


def test_what_does_not_fit_is_refused_in_one_line():
    rig = nodding()
    still = stable_vertices(rig)
    loose = StabiliseConfig()
    object.__setattr__(loose, "mode", "loose")  # past the check of types, which users do not have
    hidden = mesh_sequence(np.where(np.arange(90)[:, None] == 1, np.nan, rig.neutral)[None])
    with pytest.raises(BunrakuError, match="must correspond one to one"):
        drift(rig, mesh_sequence(np.ones((2, 4, 3))))
    with pytest.raises(BunrakuError, match="must correspond one to one"):
        stabilise(mesh_sequence(np.zeros((2, 4, 3))), rig.neutral, still)
    with pytest.raises(BunrakuError, match="rigid or similarity, per frame or shot"):
        stabilise(mesh_sequence(rig.neutral[None]), rig.neutral, still, loose)
    with pytest.raises(BunrakuError, match="in no frame are three of 3 vertices that were named seen"):
        stabilise(hidden, rig.neutral, chosen_vertices(rig, np.array([0, 1, 2])))
    with pytest.raises(BunrakuError, match="2 frames of meshes; there are transforms for 3"):
        restore(np.zeros((2, 4, 3)), np.tile(np.eye(3, 4), (3, 1, 1)))


def test_a_drift_is_told_from_controls_although_no_vertex_is_used_alone():
    rig = nodding(still=0, moving=40)  # every vertex moves with every control
    still = stable_vertices(rig)
    assert still.kind == "calm"
    controls, mesh = shot(rig)
    small, _ = moved(mesh, turn=0.01, shift=0.5)
    # One step from the true controls takes out a small motion to its second order.
    step = separate(rig, mesh_sequence(small), controls)
    assert step.matters
    assert step.significant
    left = np.einsum("fij,fvj->fvi", step.transforms[:, :, :3], small) + step.transforms[:, None, :, 3] - mesh
    assert np.abs(left).max() < 0.02 * np.abs(small - mesh).max()
    noise = mesh + 0.5 * np.random.default_rng(4).normal(size=mesh.shape)
    none = separate(rig, mesh_sequence(noise), solve(rig, mesh_sequence(noise)).controls)
    assert not none.significant
    assert 0.3 < none.chi_squared.mean() < 3


def test_solving_and_stabilising_in_turns_finds_controls_and_drift():
    rig = nodding(still=0, moving=40)
    controls, mesh = shot(rig)
    capture = mesh_sequence(moved(mesh)[0])
    still = stable_vertices(rig)
    first = drift(rig, capture, still=still)

    def solved(shown, start):
        return solve(rig, shown, start=start).controls

    before = np.abs(solved(first.apply(capture), None) - controls).max()
    found, out = settled(rig, capture, first, still, solved)
    assert np.abs(found - controls).max() < 1e-4 < before
    np.testing.assert_allclose(out.apply(capture).vertices, mesh, atol=0.01)
    assert "beside the controls" in str(out)


def test_a_face_with_a_drifting_head_is_solved_as_well_as_one_without():
    face = FiniteDifferences(restrict(Face(), ("brow*", "eye*")))
    true = animation(Face(), 96).ordered_as(Face().spec)[30:42, Face().spec.select(("brow*", "eye*"))]
    mesh = face.evaluate(true)
    mesh += 0.005 * diagonal(face.neutral) * np.random.default_rng(5).normal(size=mesh.shape)
    still = stable_vertices(face)
    assert still.kind == "still"

    def solved(shown, start=None):
        return solve(face, shown, SolveConfig(iterations=8, rescues=0), start=start).controls

    capture = mesh_sequence(moved(mesh)[0])
    found, out = settled(face, capture, drift(face, capture, still=still), still, solved)
    clean = np.abs(solved(mesh_sequence(mesh)) - true).mean()
    assert np.abs(found - true).mean() < 1.05 * clean
    assert "smoothed" in str(out) or "beside" in str(out)
