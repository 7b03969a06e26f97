"""A child process that reads logs and ends. It holds what first import costs; the daemon does not.

It speaks frames over its standard streams: jobs come in, batches go out, each frame a length and a
msgpack struct. Parsing, encoding and compression happen here; the parent only stores. It ends when
its input ends, so it never outlives its parent.
"""

from __future__ import annotations

import errno
import gc
import os
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import msgspec
from msgspec.structs import replace

from holdfast.blobstore import BlobStore
from holdfast.errors import HoldfastError
from holdfast.events import decode_lines
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.items import Excluded, ItemReading
from holdfast.ingest.kinship import Kin, find_kin, peek
from holdfast.ingest.reading import COMPARE_AHEAD_BYTES, Known, Reading, known_contents
from holdfast.ingest.spool import SpoolLimits, spooled, stamped
from holdfast.journal.model import Batch, Cursor, ItemMark
from holdfast.journal.protocol import JournalReader
from holdfast.privacy import Door, cleaned_lines
from holdfast.settings import Privacy
from holdfast.sources.base import (
    NO_FILE,
    LineSource,
    Log,
    Stamp,
    is_compressed,
    tells_items,
    tells_lines,
)
from holdfast.sources.registry import source_by_agent

LENGTH: Final = struct.Struct("<I")
NICENESS: Final = 10  # what is said now goes before what was said last year


class NotWhole(HoldfastError):
    """Of a compressed log, only a part could be read."""


class Setup(msgspec.Struct, frozen=True):
    """What every job of a child shares; the first frame."""

    limits: ReadingLimits
    spool: SpoolLimits
    blobs: str
    journal: str
    memory_limit_bytes: int
    privacy: Privacy
    screen: bytes  # for the door, compiled
    excluded: dict[str, tuple[str, ...]] = {}  # agent -> patterns of projects

    def door(self) -> Door:
        return Door.from_settings(self.privacy, self.screen)


class Job(msgspec.Struct, frozen=True):
    log: Log
    cursor: Cursor
    first_seq: int
    settled: bool = True  # it is known whether the log repeats another one


class Frame(msgspec.Struct, omit_defaults=True):
    """A batch of the running job, or its end."""

    batch: Batch | None = None
    error: str = ""
    excluded: Cursor | None = None  # nothing is kept of the log: its cursor says why


def write_frame(stream: BinaryIO, frame: msgspec.Struct, encoder: msgspec.msgpack.Encoder) -> None:
    payload = encoder.encode(frame)
    stream.write(LENGTH.pack(len(payload)))
    stream.write(payload)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame; None when the other side is gone."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    payload = stream.read(length)
    return payload if len(payload) == length else None


def run(requests: BinaryIO, replies: BinaryIO) -> None:
    encoder = msgspec.msgpack.Encoder()
    first = read_frame(requests)
    if first is None:
        return
    setup = msgspec.msgpack.decode(first, type=Setup)
    _limit_memory(setup.memory_limit_bytes)
    blobs, door = BlobStore(setup.blobs), setup.door()
    write_frame(replies, Frame(), encoder)  # ready
    jobs = msgspec.msgpack.Decoder(Job)
    while (payload := read_frame(requests)) is not None:
        error, excluded = "", None
        try:
            for batch in _batches(jobs.decode(payload), setup, blobs, door):
                write_frame(replies, Frame(batch), encoder)
        except Excluded as left_alone:
            excluded = left_alone.cursor
        except OSError as problem:
            error = f"{problem.strerror or problem}"
        except HoldfastError as problem:
            error = str(problem)
        except MemoryError:
            error = (
                "reading it takes more memory than the budget leaves: raise daemon.max_memory_mb"
            )
        write_frame(replies, Frame(error=error, excluded=excluded), encoder)


def _batches(job: Job, setup: Setup, blobs: BlobStore, door: Door) -> Iterator[Batch]:
    if job.log.in_place:
        yield from _items(job, setup, blobs, door)
        return
    fd = os.open(job.log.path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for a writer
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, NO_FILE)
        if is_compressed(job.log.path):
            stamp = Stamp(about.st_size, about.st_mtime_ns)
            yield from _decompressed(fd, stamp, job, setup, blobs, door)
        else:
            yield from _reading(job, job.cursor, setup, blobs, door).batches(fd)
    finally:
        os.close(fd)


def _decompressed(
    fd: int, stamp: Stamp, job: Job, setup: Setup, blobs: BlobStore, door: Door
) -> Iterator[Batch]:
    with spooled(fd, setup.spool) as spool:
        cursor = job.cursor
        if cursor.must_compare:  # whoever planned it knew only how large it is compressed
            until = max(cursor.compare_until, spool.bytes + COMPARE_AHEAD_BYTES)
            cursor = replace(cursor, compare_until=until)
        yield from stamped(
            _reading(job, cursor, setup, blobs, door).batches(spool.fd), spool, stamp
        )
        if spool.problem:
            raise NotWhole(spool.problem)


def _reading(job: Job, cursor: Cursor, setup: Setup, blobs: BlobStore, door: Door) -> Reading:
    source = source_by_agent(job.log.agent)
    assert tells_lines(source)
    known, kin = None, None
    if cursor.must_compare:
        with _journal(setup.journal) as reader:
            known, kin = comparing(source, job.log, cursor, reader, door)
    return Reading(
        source,
        job.log,
        cursor,
        first_seq=job.first_seq,
        limits=setup.limits,
        blobs=blobs,
        door=door,
        known=known,
        kin=kin,
        sealed=True,
    )


def _items(job: Job, setup: Setup, blobs: BlobStore, door: Door) -> Iterator[Batch]:
    source = source_by_agent(job.log.agent)
    assert tells_items(source)
    with _journal(setup.journal) as reader:

        def known(key: int) -> ItemMark | None:
            return reader.item(job.cursor.session, key)

        yield from ItemReading(
            source,
            job.log,
            job.cursor,
            first_seq=job.first_seq,
            limits=setup.limits,
            blobs=blobs,
            known=known if job.first_seq else lambda _key: None,
            door=door,
            excluded=setup.excluded.get(job.log.agent, ()),
            sealed=True,
        ).batches()


@contextmanager
def _journal(path: str) -> Iterator[JournalReader]:
    from holdfast.journal.reader import SqliteReader

    reader = SqliteReader(path)
    try:
        yield reader
    finally:
        reader.close()


def comparing(
    source: LineSource, log: Log, cursor: Cursor, reader: JournalReader, door: Door
) -> tuple[Known, Kin | None]:
    """What a log may repeat of its own session, and of others.

    Compared as the door would let it in now: what was stored before a rule was may differ.
    """
    lines = reader.read(cursor.session)
    events = (event for piece in lines for event in decode_lines(cleaned_lines(piece, door)))
    known = known_contents(events, but_origin=cursor.origin)
    return known, find_kin(peek(source, log), reader)


def _limit_memory(limit_bytes: int) -> None:
    """A child over its share ends with an error of its own, not with the machine's."""
    import resource

    if limit_bytes and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))


def main() -> None:
    os.nice(NICENESS)
    gc.disable()  # what parsing makes has no cycles; looking for them costs a twentieth
    replies = os.fdopen(os.dup(1), "wb", buffering=1 << 18)
    os.dup2(2, 1)  # a stray print must not land between frames
    try:
        run(sys.stdin.buffer, replies)
    except BrokenPipeError:
        os._exit(1)  # the parent is gone: nobody to tell
    except KeyboardInterrupt:
        os._exit(130)
