"""Sessions that begin as others did: what a log repeats of them is referred to, not stored twice.

When a conversation is forked, or resumed under a new name, agents copy its beginning into the new
log. Claude Code copies records with their ids; so a record is a repetition if a relative (a session
whose log begins with the same record) holds it under the same id with the same words. Codex names
the session that was forked and copies records without ids; so both are followed side by side, with
room for what only one of them has, until the person says something new.

A fork takes one path through a conversation that may have several. What it repeats is therefore a
list of stretches (`Span`) of its relatives' events, not a number.

Which of two sessions is read first decides which holds the events and which refers to them. Both
are told the same either way, but relatives must not be read at the same time: `family` says who.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO, Final

import zstandard

from holdfast.events import Event, Kind
from holdfast.journal.model import Blob, Facts, Span
from holdfast.journal.protocol import JournalReader
from holdfast.sources.base import LineSource, Log, is_compressed

HEAD_BYTES: Final = 65_536
HEAD_BYTES_MAX: Final = 4_194_304  # of a log whose first record is longer
HEAD_RECORDS_MAX: Final = 64
KIN_EVENTS_MAX: Final = 400_000  # of all relatives; what is beyond is stored again
WINDOW_EVENTS: Final = 16  # what only one of two logs has, where records have no ids
SPANS_MAX: Final = 10_000

Place = tuple[str, int]  # session, seq


class _NoBlobs:
    """The beginning is read for its names only."""

    def put(self, payload: bytes) -> Blob:
        return Blob("", len(payload), 0)

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        return Blob("", sum(map(len, chunks)), 0)


def peek(source: LineSource, log: Log) -> Facts:
    """What the first records of a log say of its session."""
    parser = source.parser(log, b"", _NoBlobs())
    offset = 0
    for line in _head(log.path)[:HEAD_RECORDS_MAX]:
        parser.parse(offset, line)
        if parser.facts.first_uuid or parser.facts.forked_from:
            break
        offset += len(line) + 1
    return parser.facts


def _head(path: str) -> list[bytes]:
    return beginning(path).split(b"\n")


def beginning(path: str) -> bytes:
    """What a log begins with, compressed or not; more of it when its first line is long."""
    if is_compressed(path):
        with open(path, "rb") as file:
            return _decompressed(file)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        head = os.pread(fd, HEAD_BYTES, 0)
        if b"\n" not in head and len(head) == HEAD_BYTES:
            head = os.pread(fd, HEAD_BYTES_MAX, 0)
    finally:
        os.close(fd)
    return head


def _decompressed(file: BinaryIO) -> bytes:
    """Of a compressed log; nothing of one that is damaged: reading it says so."""
    head = b""
    with suppress(zstandard.ZstdError), zstandard.ZstdDecompressor().stream_reader(file) as whole:
        while len(head) < HEAD_BYTES_MAX and (b"\n" not in head or len(head) < HEAD_BYTES):
            chunk = whole.read(HEAD_BYTES)
            if not chunk:
                break
            head += chunk
    return head


def is_settled(facts: Facts) -> bool:
    """Whether enough of a log was read to know if it repeats another one."""
    return bool(facts.first_uuid or facts.forked_from or facts.title)


def family(facts: Facts) -> str:
    """Logs of one family are read one after the other."""
    return f"family {facts.first_uuid or facts.forked_from or facts.id}"


def relatives(facts: Facts, reader: JournalReader) -> list[str]:
    """Stored sessions whose events this one may repeat, in the order in which they are asked."""
    found: dict[str, None] = {}
    if facts.forked_from:
        found |= dict.fromkeys([span.source for span in reader.lineage(facts.forked_from)])
        found[facts.forked_from] = None
    if facts.first_uuid:
        found |= dict.fromkeys(reader.beginning_with(facts.agent, facts.first_uuid))
    found.pop(facts.id, None)
    return [session for session in found if reader.session(session) is not None]


class Kin:
    """What the relatives of a session hold, and how far a log was followed through it."""

    def __init__(
        self, events: Iterable[Event], inherited: Iterable[Span], *, has_own_words: bool
    ) -> None:
        self._named: dict[bytes, deque[Place]] = {}
        self._unnamed: list[tuple[bytes, Place]] = []
        for number, event in enumerate(events):
            if number >= KIN_EVENTS_MAX:
                break
            place = (event.session, event.seq)
            if event.source is not None and event.source.uuid:
                self._named.setdefault(_key(event), deque()).append(place)
            else:
                self._unnamed.append((_key(event), place))
        self._inherited = list(inherited)  # from an earlier reading of the log
        self._spans: list[Span] = []
        self._spans_left = SPANS_MAX - len(self._inherited)
        self._next = self._behind(self._inherited)
        self._is_over = has_own_words  # of records without ids

    def repeats(self, event: Event) -> bool:
        """Whether a relative holds the event; then the session refers to it from now on."""
        place = self._place_of(event)
        if place is None:
            return False
        return self._refers_to(place)

    def take_spans(self) -> list[Span]:
        """What the session refers to that it did not before the last call."""
        spans, self._spans = self._spans, []
        return spans

    def _place_of(self, event: Event) -> Place | None:
        key = _key(event)
        if event.source is not None and event.source.uuid:
            places = self._named.get(key)
            return places.popleft() if places else None
        if self._is_over:
            return None
        for ahead in range(self._next, min(self._next + WINDOW_EVENTS, len(self._unnamed))):
            if self._unnamed[ahead][0] == key:
                self._next = ahead + 1
                return self._unnamed[ahead][1]
        if event.kind == Kind.USER:
            self._is_over = True
        return None

    def _refers_to(self, place: Place) -> bool:
        session, seq = place
        for span in self._inherited:
            if span.source == session and span.first_seq <= seq < span.end_seq:
                return True
        last = self._spans[-1] if self._spans else None
        if last is not None and (last.source, last.end_seq) == place:
            self._spans[-1] = Span(session, last.first_seq, seq + 1)
            return True
        self._spans_left -= 1
        if self._spans_left >= 0:
            self._spans.append(Span(session, seq, seq + 1))
        return self._spans_left >= 0

    def _behind(self, spans: list[Span]) -> int:
        """How far records without ids were followed when the reading was broken off."""
        reached = {(span.source, span.end_seq - 1) for span in spans}
        return max(
            (number + 1 for number, (_, place) in enumerate(self._unnamed) if place in reached),
            default=0,
        )


def find_kin(facts: Facts, reader: JournalReader) -> Kin | None:
    """What the relatives of a session hold; None when it has none."""
    found = relatives(facts, reader)
    if not found:
        return None
    events = (event for session in found for event in reader.events(session))
    own = reader.events(facts.id) if reader.session(facts.id) is not None else iter(())
    return Kin(
        events,
        reader.lineage(facts.id),
        has_own_words=any(event.kind == Kind.USER for event in own),
    )


def _key(event: Event) -> bytes:
    """What makes a record a repetition: its id, and its words. When it was written does not."""
    hasher = hashlib.blake2b(digest_size=12)
    for part in (event.source.uuid if event.source else "", event.kind, event.text):
        hasher.update(part.encode("utf-8", "surrogatepass"))
        hasher.update(b"\0")
    hasher.update(event.data)
    return hasher.digest()
