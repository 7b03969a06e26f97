"""Ten events onto a long session and onto a short one: journalled, then shown, as the tail does it.

Long, short and the ceiling take turns, so that whatever else the machine does falls on all three.
There is no pause between them: an append meets the index of the one before, which is fed behind it.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw
import uvloop
from msgspec.structs import replace

from bench.kit.corpora import BLOCK_BYTES, events_of
from bench.kit.figures import Bar, Ceiling, Outcome, p50, p99, row
from bench.kit.homes import fresh_home
from bench.kit.setting import Setting
from holdfast import blocks
from holdfast.errors import HoldfastError
from holdfast.events import Event, encode_onto, event_id, session_id
from holdfast.journal.index import text_of
from holdfast.journal.model import Batch, Cursor, Facts
from holdfast.journal.service import JournalService
from holdfast.settings import load
from holdfast.snapshots import SessionStore, StoreLimits
from holdfast.wiring import open_journal

TITLE: Final = "Ten events appended to a session: in the journal, then in memory"

APPENDED: Final = 10
SHORT_SHARE: Final = 10  # the short session has one tenth of the long one's events
SESSIONS: Final = 10  # of each length, so that none grows much while it is measured
ROUNDS: Final = 400
BUDGET_BYTES: Final = 1 << 30


class _Session:
    """One session that grows: its events in memory, its facts and cursor as the tail keeps them."""

    def __init__(self, name: str, events: list[Event], last: Batch) -> None:
        assert last.cursor is not None
        self.id = session_id("claude", name)
        self.facts: Facts = replace(last.facts, id=self.id, agent_session_id=name)
        self.cursor: Cursor = replace(last.cursor, path=f"/bench/{name}.jsonl", session=self.id)
        self.next_seq = 0
        self._events = events

    def take(self, count: int) -> list[Event]:
        """The next events, made this session's own."""
        first, self.next_seq = self.next_seq, self.next_seq + count
        return [
            replace(
                self._events[seq % len(self._events)],
                session=self.id,
                seq=seq,
                id=event_id(self.id, 0, seq * 1_000, 0),
            )
            for seq in range(first, first + count)
        ]


def run(setting: Setting) -> Outcome:
    long = setting.corpora.long
    events, last = events_of(long)
    short_events = long.events // SHORT_SHARE
    count = setting.count(SESSIONS)
    with fresh_home(setting, long.root) as home:
        home.paths.ensure_dirs()
        settings = load(None, home.environ).settings
        journal = open_journal(settings, home.paths, _fail)
        raw = _RawInserts(home.path / "raw.db")
        try:
            bench = _Appends(journal, raw)
            longs = [bench.add(f"long-{number}", events, last) for number in range(count)]
            shorts = [
                bench.add(f"short-{number}", events[:short_events], last) for number in range(count)
            ]
            times = uvloop.run(bench.measure(longs, shorts, setting.count(ROUNDS, least=20)))
        finally:
            journal.close()
            raw.close()
    long_p50, short_p50 = p50(times.long), p50(times.short)
    raw_ceiling = Ceiling(p50(times.raw), "one INSERT of the same bytes, one commit")
    return Outcome(
        rows=[
            row(
                f"p50 at {long.events:,} events",
                long_p50,
                "ms",
                ceiling=raw_ceiling,
                bar=Bar(most=1.0),
            ),
            row(
                f"p50 at {long.events:,} against {short_events:,} events",
                long_p50,
                "ms",
                ceiling=Ceiling(short_p50, f"p50 at {short_events:,} events"),
                bar=Bar(most=1.5, on="ratio"),
            ),
            row(f"p99 at {long.events:,} events", p99(times.long), "ms"),
        ],
        corpus=(
            f"{count} sessions of {long.events:,} events and {count} of {short_events:,}, from a "
            f"generated log of {long.bytes / 1e6:,.1f} MB of the design's distribution; "
            f"{len(times.long):,} appends of each, {times.bytes_each:,.0f} B on average"
        ),
        notes=[
            (
                "The time is from ten event objects to their bytes in the journal's commit and in "
                "the session store; `synchronous=NORMAL`, as for whatever a log can give again."
            ),
        ],
    )


class _Times:
    """Milliseconds of each append."""

    def __init__(self) -> None:
        self.long: list[float] = []
        self.short: list[float] = []
        self.raw: list[float] = []
        self.bytes_each = 0.0


class _Appends:
    def __init__(self, journal: JournalService, raw: _RawInserts) -> None:
        self._journal = journal
        self._raw = raw
        self._store = SessionStore(StoreLimits(budget_bytes=BUDGET_BYTES))

    def add(self, name: str, events: list[Event], last: Batch) -> _Session:
        """A session with all these events, stored as an import stores them."""
        session = _Session(name, events, last)
        for batch in _sealed(session, len(events)):
            self._journal.submit(batch).result()
            for block in batch.blocks:
                self._store.append_block(session.id, block)
        return session

    async def measure(self, longs: list[_Session], shorts: list[_Session], rounds: int) -> _Times:
        times, appended_bytes = _Times(), 0
        await asyncio.to_thread(self._journal.settle)
        gc.collect()
        gc.freeze()  # as the daemon does
        try:
            for number in range(rounds):
                long, short = longs[number % len(longs)], shorts[number % len(shorts)]
                times.long.append(await self._append(long))
                times.short.append(await self._append(short))
                lines = _lines(long.take(APPENDED))
                long.next_seq -= APPENDED  # only looked at: the journal does not have them
                times.raw.append(self._raw.insert(lines))
                appended_bytes += len(lines)
        finally:
            gc.unfreeze()
            self._store.close()
        times.bytes_each = appended_bytes / rounds
        return times

    async def _append(self, session: _Session) -> float:
        events = session.take(APPENDED)
        began_s = time.perf_counter()
        lines = _lines(events)
        batch = Batch(
            facts=session.facts,
            first_seq=events[0].seq,
            lines=lines,
            line_count=len(events),
            cursor=session.cursor,
            texts=[text for event in events if (text := text_of(event)) is not None],
        )
        await asyncio.wrap_future(self._journal.submit(batch))
        self._store.append(session.id, batch.first_seq, batch.lines, batch.line_count)
        return (time.perf_counter() - began_s) * 1_000


class _RawInserts:
    """The ceiling: the same bytes as a row of the same database, opened the same way."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        for pragma in ("page_size = 16384", "journal_mode = WAL", "synchronous = NORMAL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("CREATE TABLE lines (no INTEGER PRIMARY KEY, lines BLOB) STRICT")

    def insert(self, lines: bytes) -> float:
        began_s = time.perf_counter()
        self._connection.execute("INSERT INTO lines (lines) VALUES (?)", (lines,))
        return (time.perf_counter() - began_s) * 1_000

    def close(self) -> None:
        self._connection.close()


def _sealed(session: _Session, count: int) -> Iterator[Batch]:
    first = 0
    lines = bytearray()
    for seq, event in enumerate(session.take(count)):
        encode_onto(event, lines)
        if len(lines) >= BLOCK_BYTES or seq == count - 1:
            block = blocks.seal(lines, first, seq + 1 - first)
            yield Batch(facts=session.facts, first_seq=first, blocks=[block])
            first = seq + 1
            lines.clear()


def _lines(events: list[Event]) -> bytes:
    lines = bytearray()
    for event in events:
        encode_onto(event, lines)
    return bytes(lines)


def _fail(error: HoldfastError) -> None:
    raise error
