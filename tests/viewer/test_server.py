"""Who is let in: whoever has the token, and nobody else."""

import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from bunraku.core.errors import BunrakuError
from bunraku.viewer import server as serving
from bunraku.viewer.server import ServeConfig, is_loopback, start

PROTOCOL = Subprotocol(f"viser-v{version('viser')}")


@pytest.fixture(scope="module")
def served() -> Iterator[serving.Served]:
    opened = start("a test", ServeConfig(port=0))
    yield opened
    opened.close()


def fetched(url: str) -> tuple[int, str, dict[str, str]]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode(errors="replace"), dict(answer.headers)
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode(), dict(refused.headers)


def test_the_address_holds_a_long_token_and_is_this_machines_own(served: serving.Served):
    host, token = served.url.removeprefix("http://").rstrip("/").split("/")
    assert host.startswith("127.0.0.1:")
    assert len(token) >= 32


def test_the_page_comes_to_those_who_have_the_token(served: serving.Served):
    status, text, headers = fetched(served.url)
    assert status == 200
    assert "<html" in text
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["", "wrong/", "index.html", "?token=wrong", "%2e%2e/", "\u00fc"])
def test_without_the_token_there_is_no_page(served: serving.Served, path: str):
    base = served.url.rsplit("/", 2)[0] + "/"
    status, text, _ = fetched(base + urllib.parse.quote(path, safe="%/?="))
    assert status == 403
    assert "<html" not in text


def test_a_token_that_only_begins_rightly_is_wrong(served: serving.Served):
    assert fetched(served.url[:-2] + "/")[0] == 403
    assert fetched(served.url.rstrip("/") + "x/")[0] == 403


def test_a_path_out_of_the_servers_folder_leads_nowhere(served: serving.Served):
    assert fetched(served.url + "../../../../etc/passwd")[0] in (403, 404)
    assert fetched(served.url + "%2e%2e/%2e%2e/%2e%2e/etc/passwd")[0] == 404


def test_a_websocket_needs_the_token_too(served: serving.Served):
    address = served.url.replace("http:", "ws:").rstrip("/")
    with connect(address, subprotocols=[PROTOCOL], max_size=None) as socket_:
        assert isinstance(socket_.recv(timeout=30), bytes)
    for wrong in (address.rsplit("/", 1)[0], address + "x", address.rsplit("/", 1)[0] + "/?" + address[-32:]):
        with pytest.raises(InvalidStatus) as refused, connect(wrong, subprotocols=[PROTOCOL]):
            pass
        assert refused.value.response.status_code == 403


def test_nothing_is_printed_where_results_belong(capfd: pytest.CaptureFixture[str]):
    opened = start("a test", ServeConfig(port=0))
    opened.close()
    time.sleep(0.1)
    assert capfd.readouterr().out == ""


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BunrakuError, match=f"--port {port}: cannot listen at 127.0.0.1:{port}"):
            start("a test", ServeConfig(port=port))


@pytest.mark.parametrize(("host", "message"), [("192.0.2.1", "--host 192.0.2.1"), ("no.such.host.invalid", "--host")])
def test_an_address_that_is_not_ours_is_named(host: str, message: str):
    with pytest.raises(BunrakuError, match=message):
        start("a test", ServeConfig(host=host))


def test_ports_have_numbers_below_65536():
    with pytest.raises(BunrakuError, match="expected 0 to 65535"):
        start("a test", ServeConfig(port=70000))


def test_a_scene_is_never_shared_by_way_of_another_server(served: serving.Served):
    assert served.viser.request_share_url() is None


def test_only_this_machines_own_addresses_are_loopback():
    assert is_loopback("127.0.0.1")
    assert is_loopback("127.3.2.1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("192.168.1.2")
