"""A home for one test: holdfast's folders, an agent's folders, the real command line and daemon."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from holdfast.client import Client, NotRunning
from holdfast.demo import lines
from holdfast.events import session_id
from holdfast.journal.reader import SqliteReader
from holdfast.lock import holder
from holdfast.paths import Paths
from tests.support import processes
from tests.support.waiting import until

HOLDFAST: Final = (sys.executable, "-I", "-m", "holdfast")
DAEMON: Final = (sys.executable, "-I", "-m", "holdfast.daemon")
COMMAND_TIMEOUT_S: Final = 120.0
AGENTS_VARIABLES: Final = (
    "CLAUDE_",
    "CLINE_",
    "CODEX_",
    "COPILOT_",
    "GEMINI_",
    "GOOSE_",
    "OPENCODE_",
    "PI_",
    "QWEN_",
)
PROJECT: Final = "-home-hana-src-tidepool"


class Result:
    """What a command did."""

    def __init__(self, code: int, out: bytes, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.text[-2_000:]}\n{self.err[-4_000:]}"


class Home:
    """Everything below one private folder; nothing of the person's who runs the tests."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.home = os.path.join(folder, "home")
        self.claude = os.path.join(folder, "claude")
        self.projects = os.path.join(self.claude, "projects")
        os.makedirs(self.projects)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HOLDFAST_", "XDG_", *AGENTS_VARIABLES))
        }
        self.env = {
            **inherited,
            "HOME": folder,
            "HOLDFAST_HOME": self.home,
            "CLAUDE_CONFIG_DIR": self.claude,
            "NO_COLOR": "1",
        }

    @property
    def paths(self) -> Paths:
        return Paths.from_env(self.env)

    @property
    def client(self) -> Client:
        return Client(self.paths)

    # Commands.

    def run(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        preexec_fn: Callable[[], None] | None = None,
        timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> Result:
        """A holdfast command as a person runs it, to its end."""
        done = subprocess.run(
            [*HOLDFAST, *arguments],
            env={**self.env, **(env or {})},
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            preexec_fn=preexec_fn,  # drops rights, between fork and exec
        )
        return Result(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))

    def ok(self, *arguments: str, **how: Any) -> Result:
        """The same, for a command that must go well."""
        result = self.run(*arguments, **how)
        assert result.code == 0, f"holdfast {' '.join(arguments)}: {result}"
        return result

    def spawn(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        preexec_fn: Callable[[], None] | None = None,
        program: Sequence[str] = HOLDFAST,
    ) -> subprocess.Popen[bytes]:
        """A command that the test watches, and ends."""
        return subprocess.Popen(
            [*program, *arguments],
            env={**self.env, **(env or {})},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=preexec_fn,  # noqa: PLW1509  # drops rights, between fork and exec
        )

    def config(self, text: str) -> str:
        """Write the config file; its path."""
        os.makedirs(self.home, exist_ok=True)
        with open(self.paths.config_file, "w", encoding="utf-8") as file:
            file.write(text)
        return self.paths.config_file

    # Daemons.

    def spawn_daemon(
        self,
        env: Mapping[str, str] | None = None,
        preexec_fn: Callable[[], None] | None = None,
        program: Sequence[str] = DAEMON,
    ) -> subprocess.Popen[bytes]:
        """A daemon as a child of the test, which looks after it."""
        return subprocess.Popen(
            program,
            env={**self.env, **(env or {})},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=preexec_fn,  # noqa: PLW1509  # drops rights, between fork and exec
        )

    def start(
        self,
        env: Mapping[str, str] | None = None,
        preexec_fn: Callable[[], None] | None = None,
        program: Sequence[str] = DAEMON,
        *,
        wait: bool = True,
    ) -> RunningDaemon:
        """The real daemon, which answers when this returns."""
        daemon = RunningDaemon(self, self.spawn_daemon(env, preexec_fn, program))
        try:
            if wait:
                until(daemon.answers, "the daemon answers")
        except BaseException:
            daemon.kill()
            raise
        return daemon

    @contextmanager
    def daemon(
        self,
        env: Mapping[str, str] | None = None,
        preexec_fn: Callable[[], None] | None = None,
        program: Sequence[str] = DAEMON,
    ) -> Iterator[RunningDaemon]:
        daemon = self.start(env, preexec_fn, program)
        try:
            yield daemon
        finally:
            daemon.stop()

    def close(self) -> None:
        """End whatever daemon still holds this home, and remove everything."""
        with suppress(Exception):
            held = holder(self.paths.lock)
            if held is not None:
                processes.kill(held[1])
                until(lambda: not processes.is_alive(held[1]), "the daemon ends")
        socket_folder = os.path.dirname(self.paths.socket)
        if not socket_folder.startswith(self.folder):
            shutil.rmtree(socket_folder, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Logs.

    def log_path(self, name: str, project: str = PROJECT) -> str:
        return os.path.join(self.projects, project, f"{name}.jsonl")

    def write_log(self, name: str, *content: bytes, project: str = PROJECT) -> str:
        """Make a log of an agent, or replace it; its path."""
        path = self.log_path(name, project)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.writelines(_of_log(name, each) for each in content)
        return path

    def write_exactly(self, name: str, *content: bytes) -> str:
        """A log with the very ids that are given: they may be those of another log."""
        path = self.write_log(name)
        with open(path, "wb") as file:
            file.writelines(content)
        return path

    def append_log(self, name: str, *content: bytes, project: str = PROJECT) -> str:
        path = self.log_path(name, project)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "ab", buffering=0) as file:
            file.writelines(_of_log(name, each) for each in content)
        return path

    def session_path(self, name: str, project: str = "tidepool") -> str:
        """Of Gemini CLI, whose sessions are changed in place."""
        return os.path.join(self.folder, ".gemini", "tmp", project, "chats", name)

    def write_session(self, name: str, content: bytes) -> str:
        """Write it anew, as a whole; its path."""
        path = self.session_path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path

    # What is kept.

    @contextmanager
    def reader(self) -> Iterator[SqliteReader]:
        reader = SqliteReader(self.paths.journal)
        try:
            yield reader
        finally:
            reader.close()

    def export(self, name: str, **how: Any) -> bytes:
        return self.ok("export", sid(name), "-f", "jsonl", **how).out

    def sessions(self, **how: Any) -> dict[str, dict[str, Any]]:
        """What `sessions --json` lists, by the agent's id."""
        found = self.ok("sessions", "--json", **how).json
        return {each["agent_session_id"]: each for each in found}


