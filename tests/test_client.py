"""A daemon that is short of memory is asked again, when it says and not for ever."""

from __future__ import annotations

import http.server
import os
import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from holdfast import client as client_module
from holdfast.client import Client, NotAnswering, NotRunning, PutOff, Refused
from holdfast.errors import Exit
from tests.support.home import Home


class Busy(http.server.BaseHTTPRequestHandler):
    """Puts off the first requests."""

    put_off = 2
    status = 429
    later = "1"

    def do_GET(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]  # made below
        busy = self.server.asked <= self.put_off  # type: ignore[attr-defined]  # made below
        body = b'{"error": "short of memory", "exit": 11}' if busy else b'{"well": true}'
        self.send_response(self.status if busy else 200)
        if busy and self.later:
            self.send_header("Retry-After", self.later)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_about: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client slept, without sleeping."""
    slept: list[float] = []
    monkeypatch.setattr("holdfast.client.time.sleep", slept.append)
    return slept


@pytest.fixture
def handler() -> type[Busy]:
    return type("Handler", (Busy,), {})


@pytest.fixture
def server(home: Home, handler: type[Busy]) -> Iterator[socketserver.UnixStreamServer]:
    home.paths.ensure_dirs()
    os.makedirs(os.path.dirname(home.paths.socket), mode=0o700, exist_ok=True)
    made = socketserver.ThreadingUnixStreamServer(home.paths.socket, handler)
    made.asked = 0  # type: ignore[attr-defined]  # for the handler
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.mark.usefixtures("server")
def test_what_was_put_off_is_asked_again_when_it_was_said(home: Home, waits: list[float]) -> None:
    assert Client(home.paths).get("/v1/search") == {"well": True}
    assert waits == [1.0, 1.0]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("status", [429, 503])
def test_it_is_not_asked_for_ever(
    home: Home, waits: list[float], handler: type[Busy], status: int
) -> None:
    handler.put_off, handler.status, handler.later = 1_000, status, "3"
    with pytest.raises(PutOff, match="short of memory") as put_off:
        Client(home.paths).get("/v1/search")
    assert put_off.value.code == Exit.BUSY
    assert sum(waits) <= client_module.PUT_OFF_MAX_S


@pytest.mark.usefixtures("server")
def test_an_error_that_does_not_say_when_to_come_again_is_final(
    home: Home, waits: list[float], handler: type[Busy]
) -> None:
    handler.status, handler.later = 503, ""
    with pytest.raises(Refused):
        Client(home.paths).get("/v1/search")
    assert waits == []


def test_a_daemon_that_says_nothing_is_told_from_one_that_is_not_there(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.paths.ensure_dirs()
    asking = Client(home.paths, patience_s=0.05)
    with pytest.raises(NotRunning, match="is not running"):
        asking.get("/v1/status")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(home.paths.socket)
        silent.listen()
        with pytest.raises(NotAnswering, match="holdfast doctor"):
            asking.get("/v1/status")
        assert not asking.is_running()
        monkeypatch.setattr(client_module, "HEALTH_PATIENCE_S", 0.05)
        assert not Client(home.paths).is_running()  # which waits for all else as long as it takes


@pytest.mark.parametrize("body", [b"", b'{"well"'])
def test_an_answer_that_ends_too_early_is_a_daemon_that_stopped(
    home: Home,
    handler: type[Busy],
    server: socketserver.UnixStreamServer,  # it answers
    body: bytes,
) -> None:
    def dies(self: Busy) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "14")
        self.end_headers()
        self.wfile.write(body)

    handler.do_GET = dies  # type: ignore[method-assign]  # for this test
    with pytest.raises(NotRunning, match="in the middle of its answer"):
        Client(home.paths).get("/v1/health")
