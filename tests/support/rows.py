"""An agent's database and what is kept of it, read as ingest does but without processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from holdfast.blobstore import BlobStore
from holdfast.events import Event, Usage, decode_lines, session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.items import ItemReading
from holdfast.ingest.plan import is_changed
from holdfast.ingest.reading import starting_cursor
from holdfast.journal.model import NO_USAGE, Batch, Cursor, Facts, ItemMark, Ledger
from holdfast.sources.base import ItemSource, Log
from tests.support.doors import door

MAX_ITEM_BYTES: Final = 100_000


class Kept:
    """What was stored of each session, and how often anything was read for it."""

    def __init__(self, source: ItemSource, folder: Path) -> None:
        self.source = source
        self.blobs = BlobStore(str(folder / "blobs"))
        self.cursors: dict[str, Cursor] = {}
        self.facts: dict[str, Facts] = {}
        self.usage: dict[str, Usage] = {}
        self.unknown: dict[str, int] = {}
        self._events: dict[str, list[Event]] = {}
        self._marks: dict[str, dict[int, ItemMark]] = {}

    def catch_up(self, store: str, since_ns: int = 0) -> list[str]:
        """The logs that had something to read, all of it read."""
        changed = []
        for log, stamp in self.source.logs(store, since_ns):
            if is_changed(self.cursors.get(log.key), stamp):
                changed.append(log.agent_session_id)
                self.read(log)
        return changed

    def read(self, log: Log, *, stop_after: Callable[[int], bool] = lambda _count: False) -> None:
        """`stop_after` so many batches: as if the process had been killed behind it."""
        name = log.agent_session_id
        events = self._events.setdefault(name, [])
        marks = self._marks.setdefault(name, {})
        session = session_id(log.agent, name)
        reading = ItemReading(
            self.source,
            log,
            self.cursors.get(log.key) or starting_cursor(log, session, len(self.cursors)),
            first_seq=len(events),
            limits=ReadingLimits(block_bytes=4_096, max_line_bytes=MAX_ITEM_BYTES),
            blobs=self.blobs,
            known=dict(marks).get,
            door=door(),
        )
        for number, batch in enumerate(reading.batches()):
            self._store(name, batch)
            events += decode_lines(batch.lines)
            marks |= {mark.key: mark for mark in batch.items}
            if stop_after(number):
                return

    def _store(self, name: str, batch: Batch) -> None:
        assert batch.cursor is not None
        self.cursors[batch.cursor.path] = batch.cursor
        self.facts[name] = batch.facts
        self.usage[name] = self.usage.get(name, NO_USAGE).plus(batch.usage)
        for kind, (records, _size) in batch.unknown_types.items():
            self.unknown[kind] = self.unknown.get(kind, 0) + records

    def events(self, name: str) -> list[Event]:
        return self._events.get(name, [])

    def said(self, name: str) -> list[tuple[str, str]]:
        """What stands now: later versions in the places of earlier ones."""
        standing: dict[int, tuple[str, str]] = {}
        place: dict[int, int] = {}
        for event in self.events(name):
            at = (
                place.get(event.supersedes, event.seq)
                if event.supersedes is not None
                else event.seq
            )
            place[event.seq] = at
            standing[at] = (event.kind, event.text)
        return [standing[at] for at in sorted(standing)]

    def ledger(self, key: str) -> Ledger:
        return self.cursors[key].ledger
