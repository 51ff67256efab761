import dataclasses

import numpy as np
import pytest

from bunraku.core.skeleton import skeleton
from bunraku.core.skinning import Ramps, SkinnedCharacter, deform, skinning_matrix
from bunraku.core.transforms import apply


def random_character(seed=0, vertices=30, joints=4, bindings=6, influences=3, morphs=3):
    rng = np.random.default_rng(seed)
    bones = skeleton(
        [f"j{i}" for i in range(joints)], [-1] * joints, np.zeros((joints, 3)), np.tile([1.0, 0, 0, 0], (joints, 1))
    )
    binds = np.tile(np.eye(4), (bindings, 1, 1))
    binds[:, :3] += rng.normal(size=(bindings, 3, 4))
    weights = rng.random((vertices, influences)) * (rng.random((vertices, influences)) < 0.7)
    weights[:, 0] += 0.01
    deltas = rng.normal(size=(morphs, vertices, 3)) * (rng.random((morphs, vertices, 1)) < 0.3)
    return SkinnedCharacter(
        bones,
        rng.normal(size=(vertices, 3)),
        np.zeros((0, 3), np.int64),
        rng.integers(0, joints, bindings),
        binds,
        rng.integers(0, bindings, (vertices, influences)),
        weights / weights.sum(axis=1, keepdims=True),
        tuple(f"m{i}" for i in range(morphs)),
        deltas,
        np.zeros(morphs),
    )


def skinned_by_the_book(it, transforms, morphs):
    """Σ_k w_k G_k B_k (p + Σ_m μ_m δ_m), one vertex and influence at a time."""
    out = np.zeros((len(transforms), it.vertex_count, 3))
    for pose in range(len(transforms)):
        for vertex in range(it.vertex_count):
            point = it.positions[vertex] + sum(
                mu * d[vertex] for mu, d in zip(morphs[pose], it.morph_deltas, strict=True)
            )
            for binding, weight in zip(it.influences[vertex], it.weights[vertex], strict=True):
                bound = it.inverse_binds[binding] @ [*point, 1.0]
                out[pose, vertex] += weight * transforms[pose, it.binding_joints[binding]] @ bound
    return out


@pytest.mark.parametrize("morphs", [0, 1, 3])
def test_the_matrix_skins_as_the_formula_says(morphs):
    it = random_character(morphs=morphs)
    rng = np.random.default_rng(1)
    transforms, weights = rng.normal(size=(5, 4, 3, 4)), rng.normal(size=(5, morphs))
    expected = skinned_by_the_book(it, transforms, weights)
    np.testing.assert_allclose(skinning_matrix(it).skin(transforms, weights), expected, atol=1e-12)


def test_a_vertex_between_two_joints_follows_both_by_weight():
    # One vertex at (1, 0, 0), 1/4 on a joint moved by 4 up and 3/4 on one turned by 90° about z.
    bones = skeleton(["a", "b"], [-1, -1], np.zeros((2, 3)), np.tile([1.0, 0, 0, 0], (2, 1)))
    it = SkinnedCharacter(
        bones, np.array([[1.0, 0, 0]]), np.zeros((0, 3), np.int64), np.arange(2), np.tile(np.eye(4), (2, 1, 1)),
        np.array([[0, 1]]), np.array([[0.25, 0.75]]), (), np.zeros((0, 1, 3)), np.zeros(0),
    )  # fmt: skip
    moved = np.array([[[[1.0, 0, 0, 0], [0, 1, 0, 4], [0, 0, 1, 0]], [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]]])
    np.testing.assert_allclose(skinning_matrix(it).skin(moved, np.zeros((1, 0))), [[[0.25, 0.25 * 4 + 0.75, 0]]])


def test_skinning_is_linear_in_its_rows_and_rows_stand_where_they_are_said_to():
    it = random_character()
    matrix = skinning_matrix(it)
    rng = np.random.default_rng(2)
    transforms, morphs = rng.normal(size=(2, 4, 3, 4)), rng.normal(size=(2, 3))
    rows = matrix.rows(transforms, morphs)
    assert rows.shape == (2, 4 * 4 + 3 * len(matrix.pair_morphs), 3)
    assert matrix.matrix.shape == (30, rows.shape[1])
    np.testing.assert_array_equal(rows[1, 4 * 2 + 3], transforms[1, 2, :, 3])
    np.testing.assert_array_equal(rows[0, 4 * 1 + 0], transforms[0, 1, :, 0])
    pair = len(matrix.pair_morphs) - 1
    morph, joint = matrix.pair_morphs[pair], matrix.pair_joints[pair]
    np.testing.assert_allclose(rows[0, 16 + 3 * pair + 1], morphs[0, morph] * transforms[0, joint, :, 1])
    np.testing.assert_allclose(matrix.matrix @ rows[1], matrix.skin(transforms, morphs)[1], atol=1e-13)


