"""Telling somebody outside: a webhook, a command. Both wait, so both belong on a thread.

What is sent says what fires and its figures, never what anybody wrote in a conversation.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from holdfast.alerts.engine import Notice
from holdfast.errors import Exit, HoldfastError

TIMEOUT_S: Final = 10.0
SAID_BYTES_MAX: Final = 500  # of what a failing command or server answers


class PageFailed(HoldfastError):
    """One way did not get through."""

    exit: ClassVar[Exit] = Exit.FAILURE


class Message(msgspec.Struct, frozen=True):
    """The body of a webhook, and what a command reads from its standard input."""

    text: str  # for people, in one line; chat services show a field of this name
    alert: str
    what: str
    severity: str
    condition: str
    values: dict[str, float | None]
    for_secs: float
    host: str
    at: str
    test: bool


def message(notice: Notice, *, at: str, test: bool) -> Message:
    host = os.uname().nodename
    values = ", ".join(f"{name} = {_number(value)}" for name, value in notice.values.items())
    lead = "TEST of " if test else ""
    return Message(
        text=f"{lead}holdfast on {host}: {notice.rule} {notice.what} ({notice.severity}): "
        f"{notice.condition}; {values}",
        alert=notice.rule,
        what=notice.what,
        severity=notice.severity,
        condition=notice.condition,
        values=notice.values,
        for_secs=notice.for_s,
        host=host,
        at=at,
        test=test,
    )


class Sent(msgspec.Struct, frozen=True):
    """By which ways somebody was told, and why not by the others."""

    told: list[str]
    problems: list[str]


class Pager:
    """Where pages go, as the settings say."""

    def __init__(
        self, webhook_url: str, command: Sequence[str], environ: Mapping[str, str]
    ) -> None:
        self.webhook_url: Final = webhook_url
        self.command: Final = tuple(command)
        self._environ: Final = dict(environ)
        self._commands: Final = Commands()

    def close(self) -> None:
        """End a command that runs, and start none any more: it is not to outlive the daemon."""
        self._commands.close()

    @property
    def reaches(self) -> list[str]:
        return [way for way, there in self._ways() if there]

    def send(self, notice: Notice, *, at: str, test: bool = False) -> Sent:
        """Tell whoever the actions of the rule name, by every way that there is."""
        body = msgspec.json.encode(message(notice, at=at, test=test))
        sent = Sent([], [])
        for way, there in self._ways():
            if not there or not {way, "page"} & set(notice.actions):
                continue
            try:
                self._send_by(way, body)
                sent.told.append(way)
            except (OSError, ValueError, subprocess.SubprocessError, PageFailed) as error:
                sent.problems.append(f"alerts.{_SETTING[way]}: {_reason(error)}")
        return sent

    def _ways(self) -> list[tuple[str, bool]]:
        return [("webhook", bool(self.webhook_url)), ("command", bool(self.command))]

    def _send_by(self, way: str, body: bytes) -> None:
        if way == "webhook":
            post(self.webhook_url, body)
        else:
            self._commands.run(self.command, body, self._environ)


_SETTING: Final = {"webhook": "webhook_url", "command": "command"}


def post(url: str, body: bytes) -> None:
    """Without redirects: a server that moved is said, not followed."""
    import http.client  # only when somebody is told

    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname or "", place.port, timeout=TIMEOUT_S)
    try:
        path = f"{place.path or '/'}{'?' + place.query if place.query else ''}"
        headers = {"Content-Type": "application/json", "User-Agent": "holdfast"}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        said = answer.read(SAID_BYTES_MAX)
    except http.client.HTTPException as error:
        raise PageFailed(f"the server's answer is no HTTP ({error!r})") from error
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise PageFailed(
            f"the server answered {answer.status} {answer.reason}"
            + (f": {text}" if (text := said.decode(errors="replace").strip()) else "")
        )


class Commands:
    """Runs commands, from any thread, and knows those that run."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._running: Final[set[subprocess.Popen[bytes]]] = set()  # each leads a process group
        self._closed = False

    def run(self, command: Sequence[str], body: bytes, environ: Mapping[str, str]) -> None:
        """Without a shell; the message is on its standard input."""
        with self._started(command, environ) as process:
            try:
                _, errors = process.communicate(body, timeout=TIMEOUT_S)
            except BaseException:
                _end(process.pid)
                raise
            finally:
                with self._lock:
                    self._running.discard(process)
        if process.returncode:
            if self._closed:
                raise PageFailed("the daemon stopped before it was done")
            said = errors[:SAID_BYTES_MAX].decode(errors="replace").strip()
            raise PageFailed(
                f"{command[0]} ended with {process.returncode}: {said or 'without a word'}"
            )

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for process in self._running:
                if process.poll() is None:  # else its number may be somebody else's by now
                    _end(process.pid)

    def _started(
        self, command: Sequence[str], environ: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with self._lock:  # so that none is started behind the back of `close`
            if self._closed:
                raise PageFailed("the daemon is stopping")
            process = subprocess.Popen(  # the owner of the config file named it
                command,
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # so that what it starts ends with it
            )
            self._running.add(process)
            return process


def _end(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"did not end within {TIMEOUT_S:g} s and was killed"
    if isinstance(error, FileNotFoundError):
        return f"there is no {error.filename}"
    return str(error) or type(error).__name__


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.1f}".removesuffix(".0")
