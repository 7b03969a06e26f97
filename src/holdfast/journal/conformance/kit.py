"""A journal under test, and what it should hold by now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeVar

from holdfast import blocks
from holdfast.events import EMPTY, Event, Kind, encode, event_id, session_id
from holdfast.journal.index import text_of
from holdfast.journal.model import (
    Batch,
    Blob,
    Cursor,
    Facts,
    Hit,
    Run,
    SearchQuery,
    SessionRow,
)
from holdfast.journal.protocol import JournalReader, JournalWriter

BLOCK_BYTES: Final = 4_096
AUDIT_MAX_ROWS: Final = 5
AGENT: Final = "claude"

T = TypeVar("T")


class Nonconformant(AssertionError):
    """The journal does not do what every journal must do."""


class Subject(Protocol):
    """One journal, empty at first; `folder` is a place for backups."""

    folder: str

    def writer(self, *, block_bytes: int, audit_max_rows: int) -> JournalWriter: ...
    def reader(self) -> JournalReader: ...
    def restored(self, backup: str) -> Subject: ...


Requirement = Callable[[Subject], None]
REQUIREMENTS: Final[list[Requirement]] = []


def name(requirement: Requirement) -> str:
    return getattr(requirement, "__name__", "").replace("_", " ")


class Trial:
    """A journal under test, and what it should hold by now."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.held: dict[str, list[bytes]] = {}
        self.order: list[tuple[str, int]] = []
        self.open()

    def open(self) -> None:
        self.writer = self.subject.writer(block_bytes=BLOCK_BYTES, audit_max_rows=AUDIT_MAX_ROWS)
        self.reader = self.subject.reader()

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    def say(
        self,
        session: str,
        *texts: str,
        kind: str = Kind.USER,
        day: int = 1,
        sealed: bool = False,
        **fields: Any,
    ) -> None:
        """Store events in one batch of their own."""
        self.write(self.batch(session, *texts, kind=kind, day=day, sealed=sealed, **fields))

    def batch(
        self,
        session: str,
        *texts: str,
        kind: str = Kind.USER,
        day: int = 1,
        sealed: bool = False,
        first: int | None = None,
        facts: Facts | None = None,
        supersedes: int | None = None,
        **fields: Any,
    ) -> Batch:
        """Events that go on where the session ends, or where `first` says."""
        facts = facts or known(session, started_at=at(day), updated_at=at(day))
        first = len(self.held.get(facts.id, [])) if first is None else first
        events = [
            said(facts.id, first + number, text, kind, at(day), supersedes)
            for number, text in enumerate(texts)
        ]
        batch = Batch(
            facts=facts,
            first_seq=first,
            texts=[text for text in map(text_of, events) if text is not None],
            **fields,
        )
        content = b"".join(encode(event) + b"\n" for event in events)
        if events and sealed:
            batch.blocks = [blocks.seal(content, first, len(events))]
        elif events:
            batch.lines, batch.line_count = content, len(events)
        return batch

    def write(self, *batches: Batch, durable: bool = False) -> None:
        self.writer.write(batches, durable=durable)
        for batch in batches:
            content = b"".join([*(blocks.unseal(each.data) for each in batch.blocks), batch.lines])
            held = self.held.setdefault(batch.facts.id, [])
            lines = content.splitlines(keepends=True)
            self.order += [(batch.facts.id, len(held) + number) for number in range(len(lines))]
            held += lines

    def settle(self) -> None:
        """Feed the index to its end."""
        while self.writer.feed_index():
            pass

    def row(self, session: str) -> SessionRow:
        row = self.reader.session(known(session).id)
        if row is None:
            raise Nonconformant(f"session {session} is not listed")
        return row

    def found(self, words: str, **filters: Any) -> list[str]:
        """What a search finds, as `session/seq` in our names."""
        return [self.called(hit) for hit in self.hits(words, **filters)]

    def first(self, words: str) -> str:
        return next(iter(self.found(words)), "nothing")

    def hits(self, words: str, **filters: Any) -> list[Hit]:
        return self.reader.search(SearchQuery(words=words, **filters))

    def hit(self, words: str) -> Hit:
        hits = self.hits(words)
        same(len(hits), 1, f"the number of hits of {words}")
        return hits[0]

    def called(self, hit: Hit) -> str:
        row = self.reader.session(hit.session)
        return f"{row.agent_session_id if row else hit.session}/{hit.seq}"

    def verify(self) -> None:
        """Every session reads as it was written, the order has no gap, nothing is damaged."""
        for session, lines in self.held.items():
            same(b"".join(self.reader.read(session)), b"".join(lines), "a session's lines")
            row = self.reader.session(session)
            same(row.events if row else None, len(lines), "a session's number of events")
        same(spread_out(self.reader.runs(1, limit=10_000)), self.order, "the global order")
        same(self.reader.check(), [], "check()")


