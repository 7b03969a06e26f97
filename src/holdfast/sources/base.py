"""What a source is: one small module per agent that finds logs and turns records into events.

A parser sees one record at a time and keeps what it must remember in a small state, so that reading
can stop after any record and go on in another process. It never decides what to do with bytes: the
caller counts them by the verdict that the parser gives.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec

from holdfast.events import Event
from holdfast.journal.model import Blob, Facts, Verdict

_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9]")


class Log(msgspec.Struct, frozen=True):
    """One log file, and whose it is."""

    agent: str
    path: str
    root: str
    agent_session_id: str
    parent: str = ""  # the agent's id of the session that started this one

    @property
    def relative(self) -> str:
        return self.path[len(self.root) :].lstrip("/")


def is_utf8_path(path: str) -> bool:
    """Names that are no text cannot be stored as such, nor be told to anybody."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def first_text(head: bytes, field: str) -> str:
    """The first text that a line of JSON gives a field, "" when none does."""
    for line in head.split(b"\n"):
        if b'"' + field.encode() + b'"' not in line:
            continue
        try:
            value = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).get(field)
            text = msgspec.json.decode(value, type=str) if value is not None else ""
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if text:
            return text
    return ""


def folded(path: str) -> str:
    """A path as the name of one folder: agents replace what is neither letter nor digit."""
    return _NOT_PLAIN.sub("-", path)


class BlobSink(Protocol):
    """Where a parser puts a payload that is too large for an event."""

    def put(self, payload: bytes) -> Blob: ...


class Parser(Protocol):
    """Reads the records of one log in order."""

    facts: Facts
    unknown: dict[str, tuple[int, int]]  # unknown record types so far: records, bytes

    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        """The events of one record, without id and seq: the caller numbers them."""
        ...

    def state(self) -> bytes:
        """What another parser of this log needs to read on from here."""
        ...


class Source(Protocol):
    agent: str

    def roots(self) -> list[str]:
        """Folders to watch, whether they exist or not."""
        ...

    def suffixes(self) -> tuple[str, ...]:
        """How the names of logs end: what else lies there is not looked at."""
        ...

    def identify(self, path: str) -> Log | None:
        """The log at a path below a root; None when the path is none of this source's logs."""
        ...

    def projects_of(self, log: Log, head: bytes) -> list[str]:
        """The project of a log as far as its beginning and its place tell: for exclusion.

        A whole path, or the name of a folder that a path was made into.
        """
        ...

    def parser(self, log: Log, state: bytes, blobs: BlobSink) -> Parser:
        """A parser for a log, from its beginning or from an earlier state."""
        ...
