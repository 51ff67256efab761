"""Names, ranges, units and order of a glTF rig's controls, on files that say exactly what is in them."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_from_rotvec
from bunraku.rigs.skinned import open_gltf_rig
from gltf_files import TRIANGLE, GltfMaker

SIZE = np.sqrt(2)  # the diagonal of TRIANGLE


def xyzw(*rotvec):
    return quat_from_rotvec(np.array(rotvec, float))[[1, 2, 3, 0]]


def rig(maker, tmp_path):
    return open_gltf_rig(maker.glb(tmp_path / "it.glb"))


def skinned(nodes, joints=(1, 2), **mesh):
    """Node 0 carries the skinned triangle; `nodes` follow it."""
    maker = GltfMaker()
    hangs = np.zeros((3, 4), int)
    hangs[1:, 0] = 1 if len(joints) > 1 else 0
    drawn = maker.skinned_mesh(hangs, np.tile([1.0, 0, 0, 0], (3, 1)), **mesh)
    maker.add("nodes", {"mesh": drawn, "skin": 0, "name": "body"})
    for node in nodes:
        maker.add("nodes", node)
    maker.add("skins", {"joints": list(joints)})
    return maker


PAIR = ({"name": "hip", "children": [2]}, {"name": "knee"})


def test_a_root_joint_shifts_and_turns_and_its_children_turn(tmp_path):
    spec = rig(skinned(PAIR), tmp_path).spec
    assert spec.names == ("hip.tx", "hip.ty", "hip.tz", "hip.rx", "hip.ry", "hip.rz", "knee.rx", "knee.ry", "knee.rz")
    assert spec.units == ("unit",) * 3 + ("rad",) * 6
    np.testing.assert_allclose(spec.upper, [SIZE] * 3 + [np.pi] * 6)
    np.testing.assert_allclose(spec.lower, -spec.upper)
    assert not spec.neutral.any()
    assert spec.rotations.tolist() == [[3, 4, 5], [6, 7, 8]]
    assert not spec.driven.any()


def test_order_is_that_of_the_nodes_not_of_the_skin(tmp_path):
    maker = skinned(({"name": "knee"}, {"name": "hip", "children": [1]}), joints=(2, 1))
    assert rig(maker, tmp_path).spec.names == (
        *(f"knee.r{a}" for a in "xyz"),
        *(f"hip.{k}{a}" for k in "tr" for a in "xyz"),
    )


def test_two_trees_have_two_roots_and_a_joint_under_a_plain_node_is_one(tmp_path):
    nodes = ({"name": "a"}, {"name": "b"}, {"name": "armature", "children": [1]})
    names = rig(skinned(nodes), tmp_path).spec.names
    assert {"a.tx", "b.tx"} <= set(names)
    assert not any(name.startswith(("armature", "body")) for name in names)


def test_what_an_animation_moves_is_controlled_and_what_it_keys_at_rest_is_not(tmp_path):
    maker = skinned((*PAIR, {"name": "prop", "translation": [1, 2, 3]}, {"name": "still"}))
    maker.animation(
        (3, "translation", [0, 1], [[1, 2, 3], [1, 2, 3.5]], "LINEAR"),
        (4, "rotation", [0, 1], [xyzw(0, 0, 0), xyzw(0, 0, 0)], "LINEAR"),
        (2, "scale", [0, 1], [[1, 1, 1], [1, 2, 1]], "STEP"),
    )
    names = rig(maker, tmp_path).spec.names
    # prop shifts (and so has a rotation too); knee scales; still stays out.
    expected = [f"hip.{k}{a}" for k in "tr" for a in "xyz"] + [f"knee.{k}{a}" for k in "rs" for a in "xyz"]
    assert names == (*expected, *(f"prop.{k}{a}" for k in "tr" for a in "xyz"))


@pytest.mark.parametrize(("shift", "expected"), [(0.5e-5, False), (2e-5, True)])
def test_a_child_shifts_when_a_key_is_off_by_more_than_a_hundred_thousandth_of_the_diagonal(tmp_path, shift, expected):
    maker = skinned(PAIR)
    maker.animation((2, "translation", [0, 1], [[0, 0, 0], [shift * SIZE, 0, 0]], "LINEAR"))
    assert ("knee.tx" in rig(maker, tmp_path).spec.names) is expected


@pytest.mark.parametrize(("factor", "expected"), [(1 + 0.5e-5, False), (1 + 3e-5, True)])
def test_a_node_scales_when_a_key_differs_by_more_than_a_hundred_thousandth(tmp_path, factor, expected):
    maker = skinned(PAIR)
    maker.animation((2, "scale", [0, 1], [[1, 1, 1], [factor, 1, 1]], "LINEAR"))
    assert ("knee.sx" in rig(maker, tmp_path).spec.names) is expected


def test_scales_are_factors_on_rest_from_a_tenth_to_ten(tmp_path):
    maker = skinned(({"name": "hip", "scale": [2, 2, 2]},), joints=(1,))
    maker.animation((1, "scale", [0, 1], [[2, 2, 2], [4, 2, 2]], "LINEAR"))
    it = rig(maker, tmp_path)
    columns = [it.spec.index(f"hip.s{a}") for a in "xyz"]
    np.testing.assert_allclose(it.spec.lower[columns], 0.1)
    np.testing.assert_allclose(it.spec.upper[columns], 10)
    np.testing.assert_allclose(it.spec.neutral[columns], 1)
    assert [it.spec.units[c] for c in columns] == ["1"] * 3
    pose = it.spec.neutral[None].copy()
    pose[0, columns[0]] = 3
    np.testing.assert_allclose(it.evaluate(pose)[0], TRIANGLE * [6, 2, 2], atol=1e-12)


def test_ranges_are_widened_to_what_animations_reach_and_a_little_more(tmp_path):
    maker = skinned(PAIR, targets=[np.ones((3, 3))])
    turns = np.linspace(0, 4.0, 9)
    maker.animation(
        (1, "translation", [0, 1], [[0, 0, 0], [5, 0, 0]], "LINEAR"),
        (2, "rotation", np.arange(9.0), [xyzw(0, t, 0) for t in turns], "LINEAR"),
        (1, "scale", [0, 1], [[1, 1, 1], [20, 1, 1]], "LINEAR"),
        (0, "weights", [0, 1], [[-0.5], [1.75]], "LINEAR"),
    )
    spec = rig(maker, tmp_path).spec
    upper, lower = dict(zip(spec.names, spec.upper, strict=True)), dict(zip(spec.names, spec.lower, strict=True))
    assert 5 < upper["hip.tx"] < 5.2
    assert lower["hip.tx"] == pytest.approx(-upper["hip.ty"])
    assert 4 < upper["knee.ry"] < 4.3
    assert upper["knee.rx"] == pytest.approx(np.pi)
    assert 20 < upper["hip.sx"] < 20.5
    morph = spec.names[-1]
    assert (lower[morph], upper[morph]) == (-0.5, 1.75)


def test_translations_reach_one_diagonal_of_the_world_whatever_the_parents_scale(tmp_path):
    nodes = ({"name": "armature", "scale": [0.01] * 3, "children": [2]}, {"name": "hip", "scale": [100] * 3})
    spec = rig(skinned(nodes, joints=(2,)), tmp_path).spec
    np.testing.assert_allclose(spec.upper[spec.index("hip.tx")], 100 * SIZE, rtol=1e-6)


def test_a_spline_that_swings_beyond_its_keys_stays_within_the_range(tmp_path):
    maker = skinned(PAIR)
    zero, far = [0.0, 0, 0], [40.0, 0, 0]
    maker.animation((1, "translation", [0, 1], [zero, zero, far, [-40.0, 0, 0], zero, zero], "CUBICSPLINE"))
    assert rig(maker, tmp_path).spec.upper[0] > 9.9  # at ½ the spline is at 40/8 + 40/8


def test_morphs_are_named_by_mesh_and_target_and_rest_at_the_files_weights(tmp_path):
    targets = [np.ones((3, 3)), 2 * np.ones((3, 3)), np.zeros((3, 3))]
    more = {"name": "face", "weights": [0.25, 0, -0.5], "extras": {"targetNames": ["smile", "blink", "blink"]}}
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.mesh(targets=targets, **more), "name": "head"})
    it = rig(maker, tmp_path)
    assert it.spec.names == ("face.smile", "face.blink", "face.blink#2")
    np.testing.assert_allclose(it.spec.neutral, [0.25, 0, -0.5])
    np.testing.assert_allclose(it.spec.lower, [0, 0, -0.5])
    np.testing.assert_allclose(it.spec.upper, 1)
    assert it.spec.units == ("1",) * 3
    np.testing.assert_allclose(it.neutral, TRIANGLE + 0.25, atol=1e-7)


def test_repeated_node_names_are_numbered(tmp_path):
    names = rig(
        skinned(({"name": "a", "children": [2, 3]}, {"name": "a"}, {"name": "a"}), (1, 2, 3)), tmp_path
    ).spec.names
    assert names[3:] == tuple(f"{n}.r{a}" for n in ("a", "a#2", "a#3") for a in "xyz")


def test_a_node_and_a_mesh_of_one_name_never_share_a_control(tmp_path):
    more = {"name": "a", "extras": {"targetNames": ["rx", "rx"]}}
    maker = skinned(({"name": "a"},), joints=(1,), targets=[np.ones((3, 3))] * 2, **more)
    names = rig(maker, tmp_path).spec.names
    assert len(set(names)) == len(names) == 8
    assert names[3] == "a.rx"
    assert all(name.startswith("a.rx#") for name in names[6:])


def test_a_file_in_which_nothing_moves_is_refused(tmp_path):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.mesh()})
    with pytest.raises(BunrakuError, match=r"it\.glb: .*nothing to control"):
        rig(maker, tmp_path)


def test_rest_is_the_nodes_pose_not_the_bind_pose(tmp_path):
    it = rig(skinned(({"name": "hip", "translation": [0, 5, 0]},), joints=(1,)), tmp_path)
    np.testing.assert_allclose(it.neutral, TRIANGLE + np.array([0.0, 5, 0]), atol=1e-7)
    assert not it.spec.neutral.any()


@pytest.mark.parametrize(("scale", "shift", "expected"), [(100, 1e-6, True), (100, 0.5e-7, False), (0.01, 1e-4, False)])
def test_how_far_a_key_is_off_is_measured_in_the_world(tmp_path, scale, shift, expected):
    nodes = ({"name": "armature", "scale": [scale] * 3, "children": [2]}, {"name": "hip", "children": [3]})
    maker = skinned((*nodes, {"name": "knee"}), joints=(2, 3), positions=TRIANGLE / scale)
    maker.animation((3, "translation", [0, 1], [[0, 0, 0], [shift * SIZE, 0, 0]], "LINEAR"))
    it = rig(maker, tmp_path)
    np.testing.assert_allclose(it.neutral, TRIANGLE, atol=1e-6)
    assert ("knee.tx" in it.spec.names) is expected
