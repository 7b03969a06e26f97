"""What the SQLite reader does beyond what every journal must: damage, and holding nothing open."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.blocks import DamagedBlock, NewerBlock
from holdfast.errors import Exit
from holdfast.events import Event, decode_lines
from holdfast.journal import sqlite
from holdfast.journal.conformance import Trial, known, many
from holdfast.journal.reader import SqliteReader
from holdfast.journal.sql import queries
from holdfast.journal.sqlite import JournalBroken
from tests.journal.conftest import Database
from tests.journal.subjects import SqliteSubject

ONE = known("one").id


@pytest.fixture
def four_blocks(trial: Trial) -> Trial:
    """Four blocks of three events, and a tail of two."""
    for number in range(4):
        trial.say("one", *many(f"block{number}", 3), sealed=True)
    trial.say("one", *many("tail", 2))
    trial.settle()
    return trial


def damage(database: Database, first_seq: int) -> None:
    """Turns one bit of what a block was compressed to."""
    ((data,),) = database("SELECT data FROM blocks WHERE first_seq = ?", first_seq)
    turned = bytearray(data)
    turned[-1] ^= 1
    database("UPDATE blocks SET data = ? WHERE first_seq = ?", bytes(turned), first_seq)


def test_a_damaged_block_is_refused_with_its_session_and_what_to_do(
    four_blocks: Trial, database: Database
) -> None:
    damage(database, 3)
    with pytest.raises(DamagedBlock, match=rf"session {ONE}.*events 3\.\..*restore") as raised:
        list(four_blocks.reader.read(ONE))
    assert raised.value.exit == Exit.JOURNAL


def test_a_damaged_block_costs_itself_only(four_blocks: Trial, database: Database) -> None:
    lines = four_blocks.held[ONE]
    damage(database, 3)
    noted = []

    def instead(first: int, count: int, error: DamagedBlock) -> bytes:
        noted.append((first, count))
        return b"damaged\n"

    seen = b"".join(four_blocks.reader.read(ONE, on_damage=instead))
    assert seen == b"".join([*lines[:3], b"damaged\n", *lines[6:]])
    assert noted == [(3, 3)]
    assert b"".join(four_blocks.reader.read(ONE, 0, 3)) == b"".join(lines[:3])
    assert b"".join(four_blocks.reader.read(ONE, 6)) == b"".join(lines[6:])
    assert b"".join(four_blocks.reader.read(ONE, 4, 8, on_damage=instead)) == b"".join(
        [b"damaged\n", *lines[6:8]]
    )
    four_blocks.say("one", "goes on")


def test_search_passes_over_a_damaged_block(four_blocks: Trial, database: Database) -> None:
    damage(database, 3)
    assert four_blocks.found("block1") == []
    assert len(four_blocks.found("number", limit=20)) == 11


def test_a_block_that_holds_other_events_than_its_row_says_is_damaged(
    four_blocks: Trial, database: Database
) -> None:
    """Each is sound in itself: only the two together show it."""
    database(
        "UPDATE blocks SET data = (SELECT data FROM blocks WHERE first_seq = 6) WHERE first_seq = 3"
    )
    with pytest.raises(DamagedBlock, match="others than its row says"):
        list(four_blocks.reader.read(ONE, 3, 6))
    assert len(four_blocks.reader.check()) == 1


def test_a_newer_block_is_refused_and_named(four_blocks: Trial, database: Database) -> None:
    ((data,),) = database("SELECT data FROM blocks WHERE first_seq = 3")
    newer = data[:11] + bytes([data[11] + 1]) + data[12:]
    database("UPDATE blocks SET data = ? WHERE first_seq = 3", newer)
    with pytest.raises(NewerBlock, match="upgrade holdfast"):
        list(four_blocks.reader.read(ONE))
    (problem,) = four_blocks.reader.check()
    assert "upgrade holdfast" in problem


def test_a_range_that_ends_in_a_hole_ends_there(four_blocks: Trial, database: Database) -> None:
    database("DELETE FROM blocks WHERE first_seq = 3")
    lines = four_blocks.held[ONE]
    assert list(four_blocks.reader.read(ONE, 1, 5)) == [b"".join(lines[1:3])]
    assert b"".join(four_blocks.reader.read(ONE, 1, 7)) == b"".join([*lines[1:3], lines[6]])


def test_a_tail_that_is_sealed_while_it_is_looked_for_is_not_lost(
    four_blocks: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = four_blocks.held[ONE][12:14]
    select = sqlite.select

    def interrupted(connection: apsw.Connection, query: str, wanted: Any = ()) -> list[Any]:
        rows = select(connection, query, wanted)
        if query == queries().read_block and not rows:
            monkeypatch.setattr(sqlite, "select", select)
            four_blocks.say("one", *many("flood", 40))
        return rows

    monkeypatch.setattr(sqlite, "select", interrupted)
    assert list(four_blocks.reader.read(ONE, 12)) == [b"".join(before)]


# check()


def test_check_names_each_damaged_block(four_blocks: Trial, database: Database) -> None:
    assert four_blocks.reader.check() == []
    damage(database, 3)
    damage(database, 9)
    problems = four_blocks.reader.check()
    assert [problem.split(": ")[0] for problem in problems] == [
        f"session {ONE}, position 4",
        f"session {ONE}, position 10",
    ]
    assert all("checksum" in problem for problem in problems)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("DELETE FROM blocks WHERE first_seq = 3", f"session {ONE}: its events do not stand"),
        ("DELETE FROM tail", f"session {ONE}: its events do not stand"),
        ("UPDATE tail SET first_seq = 13", f"session {ONE}: its events do not stand"),
        ("UPDATE sessions SET events = 15", f"session {ONE}: its events do not stand"),
        ("UPDATE runs SET count = 13", "position 1: the run does not reach"),
        ("UPDATE blocks SET session_no = 77 WHERE first_seq = 3", "do not stand end to end"),
        ("UPDATE state SET value = 99 WHERE key = 'next_position'", "does not reach to the next"),
        ("UPDATE words_data SET block = zeroblob(9) WHERE id > 10", "SQLite: fts5"),
    ],
)
def test_check_finds_what_does_not_add_up(
    four_blocks: Trial, database: Database, harm: str, says: str
) -> None:
    database(harm)
    problems = four_blocks.reader.check()
    assert any(says in problem for problem in problems), problems


def test_check_says_so_when_sqlite_cannot_read_on(four_blocks: Trial, path: str) -> None:
    four_blocks.writer.checkpoint()
    four_blocks.close()
    content = bytearray(Path(path).read_bytes())
    content[3 * sqlite.PAGE_BYTES :] = os.urandom(len(content) - 3 * sqlite.PAGE_BYTES)
    Path(path).write_bytes(content)
    reader = SqliteReader(path)
    problems = reader.check()
    reader.close()
    assert problems
    Path(path).unlink()
    four_blocks.open()


# Holding nothing open.


def test_an_unfinished_reading_has_no_transaction_open(four_blocks: Trial) -> None:
    connection = four_blocks.reader._connection  # type: ignore[attr-defined]  # SQLite's
    readings = [four_blocks.reader.read(ONE), four_blocks.reader.read(ONE, 4)]
    marks = four_blocks.reader.marks()
    for reading in readings:
        next(reading)
    next(marks, None)
    assert not connection.in_transaction
    assert sum(map(len, decode_pieces(readings[0]))) == 11, "and each goes on where it was"
    assert sum(map(len, decode_pieces(readings[1]))) == 8


def decode_pieces(pieces: Iterable[bytes]) -> list[list[Event]]:
    return [decode_lines(piece) for piece in pieces]


def test_the_log_does_not_grow_behind_a_slow_reader(tmp_path: Path) -> None:
    """Between two pieces it holds no old state of the journal."""
    trial = Trial(SqliteSubject(tmp_path))
    trial.say("one", *many("x", 20), sealed=True)
    trial.say("one", *many("x", 20), sealed=True)
    slow = trial.reader.read(ONE)
    next(slow)
    checkpointer = trial.writer.checkpointer()
    assert checkpointer is not None
    for _ in range(3):
        trial.say("two", os.urandom(20_000).hex(), sealed=True)
        assert checkpointer.run() == trial.writer.log_bytes, "all of it could be moved"
    assert trial.writer.log_bytes < 30 * sqlite.PAGE_BYTES, "and it was begun anew"
    assert len(decode_pieces(slow)[0]) == 20
    checkpointer.close()
    trial.close()


def test_a_closed_reader_says_so(four_blocks: Trial, path: str) -> None:
    reader = SqliteReader(path)
    reading = reader.read(ONE)
    next(reading)
    reader.close()
    with pytest.raises(JournalBroken):
        next(reading)
    reader.close()
