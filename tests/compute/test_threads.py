"""Work shared out among threads."""

import sys
import threading

import numpy as np
import pytest

from bunraku.compute.threads import cores, prompt_handover, spread


def test_results_come_in_the_order_of_their_parts_and_from_several_threads_at_once():
    both = threading.Barrier(2, timeout=10)

    def work(part):
        if part < 2:
            both.wait()  # passes only where two threads are here
        return part**2, threading.get_ident()

    made = list(spread(work, range(6), 2))
    assert [value for value, _ in made] == [0, 1, 4, 9, 16, 25]
    assert len({thread for _, thread in made}) == 2


def test_one_thread_is_the_callers_own():
    assert list(spread(lambda _: threading.get_ident(), range(3), 1)) == 3 * [threading.get_ident()]


def test_threads_see_the_callers_error_state():
    with np.errstate(divide="ignore"):
        seen = list(spread(lambda _: np.geterr()["divide"], range(4), 2))
    assert seen == 4 * ["ignore"]


def test_after_a_failure_nothing_else_is_begun():
    begun = []

    def work(part):
        begun.append(part)
        raise ValueError(part)

    with pytest.raises(ValueError, match="0"):
        list(spread(work, range(200), 2))
    assert len(begun) < 200


@pytest.mark.parametrize(("told", "expected"), [("3", 3), ("1", 1)])
def test_the_variable_says_how_many_cores(told, expected, monkeypatch):
    monkeypatch.setenv("BUNRAKU_CORES", told)
    assert cores() == expected


@pytest.mark.parametrize("told", ["", "0", "many"])
def test_what_says_nothing_leaves_all_cores(told, monkeypatch):
    monkeypatch.setenv("BUNRAKU_CORES", told)
    assert 1 <= cores() <= 8


def test_the_interpreter_is_handed_over_sooner_inside_and_as_before_outside_also_after_an_error():
    before = sys.getswitchinterval()

    def fail():
        with prompt_handover(1e-3):
            assert sys.getswitchinterval() == pytest.approx(1e-3)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert sys.getswitchinterval() == before != pytest.approx(1e-3)