def require(check: Callable[[Trial], None]) -> Callable[[Trial], None]:
    """Makes a check of a trial a requirement of a subject."""

    def requirement(subject: Subject) -> None:
        trial = Trial(subject)
        try:
            check(trial)
        finally:
            trial.close()

    requirement.__name__ = check.__name__
    requirement.__doc__ = check.__doc__
    REQUIREMENTS.append(requirement)
    return check


def same(seen: T, expected: T, what: str) -> None:
    if seen != expected:
        raise Nonconformant(f"{what}: seen {seen!r}, expected {expected!r}")


def refuses(error: type[Exception], work: Callable[[], object]) -> None:
    try:
        work()
    except error:
        return
    raise Nonconformant(f"nothing was refused, {error.__name__} was expected")


class Erasing:
    """Takes one word out of everything; fails where it is told to."""

    def __init__(self, word: str, *, fails_at: int = -1) -> None:
        self._word = word
        self._fails_at = fails_at
        self._found = 0

    def lines(self, lines: bytes) -> bytes:
        self._fails_at -= 1
        if self._fails_at == 0:
            raise Erased
        word = self._word.encode()
        self._found += lines.count(word)
        return lines.replace(word, b"[gone]") if word in lines else lines

    def text(self, text: str) -> str:
        return text.replace(self._word, "[gone]")

    fact = text

    def packed(self, content: bytes) -> bytes:
        return content.replace(self._word.encode(), b"[gone]")

    def blobs(self) -> list[Blob]:
        return [Blob("new", 5, 4)]

    def found(self) -> dict[str, int]:
        found, self._found = self._found, 0
        return {"word": found} if found else {}


class Erased(Exception):
    """The end of the world, as far as a rewriting goes."""


def at(day: int) -> str:
    return f"2026-01-{day:02}T10:00:00.000Z"


def known(session: str, **facts: Any) -> Facts:
    agent = facts.pop("agent", AGENT)
    return Facts(id=session_id(agent, session), agent=agent, agent_session_id=session, **facts)


def said(
    session: str, seq: int, text: str, kind: str, when: str, supersedes: int | None = None
) -> Event:
    return Event(
        id=event_id(session, 0, seq, 0),
        session=session,
        seq=seq,
        kind=kind,
        at=when,
        text=text,
        data=EMPTY,
        source=None,
        supersedes=supersedes,
    )


def cursor(session: str, path: str, **fields: Any) -> Cursor:
    return Cursor(agent=AGENT, path=path, session=known(session).id, **fields)


def spread_out(runs: Iterable[Run]) -> list[tuple[str, int]]:
    """The events of runs, one by one; a gap between two runs shows as a wrong position."""
    events: list[tuple[str, int]] = []
    for run in runs:
        same(run.position, len(events) + 1, "where a run starts")
        events += [(run.session, run.first_seq + number) for number in range(run.count)]
    return events


def many(words: str, count: int) -> list[str]:
    """Texts that fill blocks: incompressible enough that nothing is sealed by accident."""
    return [f"{words} number {number} {'.' * 150}" for number in range(count)]
