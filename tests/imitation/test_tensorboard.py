import struct
import subprocess
import sys

import pytest

from bunraku.imitation.tensorboard import EventFile, checksum, masked


def test_the_checksum_is_castagnolis():
    # The check value of CRC-32C that its catalogues give.
    assert checksum(b"123456789") == 0xE3069283
    assert checksum(b"") == 0


def written(folder):
    events = EventFile(folder)
    events.scalars(300, 12.5, {"return": 0.5, "learner/kl": 0.25})
    events.close()
    return events.path.read_bytes()


def test_records_are_framed_by_length_and_checksums(tmp_path):
    data, records = written(tmp_path), []
    while data:
        length = struct.unpack("<Q", data[:8])[0]
        body, data, head = data[12 : 12 + length], data[16 + length :], data
        assert struct.unpack("<I", head[8:12])[0] == masked(head[:8])
        assert struct.unpack("<I", head[12 + length : 16 + length])[0] == masked(body)
        records.append(body)
    assert records[0] == b"\x1a\x0dbrain.Event:2"
    # wall_time 12.5; step 300 as a varint; a summary of two values.
    kl = b"\x0a\x11\x0a\x0alearner/kl\x15" + struct.pack("<f", 0.25)
    value = b"\x0a\x0d\x0a\x06return\x15" + struct.pack("<f", 0.5)
    summary = bytes([len(value + kl)]) + value + kl
    assert records[1] == b"\x09" + struct.pack("<d", 12.5) + b"\x10\xac\x02\x2a" + summary


def test_tensorboard_itself_reads_them(tmp_path):
    pytest.importorskip("tensorboard")
    written(tmp_path)
    program = (
        "import sys; from tensorboard.backend.event_processing.event_accumulator import EventAccumulator as E; "
        "e = E(sys.argv[1]).Reload(); print([(s.step, s.wall_time, s.value) for s in e.Scalars('return')])"
    )
    # TensorFlow, where there is one, would load for seconds; the reader needs it not.
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[(300, 12.5, 0.5)]"
