"""One log whose items are changed in place, as batches for the journal.

Such a log has no place where the new begins: a message gets a result an hour later, a file is
written anew with one word changed, a row is updated. So each item has a name, and the journal
remembers of each what was last stored (`ItemMark`). What is new is appended, what is the same is
passed over, and what changed is appended as an event that `supersedes` the one before it. Nothing
is removed: an item that is gone at the source stays here.

Comparing with the stored events themselves was rejected: finding one event by a name takes an index
that every other session would pay for, and a hash of a name and one of a content are 16 bytes.

Reading can stop after any batch. The marks of what was stored are stored with it, and the cursor of
an unfinished reading has a time that no file has: the next reading begins again and passes over
what is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Final

import msgspec
from msgspec.structs import replace

from holdfast.blobstore import BlobStore
from holdfast.events import Event, Kind, Usage, event_id
from holdfast.ingest.exclusion import is_excluded
from holdfast.ingest.gathering import Gathering, ReadingLimits
from holdfast.journal.model import (
    NO_BYTES,
    NO_USAGE,
    Batch,
    Blob,
    Cursor,
    Facts,
    ItemMark,
    Ledger,
    Verdict,
)
from holdfast.privacy import Door
from holdfast.sources.base import ItemReader, ItemSource, Log, Means

UNFINISHED_NS: Final = -1  # of a cursor: no file was ever written then
NAMES_MAX: Final = 262_144  # that are told apart in one reading
UNSTORED_MAX: Final = 65_536  # more than the batches hold that may be on their way to the journal
_ID_BITS: Final = 48

Known = Callable[[int], ItemMark | None]


class Excluded(Exception):
    """Nothing is kept of the log; `cursor` says why."""

    def __init__(self, cursor: Cursor) -> None:
        super().__init__(cursor.excluded)
        self.cursor = cursor


class CleanBlobs:
    """Puts what is streamed into a payload through the door; the rest comes out of it already."""

    def __init__(self, blobs: BlobStore, door: Door) -> None:
        self._blobs = blobs
        self._door = door

    def put(self, payload: bytes) -> Blob:
        return self._blobs.put(payload)

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        return self._blobs.put_stream(self._door.clean_stream(chunks))

    def keep(self, read: Callable[[], Iterable[bytes]]) -> Blob:
        return self._blobs.keep(lambda: self._door.clean_stream(read()))


class _State(msgspec.Struct, array_like=True):
    """Of a log, what the next reading needs."""

    turn: int
    reader: bytes


class ItemReading:
    """Reads one log once: all of it, or what its reader says may have changed."""

    def __init__(
        self,
        source: ItemSource,
        log: Log,
        cursor: Cursor,
        *,
        first_seq: int,
        limits: ReadingLimits,
        blobs: BlobStore,
        known: Known,
        door: Door,
        excluded: Sequence[str] = (),
        sealed: bool = False,
    ) -> None:
        self._cursor = cursor
        self._door = door
        self._excluded = excluded
        self._before = msgspec.msgpack.decode(cursor.state, type=_State) if cursor.state else None
        self._turn = self._before.turn if self._before else 0
        self._known = known
        self._names: dict[int, int] = {}  # of this reading, and how often each came
        self._unstored: dict[int, ItemMark] = {}  # maybe, of what is known by name and content
        self._is_large = first_seq >= NAMES_MAX  # some may be known by name and content
        self._unknown: dict[str, tuple[int, int]] = {}
        means = Means(CleanBlobs(blobs, door), door.clean, limits.max_line_bytes)
        self._reader: ItemReader = source.reader(
            log, self._before.reader if self._before else b"", means
        )
        self._ledger = NO_BYTES if self._reader.starts_over else cursor.ledger  # before this
        self._counts: dict[Verdict, int] = dict.fromkeys(("parsed", "skipped", "unknown", "bad"), 0)
        self._gathering = Gathering(first_seq, limits.block_bytes, blobs, sealed=sealed)

    def batches(self) -> Iterator[Batch]:
        """Batches of about a block, then one with the rest and the cursor at the end."""
        with closing(self._reader) as reader:
            for read in reader.read():
                self._refuse_excluded(reader.facts)
                self._counts[read.verdict] += read.size
                new = [event for event in read.events if self._take(event)]
                if reader.unknown:
                    self._note_unknown(is_new=bool(new))
                if self._gathering.is_full:
                    yield self._batch(finished=False)
            yield self._batch(finished=True)

    def _refuse_excluded(self, facts: Facts) -> None:
        """Before anything is stored: where a session belongs is known with its first item."""
        for project in (facts.cwd, facts.project) if self._excluded else ():
            if project and is_excluded(project, self._excluded):
                stamp = self._reader.stamp
                raise Excluded(
                    replace(
                        self._cursor,
                        size=stamp.size,
                        mtime_ns=stamp.mtime_ns,
                        gone_at="",
                        error="",
                        excluded=project,
                    )
                )

    def _note_unknown(self, *, is_new: bool) -> None:
        """What is read again and again is counted once."""
        counts = self._reader.unknown
        for name, (records, size) in counts.items() if is_new else ():
            before = self._unknown.get(name, (0, 0))
            self._unknown[name] = (before[0] + records, before[1] + size)
        counts.clear()

    def _take(self, event: Event) -> bool:
        """Whether there is something new in it."""
        spent = event.usage or NO_USAGE
        digest = content_key(event)
        key, mark = self._identified(event, digest)
        if mark is None:
            if event.kind == Kind.USER and not event.sidechain:
                self._turn += 1
            event.turn = self._turn
            counted, version = spent, 0
        else:
            self._turn = max(self._turn, mark.turn)
            counted = _larger(mark.usage, spent)
            if digest == mark.digest and counted == mark.usage:
                return False
            event.turn, event.supersedes = mark.turn, mark.seq
            version = mark.version + 1
        added = _difference(counted, mark.usage) if mark else counted
        event.usage = added if added != NO_USAGE else None
        part = key & ((1 << _ID_BITS) - 1)
        event.id = event_id(event.session, self._cursor.origin, part, version)
        self._gathering.add(event)
        facts = self._reader.facts  # a part may have a later time than its item says
        facts.updated_at = max(facts.updated_at, event.at)
        mark = ItemMark(key, digest, event.seq, event.turn, version, counted)
        self._gathering.items.append(mark)
        if len(self._names) >= NAMES_MAX:
            self._unstored[key] = mark
            if len(self._unstored) > UNSTORED_MAX:
                del self._unstored[next(iter(self._unstored))]
        return True

    def _identified(self, event: Event, digest: int) -> tuple[int, ItemMark | None]:
        """By its name. What a log holds twice under one name is two items, not two versions.

        Of names beyond `NAMES_MAX` nobody knows whether they came before, and a second item would
        be stored as a version of the first one, and the first as one of the second, at each
        reading. So these are known by name and content: what changes is kept beside what it was.
        """
        assert event.source is not None
        name = event.source.uuid
        key = name_key(name)
        times = self._names.get(key, 0)
        is_told_apart = times > 0 or len(self._names) < NAMES_MAX
        if is_told_apart:
            self._names[key] = times + 1
            key = name_key(f"{name}#{times + 1}") if times else key
        mark = self._known(key)
        if mark is not None and (is_told_apart or mark.digest == digest):
            return key, mark
        if is_told_apart and not self._is_large:
            return key, None
        with_content = name_key(f"{name}\0{digest}")
        mark = self._known(with_content) or self._unstored.get(with_content)
        return (key, None) if is_told_apart and mark is None else (with_content, mark)

    def _batch(self, *, finished: bool) -> Batch:
        counts = self._counts
        ledger = self._ledger
        if finished or self._reader.starts_over:  # else what is read again would count twice
            ledger = ledger.plus(
                Ledger(counts["parsed"], counts["skipped"], counts["unknown"], counts["bad"])
            )
        stamp = self._reader.stamp
        if finished:
            size, mtime_ns, state = stamp.size, stamp.mtime_ns, self._reader.state()
        else:
            size, mtime_ns = ledger.consumed, UNFINISHED_NS
            state = self._before.reader if self._before else b""
        self._cursor = replace(
            self._cursor,
            offset=max(size, ledger.consumed),  # for whoever shows how far an import is
            size=size,
            mtime_ns=mtime_ns,
            ledger=ledger,
            state=msgspec.msgpack.encode(_State(self._turn, state)),
            compare_until=0,
            gone_at="",
            error="",
            excluded="",
        )
        batch = self._gathering.batch(self._reader.facts, self._cursor, self._unknown)
        batch.redacted = self._door.take_found()
        return batch


def name_key(name: str) -> int:
    return _hash(name.encode("utf-8", "surrogatepass"))


def content_key(event: Event) -> int:
    """What makes a later version of an item another one; when it was changed does not."""
    return _hash(event.kind.encode(), event.text.encode("utf-8", "surrogatepass"), event.data)


def _hash(*parts: bytes | msgspec.Raw) -> int:
    """64 bits, as SQLite stores them."""
    hasher = hashlib.blake2b(digest_size=8)
    for part in parts:
        hasher.update(part)
        hasher.update(b"\0")
    return int.from_bytes(hasher.digest(), "big", signed=True)


def _larger(one: Usage, other: Usage) -> Usage:
    return Usage(
        max(one.input, other.input),
        max(one.output, other.output),
        max(one.cache_read, other.cache_read),
        max(one.cache_write, other.cache_write),
    )


def _difference(more: Usage, less: Usage) -> Usage:
    return Usage(
        more.input - less.input,
        more.output - less.output,
        more.cache_read - less.cache_read,
        more.cache_write - less.cache_write,
    )
