import numpy as np
import pytest

from bunraku.core.animation import poses_at, sample
from bunraku.core.errors import BunrakuError
from bunraku.formats.gltf import read_gltf
from gltf_files import TRIANGLE, GltfMaker, one_triangle

HALF = np.sqrt(0.5)


def poses(maker, tmp_path, times, index=0):
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    return poses_at(file.animations[index], file.character.skeleton, file.character.morph_rest, np.array(times, float))


def refused(maker, tmp_path, *parts):
    path = maker.glb(tmp_path / "a.glb")
    with pytest.raises(BunrakuError) as caught:
        read_gltf(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)


def test_linear_translation_meets_its_keys_and_holds_outside_them(tmp_path):
    maker = one_triangle()
    maker.animation((0, "translation", [1.0, 3], [[0.0, 0, 0], [4, 0, 8]], "LINEAR"))
    out = poses(maker, tmp_path, [0, 1, 1.5, 3, 9])
    np.testing.assert_allclose(out.translation[:, 0], [[0, 0, 0], [0, 0, 0], [1, 0, 2], [4, 0, 8], [4, 0, 8]])
    np.testing.assert_array_equal(out.quat, np.tile([1, 0, 0, 0], (5, 1, 1)))


def test_linear_rotation_takes_the_shortest_arc_at_constant_speed(tmp_path):
    maker = one_triangle()
    # From rest to 90° about z, written with the opposite sign.
    maker.animation((0, "rotation", [0.0, 1], [[0, 0, 0, 1.0], [0, 0, -HALF, -HALF]], "LINEAR"))
    angles = np.radians([0, 30, 90])
    expected = np.stack([np.cos(angles / 2), 0 * angles, 0 * angles, np.sin(angles / 2)], axis=1)
    np.testing.assert_allclose(poses(maker, tmp_path, [0, 1 / 3, 1]).quat[:, 0], expected, atol=1e-7)


def test_step_holds_each_key_and_changes_at_the_frame_that_the_key_was_rounded_from(tmp_path):
    maker = one_triangle()
    frames = np.arange(100)
    maker.animation((0, "translation", frames / 24, np.stack([frames, 0 * frames, 0 * frames], 1), "STEP"))
    np.testing.assert_array_equal(poses(maker, tmp_path, frames / 24).translation[:, 0, 0], frames)
    np.testing.assert_array_equal(poses(maker, tmp_path, (frames + 0.99) / 24).translation[:, 0, 0], frames)


def test_cubic_splines_of_vectors_are_hermite(tmp_path):
    maker = one_triangle()
    # x(t) = t³ on [1, 3]: values 1 and 27, slopes 3 and 27. y is constant, z linear.
    inner = [[3.0, 0, 1], [1, 5, 1], [3, 0, 1]], [[27.0, 0, 1], [27, 5, 3], [27, 0, 1]]
    maker.animation((0, "translation", [1.0, 3], np.concatenate(inner), "CUBICSPLINE"))
    times = np.array([0.5, 1, 1.5, 2, 2.9, 3, 4])
    inside = np.clip(times, 1, 3)
    expected = np.stack([inside**3, np.full(7, 5), inside], axis=1)
    np.testing.assert_allclose(poses(maker, tmp_path, times).translation[:, 0], expected, rtol=1e-12)


def test_cubic_splines_of_rotations_are_of_unit_length(tmp_path):
    maker = one_triangle()
    zero = [0.0, 0, 0, 0]
    keys = [zero, [0, 0, 0, 1], zero, zero, [0, 0, HALF, HALF], zero]
    maker.animation((0, "rotation", [0.0, 1], keys, "CUBICSPLINE"))
    quat = poses(maker, tmp_path, [0, 0.5, 1]).quat[:, 0]
    middle = np.array([0.5 + HALF / 2, 0, 0, HALF / 2])  # the mean of the keys, scaled
    np.testing.assert_allclose(quat, [[1, 0, 0, 0], middle / np.linalg.norm(middle), [HALF, 0, 0, HALF]], atol=1e-7)


def test_one_key_holds_for_ever_in_every_interpolation(tmp_path):
    for interpolation, values in (
        ("LINEAR", [[1.0, 2, 3]]),
        ("STEP", [[1.0, 2, 3]]),
        ("CUBICSPLINE", [[9.0] * 3, [1.0, 2, 3], [9.0] * 3]),
    ):
        maker = one_triangle()
        maker.animation((0, "translation", [1.0], values, interpolation))
        np.testing.assert_array_equal(poses(maker, tmp_path, [0, 1, 2]).translation[:, 0], [[1, 2, 3]] * 3)


def test_normalised_rotations_weights_and_integer_scales_are_read(tmp_path):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.mesh(targets=[TRIANGLE])})
    maker.animation(
        (0, "rotation", [0.0], [[0, 0, 0, 1.0]], "LINEAR"), (0, "weights", [0.0, 1], [[0], [1.0]], "LINEAR")
    )
    samplers = maker.root["animations"][0]["samplers"]
    samplers[0]["output"] = maker.accessor([[0, 0, 23170, 23170]], "i2", normalized=True)
    samplers[1]["output"] = maker.accessor([0, 255], "u1", normalized=True)
    out = poses(maker, tmp_path, [0, 0.5])
    np.testing.assert_allclose(out.quat[0, 0], [HALF, 0, 0, HALF], atol=1e-12)
    np.testing.assert_allclose(out.morphs[:, 0], [0, 0.5])


