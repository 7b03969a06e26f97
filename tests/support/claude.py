"""A Claude Code log for one test: lines in, events out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from holdfast.events import Event
from holdfast.journal.model import Blob, Verdict
from holdfast.sources.agents.claude.parser import ClaudeParser
from holdfast.sources.base import Log

ROOT: Final = "/home/hana/.claude/projects"
PATH: Final = f"{ROOT}/-home-hana-src-tidepool/5e551035-0000-4000-a000-000000000001.jsonl"
LOG: Final = Log("claude", PATH, ROOT, "5e551035-0000-4000-a000-000000000001")


class Blobs:
    """Payloads in a dictionary, for a parser that does not care where they go."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def put(self, payload: bytes) -> Blob:
        digest = hashlib.blake2b(payload, digest_size=20).hexdigest()
        self.stored[digest] = payload
        return Blob(digest, len(payload), len(payload))

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        return self.put(b"".join(chunks))


class Session:
    """Parses lines as they are written, and remembers what came of them."""

    def __init__(self, log: Log = LOG, state: bytes = b"") -> None:
        self.blobs = Blobs()
        self.parser = ClaudeParser(log, state, self.blobs)
        self.events: list[Event] = []
        self.verdicts: list[Verdict] = []
        self._offset = 0

    def read(self, *lines: bytes | dict[str, Any]) -> list[Event]:
        """The events of these lines."""
        new: list[Event] = []
        for given in lines:
            line = given if isinstance(given, bytes) else json.dumps(given).encode()
            line = line.removesuffix(b"\n")
            verdict, events = self.parser.parse(self._offset, line)
            self.verdicts.append(verdict)
            new += events
            self._offset += len(line) + 1
        self.events += new
        return new

    def one(self, line: bytes | dict[str, Any]) -> Event:
        (event,) = self.read(line)
        return event


def data(event: Event) -> Any:
    return msgspec.json.decode(event.data)
