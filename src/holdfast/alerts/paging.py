"""Telling somebody outside: a webhook, a command. Both wait, so both belong on a thread.

What is sent says what fires and its figures, never what anybody wrote in a conversation.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from holdfast.alerts.engine import Notice
from holdfast.errors import Exit, HoldfastError

TIMEOUT_S: Final = 10.0
SAID_BYTES_MAX: Final = 500  # of what a failing command or server answers


class PageFailed(HoldfastError):
    """Nobody was told."""

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


class Pager:
    """Where pages go, as the settings say."""

    def __init__(
        self, webhook_url: str, command: Sequence[str], environ: Mapping[str, str]
    ) -> None:
        self.webhook_url: Final = webhook_url
        self.command: Final = tuple(command)
        self._environ: Final = dict(environ)

    @property
    def reaches(self) -> list[str]:
        return [way for way, there in self._ways() if there]

    def send(self, notice: Notice, *, at: str, test: bool = False) -> list[str]:
        """Tell whoever the actions of the rule name; by which ways. Raises `PageFailed`."""
        body = msgspec.json.encode(message(notice, at=at, test=test))
        told, failures = [], []
        for way, there in self._ways():
            if not there or not {way, "page"} & set(notice.actions):
                continue
            try:
                self._send_by(way, body)
                told.append(way)
            except (OSError, ValueError, subprocess.SubprocessError, PageFailed) as error:
                failures.append(f"alerts.{_SETTING[way]}: {_reason(error)}")
        if failures:
            raise PageFailed("; ".join(failures))
        return told

    def _ways(self) -> list[tuple[str, bool]]:
        return [("webhook", bool(self.webhook_url)), ("command", bool(self.command))]

    def _send_by(self, way: str, body: bytes) -> None:
        if way == "webhook":
            post(self.webhook_url, body)
        else:
            run(self.command, body, self._environ)


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
            f"the server answered {answer.status} {answer.reason}: "
            f"{said.decode(errors='replace').strip()}"
        )


def run(command: Sequence[str], body: bytes, environ: Mapping[str, str]) -> None:
    """Without a shell; the message is on its standard input."""
    done = subprocess.run(  # the owner of the config file named it
        command,
        input=body,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        said = done.stderr[:SAID_BYTES_MAX].decode(errors="replace").strip()
        raise PageFailed(f"{command[0]} ended with {done.returncode}: {said or 'without a word'}")


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"did not end within {TIMEOUT_S:g} s and was killed"
    if isinstance(error, FileNotFoundError):
        return f"there is no {error.filename}"
    return str(error) or type(error).__name__


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.1f}".removesuffix(".0")
