"""A projection of the streams, made of the journal by whoever has a reader: no daemon is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from holdfast.events import STREAM_AGENT, Event, decode_lines
from holdfast.journal.protocol import JournalReader

RUNS_PAGE: Final = 1_000


class Applied(Protocol):
    """As much of a projection as this takes."""

    def apply(self, event: Event) -> None: ...


def bring_up_to_date(reader: JournalReader, projection: Applied, position: int = 1) -> int:
    """Apply what came from `position` on; the position of the first event that it does not know."""
    while runs := reader.runs(position, limit=RUNS_PAGE):
        for run in runs:
            if run.agent == STREAM_AGENT:
                seq = run.first_seq + max(0, position - run.position)
                for event in _events(reader, run.session, seq, run.first_seq + run.count):
                    projection.apply(event)
            position = max(position, run.position + run.count)
    return position


def _events(reader: JournalReader, session: str, seq: int, end: int) -> Iterator[Event]:
    """A damaged block costs itself: `holdfast doctor` names it."""
    for lines in reader.read(session, seq, end, on_damage=lambda *_damage: b""):
        yield from decode_lines(lines)
