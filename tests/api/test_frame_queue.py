"""Frames that wait: the oldest are dropped, or the sender is made to wait."""

import threading
import time

import numpy as np
import pytest

from bunraku.api.frame_queue import FrameQueue
from bunraku.core.errors import BunrakuError


def frames(count, failing=False, made=None):
    for number in range(count):
        if made is not None:
            made.append(number)
        yield np.full((1, 3), float(number))
    if failing:
        raise BunrakuError("cut off")


def settled(queue):
    while not queue._ended:
        time.sleep(0.001)


def test_of_too_many_the_oldest_are_dropped_and_counted():
    queue = FrameQueue(frames(10), 2, every_frame=False)
    settled(queue)
    assert [(f.number, f.vertices[0, 0]) for f in queue] == [(8, 8.0), (9, 9.0)]
    assert queue.dropped == 8


def test_where_every_frame_counts_none_is_dropped_and_few_are_made_early():
    made = []
    queue = FrameQueue(frames(10, made=made), 2, every_frame=True)
    seen = []
    for frame in queue:
        seen.append(frame.number)
        assert len(made) <= len(seen) + 4
    assert (seen, queue.dropped) == (list(range(10)), 0)


def test_an_error_comes_after_the_frames_before_it():
    queue = FrameQueue(frames(3, failing=True), 5, every_frame=True)
    frame = iter(queue)
    assert [next(frame).number for _ in range(3)] == [0, 1, 2]
    with pytest.raises(BunrakuError, match="cut off"):
        next(frame)


def test_a_closed_queue_takes_no_more():
    before = threading.active_count()
    made = []
    queue = FrameQueue(frames(1000, made=made), 2, every_frame=True)
    next(iter(queue))
    queue.close()
    settled(queue)
    assert len(made) < 10
    assert threading.active_count() <= before + 1
