"""A host of a rig of two controls and three vertices, which misbehaves when it is told to. Run as a program."""

import os
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "src" / "bunraku"))

import host

REST = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
POISON = 0.75
"""A first control of this value kills, hangs or fails, as the first argument says."""


def describe():
    controls = [
        {"name": "slide", "lower": -1, "upper": 1, "neutral": 0, "unit": "m"},
        {"name": "lift", "lower": 0, "upper": 2, "neutral": 0, "unit": "m"},
    ]
    return {
        "controls": controls,
        "neutral": REST,
        "faces": np.array([[0, 1, 2]], np.int32),
        "left_out": [{"name": "tail", "why": "driven"}],
        "animations": [{"name": "Walk", "start": 1, "end": 24}],
    }


def posing(how):
    def pose(values):
        if values[0] == POISON:
            if how == "dies":
                os.kill(os.getpid(), 9)
            if how == "hangs":
                time.sleep(60)
            if how == "raises":
                raise ValueError("this pose is impossible")
            if how == "grows":
                return np.zeros((4, 3), np.float32)
        if how == "dies at extremes" and values[0] == 1.0:
            os.kill(os.getpid(), 9)
        if how == "slowly":
            time.sleep(0.02)
        if how == "dies once" and not Path(sys.argv[2]).exists():
            Path(sys.argv[2]).touch()
            os.kill(os.getpid(), 9)
        print("nor does printing harm", values)
        return REST + np.array([values[0], values[1], 0], np.float32)

    return pose


def lying(how):
    """Answers that are none; a rig opens, all else is a lie."""
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    while True:
        asked = host.read(requests)
        if asked is None:
            return
        if asked.kind == host.HELLO:
            version = 99 if how == "version" else host.VERSION
            if how == "mute":
                time.sleep(60)
            if how == "chatter":
                replies.write(b"hello, I am no host\n" * 10_000)
                replies.flush()
                return
            replies.write(host.HEAD.pack(host.MAGIC, version, host.DONE, asked.number, 25, 0))
            replies.write(b'{"plain":{},"arrays":[] }')
            replies.flush()
        elif asked.kind == host.OPEN:
            about = describe() if how != "empty" else {}
            arrays = {name: about.pop(name) for name in ("neutral", "faces") if name in about}
            host.write(replies, host.Message(host.DONE, asked.number, about, arrays))
        else:
            lie(how, replies, asked)


def lie(how, replies, asked):
    text = b'{"plain":{},"arrays":[["vertices","<f4",[1000000,300,3]]]}'
    sizes = {"huge": (len(text), 3_600_000_000), "length": (len(text), 12), "header": (1 << 31, 0)}
    if how in sizes:
        replies.write(host.HEAD.pack(host.MAGIC, host.VERSION, host.PART, asked.number, *sizes[how]) + text)
    elif how == "garbage":
        replies.write(b"\x00" * 64)
    elif how == "object":
        text = b'{"plain":{},"arrays":[["vertices","|O",[1]]]}'
        replies.write(host.HEAD.pack(host.MAGIC, host.VERSION, host.PART, asked.number, len(text), 8) + text + bytes(8))
    elif how == "short":
        replies.write(host.HEAD.pack(host.MAGIC, host.VERSION, host.PART, asked.number, len(text), 0)[:9])
        replies.flush()
        os._exit(3)
    elif how == "stale":
        host.write(replies, host.Message(host.DONE, asked.number + 7, {}, {}))
    elif how == "few":
        host.write(replies, host.Message(host.DONE, asked.number, {}, {}))
    elif how == "shape":
        plain = {"start": 0, "count": 1, "failed": []}
        host.write(replies, host.Message(host.PART, asked.number, plain, {"vertices": np.zeros((1, 5, 3))}))
    replies.flush()


if __name__ == "__main__":
    how = sys.argv[1] if len(sys.argv) > 1 else "well"
    how = " ".join(sys.argv[1:]) if how == "dies" else how
    if how in ("well", "dies", "hangs", "raises", "grows", "dies once", "dies at extremes", "slowly"):
        print("a greeting before the first message")
        host.serve_rig(lambda: print("a host may print") or describe(), posing(how), "a small host")
    lying(how)
