"""What is stored: batches, cursors, facts, marks, payloads."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from holdfast.events import Usage
from holdfast.journal.conformance.kit import (
    AGENT,
    Nonconformant,
    Trial,
    at,
    cursor,
    known,
    many,
    refuses,
    require,
    same,
)
from holdfast.journal.model import (
    AuditRecord,
    Blob,
    BlobFilter,
    BlobRow,
    Cursor,
    ItemMark,
    Ledger,
    Mark,
    SearchQuery,
    Span,
    TitleRank,
    UnknownType,
)
from holdfast.journal.writer import SequenceConflict


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
