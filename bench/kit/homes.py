"""Temporary homes of holdfast, and daemons that do not outlive their bench."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.kit.setting import Setting
from holdfast.lock import holder
from holdfast.paths import Paths

HOLDFAST: Final = str(Path(sys.executable).with_name("holdfast"))
STOP_TIMEOUT_S: Final = 20.0
WAIT_TIMEOUT_S: Final = 120.0
POLL_S: Final = 0.05

_PASSED_ON: Final = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "TERM")


def plain_environ() -> dict[str, str]:
    """What a person's shell has: no setting of ours, and none of Python's that change its speed."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


class Home:
    """A HOLDFAST_HOME, with the logs that it reads."""

    def __init__(self, path: Path, claude: Path, settings: Mapping[str, object]) -> None:
        self.path = path
        # Where each agent keeps its data: nothing of the person's who measures.
        self.agents = {"claude": claude, "codex": path / "codex"}
        self.environ = {
            **plain_environ(),
            "HOME": str(path),  # agents whose logs no bench names have none
            "HOLDFAST_HOME": str(path),
            "CLAUDE_CONFIG_DIR": str(self.agents["claude"]),
            "CODEX_HOME": str(self.agents["codex"]),
            **{_variable(key): str(value) for key, value in settings.items()},
        }
        self.paths = Paths.from_env(self.environ)

    def call(self, *arguments: str) -> Any:
        """Run a command of holdfast; what it prints, as JSON."""
        done = subprocess.run(
            [HOLDFAST, *arguments], env=self.environ, capture_output=True, check=False
        )
        assert done.returncode == 0, f"holdfast {' '.join(arguments)}: {done.stderr.decode()}"
        return json.loads(done.stdout or b"null")

    def daemon_pid(self) -> int | None:
        held = holder(self.paths.lock)
        return held[1] if held is not None and held[0] == "daemon" else None


def _variable(key: str) -> str:
    return f"HOLDFAST_{key.upper().replace('.', '__')}"


@contextmanager
def fresh_home(
    setting: Setting, claude: Path, settings: Mapping[str, object] | None = None
) -> Iterator[Home]:
    with setting.folder("home") as path:
        yield Home(path, claude, settings or {})


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


class Api:
    """A connection that stays open, and is made anew when the daemon closed it for idleness."""

    def __init__(self, socket_path: str) -> None:
        self._connection = _UnixConnection(socket_path)

    def get(self, path: str) -> bytes:
        try:
            response, body = self._ask(path)
        except (ConnectionError, http.client.RemoteDisconnected):
            self._connection.close()
            response, body = self._ask(path)
        assert response.status == http.client.OK, f"GET {path}: {response.status} {body[:300]!r}"
        return body

    def answer(self, path: str) -> tuple[int, bytes]:
        """Whatever the daemon answers; 0 when it does not."""
        for _attempt in range(2):
            try:
                response, body = self._ask(path)
            except (OSError, http.client.HTTPException):
                self._connection.close()
            else:
                return response.status, body
        return 0, b""

    @staticmethod
    def decoded(body: bytes) -> Any:
        return json.loads(body)

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def close(self) -> None:
        self._connection.close()

    def _ask(self, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        return response, response.read()


class RunningDaemon:
    def __init__(self, home: Home, pid: int, api: Api) -> None:
        self.home = home
        self.pid = pid
        self.api = api

    def status(self) -> Any:
        return self.api.json("/v1/status")

    def wait_until_imported(self, log_bytes: int) -> Any:
        """Until every byte of the logs is stored and can be searched; the status then."""

        def is_done(status: Any) -> bool:
            seen = sum(source["bytes"]["seen"] for source in status["sources"])
            behind = status["importing"]["running"] or status["journal"]["index_lag_events"]
            return seen >= log_bytes and not behind

        return self.wait_for(is_done, f"{log_bytes:,} bytes of log to be imported")

    def wait_for(self, is_so: Callable[[Any], bool], what: str) -> Any:
        deadline_s = time.monotonic() + WAIT_TIMEOUT_S
        while not is_so(status := self.status()):
            assert time.monotonic() < deadline_s, f"waited in vain for {what}: {status}"
            time.sleep(POLL_S)
        return status


@contextmanager
def running_daemon(
    home: Home, *, enter: Callable[[], None] | None = None
) -> Iterator[RunningDaemon]:
    """`enter` runs between fork and exec, to put limits on the daemon."""
    try:
        started = subprocess.run(
            [HOLDFAST, "start"],
            env=home.environ,
            capture_output=True,
            check=False,
            preexec_fn=enter,  # a limit must be there before the daemon is
        )
        pid = home.daemon_pid()
        assert pid is not None, f"holdfast start: {started.stderr.decode()}"
        api = Api(home.paths.socket)
        try:
            yield RunningDaemon(home, pid, api)
        finally:
            api.close()
    finally:
        _stop(home)


def _stop(home: Home) -> None:
    """By its pid, which the lock holds as long as it lives; the hard way if it does not listen."""
    pid = home.daemon_pid()
    if pid is None:
        return
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                signal.pidfd_send_signal(process, number)
            except ProcessLookupError:
                return
            if select.select([process], [], [], STOP_TIMEOUT_S)[0]:
                return
    finally:
        os.close(process)
