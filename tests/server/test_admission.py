"""Who is let in while memory is scarce, through the app as a client meets it."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.errors import Exit
from holdfast.governor.admission import Admission
from holdfast.server.app import Served, make_app
from holdfast.stream import TooManyAppends

ALWAYS = [
    ("GET", "/v1/health"),
    ("GET", "/v1/status"),
    ("GET", "/v1/doctor"),
    ("POST", "/v1/queues/q/confirm"),
    ("POST", "/v1/queues/q/release"),
    ("POST", "/v1/queues/q/extend"),
]
CHEAP = [
    ("GET", "/v1/sessions"),
    ("GET", "/v1/sessions/abc"),
    ("GET", "/v1/recordings"),
    ("POST", "/v1/queues/q/claim"),
]
COSTLY = [
    ("GET", "/v1/search"),
    ("GET", "/v1/sources"),
    ("GET", "/v1/sessions/abc/events"),
    ("GET", "/v1/sessions/abc/export"),
    ("POST", "/v1/sessions/abc/recordings"),
    ("GET", "/v1/blobs"),
    ("GET", "/v1/blobs/abc"),
    ("POST", "/v1/blobs/drop"),
    ("POST", "/v1/import"),
    ("POST", "/v1/redact"),
    ("POST", "/v1/queues/q/items"),
]


class Asked:
    """A daemon of which only the door is there: whatever is let in fails behind it."""

    def __init__(self) -> None:
        self.admission = Admission()
        self.state = "running"
        self.tail = SimpleNamespace(importing=False)
        self.library = self.recorder = self.streams = SimpleNamespace()

    async def status(self) -> dict[str, str]:
        return {}

    def report(self, _error: BaseException, _doing: str) -> None:
        pass

    def ask(
        self, method: str, path: str, query: str = "", body: bytes = b""
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and body."""
        sent: list[dict[str, Any]] = []

        received = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return received.pop() if received else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [],
        }
        app = make_app(cast("Served", self))
        try:
            asyncio.run(app(scope, receive, send))
        except Exception:  # noqa: BLE001  # it got behind the door
            return 500, {}, None
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, json.loads(sent[1]["body"] or b"null")


@pytest.mark.parametrize(("method", "path"), [*ALWAYS, *CHEAP, *COSTLY])
@pytest.mark.parametrize("pressure", ["none", "high", "critical"])
def test_what_is_put_off_at_which_pressure(method: str, path: str, pressure: str) -> None:
    daemon = Asked()
    daemon.admission.throttling = pressure != "none"
    daemon.admission.refusing = pressure == "critical"
    status, headers, body = daemon.ask(method, path)
    costly, always = (method, path) in COSTLY, (method, path) in ALWAYS
    if pressure == "high" and costly:
        assert (status, headers["retry-after"], body["exit"]) == (429, "1", Exit.BUSY)
    elif pressure == "critical" and not always:
        assert (status, headers["retry-after"], body["exit"]) == (503, "3", Exit.BUSY)
        assert "raise daemon.max_memory_mb" in body["error"]
    else:
        assert status not in (429, 503)
    put_off = daemon.admission.status()
    assert (put_off.throttled, put_off.refused) == (status == 429, status == 503)


def test_to_join_an_import_that_runs_and_to_stop_a_recording_is_never_put_off() -> None:
    """Neither begins anything."""
    daemon = Asked()
    daemon.admission.refusing = True
    daemon.tail.importing = True
    path = "/v1/sessions/abc/recordings"
    assert daemon.ask("POST", "/v1/import")[0] != 503
    assert daemon.ask("POST", path, "command=stop")[0] != 503
    assert daemon.ask("POST", path, "command=record")[0] == 503
    assert daemon.ask("GET", "/v1/search", "command=stop")[0] == 503


def test_who_appends_while_too_many_do_is_told_when_to_come_again() -> None:
    async def append(*_about: object, **_more: object) -> None:
        raise TooManyAppends("try again in a second")

    daemon = Asked()
    daemon.streams.append = append
    told = daemon.ask("POST", "/v1/streams/orders/events", body=b'{"kind": "order.placed"}')
    status, headers, body = told
    assert (status, headers["retry-after"]) == (429, "1")
    assert (body["exit"], body["error"]) == (Exit.BUSY, "try again in a second")
