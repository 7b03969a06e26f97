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
from typing import BinaryIO, Final

import msgspec

from holdfast.blobstore import BlobStore
from holdfast.events import decode_lines
from holdfast.ingest.reading import Known, Reading, ReadingLimits, known_contents
from holdfast.journal.model import Batch, Cursor
from holdfast.privacy import Door, cleaned_lines
from holdfast.settings import Privacy
from holdfast.sources.base import Log
from holdfast.sources.registry import source_by_agent

NO_FILE: Final = "is not a regular file"
LENGTH: Final = struct.Struct("<I")


class Setup(msgspec.Struct, frozen=True):
    """What every job of a child shares; the first frame."""

    limits: ReadingLimits
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


class Frame(msgspec.Struct, omit_defaults=True):
    """A batch of the running job, or its end."""

    batch: Batch | None = None
    error: str = ""


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
        error = ""
        try:
            for batch in _batches(jobs.decode(payload), setup, blobs, door):
                write_frame(replies, Frame(batch), encoder)
        except OSError as problem:
            error = f"{problem.strerror or problem}"
        except MemoryError:
            error = (
                "reading it takes more memory than the budget leaves: raise daemon.max_memory_mb"
            )
        write_frame(replies, Frame(error=error), encoder)


def _batches(job: Job, setup: Setup, blobs: BlobStore, door: Door) -> Iterator[Batch]:
    reading = Reading(
        source_by_agent(job.log.agent),
        job.log,
        job.cursor,
        first_seq=job.first_seq,
        limits=setup.limits,
        blobs=blobs,
        door=door,
        known=_known(setup.journal, job.cursor, door) if job.cursor.must_compare else None,
        sealed=True,
    )
    fd = os.open(job.log.path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for a writer
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, NO_FILE)
        yield from reading.batches(fd)
    finally:
        os.close(fd)


def _known(journal: str, cursor: Cursor, door: Door) -> Known:
    """Compared as the door would let them in now: what was stored before a rule was may differ."""
    from holdfast.journal.reader import SqliteReader

    reader = SqliteReader(journal)
    try:
        lines = reader.read(cursor.session)
        events = (event for piece in lines for event in decode_lines(cleaned_lines(piece, door)))
        return known_contents(events, but_origin=cursor.origin)
    finally:
        reader.close()


def _limit_memory(limit_bytes: int) -> None:
    """A child over its share ends with an error of its own, not with the machine's."""
    import resource

    if limit_bytes and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))


def main() -> None:
    gc.disable()  # what parsing makes has no cycles; looking for them costs a twentieth
    replies = os.fdopen(os.dup(1), "wb", buffering=1 << 18)
    os.dup2(2, 1)  # a stray print must not land between frames
    try:
        run(sys.stdin.buffer, replies)
    except BrokenPipeError:
        os._exit(1)  # the parent is gone: nobody to tell
    except KeyboardInterrupt:
        os._exit(130)