def test_only_pairs_that_meet_in_a_vertex_have_rows():
    it = random_character(morphs=2)
    deltas = np.zeros((2, 30, 3))
    deltas[1, 7] = [0, 0, 1]
    single = SkinnedCharacter(
        it.skeleton, it.positions, it.faces, it.binding_joints, it.inverse_binds, it.influences, it.weights,
        it.morph_names, deltas, it.morph_rest,
    )  # fmt: skip
    matrix = skinning_matrix(single)
    assert set(matrix.pair_morphs.tolist()) == {1}
    used = it.binding_joints[it.influences[7][it.weights[7] > 0]]
    np.testing.assert_array_equal(np.sort(matrix.pair_joints), np.unique(used))


def test_what_a_zero_weight_points_to_does_not_matter():
    it = random_character()
    nowhere = np.where(it.weights > 0, it.influences, 10**6)
    other = SkinnedCharacter(
        it.skeleton, it.positions, it.faces, it.binding_joints, it.inverse_binds, nowhere, it.weights,
        it.morph_names, it.morph_deltas, it.morph_rest,
    )  # fmt: skip
    assert abs(skinning_matrix(it).matrix - skinning_matrix(other).matrix).max() == 0


def read_usd(path):
    """The stage of a UsdSkel test file."""
    usd = pytest.importorskip("pxr.Usd")
    return usd.Stage.Open(str(path))


def usd_character(stage, skel_path, mesh_path, targets=()):
    """A `SkinnedCharacter` straight from a stage's attributes, and the joints' paths."""
    joints = list(stage.GetPrimAtPath(skel_path).GetAttribute("joints").Get() or ["the world"])
    bind = np.array(stage.GetPrimAtPath(skel_path).GetAttribute("bindTransforms").Get())
    mesh = stage.GetPrimAtPath(mesh_path)
    points = np.array(mesh.GetAttribute("points").Get(), float)
    deltas = np.zeros((len(targets), len(points), 3))
    for i, target in enumerate(targets):
        shape = stage.GetPrimAtPath(f"{mesh_path}/{target}")
        rows = shape.GetAttribute("pointIndices").Get()
        rows = np.arange(len(points)) if rows is None else np.array(rows)
        deltas[i, rows] = np.array(shape.GetAttribute("offsets").Get())
    if mesh.GetAttribute("primvars:skel:jointIndices").Get() is not None:
        influences = np.array(mesh.GetAttribute("primvars:skel:jointIndices").Get()).reshape(len(points), -1)
        weights = np.array(mesh.GetAttribute("primvars:skel:jointWeights").Get(), float).reshape(len(points), -1)
        local = mesh.GetAttribute("skel:joints").Get()
        order = np.array([joints.index(name) for name in (local or joints)])
        geometry = np.array(mesh.GetAttribute("primvars:skel:geomBindTransform").Get())
    else:
        influences, weights = np.zeros((len(points), 1), int), np.ones((len(points), 1))
        order, geometry, bind = np.array([0]), np.eye(4), np.eye(4)[None]
    # USD writes row vectors: the point times geometry, times the inverse bind, times the joint's world transform.
    inverse_binds = np.swapaxes(geometry @ np.linalg.inv(bind[order]), 1, 2)
    bones = skeleton(joints, [-1] * len(joints), np.zeros((len(joints), 3)), np.tile([1.0, 0, 0, 0], (len(joints), 1)))
    return SkinnedCharacter(
        bones, points, np.zeros((0, 3), np.int64), order, inverse_binds, influences,
        weights / weights.sum(axis=1, keepdims=True), tuple(targets), deltas, np.zeros(len(targets)),
    )  # fmt: skip


def usd_joint_transforms(stage, skel_path, animation_path, frame):
    """World (3, 4) of every joint from the keyed translations, rotations and scales of a frame, chained by hand."""
    joints = list(stage.GetPrimAtPath(skel_path).GetAttribute("joints").Get())
    keyed = stage.GetPrimAtPath(animation_path)
    get = {name: keyed.GetAttribute(name).Get(frame) for name in ("translations", "rotations", "scales")}
    world = {}
    for i, joint in enumerate(joints):
        q, (x, y, z) = get["rotations"][i].GetReal(), get["rotations"][i].GetImaginary()
        rotation = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - q * z), 2 * (x * z + q * y)],
                             [2 * (x * y + q * z), 1 - 2 * (x * x + z * z), 2 * (y * z - q * x)],
                             [2 * (x * z - q * y), 2 * (y * z + q * x), 1 - 2 * (x * x + y * y)]])  # fmt: skip
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = rotation * np.array(get["scales"][i], float), get["translations"][i]
        parent = joint.rpartition("/")[0]
        world[joint] = world[parent] @ local if parent else local
    return np.array([world[joint][:3] for joint in joints])


