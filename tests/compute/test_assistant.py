import os
import signal

import numpy as np
import pytest

from bunraku.compute.assistant import Assistant
from bunraku.compute.task import Task


def test_pieces_are_done_elsewhere_one_after_the_other():
    with Assistant(Task("working:doubling")) as assistant:
        pids = set[int]()
        for key in range(3):
            assistant.ask({"x": np.full(4, key)})
            done = assistant.answer()
            np.testing.assert_array_equal(done["twice"], np.full(4, 2 * key))
            pids.add(done["pid"])
    assert len(pids) == 1
    assert os.getpid() not in pids


def test_a_piece_that_fails_has_no_answer_and_the_next_one_has():
    with Assistant(Task("working:picky")) as assistant:
        answers = []
        for key in (2, 3, 4):
            assistant.ask({"x": key})
            answers.append(assistant.answer())
    assert [answer is None for answer in answers] == [False, True, False]


def test_one_that_was_killed_answers_nothing_any_more():
    with Assistant(Task("working:doubling")) as assistant:
        assistant.ask({"x": np.ones(1)})
        os.kill(assistant.answer()["pid"], signal.SIGKILL)
        for _ in range(2):
            assistant.ask({"x": np.ones(1)})
            assert assistant.answer() is None


@pytest.mark.parametrize("setup", ["working:nothing_of_that_name", "no_such_module:x"])
def test_one_that_cannot_begin_answers_nothing(setup):
    with Assistant(Task(setup)) as assistant:
        assistant.ask({"x": 1})
        assert assistant.answer() is None
