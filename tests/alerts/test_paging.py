"""Telling somebody outside, with real servers and real programs."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from holdfast.alerts import paging
from holdfast.alerts.engine import Notice
from holdfast.alerts.paging import Message, Pager, Sent
from holdfast.alerts.rules import Action
from tests.support.processes import is_alive
from tests.support.waiting import until

AT = "2026-11-20T10:00:00.000Z"


def notice(*actions: Action) -> Notice:
    return Notice(
        rule="memory-critical",
        what="began",
        severity="critical",
        condition="memory_usage_pct >= 95 for 10s",
        values={"memory_usage_pct": 96.25, "stall_full_pct": None},
        for_s=12.0,
        actions=actions,
    )


class Server:
    def __init__(self) -> None:
        self.url = ""
        self.got: list[tuple[str, str, bytes]] = []
        self.status = 200


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@contextmanager
def serving() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append((self.path, self.headers["Content-Type"], body))
            self.send_response(made.status)
            self.end_headers()
            self.wfile.write(b"so it was")

        def log_message(self, *_: object) -> None:
            """Not on the terminal of the tests."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        made.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            listening.shutdown()
            thread.join()


def test_a_webhook_gets_the_message(server: Server) -> None:
    sent = Pager(f"{server.url}/hook?key=k", (), {}).send(notice("page"), at=AT)
    assert sent == Sent(["webhook"], [])
    ((path, kind, body),) = server.got
    assert (path, kind) == ("/hook?key=k", "application/json")
    message = msgspec.json.decode(body, type=Message)
    assert (message.alert, message.what, message.severity) == (
        "memory-critical",
        "began",
        "critical",
    )
    assert message.values == {"memory_usage_pct": 96.25, "stall_full_pct": None}
    assert (message.at, message.for_secs, message.test) == (AT, 12.0, False)
    assert message.text == (
        f"holdfast on {os.uname().nodename}: memory-critical began (critical): "
        "memory_usage_pct >= 95 for 10s; memory_usage_pct = 96.2, stall_full_pct = unknown"
    )


def test_a_test_says_that_it_is_one(server: Server) -> None:
    Pager(server.url, (), {}).send(notice("webhook"), at=AT, test=True)
    message = msgspec.json.decode(server.got[0][2], type=Message)
    assert message.test
    assert message.text.startswith("TEST of holdfast on ")


def test_a_command_gets_the_message_on_its_standard_input(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = "import os, sys; open(os.environ['TOLD'], 'w').write(sys.stdin.read() + sys.argv[1])"
    command = (sys.executable, "-c", program, "; not a shell $HOME")
    sent = Pager("", command, {"TOLD": str(told)}).send(notice("command"), at=AT)
    assert sent == Sent(["command"], [])
    body, _, argument = told.read_text().partition("}; ")
    assert argument == "not a shell $HOME"
    assert msgspec.json.decode(f"{body}}}", type=Message).alert == "memory-critical"


@pytest.mark.parametrize(
    ("actions", "ways"),
    [
        (("page",), ["webhook", "command"]),
        (("webhook",), ["webhook"]),
        (("command", "log"), ["command"]),
        (("log", "throttle"), []),
    ],
)
def test_a_rule_goes_where_its_actions_say(
    server: Server, actions: tuple[Action, ...], ways: list[str]
) -> None:
    pager = Pager(server.url, (sys.executable, "-c", "pass"), {})
    assert pager.reaches == ["webhook", "command"]
    assert pager.send(notice(*actions), at=AT) == Sent(ways, [])
    assert len(server.got) == ways.count("webhook")


def test_nobody_is_told_where_nothing_is_set() -> None:
    pager = Pager("", (), {})
    assert pager.reaches == []
    assert pager.send(notice("page"), at=AT) == Sent([], [])


def test_a_server_that_refuses_is_said_and_the_command_is_still_told(
    server: Server, tmp_path: Path
) -> None:
    server.status = 503
    ran = tmp_path / "ran"
    pager = Pager(server.url, (sys.executable, "-c", f"open({str(ran)!r}, 'w')"), {})
    sent = pager.send(notice("page"), at=AT)
    assert sent == Sent(
        ["command"],
        ["alerts.webhook_url: the server answered 503 Service Unavailable: so it was"],
    )
    assert ran.exists()


def problem(pager: Pager) -> str:
    sent = pager.send(notice("page"), at=AT)
    assert sent.told == []
    (found,) = sent.problems
    return found


def test_a_server_that_is_not_there_is_said() -> None:
    with serving() as gone:
        pass
    assert re.match(r"alerts\.webhook_url: .*refused", problem(Pager(gone.url, (), {})))


def test_a_redirect_is_not_followed(server: Server) -> None:
    server.status = 302
    assert "answered 302" in problem(Pager(server.url, (), {}))
    assert len(server.got) == 1


def test_a_command_that_fails_is_said_with_its_words() -> None:
    program = "import sys; sys.exit('no credit')"
    said = problem(Pager("", (sys.executable, "-c", program), {}))
    assert re.match(r"alerts\.command: .* ended with 1: no credit", said)


def test_a_command_that_is_not_there_is_said() -> None:
    assert "there is no /no/such/pager" in problem(Pager("", ("/no/such/pager",), {}))


def test_a_command_that_hangs_is_killed_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paging, "TIMEOUT_S", 2.0)
    below = tmp_path / "below"
    program = f"sleep 600 & echo $! > {below}; wait"
    said = problem(Pager("", ("/bin/sh", "-c", program), {"PATH": os.environ["PATH"]}))
    assert "did not end within 2 s and was killed" in said
    started = int(below.read_text())
    until(lambda: not is_alive(started), "what it started is gone")


def test_a_command_does_not_outlive_the_daemon_that_started_it(tmp_path: Path) -> None:
    below = tmp_path / "below"
    program = f"sleep 600 & echo $! > {below}.part; mv {below}.part {below}; wait"
    pager = Pager("", ("/bin/sh", "-c", program), {"PATH": os.environ["PATH"]})
    told: list[str] = []
    sending = threading.Thread(target=lambda: told.append(problem(pager)), daemon=True)
    sending.start()
    until(below.exists, "the command runs")
    pager.close()
    sending.join(30)
    assert told == ["alerts.command: the daemon stopped before it was done"]
    started = int(below.read_text())
    until(lambda: not is_alive(started), "what it started is gone")


def test_once_the_daemon_stops_no_command_is_started(tmp_path: Path) -> None:
    made = tmp_path / "made"
    pager = Pager("", ("/bin/touch", str(made)), {})
    pager.close()
    assert problem(pager) == "alerts.command: the daemon is stopping"
    assert not made.exists()
