"""What every journal must do, as a kit that any implementation can be put through.

Give `REQUIREMENTS` a `Subject`, which opens, closes and opens again one journal that starts empty:

    @pytest.mark.parametrize("requirement", REQUIREMENTS, ids=name)
    def test_conformance(requirement, tmp_path):
        requirement(MyJournal(tmp_path))

A requirement says nothing about how an implementation works. It raises `Nonconformant` with what
was seen and what was expected.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import msgspec

from holdfast import blocks
from holdfast.events import EMPTY, Event, Kind, Usage, decode, encode, event_id, session_id
from holdfast.journal.index import text_of
from holdfast.journal.model import (
    AuditRecord,
    Batch,
    Blob,
    BlobFilter,
    BlobRow,
    CommandRow,
    Cursor,
    Facts,
    Hit,
    ItemMark,
    Ledger,
    Mark,
    Recording,
    Run,
    SearchQuery,
    SessionFilter,
    SessionRow,
    Span,
    TitleRank,
    UnknownType,
)
from holdfast.journal.protocol import JournalReader, JournalWriter
from holdfast.journal.sqlite import JournalError
from holdfast.journal.words import MARKS
from holdfast.journal.writer import SequenceConflict

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


# Storing.


@require
def a_new_journal_is_empty(trial: Trial) -> None:
    totals = trial.reader.totals()
    same((totals.sessions, totals.events, totals.next_position), (0, 0, 1), "totals()")
    same(trial.reader.sessions(), [], "sessions()")
    same(trial.reader.session("nobody"), None, "session() of nobody")
    same(list(trial.reader.read("nobody")), [], "read() of nobody")
    same(trial.reader.runs(1), [], "runs()")
    same(trial.reader.search(SearchQuery(words="word")), [], "search()")
    same(trial.writer.index_lag, 0, "index_lag")
    trial.verify()


@require
def lines_and_sealed_blocks_read_alike(trial: Trial) -> None:
    trial.say("lines", "one", "two")
    trial.say("blocks", "one", "two", sealed=True)
    trial.say("lines", "three", sealed=True)  # a block behind an open tail
    trial.say("blocks", "three")
    trial.say("blocks", "four", sealed=True)
    both = trial.batch("both", "a", "b", sealed=True)
    more = trial.batch("both", "c", first=2)
    both.lines, both.line_count = more.lines, more.line_count
    trial.write(both)
    trial.verify()
    trial.reopen()
    trial.verify()


@require
def a_tail_that_grows_past_a_block_is_sealed_and_reads_the_same(trial: Trial) -> None:
    for number in range(60):
        trial.say("long", *many("steady", 1 + number % 3))
        if number % 5 == 0:
            trial.say("other", "in between")
    trial.verify()
    row = trial.row("long")
    same(row.raw_bytes, sum(map(len, trial.held[row.id])), "raw_bytes")
    trial.say("long", *many("flood", 200))  # more than a block at once
    trial.verify()


@require
def a_batch_that_does_not_start_where_the_session_ends_is_refused(trial: Trial) -> None:
    trial.say("one", "a", "b")
    for first in (0, 1, 3):
        wrong = trial.batch("one", "x", first=first)
        refuses(SequenceConflict, partial(trial.write, wrong))
    stale = trial.batch("one", first=0, cursor=cursor("one", "/log", offset=1))
    refuses(SequenceConflict, partial(trial.write, stale))
    refuses(SequenceConflict, partial(trial.write, trial.batch("new", "x", first=1)))
    same(trial.reader.session(known("new").id), None, "a session that was refused")
    same(trial.reader.cursors(), [], "the cursor of a batch that was refused")
    trial.verify()


@require
def all_batches_are_stored_or_none(trial: Trial) -> None:
    trial.say("one", "a")
    before = trial.reader.totals()
    good = trial.batch("one", "b", usage=Usage(output=5), unknown_types={"odd": (1, 10)})
    good.cursor = cursor("one", "/log", offset=7)
    good.blobs = [Blob("digest", 100, 10)]
    bad = trial.batch("two", "x", first=4)
    refuses(SequenceConflict, partial(trial.write, good, bad))
    same(trial.reader.totals(), before, "totals() after a group that was refused")
    same(trial.reader.cursors(), [], "cursors()")
    same(trial.reader.unknown_types(), [], "unknown_types()")
    trial.settle()
    same(trial.found("b"), [], "a search for what was refused")
    trial.write(good, trial.batch("two", "x"))
    trial.verify()


@require
def batches_of_one_group_build_on_each_other(trial: Trial) -> None:
    trial.write(
        trial.batch("one", "a"),
        trial.batch("two", "b"),
        trial.batch("one", "c", first=1),
        durable=True,
    )
    trial.verify()


@require
def a_cursor_is_stored_with_its_events(trial: Trial) -> None:
    moved = cursor(
        "one",
        "/logs/one.jsonl",
        origin=2,
        offset=90,
        size=100,
        mtime_ns=12_345_678_901,
        ledger=Ledger(60, 20, 7, 3),
        open_verdict="parsed",
        head_bytes=64,
        head=b"\x00head",
        edge=b"\xffedge",
        state=b"\x01state",
        compare_until=80,
        error="torn",
    )
    trial.say("one", "a", cursor=moved)
    same(trial.reader.cursor(AGENT, "/logs/one.jsonl"), moved, "cursor()")
    same(trial.reader.cursor("other", "/logs/one.jsonl"), None, "the cursor of another agent")
    onwards = msgspec.structs.replace(moved, offset=100, open_verdict=None, gone_at=at(2), error="")
    trial.say("one", cursor=onwards)  # without events
    same(trial.reader.cursors(), [onwards], "cursors()")
    trial.reopen()
    same(trial.reader.cursors(), [onwards], "cursors() after it was opened again")
    trial.writer.save_cursors([moved])
    same(trial.reader.cursors(), [moved], "a saved cursor")
    same(trial.row("one").events, 1, "events")


@require
def the_ledger_adds_up_all_logs(trial: Trial) -> None:
    trial.writer.save_cursors(
        [
            cursor("one", "/a", offset=10, size=12, ledger=Ledger(4, 3, 2, 1)),
            cursor("one", "/b", offset=40, size=40, ledger=Ledger(40), gone_at=at(1)),
            cursor("two", "/c", offset=5, size=3, ledger=Ledger(bad=5), error="unreadable"),
            Cursor(agent="other", path="/a", session="x", offset=9, size=9, ledger=Ledger(9)),
        ]
    )
    whole, one = trial.reader.ledger(), trial.reader.ledger("other")
    same((whole.files, whole.parsed, whole.skipped, whole.unknown, whole.bad), (4, 53, 3, 2, 6), "")
    same((whole.torn, whole.gone, whole.unreadable), (2, 1, 1), "torn, gone, unreadable")
    same(whole.last_error, "unreadable", "last_error")
    same((one.files, one.parsed, one.torn), (1, 9, 0), "the ledger of one agent")
    same(trial.reader.ledger("nobody").files, 0, "the ledger of nobody")


@require
def marks_and_paths_say_which_logs_are_known(trial: Trial) -> None:
    trial.writer.save_cursors(
        [
            cursor("one", "/p/a.jsonl", size=5, mtime_ns=7),
            cursor("one", "/p/b.jsonl", gone_at=at(1), error="gone"),
            cursor("two", "/p/deep/c.jsonl", origin=3),
            cursor("two", "/p.other/d.jsonl"),
            Cursor(agent="other", path="/p/e.jsonl", session="x"),
        ]
    )
    marks = {mark.path: mark for mark in trial.reader.marks()}
    same(len(marks), 5, "the number of marks")
    same(marks["/p/a.jsonl"], Mark(AGENT, "/p/a.jsonl", 5, 7, "", ""), "a mark")
    same(marks["/p/b.jsonl"], Mark(AGENT, "/p/b.jsonl", 0, 0, at(1), "gone"), "a mark")
    paths = trial.reader.known_paths(AGENT, "/p")
    same(paths, {"/p/a.jsonl", "/p/b.jsonl"}, "known_paths()")
    same(trial.reader.known_paths(AGENT, "/q"), set(), "known_paths() of a new folder")
    same(trial.reader.next_origin(known("two").id), 4, "next_origin()")
    same(trial.reader.next_origin(known("new").id), 0, "next_origin() of a new session")


@require
def marks_may_be_many_and_change_while_they_are_read(trial: Trial) -> None:
    trial.writer.save_cursors([cursor("one", f"/p/{number}") for number in range(2_500)])
    seen: set[str] = set()
    for mark in trial.reader.marks():
        if not seen:
            trial.writer.save_cursors([cursor("one", "/p/7", error="changed")])
        seen.add(mark.path)
    same(len(seen), 2_500, "the number of marks")


@require
def facts_are_merged_and_empty_never_wins(trial: Trial) -> None:
    trial.say(
        "one",
        facts=known(
            "one",
            parent="p1",
            first_uuid="u1",
            project="/first",
            started_at=at(5),
            updated_at=at(6),
            model="m1",
            cwd="/first",
            branch="b1",
            agent_version="1",
        ),
    )
    trial.say("one", facts=known("one"))
    row = trial.row("one")
    same((row.parent, row.first_uuid, row.project), ("p1", "u1", "/first"), "facts kept")
    same((row.model, row.cwd, row.branch, row.agent_version), ("m1", "/first", "b1", "1"), "")
    same((row.started_at, row.updated_at), (at(5), at(6)), "times kept")
    trial.say(
        "one",
        facts=known(
            "one",
            parent="p2",
            first_uuid="u2",
            project="/second",
            started_at=at(4),
            updated_at=at(5),
            model="m2",
            cwd="/second",
            branch="b2",
            agent_version="2",
        ),
    )
    row = trial.row("one")
    same((row.parent, row.first_uuid, row.project), ("p2", "u1", "/first"), "where it began")
    same((row.model, row.cwd, row.branch, row.agent_version), ("m2", "/second", "b2", "2"), "")
    same((row.started_at, row.updated_at), (at(4), at(6)), "the earliest and the latest")
    trial.say("two", facts=known("two"))
    trial.say("two", facts=known("two", started_at=at(3)))
    same(trial.row("two").started_at, at(3), "a start that comes late")


@require
def the_title_of_the_highest_rank_wins_and_among_equals_the_newest(trial: Trial) -> None:
    steps = [
        ("", TitleRank.PERSON, ""),
        ("of no rank", TitleRank.NONE, "of no rank"),
        ("", TitleRank.NONE, "of no rank"),
        ("asked", TitleRank.PROMPT, "asked"),
        ("asked again", TitleRank.PROMPT, "asked again"),
        ("by the agent", TitleRank.AGENT, "by the agent"),
        ("a summary", TitleRank.SUMMARY, "by the agent"),
        ("", TitleRank.PERSON, "by the agent"),
        ("by the agent, later", TitleRank.AGENT, "by the agent, later"),
        ("by a person", TitleRank.PERSON, "by a person"),
        ("by the agent, too late", TitleRank.AGENT, "by a person"),
    ]
    for title, rank, expected in steps:
        trial.say("one", facts=known("one", title=title, title_rank=rank))
        same(trial.row("one").title, expected, f"the title after {title!r}")


@require
def a_session_refers_to_what_others_hold_of_it(trial: Trial) -> None:
    first, second = known("first").id, known("second").id
    trial.say("first", "a", "b", "c", facts=known("first", first_uuid="u"))
    trial.say("second", "d", facts=known("second", first_uuid="u"), inherited=[Span(first, 0, 2)])
    trial.say("third", "e", inherited=[Span(first, 0, 1), Span(second, 0, 1)])
    trial.say("third", inherited=[Span(first, 2, 3)])
    trial.say("named", "f", facts=known("named", forked_from=second))
    trial.reopen()
    same(trial.reader.lineage(second), [Span(first, 0, 2)], "lineage()")
    expected = [Span(first, 0, 1), Span(second, 0, 1), Span(first, 2, 3)]
    same(trial.reader.lineage(known("third").id), expected, "lineage() of several batches")
    same(trial.reader.lineage(first), [], "lineage() of what stands alone")
    seen = {
        row.agent_session_id: (row.forked_from, row.inherited) for row in trial.reader.sessions()
    }
    same(
        seen,
        {"first": ("", 0), "second": (first, 2), "third": (first, 3), "named": (second, 0)},
        "forked_from and inherited",
    )
    same(trial.reader.beginning_with(AGENT, "u"), [first, second], "beginning_with()")
    same(trial.reader.beginning_with("codex", "u"), [], "beginning_with() of another agent")


@require
def usage_adds_up(trial: Trial) -> None:
    trial.say("one", "a", usage=Usage(1, 2, 3, 4))
    trial.say("one", "b", sealed=True, usage=Usage(10, 20, 30, 40))
    trial.say("one", "c")
    same(trial.row("one").usage, Usage(11, 22, 33, 44), "usage")


@require
def unknown_types_and_blobs_are_counted(trial: Trial) -> None:
    trial.say("one", "a", unknown_types={"odd": (1, 100), "rare": (1, 5)})
    trial.say("one", "b", unknown_types={"odd": (2, 50)}, blobs=[Blob("b", 9, 3), Blob("a", 7, 2)])
    trial.say("one", "c", blobs=[Blob("b", 9, 3)])
    expected = [UnknownType(AGENT, "odd", 3, 150), UnknownType(AGENT, "rare", 1, 5)]
    same(trial.reader.unknown_types(), expected, "unknown_types()")
    totals = trial.reader.totals()
    same((totals.blobs, totals.blob_bytes, totals.blob_stored_bytes), (2, 16, 5), "totals()")


@require
def payloads_are_listed_by_who_uses_them_and_may_be_dropped(trial: Trial) -> None:
    trial.say("old", "a", day=1, blobs=[Blob("aa", 9, 3), Blob("ab", 7, 2)])
    trial.say("new", "b", day=9, blobs=[Blob("aa", 9, 3), Blob("c", 5, 1)])
    rows = [
        BlobRow("aa", 9, 3, "", 2, at(9)),
        BlobRow("ab", 7, 2, "", 1, at(1)),
        BlobRow("c", 5, 1, "", 1, at(9)),
    ]

    def listed(**wanted: Any) -> list[BlobRow]:
        return trial.reader.blobs(BlobFilter(**wanted))

    same(trial.reader.blobs(), rows, "blobs()")
    same(listed(digest="a"), rows[:2], "blobs() by the beginning of a digest")
    same(listed(session=known("old").id), rows[:2], "blobs() of a session")
    same(listed(used_before=at(5)), rows[1:2], "blobs() that nobody used lately")
    same(listed(min_bytes=7, limit=1), rows[:1], "the largest of blobs()")
    trial.writer.drop_blobs(["ab", "nothing"], at(10))
    same(trial.reader.blobs(), [rows[0], rows[2]], "blobs() without what was dropped")
    gone = msgspec.structs.replace(rows[1], dropped_at=at(10))
    same(listed(digest="ab", dropped=True), [gone], "a dropped blob")
    totals = trial.reader.totals()
    same((totals.blobs, totals.blob_bytes, totals.blobs_dropped), (2, 14, 1), "totals()")
    trial.say("new", "d", day=9, blobs=[Blob("ab", 7, 2)])
    again = BlobRow("ab", 7, 2, "", 2, at(9))
    same(listed(digest="ab"), [again], "a blob that came again")


@require
def of_each_item_the_newest_mark_is_remembered(trial: Trial) -> None:
    one = ItemMark(-(1 << 63), (1 << 63) - 1, 0, 1, 0, Usage(1, 2, 3, 4))
    two = ItemMark(7, -1, 1, 1, 0, Usage())
    newer = ItemMark(7, 5, 2, 1, 1, Usage(output=9))
    trial.say("one", "a", "b", items=[one, two])
    trial.say("two", "x", items=[ItemMark(7, 0, 0, 0, 0, Usage())])
    trial.say("one", "c", items=[newer])
    trial.reopen()
    session = known("one").id
    same(sorted(trial.reader.items(session), key=lambda mark: mark.key), [one, newer], "items()")
    same(trial.reader.item(session, 7), newer, "item()")
    same(trial.reader.item(session, 8), None, "item() of what is not there")
    same(trial.reader.items("nobody"), [], "items() of no session")


@require
def each_agent_has_its_own_totals_and_errors(trial: Trial) -> None:
    trial.say("one", "a", "b")
    trial.say("two", "c")
    same(trial.reader.agent_totals(), {AGENT: (2, 3)}, "agent_totals()")
    other = Cursor(agent="other", path="/x", session="x", error="no")
    logs = [cursor("one", f"/{name}", error=f"odd {name}") for name in "abc"]
    trial.writer.save_cursors([*logs, cursor("two", "/fine"), other])
    found = [("/c", "odd c"), ("/b", "odd b")]
    same(trial.reader.file_errors(AGENT, 2), found, "file_errors() of an agent")
    same(trial.reader.file_errors("nobody"), [], "file_errors() of nobody")


@require
def the_audit_keeps_the_newest_records_only(trial: Trial) -> None:
    records = [
        AuditRecord(at(1), "tested", msgspec.Raw(msgspec.json.encode({"number": number})))
        for number in range(12)
    ]
    for start in range(0, 12, 4):
        trial.writer.audit(records[start : start + 4])
    kept = trial.reader.audit()
    expected = [bytes(record.detail) for record in records[:-6:-1]]
    same([bytes(record.detail) for record in kept], expected, "audit(), newest first")
    same((kept[0].at, kept[0].action), (at(1), "tested"), "a record")
    same(len(trial.reader.audit(limit=2)), 2, "audit(limit=2)")


@require
def totals_count_what_is_held(trial: Trial) -> None:
    trial.say("one", "a", "b", "c")
    trial.say("two", *many("d", 50), sealed=True)
    totals = trial.reader.totals()
    raw = sum(len(line) for lines in trial.held.values() for line in lines)
    same((totals.sessions, totals.events, totals.raw_bytes), (2, 53, raw), "totals()")
    same((totals.next_position, totals.indexed_position), (54, 1), "positions")
    if not 0 < totals.stored_bytes <= raw:
        raise Nonconformant(f"{totals.stored_bytes} bytes stored of {raw}")
    trial.settle()
    same(trial.reader.totals().indexed_position, 54, "indexed_position")


# Reading.


@require
def the_global_order_has_no_gaps_and_merges_neighbours(trial: Trial) -> None:
    for session, count in (("a", 2), ("a", 3), ("b", 1), ("a", 1), ("a", 1), ("c", 2), ("b", 4)):
        trial.say(session, *["x"] * count, sealed=count == 3)
    a, b, c = (known(session).id for session in "abc")
    runs = [Run(1, a, 0, 5), Run(6, b, 0, 1), Run(7, a, 5, 2), Run(9, c, 0, 2), Run(11, b, 1, 4)]
    same(trial.reader.runs(1), runs, "runs()")
    same(trial.reader.runs(3), runs, "runs() from the middle of a run")
    same(trial.reader.runs(6), runs[1:], "runs() from the start of a run")
    same(trial.reader.runs(14), runs[4:], "runs() from the last event")
    same(trial.reader.runs(15), [], "runs() behind the last event")
    same(trial.reader.runs(1, limit=2), runs[:2], "runs() with a limit")
    trial.reopen()
    trial.say("b", "y")
    same(trial.reader.runs(11), [Run(11, b, 1, 5)], "a run that goes on after reopening")
    trial.verify()


@require
def any_range_of_events_can_be_read(trial: Trial) -> None:
    for count, sealed in ((3, True), (4, True), (1, False), (2, False), (2, True), (3, False)):
        trial.say("one", *many("x", count), sealed=sealed)
    session = known("one").id
    lines = trial.held[session]
    for first in range(len(lines) + 2):
        whole = b"".join(trial.reader.read(session, first))
        same(whole, b"".join(lines[first:]), f"read({first})")
        for behind in range(len(lines) + 3):
            pieces = list(trial.reader.read(session, first, behind))
            same(b"".join(pieces), b"".join(lines[first:behind]), f"read({first}, {behind})")
            same(b"" in pieces, False, f"an empty piece in read({first}, {behind})")
    events = list(trial.reader.events(session, 2, 9))
    same(events, [decode(line) for line in lines[2:9]], "events(2, 9)")


@require
def a_reading_ends_where_the_session_ended_when_it_began(trial: Trial) -> None:
    """Whoever writes meanwhile, and whether or not the tail is sealed meanwhile."""
    for _ in range(3):
        trial.say("one", *many("x", 30), sealed=True)
    trial.say("one", *many("x", 5))
    before = b"".join(trial.held[known("one").id])
    pieces = trial.reader.read(known("one").id)
    seen = next(pieces)
    trial.say("one", *many("y", 100))
    same(seen + b"".join(pieces), before, "what a reading gives while somebody writes")


@require
def a_reading_may_be_left_unfinished(trial: Trial) -> None:
    for _ in range(3):
        trial.say("one", *many("x", 30), sealed=True)
    unfinished = trial.reader.read(known("one").id)
    next(unfinished)
    trial.say("one", "y")
    same(trial.row("one").events, 91, "events, while a reading is left unfinished")
    trial.writer.checkpoint()
    trial.settle()
    same(trial.found("y"), ["one/90"], "a search while a reading is left unfinished")
    unfinished.close()


@require
def sessions_are_listed_newest_first_and_filtered(trial: Trial) -> None:
    trial.say("old", "apples", facts=known("old", updated_at=at(1), project="/home/Ärger"))
    trial.say("new", "pears", facts=known("new", updated_at=at(9), project="/home/web", title="T1"))
    trial.say("mid", "plums", facts=known("mid", updated_at=at(5), agent="other"))
    trial.settle()

    def listed(**wanted: Any) -> list[str]:
        rows = trial.reader.sessions(SessionFilter(**wanted))
        numbers = trial.reader.session_numbers(SessionFilter(**wanted))
        same(trial.reader.sessions_at(numbers), rows, "sessions_at(session_numbers())")
        same(trial.reader.sessions_at(numbers[1:]), rows[1:], "sessions_at() of a part")
        return [row.agent_session_id for row in rows]

    same(listed(), ["new", "mid", "old"], "sessions()")
    same(listed(limit=2), ["new", "mid"], "with a limit")
    same(listed(limit=0), [], "with a limit of none")
    same(listed(agent="other"), ["mid"], "of an agent")
    same(listed(project="HOME"), ["new", "old"], "of a part of a project")
    same(listed(project="äRGER"), ["old"], "of a project, whatever the case")
    same(listed(since=at(5)), ["new", "mid"], "since")
    same(listed(text="apples"), ["old"], "with words in the conversation")
    same(listed(text="t1"), ["new"], "with words in the title")
    same(listed(text="WEB"), ["new"], "with words in the project")
    same(listed(text="nothing"), [], "with words that are nowhere")
    same(listed(text="pears", project="ärger"), [], "with all filters at once")
    same(listed(project="home", limit=1), ["new"], "the limit comes last")


@require
def sessions_of_the_same_time_are_listed_by_id(trial: Trial) -> None:
    for number in range(6):
        trial.say(f"s{number}", "x", facts=known(f"s{number}", updated_at=at(1)))
    ids = [row.id for row in trial.reader.sessions()]
    same(ids, sorted(ids), "sessions()")


@require
def a_session_is_found_by_the_beginning_of_its_names(trial: Trial) -> None:
    trial.say("abc-1", "x", facts=known("abc-1", updated_at=at(1), title="one"))
    trial.say("abc-2", "x", facts=known("abc-2", updated_at=at(2)))
    trial.say("abc", "x", facts=known("abc", updated_at=at(1)))
    trial.say("zz/agent-7", "x", facts=known("zz/agent-7", updated_at=at(1)))
    trial.say("abc-1", "x", facts=known("abc-1", agent="other", updated_at=at(3)))

    def named(prefix: str, agent: str = "") -> list[tuple[str, str]]:
        return [(found[1], found[2]) for found in trial.reader.find(prefix, agent)]

    same(named("abc-2"), [(AGENT, "abc-2")], "find() a whole name")
    same(named("abc-1"), [("other", "abc-1"), (AGENT, "abc-1")], "find() a name of two")
    same(named("abc-1", AGENT), [(AGENT, "abc-1")], "find() within an agent")
    same(named("abc", AGENT)[0], (AGENT, "abc"), "find(): the exact one first")
    same(named("abc", AGENT)[1:], [(AGENT, "abc-2"), (AGENT, "abc-1")], "then the newest first")
    same(named("agent-7"), [(AGENT, "zz/agent-7")], "find() the last part of a name")
    same(named("bc"), [], "find() what is in the middle of a name")
    same(named("%"), [], "find() what a pattern would match")
    row = trial.row("abc-1")
    same(trial.reader.find(row.id), [(row.id, AGENT, "abc-1", "one")], "find() by id")
    same(len(trial.reader.find(row.id[:6])), 1, "find() by the beginning of an id")
    for number in range(20):
        trial.say(f"many{number}", "x")
    same(len(trial.reader.find("many")), 11, "find() gives no more than eleven")


@require
def a_backup_holds_everything(trial: Trial) -> None:
    trial.say("one", *many("apples", 40), cursor=cursor("one", "/log", offset=9), day=3)
    trial.say("two", "pears", sealed=True)
    trial.settle()
    target = os.path.join(trial.subject.folder, "backup")
    trial.writer.backup(target)
    trial.writer.backup(target)  # over an older one
    same(os.stat(target).st_mode & 0o777, 0o600, "the mode of a backup")
    held, order = dict(trial.held), list(trial.order)
    trial.say("one", "later")
    restored = Trial(trial.subject.restored(target))
    try:
        restored.held, restored.order = held, order
        restored.held[known("one").id] = held[known("one").id][:40]
        restored.verify()
        same(restored.reader.cursors(), trial.reader.cursors(), "cursors()")
        same(restored.found("pears"), ["two/0"], "a search in a backup")
        restored.say("one", "goes on")
        restored.verify()
    finally:
        restored.close()
    trial.verify()


# Searching.


@require
def search_finds_what_the_index_was_fed(trial: Trial) -> None:
    trial.say("one", "apples", "pears")
    same(trial.writer.index_lag, 2, "index_lag")
    same(trial.found("apples"), [], "a search before the index is fed")
    trial.settle()
    same(trial.writer.index_lag, 0, "index_lag")
    same(trial.found("apples"), ["one/0"], "a search behind the feeding")
    same(trial.writer.feed_index(), False, "feed_index() when nothing waits")


@require
def a_text_that_was_superseded_is_not_found(trial: Trial) -> None:
    """Whether the index was fed between the two, had both at once, or reads both again."""
    trial.say("one", "apples", "bread")
    trial.settle()
    trial.say("one", "pears", supersedes=0)
    trial.say("two", "plums")
    trial.say("two", "figs", supersedes=0)
    trial.settle()
    seen = [trial.found(word) for word in ("apples", "bread", "pears", "plums", "figs")]
    same(seen, [[], ["one/1"], ["one/2"], [], ["two/1"]], "what is found")
    trial.say("one", "cherries", supersedes=2)
    trial.reopen()
    trial.settle()
    same([trial.found("pears"), trial.found("cherries")], [[], ["one/3"]], "behind reopening")


@require
def texts_that_were_not_fed_are_read_again_after_reopening(trial: Trial) -> None:
    trial.say("one", "apples")
    trial.settle()
    trial.say("one", "pears", "plums", sealed=True)
    trial.say("two", "cherries")
    trial.say("one", "figs")
    trial.reopen()
    same(trial.writer.index_lag, 4, "index_lag after reopening")
    trial.say("three", "dates")  # this one is new, the others were lost
    same(trial.writer.index_lag, 5, "index_lag")
    trial.settle()
    same(trial.writer.index_lag, 0, "index_lag")
    fruit = ("apples", "pears", "plums", "cherries", "figs", "dates")
    seen = [trial.found(word) for word in fruit]
    expected = [["one/0"], ["one/1"], ["one/2"], ["two/0"], ["one/3"], ["three/0"]]
    same(seen, expected, "what is found after reopening")


@require
def what_was_lost_and_what_is_new_are_each_found_once(trial: Trial) -> None:
    """Catching up takes steps; one of them ends amid what was written since."""
    for number in range(3):
        trial.say("one", *many(f"lost{number}", 1_000), sealed=True)
    trial.reopen()
    for number in range(3):
        trial.say("one", *many(f"new{number}", 1_000), sealed=True)
    trial.writer.feed_index()
    trial.say("one", "meanwhile")
    trial.settle()
    same(trial.writer.index_lag, 0, "index_lag")
    for word in ("lost2", "new1"):
        found = trial.found(word, limit=1_500)
        same((len(found), len(set(found))), (1_000, 1_000), f"how often {word} is found")
    same(trial.first("meanwhile"), "one/6000", "what was written meanwhile")
    trial.verify()


def _fruit(trial: Trial) -> None:
    """A few conversations about little."""
    trial.say("red", "Apples and pears", "pears only", day=2)
    trial.say("red", "apples: the agent's view", kind=Kind.ASSISTANT, day=2)
    trial.say("red", "apples in output", kind=Kind.TOOL_RESULT, day=2)
    trial.say(
        "blue",
        "pears and apples, café",
        "foo_bar.baz(); approx",
        facts=known("blue", project="/home/Web", agent="other", updated_at=at(8)),
        day=8,
    )
    trial.say("cjk", "全文検索を直した", "검색 색인", "搜索引擎很快", "索搜", day=3)
    trial.settle()


def _set(trial: Trial, words: str, **filters: Any) -> set[str]:
    return set(trial.found(words, **filters))


@require
def a_search_wants_all_words(trial: Trial) -> None:
    _fruit(trial)
    both = {"red/0", "blue/0"}
    strict = trial.found("apples PEARS")[:2]
    same(set(strict), both, "events with both words come first")
    same(_set(trial, "apples"), {"red/0", "red/2", "blue/0"}, "one word")
    same(_set(trial, "Cafe"), {"blue/0"}, "without its accent")
    same(_set(trial, "baz"), {"blue/1"}, "a part of a name in code")
    same(_set(trial, "output"), set(), "the output of a tool is not indexed")
    same(_set(trial, "nowhere"), set(), "a word that is nowhere")
    same(len(trial.found("apples", limit=2)), 2, "with a limit")
    same(trial.found("apples", limit=0), [], "with a limit of none")


@require
def a_search_knows_phrases_and_beginnings(trial: Trial) -> None:
    _fruit(trial)
    same(trial.first('"pears and apples"'), "blue/0", "a phrase")
    same(trial.first('"apples and pears"'), "red/0", "a phrase, whatever the case")
    same(trial.found('"foo bar baz"'), ["blue/1"], "a phrase over punctuation")
    same(trial.found("foo.bar"), ["blue/1"], "a name in code is a phrase")
    same(_set(trial, "app*"), {"red/0", "red/2", "blue/0", "blue/1"}, "a beginning")
    same(trial.first('"pears on*"'), "red/1", "a phrase with a beginning")
    same(trial.found('apples "pears and'), trial.found('apples "pears and"'), "an open quote")


@require
def a_search_knows_text_without_spaces(trial: Trial) -> None:
    _fruit(trial)
    same(trial.first("検索"), "cjk/0", "Japanese")
    same(trial.found("색인"), ["cjk/1"], "Korean")
    same(trial.first("搜索"), "cjk/2", "Chinese")
    same(trial.found("索搜"), ["cjk/3"], "the order of the characters counts")
    same(trial.first("搜索*"), "cjk/2", "a beginning")


@require
def nothing_that_is_typed_is_an_error(trial: Trial) -> None:
    _fruit(trial)
    odd = [
        *("", " ", '"', '""', "*", '"*', "-", "NOT", "AND OR", "(", "user:", "^x", "a + b", "\0"),
        *(
            "—",
            "🙏",
            "\ud800",
            "'; DROP TABLE sessions; --",
            "{user} : apples",
            "NEAR(a b)",
            "x" * 9,
        ),
    ]
    for words in odd:
        trial.found(words)
        trial.reader.sessions(SessionFilter(text=words))
    same(trial.found("🙏 — …"), [], "signs only")
    same(trial.found("apples — pears")[:1], trial.found("apples pears")[:1], "a dash between words")
    page = " ".join(f"word{number}" for number in range(5_000))
    same(trial.found(page), [], "a pasted page")
    same(_set(trial, "apples " * 3_000), _set(trial, "apples"), "the same word many times")


@require
def a_search_is_filtered(trial: Trial) -> None:
    _fruit(trial)
    same(_set(trial, "apples", kind=Kind.ASSISTANT), {"red/2"}, "by kind")
    same(_set(trial, "apples", kind=Kind.TOOL_RESULT), set(), "by a kind that is not indexed")
    same(_set(trial, "apples", agent="other"), {"blue/0"}, "by agent")
    same(_set(trial, "apples", project="hOME/wEB"), {"blue/0"}, "by a part of the project")
    same(_set(trial, "apples", since=at(5)), {"blue/0"}, "by time")
    same(_set(trial, "apples", since=at(9)), set(), "by a time when nothing was said")
    same(_set(trial, "apples", agent="nobody"), set(), "by an agent that is not there")
    same(_set(trial, "pears", agent=AGENT, kind=Kind.USER), {"red/0", "red/1"}, "by two")


@require
def since_looks_at_the_event_and_not_at_its_session(trial: Trial) -> None:
    trial.say("one", "apples early", day=1)
    trial.say("one", "apples late", day=9)
    trial.settle()
    same(trial.found("apples", since=at(5)), ["one/1"], "since")


@require
def a_question_finds_its_session(trial: Trial) -> None:
    """No event holds all of the words, and some are in another form."""
    trial.say("noise", *many("the build was green and we were done", 8))
    trial.say("target", "The uploader fails with a timeout", "Then we retried with a backoff")
    trial.say("other", "The uploader is green")
    trial.say("cjk", "今天的缓存已经失效了", "重新构建索引")
    trial.settle()
    first = trial.first("how did we fix the failing uploader with retries and a backoff?")
    same(first.split("/")[0], "target", "the session that a question is about")
    first = trial.first("缓存失效怎么修复索引")
    same(first.split("/")[0], "cjk", "the session that a question without spaces is about")


@require
def a_snippet_marks_the_words(trial: Trial) -> None:
    trial.say("one", f"{'before ' * 100}\nthe Needle, in\ta café{' behind' * 100}")
    trial.say("one", "短い全文検索の例")
    trial.settle()
    mark, end = MARKS
    hit = trial.hit("needle CAFE")
    same(f"the {mark}Needle{end}, in a {mark}café{end} behind" in hit.snippet, True, hit.snippet)
    same((hit.snippet[0], hit.snippet[-1], "\n" in hit.snippet), ("…", "…", False), "its ends")
    same((hit.kind, hit.at), (Kind.USER, at(1)), "the hit")
    hit = trial.hit("検索")
    same(hit.snippet, f"短い全文{mark}検索{end}の例", "a snippet without spaces")


# Recordings and commands.


def recording(no: int, **fields: Any) -> Recording:
    about = {
        "session": known("one").id,
        "path": f"/home/hana/{no}.md",
        "form": "markdown",
        "state": "active",
        "asked": "::record",
        "started_at": at(no),
    }
    return Recording(no=no, **{**about, **fields})


def command(no: int, **fields: Any) -> CommandRow:
    about = {
        "key": f"key-{no}",
        "session": known("one").id,
        "seq": no,
        "at": at(no),
        "name": "record",
        "text": "::record",
        "origin": "chat",
        "state": "pending",
    }
    return CommandRow(no=no, **{**about, **fields})


@require
def recordings_are_kept_as_they_were_saved_last(trial: Trial) -> None:
    first = recording(1, place=b"\x00place", events=3)
    other = recording(2, session=known("other").id, form="jsonl")
    trial.writer.save_recordings([first, other])
    first.state, first.problem, first.ended_at = "lost", "it was deleted", at(9)
    trial.writer.save_recordings([first])
    trial.reopen()
    same(trial.reader.recordings(), [other, first], "the recordings, newest first")
    same(trial.reader.recordings(limit=1), [other], "a limit")
    same(trial.reader.recordings(session=first.session), [first], "those of a session")
    same(trial.reader.last_numbers(), (2, 0), "the last numbers")
    same(trial.reader.exports(first.path), [], "the exports into a file that is recorded into")
    once = [recording(no, state="exported", path="/once.md") for no in (3, 4)]
    trial.writer.save_recordings([*once, recording(5, state="exported", path="/other.md")])
    same(trial.reader.exports("/once.md"), once[::-1], "the exports into a file, newest first")


@require
def live_recordings_are_those_that_something_is_still_to_be_written_to(trial: Trial) -> None:
    states = ["starting", "prepared", "active", "stopping", "stopped", "lost", "failed", "exported"]
    rows = [recording(no, state=state) for no, state in enumerate(states, 1)]
    rows[5].problem = rows[2].problem = "something"
    rows[6].problem = "another thing"
    trial.writer.save_recordings(rows)
    live = [each.state for each in trial.reader.live_recordings()]
    same(live, ["starting", "active", "stopping"], "the live ones, oldest first")
    same(trial.reader.recording_counts(), dict.fromkeys(states, 1), "how many of each state")
    bad = [(rows[6].path, "another thing"), (rows[5].path, "something")]
    same(trial.reader.recording_problems(5), bad, "what ended badly, newest first")
    same(trial.reader.recording_problems(1), bad[:1], "a limit")


@require
def a_command_has_one_turn_ever(trial: Trial) -> None:
    trial.writer.save_recordings([], [command(1)], 7)
    same(trial.reader.commands_position(), 7, "the position that goes with it")
    same(trial.reader.pending_commands(), [command(1)], "what is begun")
    done = command(1, state="done", outcome="recording", recording=4)
    trial.writer.save_recordings([recording(4)], [done])
    trial.reopen()
    same(trial.reader.pending_commands(), [], "what is begun and was seen through")
    same(trial.reader.known_commands(["key-1", "key-2"]), {"key-1"}, "the known keys")
    again = command(2, key="key-1")
    refuses(
        JournalError, lambda: trial.writer.save_recordings([recording(9)], [command(3), again], 99)
    )
    same(trial.reader.commands(), [done], "the commands after one came again")
    same(trial.reader.recordings(), [recording(4)], "the recordings of a refused transaction")
    same(trial.reader.commands_position(), 7, "the position of a refused transaction")


@require
def commands_are_listed_newest_first_and_counted(trial: Trial) -> None:
    rows = [command(1, state="done"), command(2, state="refused"), command(3, state="refused")]
    trial.writer.save_recordings([], rows)
    same(trial.reader.commands(), rows[::-1], "all")
    same(trial.reader.commands(limit=2), rows[:0:-1], "a limit")
    same(trial.reader.command_counts(), {"done": 1, "refused": 2}, "how many of each state")
    same(trial.reader.last_numbers(), (0, 3), "the last numbers")


@require
def the_first_run_is_remembered(trial: Trial) -> None:
    first = trial.reader.first_run_ms()
    same(first > 1_700_000_000_000, True, "a time of this age")
    same(trial.reader.commands_position(), 1, "nothing was searched yet")
    trial.say("one", "a")
    trial.reopen()
    same(trial.reader.first_run_ms(), first, "the first run after reopening")


# Rewriting.


def _told(trial: Trial) -> None:
    facts = known("one", title="a secret title", project="/secret", started_at=at(1))
    facts.title_rank = TitleRank.PERSON
    trial.write(trial.batch("one", "apples secret", "pears", facts=facts, sealed=True))
    trial.say("two", "a secret elsewhere")
    batch = trial.batch("one", "plums", "a secret plum", facts=facts)
    batch.cursor = cursor("one", "/log", offset=9, state=b"a secret state")
    trial.write(batch)


def _erased(trial: Trial, session: str) -> None:
    """What the trial holds of a session, as it should be now."""
    held = trial.held[known(session).id]
    held[:] = [line.replace(b"secret", b"[gone]") for line in held]


@require
def a_session_is_rewritten_in_place(trial: Trial) -> None:
    _told(trial)
    trial.settle()
    changed = trial.writer.rewrite(known("one").id, Erasing("secret"))
    same(changed, 2, "how many events changed")
    _erased(trial, "one")
    trial.verify()
    row = trial.row("one")
    same((row.title, row.project), ("a [gone] title", "/[gone]"), "what is told of it")
    same(row.raw_bytes, sum(map(len, trial.held[row.id])), "raw_bytes")
    (found,) = trial.reader.cursors()
    same((found.offset, found.state), (9, b"a [gone] state"), "its cursor")
    same(trial.found("secret"), ["two/0"], "a word that is left in another session only")
    same(set(trial.found("gone")), {"one/0", "one/3"}, "a word that took its place")
    same(trial.found("pears"), ["one/1"], "an event that did not change")
    same(trial.reader.redactions(), {"word": 2}, "redactions()")
    same([blob.digest for blob in trial.reader.blobs()], ["new"], "blobs()")
    trial.writer.purge()
    trial.verify()
    trial.reopen()
    trial.say("one", "and on it goes")
    trial.verify()
    trial.settle()
    same(trial.found("goes"), ["one/4"], "what comes behind it")


@require
def a_rewriting_that_fails_changes_nothing(trial: Trial) -> None:
    _told(trial)
    trial.settle()
    before = trial.reader.session(known("one").id)
    refuses(Erased, lambda: trial.writer.rewrite(known("one").id, Erasing("secret", fails_at=1)))
    trial.verify()
    same(trial.reader.session(known("one").id), before, "the session")
    same(trial.reader.redactions(), {}, "redactions()")
    same(set(trial.found("secret")), {"one/0", "one/3", "two/0"}, "a search")


@require
def texts_that_were_not_fed_are_rewritten_too(trial: Trial) -> None:
    _told(trial)
    trial.writer.rewrite(known("one").id, Erasing("secret"))
    trial.settle()
    same(trial.found("secret"), ["two/0"], "a word that was never indexed")
    same(trial.writer.rewrite(known("nobody").id, Erasing("secret")), 0, "nobody")


@require
def what_belongs_to_no_session_is_rewritten(trial: Trial) -> None:
    trial.say("one", "a", unknown_types={"secret type": (1, 10), "[gone] type": (2, 5)})
    detail = msgspec.Raw(b'{"what":"a secret"}')
    trial.writer.audit([AuditRecord(at(1), "did", detail)])
    same(trial.writer.rewrite_records(Erasing("secret")), 2, "how many changed")
    same(trial.reader.unknown_types(), [UnknownType(AGENT, "[gone] type", 3, 15)], "unknown types")
    (record,) = trial.reader.audit()
    same(bytes(record.detail), b'{"what":"a [gone]"}', "an audit record")


@require
def commands_and_recordings_are_rewritten(trial: Trial) -> None:
    """But a file that is still written to keeps its name."""
    ended = recording(1, path="/secret.md", problem="a secret", place=b"secret", state="stopped")
    live = recording(2, path="/secret.md", problem="a secret", place=b"secret", state="active")
    given = command(1, text="::capture secret", outcome="no secret")
    trial.writer.save_recordings([ended, live], [given, command(2, text="::stop")])
    same(trial.writer.rewrite_records(Erasing("secret")), 3, "how many changed")
    found = {each.no: (each.path, each.problem, each.place) for each in trial.reader.recordings()}
    same(found[1], ("/[gone].md", "a [gone]", b"[gone]"), "a recording that ended")
    same(found[2], ("/secret.md", "a [gone]", b"[gone]"), "one that goes on")
    told = {each.no: (each.text, each.outcome, each.key) for each in trial.reader.commands()}
    same(told[1], ("::capture [gone]", "no [gone]", given.key), "a command")
    same(trial.writer.rewrite_records(Erasing("secret")), 0, "how many change once more")


@require
def payloads_can_be_forgotten(trial: Trial) -> None:
    trial.say("one", "a", blobs=[Blob("b", 9, 3), Blob("a", 7, 2)])
    trial.writer.forget_blobs(["b", "nowhere"])
    same([blob.digest for blob in trial.reader.blobs()], ["a"], "blobs()")


@require
def what_was_taken_out_on_the_way_in_is_counted(trial: Trial) -> None:
    trial.say("one", "a", redacted={"private": 2, "token": 1})
    trial.say("two", "b", redacted={"token": 4})
    same(trial.reader.redactions(), {"token": 5, "private": 2}, "redactions()")


@require
def a_log_that_is_left_alone_counts_as_skipped(trial: Trial) -> None:
    left = cursor("one", "/left", size=100, mtime_ns=7, excluded="/project")
    trial.writer.save_cursors([left, cursor("two", "/read", size=50, offset=20)])
    ledger = trial.reader.ledger()
    same((ledger.files, ledger.skipped, ledger.torn, ledger.excluded), (2, 100, 30, 1), "ledger()")
    same(next(iter(trial.reader.marks())).excluded, "/project", "its mark")
    same(trial.reader.cursor(AGENT, "/left"), left, "its cursor")
