"""One log, from its cursor on, as batches for the journal. The heart of ingest, without I/O policy.

The same reading runs in import children (it gives sealed blocks) and in the daemon's tail (it gives
lines). Each batch carries the cursor that is true once the batch is stored, so the journal commits
both or neither, and reading resumes after any crash at a byte that it knows.

A log that was rewritten is read again from its beginning as another incarnation (`origin`): events
whose content the session already has are passed over, the rest is appended. Nothing is removed:
deletion at the source never deletes here. How far it may repeat what is known cannot be told from
its size now, for whoever rewrites it may not be done: comparing goes on to where the old one ended,
and then for as long as it finds something.

What is read of a file does not depend on where it happened to end each time it was looked at. So a
last line without its newline is read only if it is a whole record, and two records on one line are
two wherever the line was cut.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from holdfast.blobstore import BlobStore
from holdfast.events import Event, Kind, Origin, event_id, origin_of
from holdfast.ingest.gathering import TEXTS_BYTES_MAX, Gathering, ReadingLimits
from holdfast.ingest.kinship import Kin
from holdfast.ingest.lines import Lines, Torn, read_lines, read_range
from holdfast.journal.model import NO_BYTES, Batch, Cursor, Ledger, Verdict
from holdfast.privacy import Door
from holdfast.sources.base import LineSource, Log, Parser
from holdfast.sources.mending import SPACE, pieces

HEAD_BYTES: Final = 4_096
EDGE_BYTES: Final = 256
DIGEST_BYTES: Final = 12
PREVIEW_BYTES: Final = 512
OVERSIZED_HEAD_BYTES: Final = 65_536  # of a line over the cap, what its parser may look at
COMPARE_AHEAD_BYTES: Final = 65_536  # behind what was found last: there may be more that is known
OVERSIZED_TYPE: Final = "(line over the cap)"

Known = Counter[bytes]


def starting_cursor(log: Log, session: str, origin: int = 0) -> Cursor:
    return Cursor(agent=log.agent, path=log.key, session=session, origin=origin)


def was_rewritten(fd: int, cursor: Cursor, size: int) -> bool:
    """Whether what was read of a file is no longer what stands there."""
    if size < cursor.offset:
        return True
    if cursor.head_bytes and _digest(os.pread(fd, cursor.head_bytes, 0)) != cursor.head:
        return True
    return bool(cursor.edge) and _edge(fd, cursor.offset) != cursor.edge


def content_digest(event: Event) -> bytes:
    """What makes two events of a rewritten log the same one."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in (event.kind, event.at, event.text):
        hasher.update(part.encode("utf-8", "surrogatepass"))
        hasher.update(b"\0")
    hasher.update(event.data)
    return hasher.digest()


def known_contents(events: Iterable[Event], *, but_origin: int) -> Known:
    """What a session has from readings other than the one that goes on."""
    return Counter(content_digest(event) for event in events if origin_of(event.id) != but_origin)