class RunningDaemon:
    """A daemon that the test owns."""

    def __init__(self, home: Home, process: subprocess.Popen[bytes]) -> None:
        self.home = home
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    def answers(self) -> bool:
        if self.process.poll() is not None:
            assert self.process.stderr is not None
            said = self.process.stderr.read().decode("utf-8", "replace")
            raise AssertionError(f"the daemon ended with {self.process.returncode}: {said}")
        try:
            state = self.home.client.get("/v1/health")["state"]
        except NotRunning:
            return False
        return bool(state != "starting")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.home.client.get("/v1/status")
        return found

    def events(self, name: str) -> int:
        """How many events of a session the daemon knows; 0 when it does not know the session."""
        found = self.home.client.get("/v1/sessions")
        return sum(each["events"] for each in found if each["agent_session_id"] == name)

    def wait_for(self, name: str, events: int) -> None:
        """Until a session has so many events. All of them are in the journal then."""
        until(
            lambda: self.events(name) >= events,
            f"{events} events of {name}",
            detail=lambda: (self.events(name), self.status()["problems"]),
        )

    def kill(self) -> None:
        """As kill -9 does it; its children find out by themselves."""
        self.process.kill()
        self._reap()

    def terminate(self) -> int:
        """As `holdfast stop` does it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def stop(self) -> None:
        """For `finally`: it is gone afterwards, whatever state it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        self.kill()

    def _reap(self) -> int:
        code = self.process.wait(COMMAND_TIMEOUT_S)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code


def sid(name: str) -> str:
    """The id of a session by its log's name."""
    return session_id("claude", name)


def talk(count: int, *, start: int = 0, words: str = "word", session: str = "s") -> list[bytes]:
    """`count` prompts, each with a number of its own: one event a line."""
    return [
        lines.user_line(f"{words} {number}", session=session, at=moment(number))
        for number in range(start, start + count)
    ]


def _of_log(name: str, content: bytes) -> bytes:
    """Records with ids that no other log has: the same ids would make it a fork."""
    mine = hashlib.blake2b(name.encode(), digest_size=4).hexdigest().encode()
    return re.sub(rb'("uuid":")[0-9a-f]{8}', rb"\g<1>" + mine, content)


def moment(number: int) -> str:
    """Times that rise with the number, as a log has them."""
    minutes, seconds = divmod(number, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"2026-01-{days % 28 + 1:02}T{hours:02}:{minutes:02}:{seconds:02}.000Z"


def temporary_folder() -> str:
    """Short, so that sockets fit, and real: no link on its way."""
    return os.path.realpath(tempfile.mkdtemp(prefix="hf-"))
