"""What a source is: one small module per agent that finds logs and turns records into events.

Agents keep their conversations in two ways, and so there are two kinds of sources. A `LineSource`
has logs that are appended to: a parser sees one line at a time. An `ItemSource` has logs whose
items are changed in place (a JSON file that is written anew, rows of a database): a reader gives
the items that may have changed, and each event carries a name of its own (`Origin.uuid`), by which
ingest knows what is new, what is the same, and what supersedes.

Neither decides what to do with bytes: the caller counts them by the verdict that it is given. What
must be remembered between records stands in a small state, so that reading can stop after any
record and go on in another process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Final, Protocol, TypeGuard, runtime_checkable

import msgspec

from holdfast.events import Event
from holdfast.journal.model import Blob, Facts, Verdict

COMPRESSED: Final = ".zst"  # how the name of a log ends that is read through zstd
NO_FILE: Final = "is not a regular file"
MEMBER: Final = "#"  # between the path of a file and the session in it
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9]")


class Log(msgspec.Struct, frozen=True):
    """The log of one session, and whose it is."""

    agent: str
    path: str
    root: str
    agent_session_id: str
    parent: str = ""  # the agent's id of the session that started this one
    member: str = ""  # which of the sessions in the file, where one file holds many
    in_place: bool = False  # its items are changed where they stand: an `ItemSource` reads it

    @property
    def key(self) -> str:
        """What the ledger knows the log by."""
        return f"{self.path}{MEMBER}{self.member}" if self.member else self.path

    @property
    def relative(self) -> str:
        return self.key[len(self.root) :].lstrip("/")


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """What tells whether a log changed since it was last read."""

    size: int
    mtime_ns: int


class Place(msgspec.Struct, frozen=True):
    """Where an agent keeps its logs, and who says so: a setting, a variable, or the agent."""

    roots: list[str]
    origin: str


def is_compressed(path: str) -> bool:
    return path.endswith(COMPRESSED)


def is_utf8_path(path: str) -> bool:
    """Names that are no text cannot be stored as such, nor be told to anybody."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def first_text(head: bytes, field: str) -> str:
    """The first text that stands under a name in JSON, however deep; "" when none does."""
    for found in re.finditer(rb'"%s"\s*:\s*("(?:[^"\\]++|\\.)*+")' % field.encode(), head):
        try:
            text: str = msgspec.json.decode(found[1], type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if text:
            return text
    return ""


def folded(path: str) -> str:
    """A path as the name of one folder: agents replace what is neither letter nor digit."""
    return _NOT_PLAIN.sub("-", path)


class BlobSink(Protocol):
    """Where a parser puts a payload that is too large for an event."""

    def put(self, payload: bytes) -> Blob: ...

    def put_stream(self, chunks: Iterable[bytes]) -> Blob: ...


class LargeBlobSink(BlobSink, Protocol):
    """Where a reader puts what is too large to be held."""

    def keep(self, read: Callable[[], Iterable[bytes]]) -> Blob:
        """What `read` gives in chunks, each time that it is called."""
        ...


class Parser(Protocol):
    """Reads the records of one log in order."""

    facts: Facts
    unknown: dict[str, tuple[int, int]]  # unknown record types so far: records, bytes

    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        """The events of one record, without id and seq: the caller numbers them."""
        ...

    def oversized(
        self, offset: int, head: bytes, length: int
    ) -> tuple[Verdict, list[Event]] | None:
        """What a line is that is too long to be held, by how it begins.

        None, which most parsers say, has it kept whole beside the journal. With a verdict, only
        the events are kept: for what is known to repeat what stands elsewhere.
        """
        ...

    def state(self) -> bytes:
        """What another parser of this log needs to read on from here."""
        ...


class Source(Protocol):
    agent: ClassVar[str]
    name: ClassVar[str]  # what people call the agent

    @property
    def place(self) -> Place: ...

    def roots(self) -> list[str]:
        """Folders to watch, whether they exist or not."""
        ...

    def enters(self, folder: str) -> bool:
        """Whether there may be logs in a folder; others are neither read nor watched."""
        ...

    def suffixes(self) -> tuple[str, ...]:
        """How the names of logs end: what else lies there is not looked at."""
        ...

    def identify(self, key: str) -> Log | None:
        """The log that a key names; None when it is none of this source's logs."""
        ...

    def projects_of(self, log: Log, head: bytes) -> list[str]:
        """The project of a log as far as its beginning and its place tell: for exclusion.

        A whole path, or the name of a folder that a path was made into.
        """
        ...


@runtime_checkable
class LineSource(Source, Protocol):
    def parser(self, log: Log, state: bytes, blobs: BlobSink) -> Parser:
        """A parser for a log, from its beginning or from an earlier state."""
        ...


class Expiring(msgspec.Struct, frozen=True, gc=False):
    """A log that its agent is going to delete, as it is now."""

    path: str
    due_s: float  # since 1970: from then on it may go at any time
    size: int


@runtime_checkable
class Expires(Protocol):
    """Of a source whose agent deletes its logs after a while."""

    def retention(self) -> str:
        """How long logs are kept, and who says so, in words."""
        ...

    def expiring(self, before_s: float) -> Iterator[Expiring]:
        """The logs that may go before a time."""
        ...


class Means(msgspec.Struct, frozen=True):
    """What a reader of items may use."""

    blobs: LargeBlobSink
    clean: Callable[[bytes], bytes]  # what each item goes through before it is looked at
    max_item_bytes: int  # a larger one is not held: it goes to a blob unread


class Read(msgspec.Struct, gc=False):
    """What a stretch of a log was, and the events of it.

    Each event has a name of its own in `source.uuid`, the same whenever it is read. Its usage is
    what its item has been spent on in all, not what was added: the caller works that out.
    """

    size: int
    verdict: Verdict
    events: list[Event] = []


class ItemReader(Protocol):
    """Gives what may have changed in one log since an earlier state."""

    facts: Facts
    unknown: dict[str, tuple[int, int]]
    stamp: Stamp  # of the log before it was read: what changes meanwhile must show as a change
    starts_over: bool  # it gives the whole log each time, and so the ledger counts it anew

    def read(self) -> Iterator[Read]: ...

    def state(self) -> bytes:
        """What another reader needs to give only what changed after this; asked at the end."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class ItemSource(Source, Protocol):
    def store_of(self, path: str) -> str | None:
        """Which file is to be looked into when the file at a path was changed; None for none."""
        ...

    def logs(self, store: str, since_ns: int = 0) -> Iterator[tuple[Log, Stamp]]:
        """The logs in a file, and what tells whether each changed. Raises OSError.

        Those that were last changed before `since_ns` may be left out.
        """
        ...

    def reader(self, log: Log, state: bytes, means: Means) -> ItemReader:
        """Raises OSError where the log cannot be read now, FileNotFoundError when it is gone."""
        ...


# Asked of every log: `isinstance` of a protocol takes as long as all else that a log is asked.


def tells_lines(source: Source) -> TypeGuard[LineSource]:
    return hasattr(source, "parser")


def tells_items(source: Source) -> TypeGuard[ItemSource]:
    return hasattr(source, "store_of")


def store_of_key(source: Source, key: str) -> str | None:
    """The file that holds the log of a key, where its items are changed in place."""
    if not tells_items(source):
        return None
    return source.store_of(key) or source.store_of(key.rpartition(MEMBER)[0])


def file_stamp(path: str) -> Stamp:
    about = os.stat(path)
    return Stamp(about.st_size, about.st_mtime_ns)
