"""Storing what programs append: numbers, keys, rows. Part of the writer, inside its transactions.

A commit serves all who wait, so what counts is how little each append costs besides: the streams
that were appended to last are remembered with where they end, and all that came for one stream is
stored as one run. Remembering is safe because nobody else writes; whatever undoes a transaction
calls `forget`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Final, NamedTuple

import apsw

from holdfast.clock import instant
from holdfast.events import STREAM_AGENT, stream_id
from holdfast.journal import sqlite
from holdfast.journal.model import Text
from holdfast.journal.streams import (
    Append,
    Appended,
    Committed,
    NewEvent,
    WrongSequence,
    numbered,
)

OPEN_STREAMS_MAX: Final = 1_024  # about 300 bytes each
UPDATED_EVERY_S: Final = 1.0  # the index of times need not be written with every commit


class _Open:
    """Where a stream ends."""

    __slots__ = ("events", "name", "number", "session", "tail_bytes", "updated_s")

    def __init__(self, name: str, number: int, events: int, tail_bytes: int) -> None:
        self.name, self.session, self.number = name, stream_id(name), number
        self.events, self.tail_bytes = events, tail_bytes
        self.updated_s = 0.0


class Stored(NamedTuple):
    """What appending to one stream came to."""

    committed: Committed
    texts: list[Text]


class Appending:
    def __init__(
        self,
        connection: apsw.Connection,
        statements: SimpleNamespace,
        *,
        seal_tail: Callable[[int], int],
        extend_order: Callable[[int, int, int, int], None],
        upsert: Callable[[str, str], tuple[int, int, int]],
        block_bytes: int,
    ) -> None:
        self._connection = connection
        self._q = statements
        self._seal_tail = seal_tail
        self._extend_order = extend_order
        self._upsert = upsert
        self._block_bytes = block_bytes
        self._streams: OrderedDict[str, _Open] = OrderedDict()

    def forget(self) -> None:
        """What is remembered may not be what is stored."""
        self._streams.clear()

    def append(
        self, appends: Sequence[Append], position: int, now_s: float
    ) -> tuple[list[Appended | WrongSequence], list[Stored]]:
        """All that can be stored, from `position` on, and what became of each."""
        outcomes: list[Appended | WrongSequence | None] = [None] * len(appends)
        by_stream: dict[str, list[int]] = {}
        for place, wanted in enumerate(appends):
            by_stream.setdefault(wanted.stream, []).append(place)
        stored = []
        for name, places in by_stream.items():
            stream = self._open(name, instant(now_s))
            first = stream.events
            events: list[NewEvent] = []
            for place in places:
                outcomes[place] = self._take(appends[place], stream, first, position, events, now_s)
            if events:
                stored.append(self._store(stream, events, position, now_s))
                position += len(events)
        return [outcome for outcome in outcomes if outcome is not None], stored

    def _open(self, name: str, at: str) -> _Open:
        stream = self._streams.get(name)
        if stream is not None:
            self._streams.move_to_end(name)
            return stream
        stream = _Open(name, *self._upsert(name, at))
        self._streams[name] = stream
        if len(self._streams) > OPEN_STREAMS_MAX:
            self._streams.popitem(last=False)
        return stream

    def _take(  # the parts of one loop
        self,
        wanted: Append,
        stream: _Open,
        first: int,
        position: int,
        events: list[NewEvent],
        now_s: float,
    ) -> Appended | WrongSequence:
        """Number what is new of it; `events` gathers what is to be stored, in order."""
        seq = first + len(events)
        keys = [event.key for event in wanted.events if event.key]
        known = self._known(stream.number, keys) if keys else {}
        new = wanted.events
        if known:
            new = [event for event in new if event.key not in known]
        if wanted.expected_seq not in (None, seq) and new:
            assert wanted.expected_seq is not None
            return WrongSequence.of(wanted.stream, wanted.expected_seq, seq)
        if keys:
            new = self._keep_keys(stream.number, new, seq, known, int(now_s))
        events.extend(new)
        shift = position - first
        if len(new) == len(wanted.events):
            seqs: Sequence[int] = range(seq, seq + len(new))
            positions: Sequence[int] = range(seq + shift, seq + shift + len(new))
            return Appended(wanted.stream, stream.session, seqs, positions)
        return self._repeated(wanted, stream, known, seq, first, shift)

    def _repeated(  # as above
        self,
        wanted: Append,
        stream: _Open,
        known: dict[str, int],
        seq: int,
        first: int,
        shift: int,
    ) -> Appended:
        """The places of events of which some were there before, perhaps in this transaction."""
        seqs, positions, repeated = [], [], 0
        for event in wanted.events:
            here = known.get(event.key) if event.key else None
            if here is None or here == seq:
                here = seq
                seq += 1
            else:
                repeated += 1
            seqs.append(here)
            if here >= first:  # of this transaction
                positions.append(here + shift)
            else:
                rows = sqlite.select(self._connection, self._q.position_of, (stream.number, here))
                positions.append(rows[0][0])
        return Appended(wanted.stream, stream.session, seqs, positions, repeated)

    def _known(self, number: int, keys: Sequence[str]) -> dict[str, int]:
        known = {}
        for key in keys:
            for (seq,) in self._connection.execute(self._q.get_stream_key, (number, key)):
                known[key] = seq
        return known

    def _keep_keys(
        self, number: int, new: Sequence[NewEvent], seq: int, known: dict[str, int], now_s: int
    ) -> list[NewEvent]:
        """Those of the events that are to be stored: the same key twice in one append is once."""
        kept: list[NewEvent] = []
        rows = []
        for event in new:
            if event.key:
                if event.key in known:
                    continue
                known[event.key] = seq + len(kept)
                rows.append((number, event.key, seq + len(kept), now_s))
            kept.append(event)
        self._connection.executemany(self._q.insert_stream_key, rows)
        return kept

    def _store(
        self, stream: _Open, events: Sequence[NewEvent], position: int, now_s: float
    ) -> Stored:
        first, count, at = stream.events, len(events), instant(now_s)
        lines, texts = numbered(events, stream.name, first, at)
        execute = self._connection.execute
        execute(self._q.insert_tail, (position, stream.number, first, count, lines))
        stored = len(lines)
        stream.tail_bytes += len(lines)
        if stream.tail_bytes >= self._block_bytes:
            stored += self._seal_tail(stream.number)
            stream.tail_bytes = 0
        self._extend_order(stream.number, position, first, count)
        grown = (count, len(lines), stored, stream.tail_bytes)
        if now_s - stream.updated_s >= UPDATED_EVERY_S:
            execute(self._q.update_stream, (*grown, at, stream.number))
            stream.updated_s = now_s
        else:
            execute(self._q.grow_stream, (*grown, stream.number))
        stream.events += count
        return Stored(
            Committed(position, stream.session, STREAM_AGENT, stream.name, first, count, lines),
            texts,
        )
