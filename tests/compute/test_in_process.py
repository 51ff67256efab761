from bunraku.compute.in_process import InProcess
from bunraku.compute.task import Piece, Task


def test_pieces_run_in_order_and_a_failure_does_not_stop_the_others():
    pieces = [Piece(key, {"x": key}) for key in (1, 3, 2)]
    outcomes = list(InProcess().run(Task("working:picky"), pieces))
    assert [(o.key, o.value) for o in outcomes] == [(1, {"x": 1}), (3, None), (2, {"x": 2})]
    assert (outcomes[1].failure or "").startswith("ValueError: three is not welcome (working.py line")


def test_work_that_is_given_needs_no_task():
    outcomes = InProcess(lambda payload: {"y": payload["x"] + 1}).run(None, [Piece(0, {"x": 1})])
    assert [o.value for o in outcomes] == [{"y": 2}]


def test_pieces_are_taken_one_at_a_time():
    taken = []

    def pieces():
        for key in range(1000):
            taken.append(key)
            yield Piece(key, {"x": key})

    outcomes = InProcess(lambda payload: {}).run(None, pieces())
    next(outcomes)
    next(outcomes)
    assert taken == [0, 1]
