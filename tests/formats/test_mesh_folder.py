import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.mesh_folder import load_mesh_folder, mesh_files


def obj(path, height, points=3):
    rows = [f"v {i} {height} {i * i}" for i in range(points)]
    path.write_text("\n".join([*rows, "f 1 2 3"]) + "\n")


def test_frames_come_in_the_order_of_their_numbers_and_gaps_are_missing(tmp_path):
    for number in (9, 10, 12):
        obj(tmp_path / f"head_v2.{number}.obj", number)
    (tmp_path / "notes.txt").write_text("not a mesh")
    it = load_mesh_folder(tmp_path)
    assert (it.frames, it.start_frame, it.fps) == (4, 9, 24)
    np.testing.assert_array_equal(it.vertices[[0, 1, 3], 0, 1], [9, 10, 12])
    np.testing.assert_array_equal(it.valid.all(axis=1), [True, True, False, True])
    np.testing.assert_array_equal(it.faces, [[0, 1, 2]])


def test_another_number_of_vertices_is_told_by_the_files_name(tmp_path):
    obj(tmp_path / "a1.obj", 0)
    obj(tmp_path / "a2.obj", 0, points=4)
    with pytest.raises(BunrakuError, match=r"a2\.obj: has 4 vertices, a1\.obj has 3"):
        load_mesh_folder(tmp_path)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((), "no .obj or .ply"),
        (("a1.obj", "a2.ply"), "one kind"),
        (("a1.obj", "b2.obj"), "2 sequences"),
        (("a1.obj", "a01.obj"), "frame 1, as"),
        (("a.obj",), "no frame number"),
        (("a1.obj", "a999999999.obj"), "2 files only"),
    ],
)
def test_folders_that_are_no_sequence_are_refused(tmp_path, names, says):
    for name in names:
        obj(tmp_path / name, 0)
    with pytest.raises(BunrakuError, match=says):
        load_mesh_folder(tmp_path)


def test_frame_numbers_are_the_last_number_in_a_name(tmp_path):
    for name in ("shot010_face_0101_raw.obj", "shot010_face_0102_raw.obj"):
        obj(tmp_path / name, 0)
    assert list(mesh_files(tmp_path)) == [101, 102]