def test_scales_become_factors_on_rest(tmp_path):
    maker = one_triangle()
    maker.root["nodes"][0]["scale"] = [2, 4, -1]
    maker.animation((0, "scale", [0.0], [[1.0, 4, -3]], "STEP"))
    np.testing.assert_allclose(poses(maker, tmp_path, [0]).scale[0, 0], [0.5, 1, 3])


@pytest.mark.parametrize("interpolation", ["LINEAR", "STEP", "CUBICSPLINE"])
def test_morph_weights_move_the_columns_of_their_own_node(tmp_path, interpolation):
    maker = GltfMaker()
    mesh = maker.mesh(targets=[TRIANGLE, TRIANGLE], weights=[0.1, 0.2])
    maker.add("nodes", {"mesh": mesh})
    maker.add("nodes", {"mesh": mesh})
    keyed = np.array([[1.0, 2], [3, 4]])
    if interpolation == "CUBICSPLINE":  # per key: in-tangents of all targets, values of all, out-tangents of all
        keyed = np.stack([np.zeros((2, 2)), keyed, np.zeros((2, 2))], axis=1)
    maker.animation((1, "weights", [0.0, 1], keyed.ravel(), interpolation))
    out = poses(maker, tmp_path, [0, 1])
    np.testing.assert_allclose(out.morphs, [[0.1, 0.2, 1, 2], [0.1, 0.2, 3, 4]])


def test_channels_that_move_nothing_are_left_out(tmp_path):
    maker = one_triangle()
    keys = ([0.0], [[1.0, 2, 3]], "LINEAR")
    maker.animation((0, "translation", *keys), (0, "pointer", *keys), (0, "weights", [0.0], [1.0], "LINEAR"))
    channels = maker.root["animations"][0]["channels"]
    channels.append({"sampler": 0, "target": {"path": "translation"}})
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    assert [(c.target, c.path) for c in file.animations[0].channels] == [(0, "translation")]


def test_animations_without_a_name_are_called_so_and_repeated_names_counted(tmp_path):
    maker = one_triangle()
    for name in (None, "walk", "walk", None):
        maker.animation((0, "scale", [0.0], [[1.0, 1, 1]], "LINEAR"), name=name)
    names = [animation.name for animation in read_gltf(maker.glb(tmp_path / "a.glb")).animations]
    assert names == ["animation", "walk", "walk#2", "animation#2"]


def test_the_default_interpolation_is_linear(tmp_path):
    maker = one_triangle()
    maker.animation((0, "translation", [0.0, 1], [[0.0, 0, 0], [1, 0, 0]], "LINEAR"))
    del maker.root["animations"][0]["samplers"][0]["interpolation"]
    assert poses(maker, tmp_path, [0.25]).translation[0, 0, 0] == 0.25


@pytest.mark.parametrize("times", [[0.0, 1, 1], [0.0, 2, 1]])
def test_times_that_do_not_increase_are_refused(tmp_path, times):
    maker = one_triangle()
    maker.animation((0, "translation", times, np.zeros((3, 3)), "LINEAR"))
    refused(maker, tmp_path, "accessors[1]", "do not increase", "at key 2")


def test_values_that_do_not_fit_the_keys_are_refused(tmp_path):
    for interpolation, expected in (("LINEAR", 2), ("CUBICSPLINE", 6)):
        maker = one_triangle()
        maker.animation((0, "translation", [0.0, 1], np.zeros((3, 3)), interpolation))
        refused(maker, tmp_path, "samplers[0]", f"3 output elements; expected {expected}")


def test_an_unknown_interpolation_or_sampler_or_node_is_refused(tmp_path):
    maker = one_triangle()
    maker.animation((0, "translation", [0.0], np.zeros((1, 3)), "BEZIER"))
    refused(maker, tmp_path, "samplers[0]", "'BEZIER'", "CUBICSPLINE")
    maker.root["animations"][0]["channels"][0]["sampler"] = 4
    refused(maker, tmp_path, "channels[0].sampler is 4")
    maker.root["animations"][0]["channels"][0]["target"]["node"] = 4
    refused(maker, tmp_path, "target.node is 4")


def test_a_rotation_key_of_length_zero_is_refused(tmp_path):
    maker = one_triangle()
    maker.animation((0, "rotation", [0.0, 1], [[0, 0, 0, 1.0], [0, 0, 0, 0]], "LINEAR"))
    refused(maker, tmp_path, "samplers[0]", "length 0 at key 1")


def test_an_accessor_that_many_channels_share_takes_memory_once(tmp_path):
    maker = one_triangle()
    maker.animation((0, "translation", [0.0, 1], np.zeros((2, 3)), "LINEAR"))
    maker.root["animations"] += [maker.root["animations"][0]] * 2
    first, *others = (a.channels[0] for a in read_gltf(maker.glb(tmp_path / "a.glb")).animations)
    for other in others:
        assert np.shares_memory(other.values, first.values)
        assert np.shares_memory(other.times_s, first.times_s)


def test_values_are_kept_as_the_file_has_them(tmp_path):
    maker = one_triangle()
    maker.root["nodes"][0]["scale"] = [2, 2, 2]
    maker.animation((0, "scale", [0.0, 1], [[4.0, 4, 4], [8, 8, 8]], "LINEAR"))
    channel = read_gltf(maker.glb(tmp_path / "a.glb")).animations[0].channels[0]
    np.testing.assert_array_equal(sample(channel, np.array([0.5])), [[6, 6, 6]])
