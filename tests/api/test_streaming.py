"""Streams end to end: bytes in, lines and a take out."""

import io
import json
from fractions import Fraction

import numpy as np
import pytest

from bunraku import api
from bunraku.api.stream_record import StreamRecord
from bunraku.api.streaming import QueueConfig
from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.formats.frame_stream import FrameHeader, write_frames
from bunraku.inversion.stream import Streamed
from bunraku.rigs.cube import Cube, animation

ALL = QueueConfig(every_frame=True)


def streamed(frames, fps=2, dtype="float64", cut=0):
    file = io.BytesIO()
    write_frames(file, FrameHeader(frames.shape[1], dtype, Fraction(fps)), frames)
    data = file.getvalue()
    return io.BytesIO(data[: len(data) - cut])


@pytest.fixture
def shot():
    true = animation(20).values
    return true, Cube().evaluate(true)


def test_each_frame_becomes_a_line_and_the_whole_a_take(shot, tmp_path):
    _, frames = shot
    lines = []
    said = api.stream("cube", streamed(frames), lines.append, queue=ALL, out=tmp_path / "take")
    first, *rest = [json.loads(line) for line in lines]
    assert first["controls"] == list(Cube().spec.names)
    assert [line["frame"] for line in rest] == list(range(20))
    assert {"controls", "latency_ms", "error", "dropped"} <= rest[0].keys()
    values = np.array([line["controls"] for line in rest])
    np.testing.assert_allclose(Cube().evaluate(values)[3:], frames[3:], atol=1e-3)
    assert (said["frames"], said["solved_frames"], said["dropped_frames"], said["measured_on"]) == (20, 20, 0, "rig")
    take = api.load_take(tmp_path / "take")
    np.testing.assert_array_equal(take.curves.values, values)
    assert take.curves.fps == 2
    np.testing.assert_allclose(take.frame_error, [line["error"] for line in rest])
    with pytest.raises(BunrakuError, match=r"take: was made with session = .*; --overwrite replaces it"):
        api.stream("cube", streamed(frames), lines.append, queue=ALL, out=tmp_path / "take")
    api.stream("cube", streamed(frames[:5]), lines.append, queue=ALL, out=tmp_path / "take", overwrite=True)
    assert api.load_take(tmp_path / "take").curves.frames == 5


def test_what_is_locked_or_frozen_stays_where_it_is(shot, tmp_path):
    spec = Cube().spec
    lines = []
    held = {spec.names[0]: 0.25}
    api.stream(
        "cube", streamed(shot[1]), lines.append, lock=(spec.names[3],), freeze=held, queue=ALL, out=tmp_path / "take"
    )
    assert json.loads(lines[0])["controls"] == [
        name for name in spec.names if name not in (spec.names[0], spec.names[3])
    ]
    values = api.load_take(tmp_path / "take").curves.values
    assert set(values[:, 0]) == {0.25}
    assert set(values[:, 3]) == {spec.neutral[3]}
    with pytest.raises(BunrakuError, match=f"'{spec.names[0]}' is locked at .* and frozen at 0.25"):
        api.stream("cube", streamed(shot[1]), lines.append, lock=(spec.names[0],), freeze=held)


def test_missing_vertices_and_frames_are_null_where_there_is_no_error(shot):
    _, frames = shot
    frames[4] = np.nan
    frames[6, 2] = np.nan
    lines = []
    api.stream("cube", streamed(frames), lines.append, queue=ALL)
    errors = [json.loads(line)["error"] for line in lines[1:]]
    assert [index for index, error in enumerate(errors) if error is None] == [4]


def test_a_frame_that_is_cut_off_ends_the_stream_and_what_was_solved_is_kept(shot, tmp_path):
    lines = []
    with pytest.raises(BunrakuError, match="pipe: ends within frame 19, after 185 of 192 bytes"):
        api.stream("cube", streamed(shot[1], cut=7), lines.append, queue=ALL, out=tmp_path / "take", name="pipe")
    assert len(lines) == 20
    assert api.load_take(tmp_path / "take").curves.frames == 19


def test_a_listener_that_goes_ends_the_stream_in_peace(shot, tmp_path):
    lines = []

    def send(line):
        if len(lines) == 6:
            raise BrokenPipeError
        lines.append(line)

    api.stream("cube", streamed(shot[1]), send, queue=ALL, out=tmp_path / "take")
    assert api.load_take(tmp_path / "take").curves.frames == 6


def test_frames_that_were_dropped_lie_between_their_neighbours_in_the_take():
    spec = control_spec(["a", "b"])
    record = StreamRecord(spec, 4, 2.0, keep_curves=True)
    for number, value in ((1, 0.2), (2, 0.4), (5, 1.0)):
        frame = Streamed(np.array([value, 0.0]), 0.1, np.full(4, 0.1), 0.0, 1, False)
        record.add(number, frame, float(number))
    metrics = record.metrics(3)
    take = record.take(control_spec(["z", "a", "b"]), {"z": 0.5}, Fraction(60), metrics, {})
    np.testing.assert_allclose(take.curves.of("a"), [0.2, 0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_array_equal(take.curves.of("z"), 0.5)
    assert metrics["frames"] == take.metrics["frames"] == 6
    assert metrics["latency_ms_median"] == 2.0
    assert metrics["active_controls"] == 1.0


def test_the_percentile_of_the_record_is_right_to_its_bins():
    record = StreamRecord(control_spec(["a"]), 100, 3.0, keep_curves=False)
    errors = np.random.default_rng(0).gamma(2.0, 0.1, size=(30, 100))
    for number, row in enumerate(errors):
        record.add(number, Streamed(np.zeros(1), float(row.mean()), row, 0.0, 1, False), 1.0)
    metrics = record.metrics(0)
    assert metrics.number("p95_vertex_error") == pytest.approx(np.percentile(errors, 95), rel=0.02)
    assert metrics.number("mean_vertex_error") == pytest.approx(errors.mean())
    assert metrics.number("max_vertex_error") == errors.max()


def test_bad_input_is_refused_before_anything_is_sent_or_written(shot, tmp_path):
    _, frames = shot
    lines = []

    def refused(message, rig="cube", source=None, **more):
        with pytest.raises(BunrakuError, match=message) as caught:
            api.stream(rig, source or streamed(frames), lines.append, out=tmp_path / "take", **more)
        assert "\n" not in str(caught.value)

    refused("has 8 vertices, face has 2000", rig="face")
    refused("says 2 frames per second, --fps says 60", fps=Fraction(60))
    refused("no control 'jaw'", controls=("jaw",))
    refused("--waiting 0", queue=QueueConfig(waiting=0))
    refused("nowhere: no such folder", model=tmp_path / "nowhere")
    refused("face: knows no derivatives.*--model", rig="face", source=streamed(np.zeros((1, 2000, 3)), fps=1000))
    assert lines == []
    assert not (tmp_path / "take").exists()
