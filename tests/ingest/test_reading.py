"""Reading a log gives the same, however often it stops, and leaves no byte unaccounted for."""

from __future__ import annotations

import base64
import json
import os
import tempfile
import tracemalloc
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.blocks import unseal
from holdfast.demo import generate, lines
from holdfast.events import EMPTY, Event, Kind, Usage
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.reading import (
    OVERSIZED_TYPE,
    Reading,
    content_digest,
    fresh_incarnation,
    known_contents,
    was_rewritten,
)
from holdfast.journal.model import Ledger
from tests.support.ingest import LIMITS, OneLog

MIB: Final = 1 << 20
PICTURE: Final = base64.b64encode(Random(1).randbytes(200)).decode()
ASKED: Final = {"questions": [{"question": "Which?", "options": []}]}

RECORDS: Final = [
    line.removesuffix(b"\n")
    for line in [
        lines.user_line("why is the tide late?"),
        lines.user_line("潮 🐚 <system-reminder>x</system-reminder>"),
        lines.image_line("look", PICTURE),
        lines.assistant_line("so", output=9, message="m1"),
        lines.assistant_line("and", output=30, message="m1"),
        lines.tool_use_line("AskUserQuestion", ASKED, use="q1"),
        lines.tool_result_line("A", use="q1", result={"answers": {"Which?": "A"}}),
        lines.progress_line("working"),
        lines.title_line("Mine"),
        b'{"type":"novelty"}',
        b'{"type":"user","uuid":7,"message":{"content":"drifted"}}',
        b'{"type":"user","message":{"content":"half \\ud83d"}}',
        b'{"type":"mode","mode":"\xff"}',
    ]
]
# None of these begins with a whole record: what follows one on its line is another matter.
OTHERS: Final = [
    b"",
    b"  ",
    b"\x0b",
    b"nonsense",
    b'{"type":"user","mess',
    b"\0" * 9,
    b'"text"',
]
OVER_THE_CAP: Final = [
    lines.assistant_line("x" * 4_500).removesuffix(b"\n"),
    b"\xff" * 4_100,
]
line_contents = st.one_of(
    st.sampled_from(RECORDS),
    st.sampled_from(RECORDS),
    st.sampled_from(OTHERS + OVER_THE_CAP),
    st.lists(st.sampled_from(RECORDS), min_size=2, max_size=3).map(b"".join),
    st.lists(st.sampled_from(RECORDS), min_size=2, max_size=2).map(b" \t".join),
    st.tuples(st.sampled_from(RECORDS), st.sampled_from(OTHERS)).map(b"".join),
    st.tuples(st.sampled_from(OTHERS), st.sampled_from(RECORDS)).map(b"".join),
)
endings = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b" \n"])
files = st.tuples(
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(st.tuples(line_contents, endings).map(b"".join), max_size=8),
    st.one_of(st.just(b""), line_contents),
).map(lambda parts: parts[0] + b"".join(parts[1]) + parts[2])


@pytest.fixture
def log(tmp_path: Path) -> OneLog:
    return OneLog(tmp_path)


def in_instalments(content: bytes, cuts: list[int]) -> OneLog:
    with tempfile.TemporaryDirectory() as folder:
        log = OneLog(Path(folder))
        start = 0
        for cut in [*cuts, len(content)]:
            log.write(content[start:cut])
            start = max(start, cut)
            cursor = log.catch_up()
            assert cursor.ledger.consumed == cursor.offset <= start
            assert cursor.size == start == cursor.ledger.consumed + cursor.torn
        return log


def assert_same(one: OneLog, other: OneLog) -> None:
    assert one.read.lines == other.read.lines
    assert one.read == other.read
    assert one.cursor.ledger == other.cursor.ledger
    assert one.cursor.offset == other.cursor.offset
    assert one.cursor.open_verdict == other.cursor.open_verdict
    assert one.cursor.state == other.cursor.state
    assert (one.cursor.head, one.cursor.edge) == (other.cursor.head, other.cursor.edge)


