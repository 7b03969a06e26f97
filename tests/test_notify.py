"""What the service manager hears, on a real socket."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.notify import Notifier
from tests.support import hanging_loop
from tests.support.home import Home
from tests.support.waiting import until


class Manager:
    """The end of the socket that a service manager holds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        while True:
            try:
                self.heard.append(self._socket.recv(4_096).decode())
            except BlockingIOError:
                return self.heard

    def hears(self, message: str, times: int = 1) -> bool:
        return self.listen().count(message) >= times

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes in so long, which is many times what the watchdog is fed in."""
        self.listen()
        return not select.select([self._socket], [], [], seconds)[0]

    def close(self) -> None:
        self._socket.close()


@contextmanager
def managing(name: str) -> Iterator[Manager]:
    manager = Manager(name)
    try:
        yield manager
    finally:
        manager.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@hf-{os.getpid()}"
    with managing(name) as made:
        yield made


def test_each_message_is_one_datagram(manager: Manager) -> None:
    notifier = Notifier.from_env({"NOTIFY_SOCKET": manager.name})
    notifier.ready()
    notifier.status("running,\n33 MiB of 200 MiB")
    notifier.alive()
    notifier.stopping()
    assert manager.listen() == [
        "READY=1",
        "STATUS=running, 33 MiB of 200 MiB",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_socket_of_this_machine_nothing_is_said(environ: dict[str, str]) -> None:
    notifier = Notifier.from_env({**environ, "WATCHDOG_USEC": "3000000"})
    notifier.ready()
    assert notifier.watchdog_s is None


def test_a_manager_that_is_gone_is_no_trouble_of_ours(tmp_path: Path) -> None:
    Notifier.from_env({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()


def test_a_manager_that_does_not_listen_is_not_waited_for(tmp_path: Path) -> None:
    with managing(str(tmp_path / "notify")) as deaf:
        notifier = Notifier.from_env({"NOTIFY_SOCKET": deaf.name})
        for _ in range(2_000):  # more than a socket holds
            notifier.alive()
        assert 0 < len(deaf.listen()) < 2_000


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_hears_from_us_in_less_than_half_of_what_it_allows(
    variables: dict[str, str], seconds: float | None
) -> None:
    notifier = Notifier.from_env({"NOTIFY_SOCKET": "/run/notify", **variables}, pid=7)
    assert notifier.watchdog_s == seconds


def test_the_daemon_says_that_it_is_ready_lives_and_stops(home: Home) -> None:
    with managing(os.path.join(home.folder, "notify")) as manager:
        asked = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "90000"}
        with home.daemon(asked) as daemon:
            until(lambda: manager.hears("READY=1"), "it is ready")
            until(lambda: manager.hears("WATCHDOG=1", 3), "the watchdog is fed")
            until(lambda: any(each.startswith("STATUS=") for each in manager.listen()), "a status")
            assert daemon.terminate() == 0
        assert manager.listen().count("READY=1") == 1
        assert "STOPPING=1" in manager.heard
        assert manager.heard.index("READY=1") < manager.heard.index("STOPPING=1")


def test_a_hung_loop_feeds_no_watchdog_and_says_where_it_hangs_when_it_is_ended(
    home: Home,
) -> None:
    program = (sys.executable, "-I", str(hanging_loop.__file__))
    with managing(os.path.join(home.folder, "notify")) as manager:
        asked = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "90000"}
        with home.daemon(asked, program=program) as daemon:
            until(lambda: manager.hears("WATCHDOG=1"), "the watchdog is fed")
            daemon.process.send_signal(signal.SIGUSR1)
            until(lambda: manager.is_silent(1.0), "nobody feeds the watchdog")
            daemon.process.send_signal(signal.SIGABRT)  # what systemd sends then
            daemon.process.wait(60)
    assert "in hang_for_good" in Path(home.paths.crash_file).read_text("utf-8")
