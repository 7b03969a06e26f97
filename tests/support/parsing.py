"""A parser of any agent for one test: records in, events out."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from holdfast.events import Event, Usage
from holdfast.journal.model import NO_USAGE, Verdict
from holdfast.sources.base import LineSource
from tests.support.claude import Blobs

Line = bytes | dict[str, Any]


class Parsed:
    """Parses lines as they are written, and remembers what came of them."""

    def __init__(self, source: LineSource, path: str, state: bytes = b"") -> None:
        log = source.identify(path)
        assert log is not None, path
        self.blobs = Blobs()
        self.parser = source.parser(log, state, self.blobs)
        self.events: list[Event] = []
        self.verdicts: list[Verdict] = []
        self._offset = 0

    def read(self, *lines: Line) -> list[Event]:
        """The events of these lines."""
        new: list[Event] = []
        for given in lines:
            line = given if isinstance(given, bytes) else json.dumps(given).encode()
            verdict, events = self.parser.parse(self._offset, line)
            self.verdicts.append(verdict)
            new += events
            self._offset += len(line) + 1
        self.events += new
        return new

    def one(self, line: Line) -> Event:
        (event,) = self.read(line)
        return event

    @property
    def usage(self) -> Usage:
        spent = [event.usage or NO_USAGE for event in self.events]
        return Usage(
            sum(each.input for each in spent),
            sum(each.output for each in spent),
            sum(each.cache_read for each in spent),
            sum(each.cache_write for each in spent),
        )


def data(event: Event) -> Any:
    return msgspec.json.decode(event.data)
