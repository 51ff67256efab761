"""A run on pictures."""

import pytest
from PIL import Image

import opengl
from bunraku import mimic
from bunraku.core.errors import BunrakuError
from bunraku.imitation.render import RenderConfig
from bunraku.mimic.filming import take_footage
from bunraku.mimic.opening import load_trained, policy_of

SMALL = RenderConfig(96, 64)


def test_footage_has_a_reference_and_a_reward_for_every_frame(finished):
    trained, task = load_trained(finished, None)
    footage = take_footage(policy_of(trained, "last"), task, 1.0)
    assert len(footage.qpos) == len(footage.ghost_qpos) == len(footage.reward) == 24
    assert (footage.ghost_qpos == 0).all()
    assert footage.reward[0] == footage.reward[1]
    assert footage.caption(12).startswith("0.50 s · reward ")
    mean = footage.reward[1:13].mean()
    assert footage.caption(12).endswith(f"return {mean:.2f}")


@pytest.mark.parametrize(("name", "frames"), [("sheet.png", 3), ("film.gif", 10), ("film.mp4", 12)])
def test_a_run_is_exported_as_pictures(finished, tmp_path, name: str, frames: int):
    opengl.needed()
    seen = []
    told = mimic.export(
        finished,
        tmp_path / name,
        motion=0.5,
        pictures=SMALL,
        sheet=3,
        progress=lambda stage, done, total, note="": seen.append((done, total)),
    )
    assert told["frames"] == frames
    assert seen[-1] == (frames, frames)
    assert (tmp_path / name).stat().st_size == told["bytes"]
    if name.endswith("png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (96 * 2 + 4, 64 * 2 + 4)


def test_pictures_that_cannot_be_written_are_refused_before_anything_is_simulated(finished, tmp_path):
    with pytest.raises(BunrakuError, match="even numbers"):
        mimic.export(finished, tmp_path / "film.mp4", pictures=RenderConfig(95, 64))
    with pytest.raises(BunrakuError, match=r"pictures of it as \.mp4, \.gif, \.png"):
        mimic.export(finished, tmp_path / "film.avi")
