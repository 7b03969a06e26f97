"""A compressed log becomes a file that can be read at any place, for as long as it is read.

It is decompressed as a stream into a file without a name in holdfast's data folder: in no moment is
more of it in memory than a window and a little output, and when the process is gone, however that
came about, the file is too. Decompressing into memory was rejected (a log may be any size), and so
was reading the stream as it comes: long lines are read twice, rewritten logs from the beginning.

What it costs is bounded before it is spent: the window, the bytes on disk, and the room that must
stay on the disk for the journal.

Offsets are in decompressed bytes. A compressed log is never read on from where it was left: it is
the same as before, or it is another one, and is compared with what is known of its session. So its
cursor needs the file's own size and time only, and has them when all of it was read.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

import msgspec
import zstandard
from msgspec.structs import replace

from holdfast.errors import Exit, HoldfastError
from holdfast.journal.model import Batch, Ledger
from holdfast.sources.base import Stamp

WINDOW_BYTES_MAX: Final = 32 << 20
FREE_BYTES_MIN: Final = 256 << 20  # stay free beside the spool: the journal wants to write
# A few bytes can become a block of 128 KiB each: this much input is 8 MiB at the very worst.
FEED_BYTES: Final = 256
READ_BYTES: Final = 65_536
CHECK_BYTES: Final = 16 << 20  # so much is written between two looks at the free space


class NoRoom(HoldfastError):
    """There is not enough room on the disk to decompress a log."""

    exit: ClassVar[Exit] = Exit.CONFIG


class SpoolLimits(msgspec.Struct, frozen=True):
    folder: str
    max_bytes: int  # of one log, decompressed


class Spool(msgspec.Struct):
    """A log, decompressed as far as it could be."""

    fd: int
    bytes: int
    lost_bytes: int = 0  # of the compressed file: what could not be decompressed
    problem: str = ""


def _free_bytes(folder: str) -> int:
    about = os.statvfs(folder)
    return about.f_bavail * about.f_frsize


@contextmanager
def spooled(
    compressed: int, limits: SpoolLimits, free_bytes: Callable[[str], int] = _free_bytes
) -> Iterator[Spool]:
    """What an open compressed file holds. Raises `NoRoom`, and OSError."""
    with tempfile.TemporaryFile(dir=limits.folder, buffering=0) as file:
        room = _Room(limits, free_bytes)
        room.check(os.fstat(compressed).st_size)
        spool = Spool(file.fileno(), 0)
        _decompress(compressed, spool, room)
        yield spool


def stamped(batches: Iterator[Batch], spool: Spool, stamp: Stamp) -> Iterator[Batch]:
    """Batches whose cursors are those of the compressed file: unread until its last one."""
    last: Batch | None = None
    for batch in batches:
        if last is not None:
            assert last.cursor is not None
            last.cursor = replace(last.cursor, size=0, mtime_ns=stamp.mtime_ns)
            yield last
        last = batch
    assert last is not None, "a reading ends with a batch"
    assert last.cursor is not None
    cursor = last.cursor
    # Nothing will be added to a line without an end, and nothing waits: it is bad, not torn.
    bad = cursor.torn + spool.lost_bytes
    last.cursor = replace(
        cursor,
        offset=max(cursor.offset, stamp.size),
        size=stamp.size,
        mtime_ns=stamp.mtime_ns,
        ledger=cursor.ledger.plus(Ledger(bad=bad)),
    )
    yield last


class _Room:
    """How much may still be written."""

    def __init__(self, limits: SpoolLimits, free_bytes: Callable[[str], int]) -> None:
        self.max_bytes = limits.max_bytes
        self._folder = limits.folder
        self._free_bytes = free_bytes
        self._unchecked = 0

    def spend(self, size: int) -> None:
        self._unchecked += size
        if self._unchecked >= CHECK_BYTES:
            self.check(CHECK_BYTES)
            self._unchecked = 0

    def check(self, wanted: int) -> None:
        free = self._free_bytes(self._folder) - FREE_BYTES_MIN
        if free < wanted:
            raise NoRoom(
                f"there is no room to decompress it in {self._folder}: free some space there "
                f"(besides what it takes, {FREE_BYTES_MIN >> 20} MiB must stay free)"
            )


def _decompress(compressed: int, spool: Spool, room: _Room) -> None:
    """Frame after frame, until the file ends or is damaged."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
    frame = decompressor.decompressobj()
    begun = False  # a frame that is not whole yet
    mute_bytes = 0  # of that frame, if nothing has come of it
    given_bytes = 0  # before it
    done = 0  # of the compressed bytes
    for piece in _pieces(compressed):
        rest = piece
        while rest:
            try:
                output = frame.decompress(rest)
            except zstandard.ZstdError as error:
                _damaged(compressed, spool, done, str(error))
                return
            if spool.bytes + len(output) > room.max_bytes:
                _too_large(compressed, spool, room.max_bytes)
                return
            room.spend(len(output))
            _write(spool, output)
            begun = not frame.eof
            mute_bytes = mute_bytes + len(rest) if begun and spool.bytes == given_bytes else 0
            unused = frame.unused_data if frame.eof else b""
            done += len(rest) - len(unused)
            rest = unused
            if frame.eof:
                frame = decompressor.decompressobj()
                given_bytes = spool.bytes
    if begun:
        spool.lost_bytes = mute_bytes
        spool.problem = (
            "it ends in the middle of a compressed frame: what is whole was read; "
            "it is read again when it changes"
        )


def _pieces(compressed: int) -> Iterator[bytes]:
    position = 0
    while chunk := os.pread(compressed, READ_BYTES, position):
        position += len(chunk)
        for start in range(0, len(chunk), FEED_BYTES):
            yield chunk[start : start + FEED_BYTES]


def _write(spool: Spool, output: bytes) -> None:
    view = memoryview(output)
    while view:
        written = os.write(spool.fd, view)
        view = view[written:]
        spool.bytes += written


def _damaged(compressed: int, spool: Spool, done: int, why: str) -> None:
    spool.lost_bytes = os.fstat(compressed).st_size - done
    spool.problem = (
        f"it cannot be decompressed behind byte {done:,} ({why}): what comes before was read; "
        f"where it needs a larger window than {WINDOW_BYTES_MAX >> 20} MiB, decompress it with "
        "`zstd -d --long=31`, else put it back from a backup"
    )


def _too_large(compressed: int, spool: Spool, most: int) -> None:
    os.ftruncate(spool.fd, 0)
    spool.bytes = 0
    spool.lost_bytes = os.fstat(compressed).st_size
    spool.problem = (
        f"it is more than {most:,} bytes when decompressed, and was not read: "
        "raise ingest.max_decompressed_bytes and `touch` it, if it is what you think it is"
    )
