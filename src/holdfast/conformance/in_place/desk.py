"""Where a store is read: its root, the agent that changes it, and a journal."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from holdfast.blobstore import BlobStore
from holdfast.conformance.in_place.sample import Entries, StoreSample
from holdfast.conformance.sample import Nonconformant
from holdfast.errors import HoldfastError
from holdfast.events import Event, session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.items import ItemReading
from holdfast.ingest.plan import Plan, gone, make_job, make_plan, unreadable
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.model import NO_BYTES, Cursor, Ledger, SessionRow
from holdfast.journal.protocol import JournalReader, JournalWriter
from holdfast.privacy import Door
from holdfast.settings import Privacy
from holdfast.sources.base import ItemSource, Log

LIMITS: Final = ReadingLimits(block_bytes=16_384, max_line_bytes=1_048_576)
ITEM_BY_ITEM: Final = ReadingLimits(block_bytes=1, max_line_bytes=1_048_576)

Standing = Counter[tuple[str, str, bytes]]


@cache
def _door() -> Door:
    """As it is by default: what is private or secret in a sample is taken out."""
    return Door.from_settings(Privacy())


class Desk:
    """A store that is changed and read by turns; what came of it so far."""

    def __init__(self, sample: StoreSample, folder: Path, limits: ReadingLimits = LIMITS) -> None:
        self.sample = sample
        self.root = os.path.realpath(folder / "root")
        os.makedirs(self.root, exist_ok=True)
        self.keeper = sample.keeper(Path(self.root))
        self.blobs = BlobStore(str(folder / "blobs"))
        self._limits = limits
        self.forget()

    def forget(self) -> None:
        """The store stays as it is; nobody has read it yet."""
        journal = MemoryJournal()
        self.keep_in(journal.writer(), journal.reader())

    def keep_in(self, writer: JournalWriter, reader: JournalReader) -> None:
        self.source: ItemSource = self.sample.source([self.root])
        self.writer, self.reader = writer, reader
        self.session = session_id(self.source.agent, self.sample.session)
        self.problems: dict[str, str] = {}

    def write(self, entries: Entries) -> None:
        self.keeper.write(entries)

    def catch_up(self, *, stop_after: int | None = None) -> Plan:
        """Plan and read everything once, as an import does; or so many batches, and be killed."""
        self.was_killed = False
        plan = make_plan({self.source.agent: self.source}, self.reader)
        self.problems = dict(plan.problems)
        found = [self.reader.cursor(agent, path) for agent, path in plan.gone]
        self.writer.save_cursors([gone(cursor) for cursor in found if cursor])
        for pending in plan.pending:
            log = identified(self.source, pending.path)
            job = make_job(self.source, log, self.reader)
            stop_after = self._read(log, job.cursor, stop_after)
            if stop_after == 0:
                self.was_killed = True
                break
        return plan

    def read_again(self) -> None:
        """All of each log, as if nobody knew how far it was read, into the same journal."""
        for key in self.log_keys():
            cursor = self.reader.cursor(self.source.agent, key)
            if cursor is not None and not cursor.gone_at:
                cursor = replace(cursor, state=b"", size=0, mtime_ns=0, ledger=NO_BYTES, offset=0)
                self._read(identified(self.source, key), cursor, None)

    def _read(self, log: Log, cursor: Cursor, stop_after: int | None) -> int | None:
        try:
            for batch in self.reading(log, cursor).batches():
                self.writer.write([batch])
                if stop_after is not None:
                    stop_after -= 1
                    if stop_after == 0:
                        return 0
        except FileNotFoundError:
            pass  # it went meanwhile: the next plan says so
        except (OSError, HoldfastError) as error:
            self.problems[log.key] = str(error)
            self.writer.save_cursors([unreadable(log, self.reader, str(error))])
        return stop_after

    def reading(self, log: Log, cursor: Cursor) -> ItemReading:
        row = self.reader.session(cursor.session)
        return ItemReading(
            self.source,
            log,
            cursor,
            first_seq=row.events if row else 0,
            limits=self._limits,
            blobs=self.blobs,
            known=lambda key: self.reader.item(cursor.session, key),
            door=_door(),
        )

    # What came of it.

    def log_keys(self, *more: str) -> list[str]:
        return [os.path.join(self.root, key) for key in (*self.sample.keys, *more)]

    @property
    def row(self) -> SessionRow | None:
        return self.reader.session(self.session)

    @property
    def known(self) -> SessionRow:
        row = self.row
        if row is None:
            raise Nonconformant(f"{self.sample.session} is not in the journal: {self.problems}")
        return row

    @property
    def events(self) -> list[Event]:
        return list(self.reader.events(self.session)) if self.row is not None else []

    @property
    def lines(self) -> bytes:
        return b"".join(self.reader.read(self.session)) if self.row is not None else b""

    @property
    def standing(self) -> Standing:
        return standing(self.events)

    @property
    def said(self) -> Counter[tuple[str, str]]:
        """What stands, whatever else is known of it."""
        said = Counter[tuple[str, str]]()
        for (kind, text, _data), times in self.standing.items():
            said[kind, text] += times
        return said

    @property
    def ledger(self) -> Ledger:
        """Of all logs in the store."""
        total = NO_BYTES
        for key in self.log_keys(*self.sample.logs):
            cursor = self.reader.cursor(self.source.agent, key)
            total = total.plus(cursor.ledger) if cursor is not None else total
        return total

    @property
    def unknown(self) -> Counter[str]:
        return Counter({each.type: each.records for each in self.reader.unknown_types()})


def standing(events: Sequence[Event]) -> Standing:
    """What stands now, and how often: later versions in the places of earlier ones."""
    newest: dict[int, tuple[str, str, bytes]] = {}
    place: dict[int, int] = {}
    for event in events:
        at = event.seq if event.supersedes is None else place.get(event.supersedes, event.seq)
        place[event.seq] = at
        newest[at] = (event.kind, event.text, bytes(event.data))
    return Counter(newest.values())


def anchored(desk: Desk) -> Counter[tuple[str, str]]:
    """What the anchors of its sample add to what stands, wherever they stand."""
    found = []
    for entries in (desk.sample.entries, [*desk.sample.entries, *desk.sample.anchors]):
        desk.write(entries)
        desk.forget()
        desk.catch_up()
        found.append(desk.said)
    return found[1] - found[0]


def identified(source: ItemSource, key: str) -> Log:
    log = source.identify(key)
    if log is None:
        raise Nonconformant(f"{key} is not taken for a log of {source.agent}")
    return log
