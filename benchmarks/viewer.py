"""How many updates a second the viewer sends: a mesh that deforms, a take with its error as colour, a live policy.

    python benchmarks/viewer.py [--vertices 7000] [--seconds 10] [--run RUN]

A websocket client on the same machine, in a thread of the same process, counts what reaches it: complete new vertices
of the mesh, or new positions of the character's root. `RUN` is a run of the humanoid; without one that row is left out.
CPU time is of server and client together: on a machine that others use, wall time says how busy it was.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import zstandard
from record import print_table, record
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.shown import Shown
from bunraku.viewer import server as serving
from bunraku.viewer.meshes import MeshScene
from bunraku.viewer.run import RunScene
from bunraku.viewer.server import ServeConfig

FPS = 60


def grid(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A wavy sheet of about so many vertices over 60 frames, and its triangles."""
    side = round(count**0.5)
    u, v = (each.ravel() for each in np.meshgrid(np.linspace(-1, 1, side), np.linspace(0, 2, side)))
    phase = 2 * np.pi * np.arange(60)[:, None] / 60
    z = 0.1 * np.sin(6 * u + phase) * np.cos(5 * v)
    vertices = np.stack([np.broadcast_to(u, z.shape), np.broadcast_to(v, z.shape), z], axis=2)
    i = np.arange(side * side).reshape(side, side)
    a, b, c, d = i[:-1, :-1].ravel(), i[:-1, 1:].ravel(), i[1:, 1:].ravel(), i[1:, :-1].ravel()
    return vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def counted(build: Callable[[Any], Any], marks: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, float]:
    """Updates that a client gets while a scene is alive."""
    served = serving.start("benchmark", ServeConfig(port=0))
    scene = build(served.viser)
    seen, sizes, stop = list[float](), list[int](), threading.Event()

    def listen() -> None:
        unpack = zstandard.ZstdDecompressor()
        address = served.url.replace("http:", "ws:").rstrip("/")
        try:
            with connect(address, subprotocols=[Subprotocol(f"viser-v{version('viser')}")], max_size=None) as line:
                while not stop.is_set():
                    raw = line.recv()
                    assert isinstance(raw, bytes)
                    length = int.from_bytes(raw[8:16], "little")
                    told = msgspec.msgpack.decode(unpack.decompress(raw[16 : 16 + length]))
                    if any(marks(message) for message in told["messages"]):
                        seen.append(time.perf_counter())
                        sizes.append(len(raw))
        except ConnectionClosed:
            pass

    client = threading.Thread(target=listen, daemon=True)
    client.start()
    warm = time.perf_counter() + 2.0
    serving.run(scene, lambda: time.perf_counter() > warm)
    seen.clear()
    began, cpu = time.perf_counter(), time.process_time()
    serving.run(scene, lambda: time.perf_counter() > began + seconds)
    passed, spent, count = time.perf_counter() - began, time.process_time() - cpu, len(seen)
    stop.set()
    served.close()
    client.join(2.0)
    return {
        "updates_per_s": count / passed,
        "cpu_ms_per_update": 1e3 * spent / max(count, 1),
        "kB_per_update": float(np.mean(sizes or [0])) / 1e3,
    }


def moving(message: dict[str, Any], name: str, field: str) -> bool:
    return message.get("name") == name and (message["type"] == field or field in message.get("updates", {}))


def meshes(count: int, seconds: float) -> list[dict[str, Any]]:
    vertices, faces = grid(count)
    sequence = mesh_sequence(vertices, faces, FPS)
    rng = np.random.default_rng(0)
    noisy = vertices + 0.01 * rng.random(vertices.shape[1])[:, None]
    there = np.ones(vertices.shape[:2], bool)
    plain = Shown("plain", faces, 60, Fraction(FPS), 0, lambda rows: sequence.vertices[rows])
    take = Shown("take", faces, 60, Fraction(FPS), 0, plain.solved, lambda rows: (noisy[rows], there[rows]))
    found = []
    for shown, node in ((plain, "/solved/0"), (take, "/capture")):

        def build(server: Any, shown: Shown = shown) -> MeshScene:
            scene = MeshScene(server, [shown])
            scene.scrubber.playing.value = True
            return scene

        told = counted(build, lambda message, node=node: moving(message, node, "vertices"), seconds)
        found.append({"scene": f"{shown.name}, {vertices.shape[1]:,} vertices", **told})
    return found


def policy(run: Path, seconds: float) -> dict[str, Any]:
    from bunraku.mimic.live import live

    acting = live(run)
    told = counted(
        lambda server: RunScene(server, acting), lambda m: moving(m, "/figure/0", "SetPositionMessage"), seconds
    )
    return {"scene": f"{acting.name}, policy live at {acting.control_hz:g} Hz", **told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vertices", type=int, default=7000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--run", type=Path)
    options = parser.parse_args()
    rows = meshes(options.vertices, options.seconds)
    rows += [policy(options.run, options.seconds)] if options.run else []
    print_table("the viewer, updates that reach a client", rows)
    record("viewer", {"vertices": options.vertices, "seconds": options.seconds}, rows)


if __name__ == "__main__":
    main()
