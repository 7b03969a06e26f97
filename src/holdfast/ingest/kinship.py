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
from array import array
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO, Final

import zstandard

from holdfast.events import Event, Kind
from holdfast.journal.model import Blob, Facts, Span
from holdfast.journal.protocol import JournalReader
from holdfast.sources.base import LineSource, Log, Source, is_compressed, tells_lines

HEAD_BYTES: Final = 65_536
HEAD_BYTES_MAX: Final = 4_194_304  # of a log whose first record is longer
HEAD_RECORDS_MAX: Final = 64
KIN_EVENTS_MAX: Final = 250_000  # of all relatives; what is beyond is stored again
WINDOW_EVENTS: Final = 16  # what only one of two logs has, where records have no ids
SPANS_MAX: Final = 10_000
RELATIVES_MAX: Final = 1_000

Place = tuple[str, int]  # session, seq


class _NoBlobs:
    """The beginning is read for its names only."""

    def put(self, payload: bytes) -> Blob:
        return Blob("", len(payload), 0)

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        return Blob("", sum(map(len, chunks)), 0)


def peek(source: LineSource, log: Log) -> Facts:
    """What the first records of a log say of its session."""
    facts = _facts(source, log, beginning(log.path, HEAD_BYTES))
    if not facts.first_uuid and not facts.forked_from:  # a long record may stand before it
        facts = _facts(source, log, beginning(log.path, HEAD_BYTES_MAX))
    return facts


def _facts(source: LineSource, log: Log, head: bytes) -> Facts:
    parser = source.parser(log, b"", _NoBlobs())
    offset = 0
    for _ in range(HEAD_RECORDS_MAX):
        end = head.find(b"\n", offset)
        parser.parse(offset, head[offset : end if end >= 0 else len(head)])
        if end < 0 or parser.facts.first_uuid or parser.facts.forked_from:
            break
        offset = end + 1
    return parser.facts


def beginning(path: str, most: int = HEAD_BYTES_MAX) -> bytes:
    """What a log begins with, compressed or not."""
    if is_compressed(path):
        with open(path, "rb") as file:
            return _decompressed(file, most)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.pread(fd, most, 0)
    finally:
        os.close(fd)


def _decompressed(file: BinaryIO, most: int) -> bytes:
    """Of a compressed log; nothing of one that is damaged: reading it says so."""
    head = b""
    with suppress(zstandard.ZstdError), zstandard.ZstdDecompressor().stream_reader(file) as whole:
        while len(head) < most and (chunk := whole.read(min(HEAD_BYTES, most - len(head)))):
            head += chunk
    return head


def is_settled(facts: Facts, events: int) -> bool:
    """Whether enough of a log was read to know if it repeats another one."""
    return bool(facts.first_uuid or facts.forked_from) or events >= HEAD_RECORDS_MAX


def family(facts: Facts) -> str:
    """Logs of one family are read one after the other."""
    return f"family {facts.first_uuid or facts.forked_from or facts.id}"


def facts_if_unread(source: Source, log: Log, reader: JournalReader) -> Facts | None:
    """What a log that was never read says of its session; None of one that repeats nothing."""
    if log.in_place or not tells_lines(source):
        return None
    if reader.cursor(log.agent, log.key) is not None:
        return None
    return peek(source, log)


def unread_family(source: Source, log: Log, reader: JournalReader) -> str:
    """The family of a log that was never read; "" for one that was, or that repeats nothing."""
    facts = facts_if_unread(source, log, reader)
    return "" if facts is None else family(facts)


def relatives(facts: Facts, reader: JournalReader) -> list[str]:
    """Stored sessions whose events this one may repeat, in the order in which they are asked."""
    found: dict[str, None] = {}
    if facts.forked_from:
        found |= dict.fromkeys([span.source for span in reader.lineage(facts.forked_from)])
        found[facts.forked_from] = None
    if facts.first_uuid:
        found |= dict.fromkeys(reader.beginning_with(facts.agent, facts.first_uuid))
    found.pop(facts.id, None)
    there = [session for session in found if reader.session(session) is not None]
    return there[:RELATIVES_MAX]


class Kin:
    """What the relatives of a session hold, and how far a log was followed through it."""

    def __init__(
        self, events: Iterable[Event], inherited: Iterable[Span], *, has_own_words: bool
    ) -> None:
        # Of each key the numbers of its events, newest last: a fork may be of a hundred thousand.
        self._named: dict[bytes, int | list[int]] = {}
        self._unnamed: list[bytes] = []
        self._unnamed_at: list[int] = []
        self._sessions: list[str] = []
        self._whose = array("H")
        self._seqs = array("L")
        for number, event in enumerate(events):
            if number >= KIN_EVENTS_MAX:
                break
            if not self._sessions or self._sessions[-1] != event.session:
                self._sessions.append(event.session)
            self._whose.append(len(self._sessions) - 1)
            self._seqs.append(event.seq)
            key = _key(event)
            if event.source is None or not event.source.uuid:
                self._unnamed.append(key)
                self._unnamed_at.append(number)
                continue
            known = self._named.get(key)
            if known is None:
                self._named[key] = number
            elif isinstance(known, int):
                self._named[key] = [known, number]
            else:
                known.append(number)
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
            return self._next_of(key)
        if self._is_over:
            return None
        for ahead in range(self._next, min(self._next + WINDOW_EVENTS, len(self._unnamed))):
            if self._unnamed[ahead] == key:
                self._next = ahead + 1
                return self._place(self._unnamed_at[ahead])
        if event.kind == Kind.USER:
            self._is_over = True
        return None

    def _next_of(self, key: bytes) -> Place | None:
        """Records of one id may have parts that say the same: each is met once."""
        known = self._named.get(key)
        if known is None:
            return None
        if isinstance(known, int):
            del self._named[key]
            return self._place(known)
        number = known.pop(0)
        if not known:
            del self._named[key]
        return self._place(number)

    def _place(self, number: int) -> Place:
        return self._sessions[self._whose[number]], self._seqs[number]

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
            (
                at + 1
                for at, number in enumerate(self._unnamed_at)
                if self._place(number) in reached
            ),
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
