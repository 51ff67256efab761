import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import skeleton
from bunraku.formats.clip_npz import load_clip_npz, save_clip_npz


def nodding(loop="wrap"):
    bones = skeleton(["hip", "head"], [-1, 0], np.array([[0, 0, 1.0], [0, 0, 0.5]]), np.tile([1.0, 0, 0, 0], (2, 1)))
    half = np.array([0.0, 0.1, 0.2])
    nod = np.stack([np.cos(half), 0 * half, np.sin(half), 0 * half], axis=1)
    return clip(bones, [0, 0.1, 0.3], np.arange(9.0).reshape(3, 3), np.stack([np.roll(nod, 1, 0), nod], axis=1), loop)


@pytest.mark.parametrize("loop", ["wrap", "none"])
def test_a_clip_is_what_it_was_after_a_round_trip(loop, tmp_path):
    made = nodding(loop)
    save_clip_npz(tmp_path / "c.npz", made, {"more": np.ones(2)})
    back = load_clip_npz(tmp_path / "c.npz")
    assert (back.skeleton.names, back.loop) == (("hip", "head"), loop)
    for name in ("times_s", "root_pos_w", "joint_quat"):
        np.testing.assert_allclose(getattr(back, name), getattr(made, name), atol=1e-15)
    np.testing.assert_array_equal(back.skeleton.parents, [-1, 0])
    np.testing.assert_array_equal(back.skeleton.rest_translation, made.skeleton.rest_translation)


def refused(match, path):
    with pytest.raises(BunrakuError, match=match) as error:
        load_clip_npz(path)
    assert path.name in str(error.value)


def test_what_is_no_clip_is_refused_by_name(tmp_path):
    refused("no such file", tmp_path / "nothing.npz")
    save_clip_npz(tmp_path / "whole.npz", nodding())
    arrays = dict(np.load(tmp_path / "whole.npz"))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:300])
    refused("cut.npz", tmp_path / "cut.npz")
    for name, changed, match in (
        ("times_s", np.array([0.0, 0.2, 0.1]), "times must increase"),
        ("joint_quat", arrays["joint_quat"][:2], "joint quaternions have shape"),
        ("parents", np.array([0.0, 1.0]), "'parents' must be"),
        ("root_pos_w", np.array(["a"]), "'root_pos_w' must be numbers"),
    ):
        np.savez(tmp_path / "bad.npz", **{**arrays, name: changed})
        refused(match, tmp_path / "bad.npz")
    del arrays["joint_quat"]
    np.savez(tmp_path / "bad.npz", **arrays)
    refused("no 'joint_quat' in it", tmp_path / "bad.npz")
