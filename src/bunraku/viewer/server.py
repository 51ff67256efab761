"""A viser server behind a token, on this machine unless somebody asks for more."""

from __future__ import annotations

import contextlib
import hmac
import http
import io
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import viser
import websockets.asyncio.server
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from bunraku.core.errors import BunrakuError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TICKS_HZ = 60.0
_FIRST_PORT, _PORTS = 8080, 100
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' data: blob:; "
    "connect-src 'self' ws: wss: data: blob:; frame-ancestors 'none'"
)
_patching = threading.Lock()


@dataclass(frozen=True)
class ServeConfig:
    """Where the viewer listens."""

    host: str = "127.0.0.1"
    """The address to listen on. Any other than this one lets other machines in, as far as they know the token."""
    port: int | None = None
    """The port; without it 8080 or the next that is free. 0: any."""


@runtime_checkable
class Scene(Protocol):
    """Something that is shown."""

    def tick(self, now_s: float) -> None:
        """Look at what the user has changed and show what has become of it; called about sixty times a second."""
        ...


class _Server(viser.ViserServer):
    def request_share_url(self, verbose: bool = True) -> str | None:
        """Never: it would make the scene public by way of a server of somebody else's."""
        del verbose
        return None


@dataclass(frozen=True, eq=False)
class Served:
    """A server that runs."""

    viser: viser.ViserServer
    url: str
    """With the token; who has not got it is turned away."""

    def close(self) -> None:
        """End it and its connections."""
        with _silence():
            self.viser.stop()


def start(label: str, cfg: ServeConfig) -> Served:
    """Open a server with nothing in it.

    Raises:
        BunrakuError: the address or the port cannot be had.
    """
    port = _free_port(cfg)
    token = secrets.token_urlsafe(24)
    with _silence(), _guarded(token):
        server = _Server(host=cfg.host, port=port, verbose=False)
    server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
    server.gui.set_panel_label(label)
    name = f"[{cfg.host}]" if ":" in cfg.host else cfg.host
    shown = socket.gethostname() if cfg.host in ("0.0.0.0", "::") else name
    return Served(server, f"http://{shown}:{server.get_port()}/{token}/")


def run(scene: Scene, ended: Callable[[], bool] = lambda: False) -> None:
    """Keep a scene alive until Ctrl-C, or until it has ended."""
    while not ended():
        began = time.perf_counter()
        scene.tick(began)
        time.sleep(max(0.0005, 1 / TICKS_HZ - (time.perf_counter() - began)))


def is_loopback(host: str) -> bool:
    """Only this machine can reach it."""
    return host in LOOPBACK or host.startswith("127.")


def _free_port(cfg: ServeConfig) -> int:
    """Viser would go on to another port by itself, and not say so."""
    if cfg.port is not None and not 0 <= cfg.port < 65536:
        raise BunrakuError(f"--port {cfg.port}: expected 0 to 65535")
    wanted = range(_FIRST_PORT, _FIRST_PORT + _PORTS) if cfg.port is None else [cfg.port]
    reason = ""
    for port in wanted:
        try:
            with socket.socket(socket.AF_INET6 if ":" in cfg.host else socket.AF_INET) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind((cfg.host, port))
                return port
        except (OSError, OverflowError) as error:
            reason = str(getattr(error, "strerror", None) or error)
    where = f"--port {cfg.port}" if cfg.port is not None else f"--host {cfg.host}"
    raise BunrakuError(f"{where}: cannot listen at {cfg.host}:{wanted[0]} ({reason})")


@contextlib.contextmanager
def _guarded(token: str) -> Iterator[None]:
    """The server that viser opens meanwhile asks everybody for the token, which is the first part of the path.

    Viser has no such thing, and a proxy before it would leave its own port open to everybody on the machine. Its page
    connects to the address that it came from, so that the token comes with every request.
    """
    original = websockets.asyncio.server.serve

    def serve(*args: Any, process_request: Callable[..., Any], **options: Any) -> Any:
        def admitted(connection: Any, request: Request) -> Response | None:
            given, _, rest = request.path.lstrip("/").partition("/")
            if not hmac.compare_digest(given.partition("?")[0].encode(), token.encode()):
                return connection.respond(
                    http.HTTPStatus.FORBIDDEN, "This viewer opens by the whole address that the command has printed.\n"
                )
            request.path = "/" + rest
            response = process_request(connection, request)
            return response if response is None else _hardened(response)

        return original(*args, process_request=admitted, **options)

    with _patching:
        websockets.asyncio.server.serve = serve  # pyright: ignore[reportAttributeAccessIssue]
        try:
            yield
        finally:
            websockets.asyncio.server.serve = original


def _hardened(response: Response) -> Response:
    """The address is a secret: neither kept nor passed on. The page asks nobody else for anything."""
    more = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Content-Security-Policy": _POLICY}
    response.headers = Headers([*response.headers.raw_items(), *more.items()])
    return response


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Viser prints where it listens, without the token; standard output is the command's."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