class Reading:
    """Reads one log once, from `cursor` to where the file ends now."""

    def __init__(
        self,
        source: LineSource,
        log: Log,
        cursor: Cursor,
        *,
        first_seq: int,
        limits: ReadingLimits,
        blobs: BlobStore,
        door: Door,
        known: Known | None = None,
        kin: Kin | None = None,
        sealed: bool = False,
    ) -> None:
        self._log = log
        self._cursor = cursor
        self._limits = limits
        self._blobs = blobs
        self._door = door
        self._suspect = True  # whether what is read now must go through the door by itself
        self._known = known or Known()
        self._known_left = self._known.total()
        self._kin = kin
        self._record_bytes = 0  # of the record that is being taken
        self._compare_until = cursor.compare_until
        self._parser: Parser = source.parser(log, cursor.state, blobs)
        self._offset = cursor.offset
        self._seen = 0  # up to here the file was looked at; behind `_offset` is a torn line
        self._ledger: Ledger = cursor.ledger
        self._counts: dict[Verdict, int] = dict.fromkeys(("parsed", "skipped", "unknown", "bad"), 0)
        self._open_verdict = cursor.open_verdict
        self._gathering = Gathering(first_seq, limits.block_bytes, blobs, sealed=sealed)

    def batches(self, fd: int) -> Iterator[Batch]:
        """Batches of about a block, then one with the rest and the cursor at the end."""
        suspects = self._door.suspects
        for found in read_lines(fd, self._offset, self._limits.max_line_bytes, suspects):
            if isinstance(found, Lines):
                self._suspect = found.suspect
                gathering, block_bytes = self._gathering, self._limits.block_bytes
                lines = gathering.lines
                for content in found.contents:
                    self._whole(fd, content)
                    if len(lines) >= block_bytes or gathering.text_bytes > TEXTS_BYTES_MAX:
                        yield self._batch(fd)
            elif isinstance(found, Torn):
                self._suspect = True
                self._seen = found.offset + len(found.content)
                self._torn(found.content)
            elif found.whole:
                self._oversized(fd, found.offset, found.length)
                yield self._batch(fd)
            else:
                self._seen = found.offset + found.length
        yield self._batch(fd)

    def _whole(self, fd: int, content: bytes) -> None:
        if len(content) > self._limits.max_line_bytes:
            self._oversized(fd, self._offset, len(content))
            return
        if self._open_verdict is not None:
            before, self._open_verdict = self._open_verdict, None
            if not content.strip(SPACE):
                self._count(before, len(content) + 1)  # the end of the line whose record was read
                return
        verdict = self._take(content)
        if verdict != "bad":
            self._counts[verdict] += len(content) + 1  # not `_count`: this runs for every line
            self._offset += len(content) + 1
            return
        for piece in pieces(content, rescue=True):
            verdict = self._take(piece)
            self._count(verdict, len(piece))
        self._count(verdict, 1)

    def _torn(self, content: bytes) -> None:
        """The end of the file without a newline: whole records are read now, the rest waits."""
        content = content.rstrip(SPACE)
        if not content.endswith(b"}"):
            return
        for piece in pieces(content, rescue=False):
            verdict = self._take(piece)
            if verdict == "bad":
                return
            self._count(verdict, len(piece))
            self._open_verdict = verdict

    def _take(self, content: bytes) -> Verdict:
        """The events of what may be a record; the caller counts its bytes as the log has them."""
        offset = self._offset
        self._record_bytes = len(content)
        if self._suspect:
            content = self._door.clean(content)
        verdict, events = self._parser.parse(offset, content)
        part = 0
        for event in events:
            self._add(event, offset, part)
            part += 1  # noqa: SIM113  # most lines have one event: counting by hand costs less
        return verdict

    def _count(self, verdict: Verdict, size: int) -> None:
        self._counts[verdict] += size
        self._offset += size

    def _add(self, event: Event, offset: int, part: int) -> None:
        if offset < self._compare_until and (
            self._is_known(event, offset) or self._is_of_kin(event, offset)
        ):
            return
        event.id = event_id(event.session, self._cursor.origin, offset, part)
        self._gathering.add(event)

    def _is_known(self, event: Event, offset: int) -> bool:
        digest = content_digest(event)
        if not self._known[digest]:
            return False
        self._known[digest] -= 1
        self._known_left -= 1
        if self._known_left or self._kin is not None:
            self._compare_further(offset)
        else:
            self._compare_until = 0
        return True

    def _is_of_kin(self, event: Event, offset: int) -> bool:
        if self._kin is None or not self._kin.repeats(event):
            return False
        self._compare_further(offset)
        return True

    def _compare_further(self, offset: int) -> None:
        end = offset + self._record_bytes
        self._compare_until = max(self._compare_until, end + COMPARE_AHEAD_BYTES)

    def _oversized(self, fd: int, offset: int, length: int) -> None:
        """A line over the cap: what its parser knows of it, else a blob, by streaming."""
        head = self._door.clean(os.pread(fd, min(OVERSIZED_HEAD_BYTES, length), offset))
        self._open_verdict = None
        told = self._parser.oversized(offset, head, length)
        if told is not None:
            verdict, events = told
            for part, event in enumerate(events):
                self._add(event, offset, part)
            self._count(verdict, length + 1)
            return
        preview = bytearray()

        def seen(chunks: Iterator[bytes]) -> Iterator[bytes]:
            for chunk in chunks:
                preview.extend(chunk[: PREVIEW_BYTES - len(preview)])
                yield chunk

        clean = self._door.clean_stream(read_range(fd, offset, length))
        blob = self._blobs.put_stream(seen(clean))
        about = {
            "type": OVERSIZED_TYPE,
            "bytes": blob.bytes,
            "blob": blob.digest,
            "preview": preview.decode("utf-8", "replace"),
        }
        facts = self._parser.facts
        event = Event(
            id="",
            session=facts.id,
            seq=-1,
            kind=Kind.PROVIDER_RAW,
            at=facts.updated_at,
            text=f"[a line of {length:,} bytes]",
            data=msgspec.Raw(msgspec.json.encode(about)),
            source=Origin(self._log.agent, self._log.relative, offset),
            actor="system",
        )
        self._add(event, offset, 0)
        records, size = self._parser.unknown.get(OVERSIZED_TYPE, (0, 0))
        self._parser.unknown[OVERSIZED_TYPE] = (records + 1, size + length)
        self._count("unknown", length + 1)

    def _batch(self, fd: int) -> Batch:
        batch = self._gathering.batch(self._parser.facts, self._advance(fd), self._parser.unknown)
        batch.redacted = self._door.take_found()
        if self._kin is not None:
            batch.inherited = self._kin.take_spans()
        return batch

    def _advance(self, fd: int) -> Cursor:
        about = os.fstat(fd)
        counts = self._counts
        self._ledger = self._ledger.plus(
            Ledger(counts["parsed"], counts["skipped"], counts["unknown"], counts["bad"])
        )
        self._counts = dict.fromkeys(counts, 0)
        head_bytes = min(self._offset, HEAD_BYTES)
        before = self._cursor
        head = (
            before.head if head_bytes == before.head_bytes else _digest(os.pread(fd, head_bytes, 0))
        )
        self._cursor = replace(
            before,
            offset=self._offset,
            # Not what the file has now: what nobody has looked at yet must show as a change.
            size=max(self._seen, self._offset),
            mtime_ns=about.st_mtime_ns,
            ledger=self._ledger,
            open_verdict=self._open_verdict,
            head_bytes=head_bytes,
            head=head,
            edge=_edge(fd, self._offset),
            state=self._parser.state(),
            compare_until=self._compare_until,
            gone_at="",
            error="",
            excluded="",
        )
        return self._cursor


def fresh_incarnation(cursor: Cursor, origin: int, size: int) -> Cursor:
    """A cursor that reads a rewritten log from its beginning, comparing it with what is known."""
    return replace(
        cursor,
        origin=origin,
        offset=0,
        ledger=NO_BYTES,
        open_verdict=None,
        head_bytes=0,
        head=b"",
        edge=b"",
        state=b"",
        compare_until=max(size, cursor.offset) + COMPARE_AHEAD_BYTES,
    )


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def _edge(fd: int, offset: int) -> bytes:
    start = max(0, offset - EDGE_BYTES)
    return _digest(os.pread(fd, offset - start, start)) if offset else b""
