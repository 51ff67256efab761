"""What a USD file may refer to, and what becomes of broken ones."""

import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.usd_stage import open_stage

EMPTY = '#usda 1.0\n\ndef Xform "World"\n{\n}\n'


@pytest.fixture
def inside(tmp_path):
    folder = tmp_path / "shot"
    folder.mkdir()
    (tmp_path / "secret.usda").write_text(EMPTY)
    return folder


@pytest.mark.parametrize(
    "text",
    [
        "#usda 1.0\n(\n subLayers = [@../secret.usda@]\n)\n",
        '#usda 1.0\ndef "A" (references = @../secret.usda@</World>) {}\n',
        '#usda 1.0\ndef "A" (payload = @{absolute}@</World>) {}\n',
        '#usda 1.0\ndef "A" (\n variantSets = "v"\n variants = {\n string v = "x"\n }\n)\n{\n'
        ' variantSet "v" = {\n "x" (references = @../secret.usda@</World>) {\n }\n }\n}\n',
    ],
    ids=["sublayer", "reference", "payload", "variant"],
)
def test_nothing_outside_the_files_folder_is_read(inside, text):
    path = inside / "it.usda"
    path.write_text(text.replace("{absolute}", str(inside.parent / "secret.usda")))
    with pytest.raises(BunrakuError, match="outside its folder"):
        open_stage(path)


def test_an_inner_layer_is_held_to_the_same_and_a_link_does_not_help(inside):
    (inside / "inner.usda").write_text("#usda 1.0\n(\n subLayers = [@../secret.usda@]\n)\n")
    (inside / "it.usda").write_text("#usda 1.0\n(\n subLayers = [@./inner.usda@]\n)\n")
    with pytest.raises(BunrakuError, match="outside its folder"):
        open_stage(inside / "it.usda")
    (inside / "link.usda").symlink_to(inside.parent / "secret.usda")
    (inside / "it2.usda").write_text("#usda 1.0\n(\n subLayers = [@./link.usda@]\n)\n")
    with pytest.raises(BunrakuError, match="outside its folder"):
        open_stage(inside / "it2.usda")


def test_what_lies_inside_is_read_and_counted_and_what_is_missing_named(inside):
    (inside / "parts").mkdir()
    (inside / "parts" / "world.usda").write_text(EMPTY)
    (inside / "it.usda").write_text("#usda 1.0\n(\n subLayers = [@./parts/world.usda@]\n)\n")
    file = open_stage(inside / "it.usda")
    assert [layer.name for layer in file.layers] == ["it.usda", "world.usda"]
    assert file.stage.GetPrimAtPath("/World")
    (inside / "lost.usda").write_text("#usda 1.0\n(\n subLayers = [@./gone.usda@]\n)\n")
    with pytest.raises(BunrakuError, match=r"gone\.usda.*not there"):
        open_stage(inside / "lost.usda")


def test_value_clips_are_refused(inside):
    path = inside / "it.usda"
    path.write_text(
        '#usda 1.0\ndef "A" (clips = { dictionary default = { asset[] assetPaths = [@../secret.usda@] } }) {}\n'
    )
    with pytest.raises(BunrakuError, match="value clips"):
        open_stage(path)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("text.usda", b"this is no scene"),
        ("cut.usda", b'#usda 1.0\ndef Xform "World"\n{\n  def '),
        ("crate.usdc", b"PXR-USDC" + bytes(40)),
        ("zip.usdz", b"PK\x03\x04" + bytes(20)),
        ("empty.usd", b""),
        ("rate.usda", b"#usda 1.0\n(\n timeCodesPerSecond = 0\n)\n"),
        ("unit.usda", b"#usda 1.0\n(\n metersPerUnit = -1\n)\n"),
    ],
)
def test_broken_files_are_refused_in_one_line(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BunrakuError, match=name.replace(".", r"\.")) as caught:
        open_stage(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_truncated_binary_file_is_refused(tmp_path):
    from pxr import Usd

    stage = Usd.Stage.CreateNew(str(tmp_path / "whole.usdc"))
    for i in range(20):
        stage.DefinePrim(f"/Prim{i}", "Xform")
    stage.Save()
    whole = (tmp_path / "whole.usdc").read_bytes()
    for part in (0.1, 0.5, 0.9):
        (tmp_path / "cut.usdc").write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(BunrakuError, match=r"cut\.usdc"):
            open_stage(tmp_path / "cut.usdc")