@pytest.mark.parametrize("mesh", ["Mesh", "MeshWithNormals", "MeshWithFaceVaryingNormals"])
def test_skinning_agrees_with_the_baseline_of_openusd(data_dir, mesh):
    folder = data_dir / "rigs" / "usdskel"
    source, baked = read_usd(folder / "lbs.usda"), read_usd(folder / "lbs.baked.usda")
    it = usd_character(source, "/Root/Skeleton", f"/Root/{mesh}")
    frames = range(1, 31)
    world = np.stack(
        [usd_joint_transforms(source, "/Root/Skeleton", "/Root/Skeleton/Animation", frame) for frame in frames]
    )
    ours = skinning_matrix(it).skin(world, np.zeros((30, 0)))
    theirs = np.stack([np.array(baked.GetPrimAtPath(f"/Root/{mesh}").GetAttribute("points").Get(f)) for f in frames])
    assert np.ptp(theirs, axis=0).max() > 0.1
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_morphs_agree_with_the_blend_shapes_of_openusd(data_dir):
    # targetA and targetB have no in-betweens: where the others rest, the mesh is linear in these two.
    folder = data_dir / "rigs" / "usdskel"
    source, baked = read_usd(folder / "blendshapes.usda"), read_usd(folder / "blendshapes.baked.usda")
    keyed = source.GetPrimAtPath("/TestPlane/Skel/Anim")
    names = [str(name) for name in keyed.GetAttribute("blendShapes").Get()]
    weights = {f: np.array(keyed.GetAttribute("blendShapeWeights").Get(f), float) for f in range(1, 132)}
    simple = [names.index("targetA"), names.index("targetB")]
    others = [i for i in range(len(names)) if i not in simple]
    frames = [f for f, w in weights.items() if not w[others].any()]
    morphs = np.array([weights[f][simple] for f in frames])
    assert (np.abs(morphs).max(axis=0) > 0.5).all()
    it = usd_character(source, "/TestPlane/Skel", "/TestPlane/Mesh", ("targetA", "targetB"))
    still = np.tile(np.eye(3, 4), (len(frames), len(it.skeleton), 1, 1))
    ours = skinning_matrix(it).skin(still, morphs)
    theirs = np.stack([np.array(baked.GetPrimAtPath("/TestPlane/Mesh").GetAttribute("points").Get(f)) for f in frames])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_rigid_vertex_follows_its_joint():
    it = random_character(influences=1, morphs=0)
    rigid = SkinnedCharacter(
        it.skeleton, it.positions, it.faces, np.arange(4), np.tile(np.eye(4), (4, 1, 1)), it.influences % 4, it.weights,
        (), it.morph_deltas, it.morph_rest,
    )  # fmt: skip
    transforms = np.random.default_rng(3).normal(size=(1, 4, 3, 4))
    expected = apply(transforms[0, rigid.influences[:, 0]], rigid.positions[:, None])[:, 0]
    np.testing.assert_allclose(skinning_matrix(rigid).skin(transforms, np.zeros((1, 0)))[0], expected, atol=1e-14)


def test_a_morph_with_in_betweens_runs_through_its_shapes_and_on_beyond_them():
    ramps = Ramps(np.array([0, 0, 0, 1]), np.array([1.0, 0.5, -0.5, 1.0]))
    at = np.array([[0.0, 0], [0.5, 0.25], [0.75, 1], [1, 2], [1.5, -1], [-0.25, 0], [-1, 0]])
    # By hand: rest at 0, the second shape at ½, the first at 1, the third at −½, straight lines between and beyond.
    expected = [
        [0, 0, 0, 0],
        [0, 1, 0, 0.25],
        [0.5, 0.5, 0, 1],
        [1, 0, 0, 2],
        [2, -1, 0, -1],
        [0, 0, 0.5, 0],
        [0, 0, 2, 0],
    ]
    np.testing.assert_allclose(ramps.weights(at), expected, atol=1e-12)
    step = 1e-6
    slope = (ramps.weights(at + step) - ramps.weights(at)) / step
    np.testing.assert_allclose(ramps.slopes(at), slope, atol=1e-8)


def test_ramps_and_dual_quaternions_change_only_what_they_are_for():
    it = random_character()
    rng = np.random.default_rng(2)
    transforms, morphs = rng.normal(size=(3, 4, 3, 4)), rng.random((3, 3))
    plain = deform(it, skinning_matrix(it), transforms, morphs)
    straight = dataclasses.replace(it, ramps=Ramps(np.arange(3), np.ones(3)))
    np.testing.assert_allclose(deform(straight, skinning_matrix(it), transforms, morphs), plain, atol=1e-12)
    half = dataclasses.replace(it, dual=np.arange(30) < 15)
    mixed = deform(half, skinning_matrix(it), transforms, morphs)
    np.testing.assert_array_equal(mixed[:, 15:], plain[:, 15:])
    assert np.abs(mixed[:, :15] - plain[:, :15]).max() > 0.01
