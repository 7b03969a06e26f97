"""Images and other large payloads: what they cost, getting one back, and letting go of them.

Dropping a payload leaves the conversation intact: its event still says what it was, how large, and
under which digest. The journal is told first and the file removed behind it: a crash in between
leaves a file that nobody refers to, which the next `drop` removes, never a reference to nothing.
What was put a moment ago stays: whoever put it may not have told the journal yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Final

import msgspec

from holdfast.blobstore import BlobStore, DamagedBlob, MissingBlob
from holdfast.clock import instant
from holdfast.errors import Exit, HoldfastError
from holdfast.journal.model import BlobFilter, BlobRow
from holdfast.journal.protocol import JournalQuestions, JournalWriter

DROPPED_AT_ONCE: Final = 500
IN_FLIGHT_S: Final = 60.0  # from the time when a payload is put until the journal knows of it
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"{", "json"),
    (b"[", "json"),
)
_HEAD_BYTES: Final = 16


class NoSuchPayload(HoldfastError):
    """No payload has this digest."""

    exit: ClassVar[Exit] = Exit.NOT_FOUND


class PayloadDropped(HoldfastError):
    """It was let go of on purpose."""

    exit: ClassVar[Exit] = Exit.NOT_FOUND


class PayloadAmbiguous(HoldfastError):
    """Several payloads begin with what was typed."""

    exit: ClassVar[Exit] = Exit.AMBIGUOUS


class WhichPayloads(HoldfastError):
    """Payloads are dropped by age or size, never all of them by accident."""

    exit: ClassVar[Exit] = Exit.USAGE


class PayloadEntry(msgspec.Struct):
    """A payload as `blobs --json` lists it."""

    digest: str
    type: str
    bytes: int
    stored_bytes: int
    sessions: int
    used_at: str
    dropped_at: str


class PayloadReport(msgspec.Struct):
    """All payloads in figures, and the largest of those that were asked for."""

    count: int
    bytes: int
    stored_bytes: int
    dropped: int
    shown: list[PayloadEntry]


class Dropped(msgspec.Struct):
    """What was let go of, or would be."""

    count: int = 0
    bytes: int = 0
    stored_bytes: int = 0
    in_flight: int = 0  # of these, how many stay because they were put a moment ago


def report(reader: JournalQuestions, blobs: BlobStore, wanted: BlobFilter) -> PayloadReport:
    totals = reader.totals()
    rows = reader.blobs(wanted)
    return PayloadReport(
        totals.blobs,
        totals.blob_bytes,
        totals.blob_stored_bytes,
        totals.blobs_dropped,
        [_entry(row, blobs) for row in rows],
    )


def content(reader: JournalQuestions, blobs: BlobStore, digest: str) -> Iterator[bytes]:
    """A payload by its digest, or by how that begins."""
    rows = reader.blobs(BlobFilter(digest=digest, dropped=True, limit=2)) if digest else []
    if not rows:
        raise NoSuchPayload(f"no payload has the digest {digest!r}: `holdfast blobs` lists them")
    if len(rows) > 1:
        raise PayloadAmbiguous(f"several payloads begin with {digest!r}: type more of the digest")
    row = rows[0]
    if row.dropped_at:
        raise PayloadDropped(f"payload {row.digest} was dropped by `clean` at {row.dropped_at}")
    return blobs.get(row.digest)


def drop(
    reader: JournalQuestions,
    on_writer: Callable[[Callable[[JournalWriter], object]], object],
    blobs: BlobStore,
    wanted: BlobFilter,
    *,
    now_s: float,
    in_flight_s: float,
    dry_run: bool,
) -> Dropped:
    """Let go of payloads. `on_writer` runs something where nobody else writes, and waits for it."""
    if not wanted.used_before and not wanted.min_bytes:
        raise WhichPayloads(
            "say which payloads are to go: holdfast clean --blobs --older-than 90d, or "
            "--larger-than 10MB, or both; --dry-run only says what would go"
        )
    rows = reader.blobs(wanted)
    total = Dropped(
        len(rows), sum(row.bytes for row in rows), sum(row.stored_bytes for row in rows)
    )
    if dry_run:
        return total

    def remove_leftovers(_writer: JournalWriter) -> None:
        for row in reader.blobs(BlobFilter(dropped=True)):
            if row.dropped_at and not blobs.was_put_since(row.digest, now_s - in_flight_s):
                blobs.remove(row.digest)

    on_writer(remove_leftovers)
    for first in range(0, len(rows), DROPPED_AT_ONCE):
        digests = [row.digest for row in rows[first : first + DROPPED_AT_ONCE]]

        def forget(writer: JournalWriter, digests: list[str] = digests) -> None:
            old = [
                digest for digest in digests if not blobs.was_put_since(digest, now_s - in_flight_s)
            ]
            total.in_flight += len(digests) - len(old)
            writer.drop_blobs(old, instant(now_s))
            for digest in old:
                blobs.remove(digest)

        on_writer(forget)
    return total


def _entry(row: BlobRow, blobs: BlobStore) -> PayloadEntry:
    gone = bool(row.dropped_at)
    return PayloadEntry(
        row.digest,
        "" if gone else _type_of(blobs, row.digest),
        row.bytes,
        0 if gone else row.stored_bytes,
        row.sessions,
        row.used_at,
        row.dropped_at,
    )


def _type_of(blobs: BlobStore, digest: str) -> str:
    """What its first bytes say."""
    try:
        head = blobs.head(digest, _HEAD_BYTES)
    except MissingBlob:
        return "missing"
    except DamagedBlob:
        return "damaged"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return "text" if head.isascii() and b"\0" not in head else "data"
