"""Rigs in other processes, with a host that does what it should, and with hosts that do not."""

import gc
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import small_host
from bunraku import host as wire
from bunraku.core.errors import BunrakuError
from bunraku.core.rig import Rig
from bunraku.rigs.host import HostRig, open_host_rig
from bunraku.rigs.host_process import HostCommand

HOST = Path(small_host.__file__)


def opened(*words: str, answer_s: float = 20.0) -> HostRig:
    command = HostCommand((sys.executable, str(HOST), *words), "small_host", answer_s=answer_s, start_s=20.0)
    return HostRig(command, "host:small")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_host_describes_its_rig():
    rig = open_host_rig(f"host:{sys.executable} '{HOST}'")
    assert isinstance(rig, Rig)
    assert rig.spec.names == ("slide", "lift")
    assert rig.spec.units == ("m", "m")
    assert rig.spec.upper.tolist() == [1, 2]
    assert rig.faces.tolist() == [[0, 1, 2]]
    assert [(left.name, left.why) for left in rig.description.left_out] == [("tail", "driven")]
    assert rig.animations[0].name == "Walk"
    assert rig.description.program == "a small host"
    rig.close()


def test_a_batch_comes_back_in_its_order():
    rig = opened()
    controls = np.random.default_rng(0).uniform(-1, 0.5, (500, 2))
    meshes = rig.evaluate(controls)
    np.testing.assert_allclose(meshes[:, 1], np.float32([1, 0, 0]) + np.pad(controls, ((0, 0), (0, 1))), atol=1e-6)
    assert rig.evaluate(np.zeros((0, 2))).shape == (0, 3, 3)
    with pytest.raises(BunrakuError, match="2 controls"):
        rig.evaluate(np.zeros((1, 3)))
    rig.close()


def test_a_host_that_dies_is_started_again_and_asked_for_the_rest(tmp_path):
    rig = opened("dies once", str(tmp_path / "died"))
    np.testing.assert_array_equal(rig.evaluate(np.zeros((5, 2))), np.tile(small_host.REST, (5, 1, 1)))
    assert rig.lost == 1
    os.kill(rig.running().pid, signal.SIGKILL)
    np.testing.assert_array_equal(rig.evaluate(np.zeros((5, 2))), np.tile(small_host.REST, (5, 1, 1)))
    assert rig.lost == 2
    rig.close()


@pytest.mark.parametrize(
    ("how", "why"),
    [("dies", "died of SIGKILL"), ("hangs", "said nothing for 1 s"), ("raises", "this pose is impossible")],
)
def test_a_poison_pose_is_set_aside_and_all_others_are_evaluated(how, why):
    rig = opened(how, answer_s=1.0)
    controls = np.zeros((6, 2))
    controls[:, 1] = np.arange(6) / 4
    controls[[2, 5], 0] = small_host.POISON
    meshes, failed = rig.outcomes(controls)
    assert sorted(failed) == [2, 5]
    assert all(why in reason for reason in failed.values())
    good = [0, 1, 3, 4]
    np.testing.assert_allclose(meshes[good, 0, 1], controls[good, 1])
    assert np.isnan(meshes[[2, 5]]).all()
    lost = rig.lost
    with pytest.raises(BunrakuError, match=rf"host:small: pose 2 of 6: .*{why}.*and 1 other"):
        rig.evaluate(controls)
    assert rig.lost == lost  # it is not asked for what killed it
    rig.close()


def test_a_mesh_of_another_size_is_that_poses_failure():
    rig = opened("grows")
    with pytest.raises(BunrakuError, match=r"shape \(4, 3\); at neutral it had \(3, 3\)"):
        rig.evaluate(np.array([[small_host.POISON, 0]]))
    rig.close()


LIES = {
    "huge": "arrays of 3600000000 bytes; at most",
    "length": "announced as 3600000000 bytes and as 12",
    "header": "a header of 2147483648 bytes",
    "garbage": "is not the beginning of a message",
    "object": r"announced as '\|O'",
    "short": "cut short",
    "stale": "answered request",
    "few": "answered 0 of 1 poses",
    "shape": r"answered \(1, 5, 3\) of float64 for 1 meshes",
}


@pytest.mark.parametrize("how", LIES)
def test_a_host_that_answers_no_message_is_refused(how):
    rig = opened(how)
    with pytest.raises(BunrakuError, match=LIES[how]):
        rig.evaluate(np.zeros((1, 2)))
    rig.close()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("version", "version 99 of the protocol; this side speaks 1"),
        ("chatter", "is not the beginning of a message"),
        ("empty", "does not describe a rig: nothing under 'controls'"),
    ],
)
def test_a_host_that_is_none_is_refused_when_it_is_opened(how, why):
    with pytest.raises(BunrakuError, match=why):
        opened(how)


def test_a_host_that_never_greets_is_given_up(monkeypatch):
    command = HostCommand((sys.executable, str(HOST), "mute"), "small_host", start_s=0.5)
    with pytest.raises(BunrakuError, match=r"said nothing for 0.5 s \(while it opened the rig, 2 times\)"):
        HostRig(command, "host:small")


@pytest.mark.parametrize(
    ("source", "why"),
    [("host:", "expected host:COMMAND"), ("host:no_such_program", "no program"), ("host:'", "No closing quotation")],
)
def test_a_command_that_cannot_be_started_is_refused(source, why):
    with pytest.raises(BunrakuError, match=why):
        open_host_rig(source)


def test_what_a_host_printed_last_is_in_the_message():
    command = HostCommand((sys.executable, "-c", "raise SystemExit('no licence found')"), "tool")
    with pytest.raises(BunrakuError, match="ended with status 1; it printed last: no licence found"):
        HostRig(command, "host:tool")


def test_a_host_ends_when_its_rig_is_garbage():
    rig = opened()
    pid = rig.running().pid
    del rig
    gc.collect()
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def test_requests_that_a_host_does_not_know_are_said_so():
    rig = opened()
    with pytest.raises(BunrakuError, match="does not answer requests of kind 16"):
        rig.running().tell(wire.RESET)
    rig.evaluate(np.zeros((1, 2)))  # and it goes on
    rig.close()
