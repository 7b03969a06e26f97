"""What the SQLite writer does beyond what every journal must do."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import blocks
from holdfast.journal import unindexed
from holdfast.journal import writer as module
from holdfast.journal.conformance import BLOCK_BYTES, Trial, known, many
from holdfast.journal.sqlite import JournalError
from tests.journal.conftest import Database


def indexed_rows(database: Database) -> int:
    """How often the index was fed: the first number of the record that FTS5 keeps of itself."""
    ((record,),) = database("SELECT block FROM words_data WHERE id = 1")
    number = 0
    for byte in record:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return number


def steps(trial: Trial) -> list[int]:
    """The lag after each step of feeding the index."""
    lags = []
    more = True
    while more:
        more = trial.writer.feed_index()
        lags.append(trial.writer.index_lag)
    return lags


def test_a_tail_becomes_one_block_of_the_same_lines(trial: Trial, database: Database) -> None:
    while len(trial.order) < 100 and not database("SELECT 1 FROM blocks"):
        trial.say("one", *many("x", 3))
    ((first, count, data),) = database("SELECT first_seq, count, data FROM blocks")
    assert blocks.unseal(data) == b"".join(trial.held[known("one").id])
    assert (first, count) == (0, len(trial.order))
    assert database("SELECT count(*) FROM tail") == [(0,)]
    assert len(blocks.unseal(data)) >= BLOCK_BYTES


def test_a_sealed_tail_keeps_its_places_among_other_sessions(trial: Trial) -> None:
    for _ in range(20):
        trial.say("one", *many("x", 2))
        trial.say("two", "y")
    trial.verify()


def test_stored_bytes_are_those_that_the_database_holds(trial: Trial, database: Database) -> None:
    for number in range(25):
        trial.say("one", *many("x", 3), sealed=number % 7 == 0)
    ((held,),) = database(
        "SELECT (SELECT sum(length(data)) FROM blocks)"
        " + coalesce((SELECT sum(length(lines)) FROM tail), 0)"
    )
    assert trial.row("one").stored_bytes == held


def test_acknowledged_writes_wait_for_the_disk_and_others_do_not(trial: Trial) -> None:
    connection = trial.writer._connection  # type: ignore[attr-defined]  # SQLite's
    for durable, expected in ((False, 1), (True, 2), (True, 2), (False, 1)):
        trial.write(trial.batch("one", "a"), durable=durable)
        assert connection.pragma("synchronous") == expected


def test_a_failure_within_a_transaction_leaves_nothing_of_it(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.say("one", "a")
    before = trial.reader.totals()
    with monkeypatch.context() as patch:
        patch.setattr(trial.writer._q, "grow_session", "UPDATE nowhere SET x = ?")  # type: ignore[attr-defined]  # SQLite's
        with pytest.raises(JournalError, match="nowhere"):
            trial.write(trial.batch("one", "b"))
    assert trial.reader.totals() == before
    trial.say("one", "c")
    trial.verify()
    trial.settle()
    assert trial.found("c") == ["one/1"]


def test_two_sessions_may_not_share_an_agent_s_name(trial: Trial) -> None:
    trial.say("one", "a")
    facts = known("one")
    facts.id = "0000000000000"
    with pytest.raises(JournalError, match="UNIQUE"):
        trial.write(trial.batch("one", "b", facts=facts))
    trial.verify()


# The index, which follows.


def test_what_was_lost_is_fed_once_and_what_is_new_is_fed_once(
    trial: Trial, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INDEX_BATCH_EVENTS", 10)
    trial.say("one", *many("lost", 7))
    trial.reopen()
    trial.say("one", *many("new", 12))
    trial.settle()
    assert indexed_rows(database) == 19
    trial.say("one", "last")
    trial.settle()
    assert indexed_rows(database) == 20


def test_catching_up_goes_in_steps(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INDEX_BATCH_EVENTS", 10)
    for session in ("one", "two", "one"):
        trial.say(session, *many("x", 15))
    trial.reopen()
    assert trial.writer.index_lag == 45
    assert steps(trial) == [35, 25, 15, 5, 0]
    assert len(trial.found("number", limit=100)) == 45


def test_catching_up_takes_no_more_text_at_a_time_than_it_may(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_AGAIN_BYTES", 1_000)
    for _ in range(4):
        trial.say("one", *many("x", 8), sealed=True)  # about 1,300 letters each
    trial.reopen()
    assert steps(trial) == [24, 16, 8, 0]
    assert len(trial.found("number", limit=100)) == 32


def test_more_text_than_may_be_remembered_is_read_again(
    trial: Trial, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unindexed, "BYTES_MAX", 1_000)
    writer: Any = trial.writer
    trial.say("one", *many("first", 2))
    assert len(writer._unindexed.words) == 2
    trial.say("one", *many("flood", 20))
    assert writer._unindexed.words == []
    trial.say("one", *many("after", 2))
    assert len(writer._unindexed.words) == 2
    trial.settle()
    assert indexed_rows(database) == 24
    assert len(trial.found("number", limit=100)) == 24


def test_a_damaged_block_costs_the_index_its_own_texts_only(
    trial: Trial, database: Database
) -> None:
    for word in ("before", "damaged", "behind"):
        trial.say("one", f"{word} a", f"{word} b", sealed=True)
    database("UPDATE blocks SET data = zeroblob(length(data)) WHERE first_seq = 2")
    trial.reopen()
    trial.settle()
    assert trial.writer.index_lag == 0
    assert len(trial.found("before")) == 2
    assert len(trial.found("behind")) == 2
    assert indexed_rows(database) == 4


def test_a_hole_in_the_order_does_not_stop_the_index(trial: Trial, database: Database) -> None:
    for session in ("one", "two", "three"):
        trial.say(session, f"{session} a", f"{session} b")
    database("DELETE FROM runs WHERE pos = 3")
    trial.reopen()
    assert steps(trial) == [0]
    assert len(trial.found("three")) == 2
