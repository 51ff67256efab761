"""Alembic caches, written by the library in these tests."""

from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.alembic import load_alembic

RATE = 24000 / 1001


def cache(path, start=1001, frames=4, names=("mesh",), counts=None, moving=True):
    """Triangles whose corner i of frame f is at (f, i, 0) below a transform that is at (0, 0, 10·f)."""
    import imath
    from alembic3d import Abc, AbcCoreAbstract, AbcGeom

    archive = Abc.OArchive(str(path))
    sampling = archive.addTimeSampling(AbcCoreAbstract.TimeSampling(1 / RATE, start / RATE))
    place = AbcGeom.OXform(archive.getTop(), "place", sampling)
    meshes = [AbcGeom.OPolyMesh(place, name, sampling) for name in names]
    for frame in range(frames):
        at = AbcGeom.XformSample()
        at.setTranslation(imath.V3d(0, 0, 10 * frame if moving else 0))
        place.getSchema().set(at)
        for mesh in meshes:
            points = imath.V3fArray(3 if counts is None else counts[frame])
            for i in range(len(points)):
                points[i] = imath.V3f(frame, i, 0)
            sides, corners = imath.IntArray(1), imath.IntArray(3)
            sides[0], corners[0], corners[1], corners[2] = 3, 0, 1, 2
            mesh.getSchema().set(AbcGeom.OPolyMeshSchemaSample(points, corners, sides))
    return path


def test_samples_are_taken_at_their_own_times_in_world_space(tmp_path):
    it = load_alembic(cache(tmp_path / "it.abc"))
    assert (it.fps, it.start_frame, it.frames) == (Fraction(24000, 1001), 1001, 4)
    frame, corner = np.mgrid[:4, :3]
    np.testing.assert_allclose(it.vertices, np.stack([frame, corner, 10 * frame], axis=2))
    np.testing.assert_array_equal(it.faces, [[2, 1, 0]])


def test_one_of_several_meshes_has_to_be_chosen(tmp_path):
    path = cache(tmp_path / "two.abc", names=("left", "right"))
    with pytest.raises(BunrakuError, match=r"two\.abc#/place/left, .*two\.abc#/place/right"):
        load_alembic(path)
    assert load_alembic(path, "/place/right").frames == 4
    with pytest.raises(BunrakuError, match="no mesh '/place/middle'"):
        load_alembic(path, "/place/middle")


def test_vertices_that_come_and_go_are_refused(tmp_path):
    with pytest.raises(BunrakuError, match="has 4 vertices"):
        load_alembic(cache(tmp_path / "it.abc", counts=[3, 3, 4, 3]))


def test_truncated_at_any_place_is_refused_by_name(tmp_path):
    whole = cache(tmp_path / "whole.abc").read_bytes()
    cut = tmp_path / "cut.abc"
    for length in [0, 1, 5, 15, 16, len(whole) // 2, len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(BunrakuError, match=r"cut\.abc"):
            load_alembic(cut)


def test_an_archive_that_was_never_closed_and_other_files_are_refused(tmp_path):
    whole = bytearray(cache(tmp_path / "whole.abc").read_bytes())
    whole[5] = 0
    (tmp_path / "open.abc").write_bytes(whole)
    with pytest.raises(BunrakuError, match="not closed"):
        load_alembic(tmp_path / "open.abc")
    (tmp_path / "old.abc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(BunrakuError, match="HDF5"):
        load_alembic(tmp_path / "old.abc")
    (tmp_path / "text.abc").write_text("this is some text, no archive at all")
    with pytest.raises(BunrakuError, match="not Alembic"):
        load_alembic(tmp_path / "text.abc")
    with pytest.raises(BunrakuError, match="no such file"):
        load_alembic(tmp_path / "none.abc")
