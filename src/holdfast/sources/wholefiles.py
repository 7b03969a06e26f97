"""Sources whose sessions are files that are written anew as a whole, or whose lines change others.

An agent says where its files are and how an item is told; this module deals with what all such
files share: opening them, what tells that one changed, verdicts for what was cut, items that are
too large to be held.

Writing anew takes a moment, so a file may be read while it is half there. What it was taken from is
therefore how it was *before* it was read. And a change so young that another one may bear the same
time does not count as read: it is looked at once more, as git does with its index.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import ClassVar, Final, Protocol

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from holdfast.events import Event, Kind, Origin
from holdfast.journal.model import Facts
from holdfast.sources.base import NO_FILE, Log, Means, Read, Stamp
from holdfast.sources.documents import Piece, Rest, cut, stretch
from holdfast.sources.folders import FolderSource
from holdfast.sources.loose import UNREADABLE
from holdfast.sources.mending import is_json, mended
from holdfast.sources.naming import item_name
from holdfast.sources.telling import Told

YOUNG_NS: Final = 50_000_000  # file systems tell times in steps of up to 10 ms
OVERSIZED_TYPE: Final = "(item over the cap)"

_LINES_TO_SPACES: Final = bytes.maketrans(b"\r\n", b"  ")
_ID_IN_HEAD: Final = re.compile(rb'^\s*\{\s*"id"\s*:\s*"([^"\\]{1,256})"')


class WholeFileSource(FolderSource):
    """Finds files that are one session each, or a part of one."""

    def store_of(self, path: str) -> str | None:
        return path if self.identify(path) is not None else None

    def logs(self, store: str, since_ns: int = 0) -> Iterator[tuple[Log, Stamp]]:  # noqa: ARG002
        log = self.identify(store)
        about = os.stat(store)
        if log is not None and stat.S_ISREG(about.st_mode):
            yield log, Stamp(about.st_size, about.st_mtime_ns)


def beginning(path: str, most: int) -> bytes:
    """Of a small file that stands beside a log; b"" where there is none."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(fd, most)
        finally:
            os.close(fd)
    return b""


def compact(item: bytes) -> bytes:
    """Without the space that makes documents readable: events are lines, and compared by bytes."""
    try:
        return msgspec.json.format(item, indent=-1)
    except UNREADABLE:
        return item.translate(_LINES_TO_SPACES)


class ItemParser(Protocol):
    """Tells the items of one file in order; each of its events has a name."""

    facts: Facts
    unknown: dict[str, tuple[int, int]]

    def parse(self, offset: int, line: bytes) -> Told: ...

    def member(self, key: str, offset: int, content: bytes) -> Told:
        """A member of the document that is no array of items."""
        ...


class FileReader:
    """Reads one file from its beginning. What kind of file it is, subclasses say."""

    def __init__(self, log: Log, means: Means, parser: ItemParser) -> None:
        self.log = log
        self.means = means
        self.parser = parser
        self.facts = parser.facts
        self.unknown = parser.unknown
        self.starts_over = True
        self._large = 0
        self.fd = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for a writer
        about = os.fstat(self.fd)
        if not stat.S_ISREG(about.st_mode):
            os.close(self.fd)
            raise OSError(errno.EINVAL, NO_FILE)
        self.size = about.st_size
        # A time that is far ahead is no young one: it would be looked at until it has come.
        young = abs(time.time_ns() - about.st_mtime_ns) < YOUNG_NS
        self.stamp = Stamp(about.st_size, about.st_mtime_ns - young)

    def read(self) -> Iterator[Read]:
        raise NotImplementedError

    def state(self) -> bytes:
        return b""

    def close(self) -> None:
        os.close(self.fd)

    def cleaned(self, content: bytes) -> bytes:
        return self.means.clean(compact(content))

    def told(self, piece: Piece) -> Read:
        """One item under its verdict."""
        if piece.content is None:
            return self._oversized(piece)
        content = self.cleaned(piece.content)
        if piece.is_member:
            content = mended(content)
            if not is_json(content):  # an item is decoded by its parser, which finds out itself
                return Read(piece.size, "bad")
            verdict, events = self.parser.member(piece.key, piece.offset, content)
        else:
            verdict, events = self.parser.parse(piece.offset, content)
        for event in events:
            assert event.source is not None
            if not event.source.uuid:  # of an item that was not taken apart
                event.source = replace(event.source, uuid=item_name(None, content))
        return Read(piece.size, verdict, events)

    def _oversized(self, piece: Piece) -> Read:
        """An item over the cap goes to a blob by streaming; its event says where it is."""
        self._large += 1
        identity = _ID_IN_HEAD.match(piece.head)
        name = identity[1].decode("utf-8", "replace") if identity else f"large/{self._large}"
        blob = self.means.blobs.keep(lambda: stretch(self.fd, piece.offset, piece.size))
        about = {
            "type": OVERSIZED_TYPE,
            "bytes": blob.bytes,
            "blob": blob.digest,
            "preview": piece.head.decode("utf-8", "replace"),
        }
        event = Event(
            id="",
            session=self.facts.id,
            seq=-1,
            kind=Kind.PROVIDER_RAW,
            at=self.facts.updated_at,
            text=f"[an item of {piece.size:,} bytes]",
            data=Raw(msgspec.json.encode(about)),
            source=Origin(self.log.agent, self.log.relative, piece.offset, name),
            actor="system",
        )
        records, size = self.unknown.get(OVERSIZED_TYPE, (0, 0))
        self.unknown[OVERSIZED_TYPE] = (records + 1, size + piece.size)
        return Read(piece.size, "unknown", [event])


class DocumentReader(FileReader):
    """Reads one JSON document: elements of some arrays as items, all else as members."""

    arrays: ClassVar[frozenset[str]]

    def read(self) -> Iterator[Read]:
        for piece in cut(self.fd, self.size, self.arrays, self.means.max_item_bytes):
            if isinstance(piece, Rest):
                yield Read(piece.structure, "skipped")
                yield Read(piece.broken, "bad")
            else:
                yield self.told(piece)
