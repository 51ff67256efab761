"""Work for worker processes, which import it by name."""

import os
import signal
import time
from pathlib import Path

from bunraku.core.errors import BunrakuError


def doubling():
    return lambda payload: {"twice": payload["x"] * 2, "pid": os.getpid()}


def picky():
    """Raises on 3."""

    def work(payload):
        if payload["x"] == 3:
            raise ValueError("three is\nnot welcome")
        return {"x": payload["x"]}

    return work


def deadly(folder: str, times: int):
    """On 3 the process dies, the first `times` times."""

    def work(payload):
        if payload["x"] == 3:
            deaths = len(list(Path(folder).iterdir()))
            if deaths < times:
                (Path(folder) / str(deaths)).touch()
                os._exit(7) if deaths % 2 == 0 else os.kill(os.getpid(), signal.SIGKILL)
        return {"x": payload["x"]}

    return work


def chatty():
    """Prints, asks for input, leaves."""

    def work(payload):
        print("this must not reach the protocol")
        os.system("echo nor this")
        if payload["x"] == 1:
            raise SystemExit(3)
        return {"x": payload["x"]}

    return work


def threads():
    def work(payload):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BUNRAKU_CORES")
        return {name: os.environ.get(name, "") for name in names}

    return work


def sleeping(folder: str):
    """Notes its process and sleeps."""

    def work(payload):
        (Path(folder) / f"{os.getpid()}").touch()
        time.sleep(60)
        return {}

    return work


def mistaken():
    raise BunrakuError("no such rig")


def broken():
    raise ZeroDivisionError("ours")


def fatal():
    os._exit(9)
