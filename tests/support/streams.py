"""A daemon that takes events of streams, or does not, as a test wants it."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import unquote

JsonObject = dict[str, Any]
HANGS: Final = 0  # no answer at all


class StreamsDaemon:
    """Keeps what it was sent, once for each key, as `POST /v1/streams/<name>/events` does."""

    def __init__(self) -> None:
        self.status = 200
        self.answers = True  # else it stores, and goes away without a word
        self.turns: threading.Semaphore | None = None  # how many requests it looks at
        self.headers: dict[str, str] = {}
        self.refuses: Callable[[JsonObject], bool] = lambda _event: False
        self.streams: dict[str, list[JsonObject]] = {}
        self.asked = 0  # requests that came, answered or not
        self.repeated = 0
        self.released = threading.Event()
        self._lock = threading.Lock()

    def take(self, path: str, body: bytes) -> int:
        """What is answered."""
        with self._lock:
            self.asked += 1
        if self.turns is not None:
            self.turns.acquire()
        if self.status == HANGS:
            self.released.wait()
            return HANGS
        if self.status != 200:
            return self.status
        before, name, after = path.partition("/opencode/")
        assert (before, name) == ("/v1/streams", "/opencode/"), path
        session, _, last = after.rpartition("/")
        assert last == "events", path
        events: list[JsonObject] = json.loads(body)["events"]
        if any(self.refuses(event) for event in events):
            return 400
        with self._lock:
            kept = self.streams.setdefault(f"opencode/{unquote(session)}", [])
            known = {event["key"] for event in kept}
            for event in events:
                if event["key"] in known:
                    self.repeated += 1
                else:
                    kept.append(event)
                    known.add(event["key"])
        return 200 if self.answers else HANGS

    def events(self, session: str) -> list[JsonObject]:
        with self._lock:
            return list(self.streams.get(f"opencode/{session}", ()))

    def texts(self, session: str) -> list[str]:
        return [event.get("text", "") for event in self.events(session)]

    def kinds(self, session: str) -> list[str]:
        return [event["kind"] for event in self.events(session)]


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path: str, daemon: StreamsDaemon) -> None:
        self.daemon = daemon
        super().__init__(path, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        daemon = self.server.daemon
        body = self.rfile.read(int(self.headers["content-length"]))
        status = daemon.take(self.path, body)
        if status == HANGS:
            self.close_connection = True
            return
        answer = b"{}"
        self.send_response(status)
        for name, value in daemon.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # their name
        """Nobody reads it."""


@contextmanager
def listening(daemon: StreamsDaemon, socket: str) -> Iterator[StreamsDaemon]:
    """While it listens; the socket is gone afterwards, as that of a daemon that stopped."""
    os.makedirs(os.path.dirname(socket), exist_ok=True)
    server = _Server(socket, daemon)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield daemon
    finally:
        daemon.released.set()
        if daemon.turns is not None:
            daemon.turns.release(1_000)
        server.shutdown()
        thread.join()
        server.server_close()
        os.unlink(socket)
