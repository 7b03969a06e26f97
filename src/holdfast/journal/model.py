"""What goes into the journal and what comes out of it. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Literal, Self

import msgspec

from holdfast.blocks import Block
from holdfast.events import Usage

NO_USAGE = Usage()

Verdict = Literal["parsed", "skipped", "unknown", "bad"]


class TitleRank(IntEnum):
    """Which title wins: a person's over the agent's over ours."""

    NONE = 0
    PROMPT = 1
    SUMMARY = 2
    AGENT = 3
    PERSON = 4


class Facts(msgspec.Struct, kw_only=True):
    """What a source knows of a session; the journal keeps the newest of each."""

    id: str
    agent: str
    agent_session_id: str
    parent: str = ""  # id of the session that started this one
    forked_from: str = ""  # id of the session whose beginning this one repeats
    first_uuid: str = ""  # the agent's id of the first record: a fork replays it
    project: str = ""
    title: str = ""
    title_rank: int = TitleRank.NONE
    started_at: str = ""
    updated_at: str = ""
    model: str = ""
    cwd: str = ""
    branch: str = ""
    agent_version: str = ""


class SessionRow(Facts, kw_only=True):
    """A session as the journal lists it."""

    events: int = 0
    inherited: int = 0  # events of other sessions that this one begins with
    raw_bytes: int = 0  # canonical lines
    stored_bytes: int = 0  # the same, as they are kept
    usage: Usage = NO_USAGE


class Ledger(msgspec.Struct, frozen=True, gc=False):
    """Where every byte of a log went. `torn` is a last line without its end: waiting, not lost."""

    parsed: int = 0
    skipped: int = 0
    unknown: int = 0
    bad: int = 0

    @property
    def consumed(self) -> int:
        return self.parsed + self.skipped + self.unknown + self.bad

    def plus(self, other: Ledger) -> Ledger:
        return Ledger(
            self.parsed + other.parsed,
            self.skipped + other.skipped,
            self.unknown + other.unknown,
            self.bad + other.bad,
        )


NO_BYTES = Ledger()


class Cursor(msgspec.Struct, kw_only=True):
    """How far one log file was read, and what is needed to read on from there."""

    agent: str
    path: str  # absolute
    session: str
    origin: int = 0  # which log, or rewriting of a log, of the session this is
    offset: int = 0
    size: int = 0  # of the file when it was last looked at
    mtime_ns: int = 0
    ledger: Ledger = NO_BYTES
    open_verdict: Verdict | None = None  # the last line was read before its newline came
    head_bytes: int = 0  # how much of the beginning `head` covers
    head: bytes = b""  # digest of the beginning: a rewritten file shows here
    edge: bytes = b""  # digest of what stands right before `offset`
    state: bytes = b""  # the parser's own
    # Up to here the log may repeat what the session has from another reading.
    compare_until: int = 0
    gone_at: str = ""  # when the file was found deleted
    error: str = ""
    excluded: str = ""  # the project for which nothing of it is kept

    @property
    def must_compare(self) -> bool:
        return self.offset < self.compare_until

    @property
    def torn(self) -> int:
        """Bytes behind the last whole line."""
        return 0 if self.excluded else max(0, self.size - self.offset)


class Mark(msgspec.Struct, frozen=True, gc=False):
    """What a log looked like when it was last read: enough to see whether it changed."""

    agent: str
    path: str
    size: int
    mtime_ns: int
    gone_at: str
    error: str
    excluded: str = ""


class FilesLedger(msgspec.Struct, frozen=True):
    """The ledgers of all logs, added up. `torn` is what waits behind the last whole lines."""

    files: int
    parsed: int
    skipped: int
    unknown: int
    bad: int
    torn: int
    gone: int
    unreadable: int
    last_error: str
    excluded: int = 0  # whose bytes, as far as they were not read before, count as skipped


class Text(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the index gets of one event."""

    seq: int
    column: int
    text: bytes  # UTF-8: a string with one picture in it takes four bytes a letter
    supersedes: int | None = None  # the event whose text is not to be found any more


class Blob(msgspec.Struct, frozen=True):
    """A large payload that was put beside the journal, under its digest."""

    digest: str
    bytes: int
    stored_bytes: int


class BlobRow(msgspec.Struct, frozen=True):
    """A payload as the journal lists it."""

    digest: str
    bytes: int
    stored_bytes: int
    dropped_at: str  # when it was let go of; what is said of it in its event stays
    sessions: int  # that refer to it
    used_at: str  # when the newest of them last changed


class BlobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The largest first."""

    digest: str = ""  # or how it begins
    session: str = ""
    used_before: str = ""  # ISO 8601; what nobody is known to use is not old
    min_bytes: int = 0
    dropped: bool = False  # also those
    limit: int | None = None


class Span(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A stretch of another session that a session begins with: it is stored there."""

    source: str  # id of that session
    first_seq: int
    end_seq: int

    @property
    def count(self) -> int:
        return self.end_seq - self.first_seq


class ItemMark(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What was last stored of one item of a log that is changed in place."""

    key: int  # of its name
    digest: int  # of its content
    seq: int  # of the event
    turn: int
    version: int  # from 0, how often it was changed
    usage: Usage  # counted so far

    @classmethod
    def of_row(cls, row: Sequence[int]) -> Self:
        key, digest, seq, turn, version, *spent = row
        return cls(key, digest, seq, turn, version, Usage(*spent))


class Batch(msgspec.Struct, kw_only=True):
    """What one commit adds to one session: events, and the cursor that they bring forward.

    Events come sealed (`blocks`) or as `lines`; both may be empty when only the cursor moves.
    """

    facts: Facts
    first_seq: int
    blocks: list[Block] = []
    lines: bytes = b""
    line_count: int = 0
    cursor: Cursor | None = None
    usage: Usage = NO_USAGE
    texts: list[Text] = []
    unknown_types: dict[str, tuple[int, int]] = {}  # type -> records, bytes
    blobs: list[Blob] = []
    items: list[ItemMark] = []
    inherited: list[Span] = []
    redacted: dict[str, int] = {}  # what was taken out on the way in, by kind

    @property
    def count(self) -> int:
        return sum(block.count for block in self.blocks) + self.line_count


class Run(msgspec.Struct, frozen=True):
    """Events that stand next to each other in the global order and in their session."""

    position: int
    session: str
    first_seq: int
    count: int
    agent: str
    name: str  # the agent's own id of the session; of a stream, its name


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True):
    agent: str = ""  # without one, all but streams
    project: str = ""  # any part of the path
    since: str = ""  # ISO 8601
    text: str = ""  # words in title, project or conversation
    limit: int | None = None


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    words: str
    agent: str = ""
    project: str = ""
    kind: str = ""
    since: str = ""
    limit: int = 20


class Hit(msgspec.Struct, frozen=True):
    session: str
    seq: int
    kind: str
    at: str
    score: float
    snippet: str  # the words found stand between the two marks of `words.MARKS`
    exact: bool = True  # false: it does not hold all of it, it only comes near


class UnknownType(msgspec.Struct, frozen=True):
    agent: str
    type: str
    records: int
    bytes: int


class AuditRecord(msgspec.Struct, frozen=True):
    at: str
    action: str
    detail: msgspec.Raw


RecordingState = Literal[
    "starting",  # its file is being made
    "prepared",  # its file is there, nothing is recorded yet
    "active",
    "stopping",  # no more events come to it; what is planned is still to be written
    "stopped",
    "lost",  # its file went away, or became another one
    "failed",  # its file could not be made
    "exported",
]
CommandState = Literal["pending", "done", "refused"]


LIVE_STATES: Final = frozenset({"starting", "active", "stopping"})  # more is to be written


class Recording(msgspec.Struct, kw_only=True):
    """A file that follows a session, or was exported when somebody asked for that in the chat."""

    no: int
    session: str
    path: str  # absolute, without symlinks
    form: str
    state: RecordingState
    asked: str  # what started it: "::capture", "holdfast record"
    started_at: str
    written_at: str = ""
    ended_at: str = ""
    events: int = 0  # written so far
    problem: str = ""
    place: bytes = b""  # the recorder's own: how far the file is written


class CommandRow(msgspec.Struct, kw_only=True):
    """A command that was given, and what became of it."""

    no: int
    key: str  # what makes two readings of a log the same command
    session: str
    seq: int  # of the message that holds it; of the session's end, when it came from outside
    at: str
    name: str
    text: str  # as it was typed
    origin: str  # "chat" or "cli"
    state: CommandState
    outcome: str = ""
    recording: int | None = None


class Totals(msgspec.Struct, frozen=True):
    sessions: int
    events: int
    raw_bytes: int
    stored_bytes: int
    next_position: int
    indexed_position: int
    blobs: int  # that are there
    blob_bytes: int
    blob_stored_bytes: int
    blobs_dropped: int
