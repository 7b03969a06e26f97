"""Whose turn it is; and what rows do beside what every table must do."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.journal import work_rows
from holdfast.journal.conformance import Trial
from holdfast.journal.conformance.work import (
    NOW,
    advance,
    confirm,
    counts,
    dead,
    new,
    put,
    release,
    take,
)
from holdfast.journal.work import Lanes
from tests.journal.subjects import SqliteSubject


class Lane:
    """A queue of one priority: items by their turns."""

    def __init__(self) -> None:
        self.lanes = Lanes()
        self.ready: list[tuple[int, int, str]] = []
        self.made = 0

    def put(self, subject: str) -> None:
        self.made += 1
        self.ready.append((self.lanes.turn("q", 0, subject), self.made, subject))

    def take(self) -> str:
        turn, _number, subject = first = min(self.ready)
        self.ready.remove(first)
        self.lanes.served("q", 0, turn)
        return subject


def test_subjects_take_turns_whoever_has_more() -> None:
    lane = Lane()
    for subject in "aaaabbc":
        lane.put(subject)
    assert "".join(lane.take() for _ in range(7)) == "abcabaa"


@given(
    burst=st.lists(st.sampled_from("bcd"), max_size=40),
    later=st.lists(st.tuples(st.sampled_from("bcd"), st.booleans()), max_size=60),
)
def test_nobody_is_served_more_than_twice_while_another_waits(
    burst: list[str], later: list[tuple[str, bool]]
) -> None:
    """`a` always has something ready; between two of its items no other has more than two."""
    lane = Lane()
    for subject in [*"a" * 100, *burst]:
        lane.put(subject)
    since: Counter[str] = Counter()
    for subject, puts in later:
        if puts:
            lane.put(subject)
        served = lane.take()
        if served == "a":
            since.clear()
        else:
            since[served] += 1
            assert since[served] <= 2


def test_one_who_comes_new_is_served_before_anybodys_second_item_of_the_next_round() -> None:
    lane = Lane()
    for subject in "aaabbb":
        lane.put(subject)
    assert lane.take() + lane.take() == "ab"
    lane.put("c")
    assert sorted(lane.take() for _ in range(3)) == ["a", "b", "c"]


def test_what_is_remembered_of_subjects_that_have_nothing_is_bounded() -> None:
    lanes = Lanes()
    for number in range(Lanes.SPARE_ENTRIES + 1):
        assert not lanes.is_full
        lanes.turn("q", 0, str(number))
    assert lanes.is_full
    assert not Lanes.of([("q", 0, "s", 3, 5)]).is_full
    assert Lanes.of([("q", 0, "s", 3, 5)]).turn("q", 0, "s") == 6


def test_keys_of_items_that_left_are_forgotten_by_how_many_came_since(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_rows, "KEYS_KEPT", 10)
    monkeypatch.setattr(work_rows, "FORGET_EVERY", 10)
    put(trial, "q", new(key="done"), new(key="pending"), new(key="dead", max_attempts=1))
    done, _pending, died = take(trial, "q")
    confirm(trial, done.claim)
    release(trial, died)
    assert dead(trial) == [(died.id, "attempts")]
    for number in range(20):
        put(trial, "other", new(number, key=f"k{number}"))
    assert put(trial, "q", new(key="done")).repeated == 0
    assert put(trial, "q", new(key="pending"), new(key="dead")).repeated == 2


def test_more_than_are_looked_after_at_a_time_are_all_looked_after(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_rows, "ADVANCE_MAX", 3)
    put(trial, "q", *[new(ttl_secs=1) for _ in range(10)])
    effects = advance(trial, NOW + 1_000)
    assert effects.dead == 3
    assert effects.next_ms is not None
    assert effects.next_ms <= NOW + 1_000, "there is more to do"
    assert take(trial, "q", now=NOW + 1_000) == [], "what expired was given out"
    assert len(dead(trial)) == 10
    assert counts(trial) == (0, 0, 0, 0, 10)


def test_order_and_time_are_found_through_indexes(tmp_path: Path) -> None:
    trial = Trial(SqliteSubject(tmp_path))
    put(trial, "q", new())
    work = trial.writer.transact([lambda writer: writer.work])[0]
    assert isinstance(work, work_rows.WorkRows)
    plans = {
        name: " ".join(
            row[3]
            for row in work._connection.execute(
                f"EXPLAIN QUERY PLAN {getattr(work._q, name)}", [None] * places
            )
        )
        for name, places in (("claim_work", 3), ("work_that_is_due", 2), ("work_that_expired", 2))
    }
    trial.close()
    assert "COVERING INDEX work_by_turn" in plans["claim_work"]
    assert "INDEX work_by_time" in plans["work_that_is_due"]
    assert "INDEX work_by_end" in plans["work_that_expired"]
    assert "TEMP B-TREE" not in plans["claim_work"], "it sorts what the index has in order"


def test_a_random_life_leaves_nothing_behind(trial: Trial) -> None:
    """When all is confirmed or dropped no row of any table is left but keys."""
    throw = random.Random(7)
    for number in range(30):
        after = [f"k{throw.randrange(number)}"] if number and throw.random() < 0.5 else []
        put(trial, "q", new(number, key=f"k{number}", after=after, subject=str(number % 3)))
    while items := take(trial, "q", 3):
        confirm(trial, *[item.claim for item in items])
    assert msgspec.to_builtins(trial.reader.queues()) == []
    work = trial.writer.transact([lambda writer: writer.work])[0]
    assert isinstance(work, work_rows.WorkRows)
    for table in ("work_items", "work_waits", "work_dead"):
        assert work._connection.execute(f"SELECT count(*) FROM {table}").get == 0, table