@settings(deadline=None, max_examples=250)
@given(files, st.data())
def test_instalments_give_what_reading_at_once_gives(content: bytes, given_: st.DataObject) -> None:
    """Bytes, ids, ledger, tokens and texts, wherever the file ended each time.

    Compared when the last line has its end: how much of it is read before is not promised.
    """
    content += b"\n"
    ends = [at for at, byte in enumerate(content) if byte in b"\n}"]
    places = st.integers(0, len(content))
    if ends:  # right before a newline, right behind one, and where a record may be whole
        places |= st.sampled_from(ends) | st.sampled_from([at + 1 for at in ends])
    cuts = sorted(given_.draw(st.lists(places, max_size=5)))
    assert_same(in_instalments(content, cuts), in_instalments(content, []))


def test_a_log_that_comes_byte_by_byte() -> None:
    content = (
        RECORDS[0] + b"\r\n" + RECORDS[3] + RECORDS[4] + b"\n\n" + b'{"half' + RECORDS[8] + b" \n"
        b"nonsense\n" + RECORDS[9] + b"\n"
    )
    assert_same(in_instalments(content, list(range(len(content)))), in_instalments(content, []))


@settings(deadline=None, max_examples=100)
@given(files)
def test_each_byte_of_each_beginning_of_a_file_is_accounted_for(content: bytes) -> None:
    for length in {0, len(content) // 3, len(content) // 2, max(0, len(content) - 1)}:
        in_instalments(content[:length], [])


def test_a_made_up_corpus_adds_up_however_it_is_cut(tmp_path: Path) -> None:
    """Sessions, a fork and subagents as the demo writes them, of realistic sizes and kinds."""
    throw = Random(11)
    limits = ReadingLimits(block_bytes=65_536, max_line_bytes=400_000)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    made = generate(tmp_path / "made", seed=4, now=now, sessions=6, total_bytes=1_500_000)
    for number, file in enumerate(made.files):
        content = file.path.read_bytes()
        logs = []
        for pieces in (1, 6):
            folder = tmp_path / f"{number}-{pieces}"
            folder.mkdir()
            log = OneLog(folder, limits)
            cuts = sorted(throw.randrange(len(content)) for _ in range(pieces - 1))
            for start, stop in pairwise([0, *cuts, len(content)]):
                log.write(content[start:stop])
                log.catch_up()
            logs.append(log)
        assert_same(*logs)
        ledger = logs[0].cursor.ledger
        assert (ledger.consumed, ledger.bad, ledger.unknown) == (len(content), 0, 0)


def test_where_the_bytes_go(log: OneLog) -> None:
    record, drifted, skipped = RECORDS[0], RECORDS[10], RECORDS[7]
    log.write(
        b"\n".join([record, skipped, b"", b'{"type":"novelty"}', drifted, b"broken", b"{half"])
    )
    cursor = log.catch_up()
    assert cursor.ledger == Ledger(
        parsed=len(record) + 1,
        skipped=len(skipped) + 1 + 1,
        unknown=len(b'{"type":"novelty"}') + 1 + len(drifted) + 1,
        bad=len(b"broken") + 1,
    )
    assert cursor.torn == len(b"{half")


def test_a_record_whose_newline_has_not_come_yet_is_read(log: OneLog) -> None:
    log.write(RECORDS[0])
    cursor = log.catch_up()
    assert [event.text for event in log.read.events] == ["why is the tide late?"]
    assert (cursor.open_verdict, cursor.torn) == ("parsed", 0)
    log.write(b"\n")
    cursor = log.catch_up()
    assert (cursor.open_verdict, cursor.ledger.parsed) == (None, len(RECORDS[0]) + 1)
    assert len(log.read.events) == 1


@pytest.mark.parametrize("between", [b"", b" "])
def test_a_record_whose_newline_never_came_does_not_cost_the_next_one(
    log: OneLog, between: bytes
) -> None:
    """Real logs have it: the agent ended before the newline, and went on in the same file."""
    log.write(RECORDS[0] + between + RECORDS[3] + b"\n")
    cursor = log.catch_up()
    assert [event.text for event in log.read.events] == ["why is the tide late?", "so"]
    assert cursor.ledger == Ledger(parsed=cursor.size)
    assert [event.source.offset for event in log.read.events if event.source] == [
        0,
        len(RECORDS[0]),
    ]


def test_half_a_record_does_not_cost_the_next_one(log: OneLog) -> None:
    """The agent died while it wrote, and was started again."""
    half = b'{"type":"user","message":{"content":"I was just'
    log.write(half)
    assert log.catch_up().torn == len(half)
    log.write(RECORDS[0] + b"\n")
    cursor = log.catch_up()
    assert [event.text for event in log.read.events] == ["why is the tide late?"]
    assert cursor.ledger == Ledger(parsed=len(RECORDS[0]) + 1, bad=len(half))


def test_a_torn_end_waits_and_is_told(log: OneLog) -> None:
    log.write(RECORDS[0] + b"\n" + RECORDS[1][:-5])
    cursor = log.catch_up()
    assert (cursor.offset, cursor.torn) == (len(RECORDS[0]) + 1, len(RECORDS[1]) - 5)
    log.write(RECORDS[1][-5:])
    assert log.catch_up().torn == 0
    assert len(log.read.events) == 2


def test_a_torn_end_that_cannot_be_whole_is_not_even_parsed(
    log: OneLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long line that grows would be parsed again and again."""
    log.write(RECORDS[0][:-1])

    def refuse(*_args: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Reading, "_take", refuse)
    assert log.catch_up().torn == len(RECORDS[0]) - 1


def test_ids_say_where_each_part_of_a_record_stands(log: OneLog) -> None:
    log.write(b"\n" + RECORDS[2] + b"\n" + RECORDS[0])
    log.catch_up()
    name = log.cursor.session
    third = len(RECORDS[2]) + 2
    assert [event.id for event in log.read.events] == [
        f"{name}.0.1.0",
        f"{name}.0.1.1",
        f"{name}.0.{third:x}.0",
    ]
    assert [event.seq for event in log.read.events] == [0, 1, 2]


def test_tokens_come_with_the_batch_of_their_events(log: OneLog) -> None:
    log.write(RECORDS[3] + b"\n" + RECORDS[4] + b"\n")
    log.catch_up()
    assert log.read.usage == Usage(input=4, output=30, cache_read=20_000, cache_write=1_000)


def test_pictures_come_with_the_batch_that_refers_to_them(tmp_path: Path) -> None:
    large = base64.b64encode(Random(2).randbytes(3_000)).decode()
    log = OneLog(tmp_path, ReadingLimits(block_bytes=4_096, max_line_bytes=20_000))
    log.write(lines.image_line("look", large) + RECORDS[0] + b"\n")
    log.catch_up()
    (digest,) = log.read.blobs
    assert json.loads(bytes(log.read.events[1].data))["blob"] == digest
    assert b"".join(log.blobs.get(digest)) == base64.b64decode(large)


def test_a_long_log_comes_in_batches_of_about_a_block(log: OneLog) -> None:
    log.write((RECORDS[0] + b"\n") * 100)
    with log.path.open("rb") as file:
        batches = list(log.batches(file.fileno()))
    assert len(batches) > 5
    for batch in batches[:-1]:
        assert LIMITS.block_bytes <= len(batch.lines) < LIMITS.block_bytes + 1_000
    cursors = [batch.cursor for batch in batches if batch.cursor]
    assert [cursor.offset for cursor in cursors] == sorted(cursor.offset for cursor in cursors)
    assert all(cursor.ledger.consumed == cursor.offset for cursor in cursors)


def test_each_batch_can_be_where_reading_stopped(log: OneLog) -> None:
    """A crash between any two batches: what follows is read as if nothing had happened."""
    log.write(b"".join(record + b"\n" for record in RECORDS * 4))
    with log.path.open("rb") as file:
        batches = list(log.batches(file.fileno()))
        whole = log.read.lines
        for number, batch in enumerate(batches):
            assert batch.cursor is not None
            log.cursor = batch.cursor
            log.read.lines = b"".join(each.lines for each in batches[: number + 1])
            for _ in log.batches(file.fileno()):
                pass
            assert log.read.lines == whole


def test_a_child_gives_sealed_blocks_of_the_same_lines(log: OneLog) -> None:
    log.write(b"".join(record + b"\n" for record in RECORDS * 3))
    start = log.cursor
    with log.path.open("rb") as file:
        log.catch_up()
        reading = Reading(
            log.source,
            log.log,
            start,
            first_seq=0,
            limits=LIMITS,
            blobs=log.blobs,
            door=log.door,
            sealed=True,
        )
        blocks = [block for batch in reading.batches(file.fileno()) for block in batch.blocks]
    assert b"".join(unseal(block.data) for block in blocks) == log.read.lines
    assert [block.first_seq for block in blocks][1:] == [block.next_seq for block in blocks][:-1]


# Lines over the cap.


def test_a_line_over_the_cap_is_kept_beside_the_journal_and_told(log: OneLog) -> None:
    long = lines.user_line("x" * 5_000).removesuffix(b"\n")
    log.write(RECORDS[0] + b"\n" + long + b"\n" + RECORDS[3] + b"\n")
    cursor = log.catch_up()
    _, told, after = log.read.events
    about = json.loads(bytes(told.data))
    assert (told.kind, told.text) == (Kind.PROVIDER_RAW, f"[a line of {len(long):,} bytes]")
    assert (about["type"], about["bytes"]) == (OVERSIZED_TYPE, len(long))
    assert about["preview"] == long[:512].decode()
    assert b"".join(log.blobs.get(about["blob"])) == long
    assert log.read.blobs == {about["blob"]}
    assert log.read.unknown == {OVERSIZED_TYPE: (1, len(long))}
    assert cursor.ledger.unknown == len(long) + 1
    assert cursor.torn == 0
    assert after.text == "so"


def test_a_line_over_the_cap_waits_for_its_end(log: OneLog) -> None:
    log.write(b"x" * 9_000)
    assert (log.catch_up().torn, log.read.lines) == (9_000, b"")
    log.write(b"y" * 100 + b"\n")
    assert (log.catch_up().torn, len(log.read.events)) == (0, 1)


def test_the_preview_is_of_the_line_and_text(tmp_path: Path) -> None:
    log = OneLog(tmp_path, ReadingLimits(block_bytes=4_096, max_line_bytes=4))
    log.write(b"\xff\xff\xff\xff\xff\n" + RECORDS[0] + b"\n")
    log.catch_up()
    assert json.loads(bytes(log.read.events[0].data))["preview"] == "\ufffd" * 5


def test_a_huge_line_costs_no_memory(tmp_path: Path) -> None:
    log = OneLog(tmp_path, ReadingLimits(block_bytes=262_144, max_line_bytes=4 * MIB))
    with log.path.open("wb") as file:
        file.truncate(100 * MIB)
    log.write(b"\n" + RECORDS[0] + b"\n")
    tracemalloc.start()
    try:
        log.catch_up()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert json.loads(bytes(log.read.events[0].data))["bytes"] == 100 * MIB
    assert log.read.events[1].text == "why is the tide late?"
    assert peak < 16 * MIB


def test_a_binary_file_is_bad_throughout(log: OneLog) -> None:
    log.write(Random(3).randbytes(50_000))
    cursor = log.catch_up()
    assert cursor.ledger.parsed == 0
    assert cursor.ledger.consumed + cursor.torn == 50_000


# Logs that change behind the reader.


def test_a_log_that_shrinks_while_it_is_read_costs_nothing_that_was_read(log: OneLog) -> None:
    log.write((RECORDS[0] + b"\n") * 100)
    with log.path.open("rb+") as file:
        batches = log.batches(file.fileno())
        first = next(batches)
        file.truncate(50)
        for _ in batches:
            pass
        assert log.read.lines.startswith(first.lines)
        assert was_rewritten(file.fileno(), log.cursor, 50)


def test_a_log_that_vanishes_while_it_is_read_is_read_to_its_end(log: OneLog) -> None:
    log.write((RECORDS[0] + b"\n") * 100)
    with log.path.open("rb") as file:
        batches = log.batches(file.fileno())
        next(batches)
        os.unlink(log.path)
        for _ in batches:
            pass
    assert len(log.read.events) == 100


def test_what_is_appended_after_the_end_was_seen_shows_as_a_change(
    log: OneLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write(RECORDS[0] + b"\n")
    advance = Reading._advance

    def late(reading: Reading, fd: int) -> Any:
        log.write(RECORDS[3] + b"\n")
        return advance(reading, fd)

    monkeypatch.setattr(Reading, "_advance", late)
    assert log.catch_up().size == len(RECORDS[0]) + 1 < os.path.getsize(log.path)


@pytest.mark.parametrize(
    ("changed", "rewritten"),
    [
        (b"", True),
        (b"one\ntwo\n", True),
        (b"one\ntwo\nthree\n", False),
        (b"one\ntwo\nthree\nfour", False),
        (b"One\ntwo\nthree\n", True),
        (b"one\ntwo\nthreE\nfour\n", True),
        (b"zero\none\ntwo\nthree\n", True),
    ],
)
def test_a_rewritten_log_is_told_from_one_that_grew(
    log: OneLog, changed: bytes, rewritten: bool
) -> None:
    log.write(b"one\ntwo\nthree\n")
    log.catch_up()
    log.path.write_bytes(changed)
    with log.path.open("rb") as file:
        assert was_rewritten(file.fileno(), log.cursor, len(changed)) is rewritten


def test_an_end_that_was_written_anew_is_seen_in_a_log_of_any_length(log: OneLog) -> None:
    log.write(b"line\n" * 50_000)
    log.catch_up()
    with log.path.open("rb+") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"LINE\n" * 2)
        file.flush()
        assert was_rewritten(file.fileno(), log.cursor, 250_005)


def test_nothing_read_is_nothing_rewritten(log: OneLog) -> None:
    with log.path.open("rb") as file:
        assert not was_rewritten(file.fileno(), log.cursor, 0)


def event(text: str = "a", at: str = "t", kind: str = Kind.USER, origin: int = 0) -> Event:
    return Event(
        id=f"s.{origin}.0.0",
        session="s",
        seq=0,
        kind=kind,
        at=at,
        text=text,
        data=EMPTY,
        source=None,
    )


def test_events_are_the_same_if_they_say_the_same_at_the_same_time() -> None:
    same = content_digest(event())
    assert content_digest(event(origin=3)) == same
    for other in (event(text="b"), event(at="u"), event(kind=Kind.ASSISTANT)):
        assert content_digest(other) != same


def test_what_the_reading_that_goes_on_gave_itself_is_not_known_from_before() -> None:
    known = known_contents([event(), event(), event(origin=1)], but_origin=1)
    assert known == {content_digest(event()): 2}


def test_a_fresh_incarnation_compares_at_least_as_far_as_the_old_one_went(log: OneLog) -> None:
    """Whoever rewrites a file may have only begun when that is noticed."""
    log.write(b"line\n" * 50_000)
    log.catch_up()
    fresh = fresh_incarnation(log.cursor, 1, size=0)
    assert (fresh.origin, fresh.offset, fresh.state, fresh.ledger) == (1, 0, b"", Ledger())
    assert fresh.must_compare
    assert fresh.compare_until >= 250_000
    assert fresh_incarnation(log.cursor, 1, size=900_000).compare_until >= 900_000
