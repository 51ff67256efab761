"""Rigs of .blend files: what is found in them, how they are posed, and what is refused."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bunraku import api
from bunraku.core import rotations
from bunraku.core.errors import BunrakuError
from bunraku.core.rig import diagonal
from bunraku.inversion.draw import SampleConfig
from bunraku.rigs.blender import choices_file, open_blend_rig, using
from bunraku.rigs.host import HostRig
from bunraku.rigs.open import open_rig, rig_identity
from bunraku.rigs.twin import twin_of


@pytest.fixture(scope="module")
def modes(blends) -> HostRig:
    return open_blend_rig(str(blends / "modes.blend"))


def left_out(rig: HostRig) -> dict[str, str]:
    return {entry.name: entry.why for entry in rig.description.left_out}


def posed(rig: HostRig, **values: float) -> np.ndarray:
    controls = rig.spec.neutral.copy()
    for name, value in values.items():
        controls[rig.spec.index(name.replace("__", "."))] = value
    return rig.evaluate(controls[None])[0]


def test_controls_are_what_nothing_else_sets(modes):
    names, out = modes.spec.names, left_out(modes)
    assert names[:9] == tuple(f"euler.{kind}{axis}" for kind in "trs" for axis in "xyz")
    assert "euler.smile" in names
    assert "body.wide" in names
    # A constraint without a target does nothing.
    assert "aimless.rx" in names
    assert out["copied.ty"] == out["copied.rz"] == out["copied.sx"] == "constrained: Copy Transforms"
    assert out["hinge.rx"] == out["hinge.tx"] == "locked"
    assert out["hidden.rx"] == "in a hidden bone collection"
    assert out["idle.rx"] == out["euler.unread"] == "moves nothing of this mesh"
    assert out["euler.switch"] == "a whole number: a switch"
    assert out["body.driven"] == out["quaternion.sz"] == "driven"
    assert not set(names) & set(out)


def test_ranges_come_from_limits_locks_properties_and_actions(modes):
    spec = modes.spec
    bounds = {name: (lo, up) for name, lo, up in zip(spec.names, spec.lower, spec.upper, strict=True)}
    assert bounds["hinge.ry"] == pytest.approx((-0.5, 1.25))
    assert bounds["euler.smile"] == (-1, 2)
    assert bounds["body.wide"] == (0, 1.5)
    assert bounds["euler.rx"] == pytest.approx((-0.4, 1.2), abs=1e-6)  # 0 to .8 in the action, and half beyond
    assert bounds["euler.ry"] == (-0.2, 0.2)
    assert bounds["axis.rx"][1] == pytest.approx(2 * np.pi / 3)
    assert spec.neutral[spec.index("euler.smile")] == 0.25
    assert modes.animations[0].name == "Wave"


def test_a_rotation_vector_turns_alike_whatever_the_bones_mode(modes):
    vector = np.array([0.3, -0.5, 0.7])
    turn = rotations.matrix_from_rotvec(vector)
    # The bones point up, so their axes are the world's x, -z and y (rolled as Blender rolls them): found by trying.
    for place, name in enumerate(("euler", "quaternion", "axis")):
        rest = modes.neutral[3 * place : 3 * place + 3] - [place, 0, 0]
        basis = np.stack([_turned_axis(modes, name, place, axis) for axis in range(3)], axis=1)
        moved = posed(modes, **{f"{name}__r{axis}": value for axis, value in zip("xyz", vector, strict=True)})
        expected = rest @ (basis @ turn @ basis.T).T + [place, 0, 0]
        np.testing.assert_allclose(moved[3 * place : 3 * place + 3], expected, atol=2e-6)


def _turned_axis(rig: HostRig, name: str, place: int, axis: int) -> np.ndarray:
    """The world's direction of a bone's axis: what a location along it moves by."""
    return (posed(rig, **{f"{name}__t{'xyz'[axis]}": 0.1}) - rig.neutral)[3 * place] / 0.1


def test_a_pose_does_not_depend_on_those_before_it(modes):
    controls = np.random.default_rng(1).uniform(modes.spec.lower, modes.spec.upper, (20, len(modes.spec)))
    first = modes.evaluate(controls)
    np.testing.assert_array_equal(modes.evaluate(controls[::-1])[::-1], first)
    os.kill(modes.running().pid, signal.SIGKILL)
    np.testing.assert_array_equal(modes.evaluate(controls), first)


def test_driven_keys_follow_their_drivers(modes):
    shift = posed(modes, euler__smile=0.75)[0] - modes.neutral[0]
    np.testing.assert_allclose(shift, [-0.5, 0, 0], atol=1e-6)


def test_choices_beside_the_file_are_kept_to(blends):
    file = choices_file(blends / "modes.blend")
    before = rig_identity(str(blends / "modes.blend"))
    file.write_text(
        'include = ["hidden.r?"]\nexclude = ["*.s?"]\n'
        '[limits]\n"axis.r?" = [-0.1, 0.1]\n[neutral]\n"euler.smile" = 0.5\n'
    )
    try:
        rig = open_blend_rig(str(blends / "modes.blend"))
        assert "hidden.rx" in rig.spec.names
        assert "euler.sx" not in rig.spec.names
        assert rig.spec.upper[rig.spec.index("axis.ry")] == 0.1
        assert rig.spec.neutral[rig.spec.index("euler.smile")] == 0.5
        assert rig_identity(str(blends / "modes.blend")) != before
        rig.close()
        for text, why in (
            ("includes = []", "no entry 'includes'"),
            ('[limits]\n"axis.rx" = [1]', r"expected \[lower, upper\]"),
            ("x = ", "cannot be read"),
            ('exclude = ["jaw.*"]', "no control matches 'jaw"),
        ):
            file.write_text(text)
            with pytest.raises(BunrakuError, match=why):
                open_blend_rig(str(blends / "modes.blend"))
    finally:
        file.unlink()


def test_scripts_in_a_file_do_not_run_unless_they_are_allowed(blends):
    ran = blends / "was_run"
    open_blend_rig(str(blends / "script.blend")).close()
    assert not ran.exists()
    with pytest.raises(
        BunrakuError, match=r"1 drivers run scripts, which are off.*key_blocks\[\"key\"\].*--allow-scripts"
    ):
        open_blend_rig(str(blends / "driver.blend"))
    assert not ran.exists()
    with using(allow_scripts=True):
        rig = open_blend_rig(str(blends / "driver.blend"))
        assert ran.exists()
        assert rig.spec.names[-1] == "bone.p"
        assert rig_identity(str(blends / "driver.blend"))["scripts"] is True
        rig.close()
    assert "scripts" not in rig_identity(str(blends / "driver.blend"))


def test_killed_workers_and_a_killed_parent_lose_nothing_and_leave_nothing(blends, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    source, out, cfg = str(blends / "modes.blend"), tmp_path / "set", SampleConfig(samples=600, shard=10)
    asked = ["--samples", "600", "--shard", "10", "--workers", "2"]
    words = [sys.executable, "-m", "bunraku.cli.main", "rig", "sample", source, "--out", str(out), *asked]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def until_there_are(shards: int) -> None:
        deadline = time.monotonic() + 120
        while len(list(out.glob("shard_*.json"))) < shards:
            assert time.monotonic() < deadline
            assert parent.poll() is None
            time.sleep(0.01)

    parent = subprocess.Popen(words, **quiet)
    until_there_are(2)
    worker = children(parent.pid)[0]
    blender_of_it = children(worker)
    os.kill(worker, signal.SIGKILL)
    until_there_are(4)
    blenders = [pid for own in children(parent.pid) for pid in children(own)]
    os.kill(blenders[0], signal.SIGKILL)
    until_there_are(6)
    everyone = [parent.pid, *children(parent.pid), *(pid for own in children(parent.pid) for pid in children(own))]
    parent.kill()
    parent.wait()
    assert len(list(out.glob("shard_*.json"))) < 60
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in [*everyone, *blender_of_it]):
        assert time.monotonic() < deadline, "somebody outlives the parent"
        time.sleep(0.05)
    # One was killed together with the worker that would have removed its folder, one perhaps while it started.
    assert len(list(scratch.glob("bunraku-host-*"))) <= 2
    api.sample(source, out, cfg, workers=2)
    api.sample(source, tmp_path / "whole", cfg)
    for file in (tmp_path / "whole").glob("shard_*"):
        assert (out / file.name).read_bytes() == file.read_bytes()


def children(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for thread in threads for word in thread.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nothing.blend", "the file has no mesh object"),
        ("several.blend", "2 mesh objects that a rig moves; add one of #left, #right"),
        ("several.blend#middle", "no mesh object 'middle'; the file has: left, right"),
        ("merging.blend", r"object 'body': its modifier 'Fuse' \(weld\) changes the number of vertices"),
    ],
)
def test_a_file_without_one_steady_mesh_is_refused(blends, name, why):
    with pytest.raises(BunrakuError, match=why):
        open_rig(str(blends / name))


def test_a_mesh_is_chosen_by_its_name(blends):
    rig = open_rig(f"{blends / 'several.blend'}#right")
    assert rig.neutral[:, 0].min() == pytest.approx(3)
    rig.close()


def test_bones_and_skin_alone_have_a_twin_with_derivatives(blends, modes):
    assert twin_of(modes) is None  # it has shape keys and properties
    rig = open_blend_rig(f"{blends / 'several.blend'}#right")
    twin = twin_of(rig)
    assert twin is not None
    poses = np.random.default_rng(2).uniform(rig.spec.lower, rig.spec.upper, (5, len(rig.spec)))
    np.testing.assert_allclose(twin.evaluate(poses), rig.evaluate(poses), atol=1e-6)
    rig.description.arrays["skin_rest"][0, 0, 3] += 0.01
    assert twin_of(rig) is None  # what does not show the same meshes is not believed
    rig.close()


def test_what_is_no_blend_file_is_refused_without_blender(tmp_path, monkeypatch):
    monkeypatch.setenv("BUNRAKU_BLENDER", "no_such_blender")
    (tmp_path / "a.blend").write_bytes(b"not a blend")
    with pytest.raises(BunrakuError, match=r"a\.blend: is not a \.blend file"):
        open_blend_rig(str(tmp_path / "a.blend"))
    (tmp_path / "a.blend").write_bytes(b"BLENDER-v404")
    with pytest.raises(BunrakuError, match="BUNRAKU_BLENDER=no_such_blender: no such program"):
        open_blend_rig(str(tmp_path / "a.blend"))
    monkeypatch.delenv("BUNRAKU_BLENDER")
    monkeypatch.setenv("BUNRAKU_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BunrakuError, match="run `bunraku host install blender`"):
        open_blend_rig(str(tmp_path / "a.blend"))


def test_a_truncated_file_is_refused_by_name(blends):
    whole = (blends / "modes.blend").read_bytes()
    (blends / "cut.blend").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BunrakuError, match=r"cut\.blend: Blender cannot open it|cut\.blend: .*no mesh"):
        open_blend_rig(str(blends / "cut.blend"))


def test_the_foxs_bones_are_its_controls_and_reproduce_its_shots(blender, data_dir):
    rig = open_blend_rig(str(data_dir / "rigs" / "fox.blend"))
    shot = np.load(data_dir / "sequences" / "fox_sit.npz")
    # Its IK constraints have no targets and drive nothing.
    assert {"Head.rx", "Tail_Tip_End.rx", "Front_Foot.L.rx", "Back_Toes.R.rz"} <= set(rig.spec.names)
    assert left_out(rig)["Head.tx"] == "connected to its parent"
    assert [animation.name for animation in rig.animations] == ["Idle", "Sit", "T-Pose", "Walk"]
    frames = [0, 30, 60]
    controls = np.tile(rig.spec.neutral, (len(frames), 1))
    for bone, name in enumerate(shot["bone_names"]):
        basis = np.asarray(shot["bone_basis"][frames, bone], np.float64)
        vectors = rotations.rotvec_from_matrix(basis[:, :3, :3])
        for axis in range(3):
            controls[:, rig.spec.index(f"{name}.r{'xyz'[axis]}")] = vectors[:, axis]
            if f"{name}.t{'xyz'[axis]}" in rig.spec.names:
                controls[:, rig.spec.index(f"{name}.t{'xyz'[axis]}")] = basis[:, axis, 3]
    assert (controls >= rig.spec.lower - 1e-6).all()
    assert (controls <= rig.spec.upper + 1e-6).all()
    off = np.linalg.norm(rig.evaluate(controls) - shot["vertices"][frames], axis=2)
    assert off.max() <= 1e-5 * diagonal(rig.neutral)
    assert twin_of(rig) is not None


def test_the_rigify_humans_channels_are_found_and_its_driven_keys_left_out(blender, data_dir):
    rig = open_blend_rig(str(data_dir / "rigs" / "rigify_human.blend"))
    shot = np.load(data_dir / "sequences" / "rigify_human.npz")
    short = {"location": "t", "rotation_euler": "r"}
    true = dict(
        zip((str(name) for name in shot["channels"]), np.asarray(shot["true_channels"][40], np.float64), strict=True)
    )
    controls = rig.spec.neutral.copy()
    for channel, value in true.items():
        bone, attribute, axis = channel.split("|")
        name = f"{bone}.{attribute[2:-2]}" if axis == "-1" else f"{bone}.{short[attribute]}{'xyz'[int(axis)]}"
        column = rig.spec.index(name)
        if attribute == "rotation_euler" and axis == "0":
            angles = np.array([true[f"{bone}|rotation_euler|{i}"] for i in range(3)])
            x, y, z = (rotations.matrix_from_rotvec(row) for row in np.diag(angles))
            controls[column : column + 3] = rotations.rotvec_from_matrix(z @ y @ x)
        elif attribute != "rotation_euler":
            controls[column] = value
    assert left_out(rig)["body.belly"] == left_out(rig)["body.flex"] == "driven"
    off = np.linalg.norm(rig.evaluate(controls[None])[0] - shot["vertices"][40], axis=1)
    assert off.max() <= 2e-5 * diagonal(rig.neutral)
    rig.close()
