"""A projection of the streams, made of the journal by whoever has a reader: no daemon is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from holdfast.events import STREAM_AGENT, Event, decode_lines
from holdfast.journal.protocol import JournalReader

RUNS_PAGE: Final = 1_000


class Replayed(Protocol):
    """As much of a projection as this takes."""

    @property
    def name(self) -> str: ...

    def apply(self, event: Event) -> None: ...
    def load(self, content: bytes) -> None: ...


def bring_up_to_date(reader: JournalReader, projection: Replayed) -> int:
    """From the state that was kept last, if it can be read, and what came behind it.

    Returns the position of the first event that it does not know.
    """
    position = 1
    if kept := reader.projection(projection.name):
        try:
            projection.load(kept.state)
            position = kept.position
        except msgspec.DecodeError:
            position = 1  # of another version: all of it is in the log
    for event, behind in stream_events(reader, position):
        projection.apply(event)
        position = behind
    return position


def stream_events(reader: JournalReader, position: int) -> Iterator[tuple[Event, int]]:
    """The events of all streams in the order of the log, each with the position behind it."""
    while runs := reader.runs(position, limit=RUNS_PAGE):
        for run in runs:
            first = max(0, position - run.position)
            if run.agent == STREAM_AGENT:
                seq, end = run.first_seq + first, run.first_seq + run.count
                for lines in reader.read(run.session, seq, end):
                    for event in decode_lines(lines):
                        yield event, run.position + event.seq - run.first_seq + 1
            position = run.position + run.count
