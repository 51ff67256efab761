import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.errors import BunrakuError
from bunraku.formats.clip import READ, WRITTEN, load_clip, save_clip
from bunraku.formats.deepmimic import deepmimic_skeleton
from bunraku.formats.mimickit import mimickit_humanoid
from clip_positions import positions


def swaying(bones):
    sway = 0.1 * np.sin(np.arange(5.0))
    quat = np.tile([1.0, 0, 0, 0], (5, len(bones), 1))
    quat[:, 0] = np.stack([np.cos(sway), 0 * sway, 0 * sway, np.sin(sway)], axis=1)
    return clip(bones, np.arange(5) / 30, np.stack([sway, 0 * sway, 1 + sway], axis=1), quat, "wrap")


@pytest.mark.parametrize(
    ("ending", "bones"),
    [
        (".npz", deepmimic_skeleton()),
        (".txt", deepmimic_skeleton()),
        (".JSON", deepmimic_skeleton()),
        (".bvh", deepmimic_skeleton()),
        (".glb", deepmimic_skeleton()),
        (".pkl", mimickit_humanoid().skeleton),
    ],
)
def test_the_ending_chooses_the_format_and_every_one_gives_the_same_motion_back(ending, bones, tmp_path):
    made = swaying(bones)
    save_clip(tmp_path / f"c{ending}", made, {"more": np.ones(1)})
    back = load_clip(tmp_path / f"c{ending}")
    order = [made.skeleton.names.index(name) for name in back.skeleton.names]
    np.testing.assert_allclose(positions(back), positions(made)[:, order], atol=1e-7)
    assert back.loop == ("none" if ending == ".bvh" else "wrap")
    assert b"more" not in (tmp_path / f"c{ending}").read_bytes() or ending == ".npz"


def test_other_endings_and_missing_files_are_refused_with_what_there_is(tmp_path):
    (tmp_path / "walk.fbx").write_text("x")
    (tmp_path / "folder.bvh").mkdir()
    listed = r"these are read: \.npz, \.txt, \.json, \.bvh, \.amc, \.pkl, \.glb, \.gltf"
    for name, match in (("walk.fbx", listed), ("walk", listed), ("x.bvh", "no such clip"), ("folder.bvh", "no such")):
        with pytest.raises(BunrakuError, match=match) as error:
            load_clip(tmp_path / name)
        assert name in str(error.value)
    with pytest.raises(BunrakuError, match=r"x\.amc: .* these are written: \.npz, \.txt, \.json, \.bvh, \.pkl, \.glb"):
        save_clip(tmp_path / "x.amc", swaying(deepmimic_skeleton()))
    assert set(WRITTEN) < set(READ)


def test_every_published_clip_is_read_whatever_its_format(data_dir):
    files = [file for file in sorted((data_dir / "clips").rglob("*")) if file.suffix in READ]
    assert {file.suffix for file in files} == {".txt", ".bvh", ".amc"}
    for file in files:
        assert load_clip(file).frames > 20
