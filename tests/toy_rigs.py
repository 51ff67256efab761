"""Rigs that worker processes and `python:` open by name, and what goes wrong with them."""

import os
import time
from pathlib import Path

import numpy as np

controls = [{"name": f"c{i}", "lower": -1.0, "upper": 1.0} for i in range(12)]

_BASIS = np.random.default_rng(5).normal(size=(12, 40 * 3))


def mesh(values):
    """(N, 12) to (N, 40, 3), curved."""
    flat = values @ _BASIS + np.sin(3 * values[:, :1]) * np.cos(values[:, 1:2])
    return flat.reshape(len(values), 40, 3)


def one(values):
    """The same for a single pose."""
    assert values.shape == (12,)
    return mesh(values[None])[0]


def slow(values):
    time.sleep(0.004)
    return one(values)


def picky(values):
    """Raises, gives NaN, another shape, by the value of a control."""
    if values[0] > 0.9:
        raise ValueError("too far")
    if values[0] < -0.9:
        return one(values) * np.nan
    return one(values)[:7] if values[1] > 0.9 else one(values)


def suicidal(values):
    if values[0] > 0.9:
        os._exit(5)
    return one(values)


def hopeless(values):
    if (values != 0).any():
        raise RuntimeError("licence expired")
    return one(values)


def crashing(values):
    if (values != 0).any():
        os._exit(5)
    return one(values)


def witness(values):
    """Leaves a file named like its process."""
    folder = Path(os.environ["WITNESS"])
    (folder / str(os.getpid())).touch()
    return slow(values)
