import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from bunraku.compute.task import Piece, Task
from bunraku.compute.workers import Workers
from bunraku.core.errors import BunrakuError


def numbered(count):
    return [Piece(key, {"x": key}) for key in range(count)]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as handle:
        return handle.read().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(condition, seconds=15.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_every_piece_has_one_outcome_and_none_of_them_ran_here():
    pieces = [Piece(key, {"x": np.full((3, 2), key, np.float32)}) for key in range(7)]
    outcomes = {o.key: o for o in Workers(2).run(Task("working:doubling"), pieces)}
    assert sorted(outcomes) == list(range(7))
    for key, outcome in outcomes.items():
        np.testing.assert_array_equal(outcome.value["twice"], np.full((3, 2), 2 * key, np.float32))
        assert outcome.value["pid"] != os.getpid()


def test_what_a_piece_raises_is_its_failure():
    outcomes = {o.key: o for o in Workers(1).run(Task("working:picky"), numbered(5))}
    assert "three is not welcome" in outcomes[3].failure
    assert [key for key, o in outcomes.items() if o.value is None] == [3]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_piece_whose_worker_dies_twice_is_done_by_the_third(tmp_path, workers):
    outcomes = list(Workers(workers).run(Task("working:deadly", (str(tmp_path), 2)), numbered(6)))
    assert sorted(o.key for o in outcomes) == list(range(6))
    assert all(o.failure is None for o in outcomes)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_piece_that_kills_three_workers_has_failed_and_the_others_are_done(tmp_path):
    outcomes = {o.key: o for o in Workers(1).run(Task("working:deadly", (str(tmp_path), 99)), numbered(5))}
    assert outcomes[3].failure == "the worker process died (exit status 7), 3 times"
    assert [outcomes[key].value["x"] for key in (0, 1, 2, 4)] == [0, 1, 2, 4]


def test_output_and_exit_of_the_work_do_not_disturb_the_protocol(capfd):
    outcomes = {o.key: o for o in Workers(1).run(Task("working:chatty"), numbered(3))}
    assert outcomes[1].failure.startswith("SystemExit")
    assert [outcomes[key].value for key in (0, 2)] == [{"x": 0}, {"x": 2}]
    said = capfd.readouterr()
    assert said.out == ""
    assert "this must not reach the protocol" in said.err
    assert "nor this" in said.err


def test_linear_algebra_has_one_thread_in_workers():
    (outcome,) = Workers(1).run(Task("working:threads"), numbered(1))
    assert outcome.value == {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "BUNRAKU_CORES": ""}


def test_what_several_workers_start_is_told_its_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    outcomes = list(Workers(3).run(Task("working:threads"), numbered(3)))
    assert [outcome.value["BUNRAKU_CORES"] for outcome in outcomes] == ["2"] * 3
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert next(Workers(2).run(Task("working:threads"), numbered(1))).value["BUNRAKU_CORES"] == "1"


def test_pieces_in_flight_are_bounded():
    taken = 0

    def pieces():
        nonlocal taken
        while True:
            taken += 1
            yield Piece(taken, {"x": 1})

    outcomes = Workers(2).run(Task("working:doubling"), pieces())
    for done in range(1, 20):
        next(outcomes)
        assert taken - done <= 2
    outcomes.close()


def test_workers_stop_when_nobody_listens_any_more(tmp_path):
    outcomes = Workers(2).run(Task("working:sleeping", (str(tmp_path),)), numbered(2))

    def interrupt():
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
    assert time.monotonic() - began < 30  # they would sleep for a minute
    assert not any(alive(int(file.name)) for file in tmp_path.iterdir())


def test_workers_die_with_a_parent_that_is_killed(tmp_path):
    script = textwrap.dedent(f"""
        from bunraku.compute.task import Piece, Task
        from bunraku.compute.workers import Workers
        list(Workers(2).run(Task("working:sleeping", ({str(tmp_path)!r},)), [Piece(k, {{"x": k}}) for k in range(4)]))
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    pids = [int(file.name) for file in tmp_path.iterdir()]
    assert all(map(alive, pids))
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(map(alive, pids)))


def test_a_setup_that_the_user_got_wrong_is_told_as_such():
    with pytest.raises(BunrakuError, match=r"^no such rig$"):
        list(Workers(2).run(Task("working:mistaken"), numbered(3)))


def test_a_setup_that_fails_otherwise_is_no_mistake_of_the_users():
    with pytest.raises(RuntimeError, match="ZeroDivisionError: ours"):
        list(Workers(1).run(Task("working:broken"), numbered(1)))


def test_a_setup_that_no_worker_survives_is_given_up():
    with pytest.raises(BunrakuError, match=r"die \(exit status 9\) while they set up working:fatal"):
        list(Workers(1).run(Task("working:fatal"), numbered(1)))


def test_workers_need_a_task_by_name():
    with pytest.raises(BunrakuError, match="name it"):
        list(Workers(1).run(None, numbered(1)))


def test_no_pieces_no_workers():
    assert list(Workers(2).run(Task("working:fatal"), [])) == []
