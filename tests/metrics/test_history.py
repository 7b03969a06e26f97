"""The history: bounded, honest about gaps, sound whatever the clock does, kept over restarts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.governor.protocol import Level
from holdfast.metrics.history import (
    COARSE_POINTS,
    COARSE_STEP_S,
    FINE_POINTS,
    FINE_STEP_S,
    KEPT,
    SAVE_INTERVAL_S,
    BadTime,
    History,
    UnknownFigure,
)
from holdfast.status import Status
from tests.support.statuses import full_status

TREE = "holdfast_memory_tree_bytes"
BASE = full_status()
START_S = 1_800_000_000.0  # a whole minute
SIZE_BYTES = len(KEPT) * (FINE_POINTS + COARSE_POINTS) * 8


class Clock:
    now_s = START_S

    def __call__(self) -> float:
        return self.now_s


def status(tree_bytes: int) -> Status:
    assert BASE.memory is not None
    process = msgspec.structs.replace(BASE.memory.process, tree_bytes=tree_bytes)
    memory = msgspec.structs.replace(BASE.memory, process=process)
    return msgspec.structs.replace(BASE, memory=memory)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(tmp_path: Path, clock: Clock) -> History:
    return History(str(tmp_path / "history.zst"), clock_s=clock)


def line(history: History, since: str = "") -> list[Any]:
    return history.stretch([TREE], since).lines[0].values


def seen(history: History, since: str = "") -> list[Any]:
    return [value for value in line(history, since) if value is not None]


def test_a_point_is_the_highest_of_its_time(history: History, clock: Clock) -> None:
    for tree_bytes in (5, 9, 7):
        history.record(status(tree_bytes))
        clock.now_s += 3
    assert seen(history) == [9]


def test_an_hour_is_kept_in_steps_of_ten_seconds_and_a_day_in_minutes(
    history: History, clock: Clock
) -> None:
    for number in range(2 * 24 * 360):
        history.record(status(number))
        clock.now_s += FINE_STEP_S
    clock.now_s -= FINE_STEP_S
    last = 2 * 24 * 360 - 1
    assert line(history) == list(range(last - FINE_POINTS + 1, last + 1))
    day = history.stretch([TREE], "2026-01-01T00:00:00Z")
    assert day.step_s == COARSE_STEP_S
    assert day.lines[0].values == [5 + 6 * n for n in range(1_440, 2_880)]
    assert history.usage().items == FINE_POINTS + COARSE_POINTS


def test_it_takes_the_same_room_empty_and_full(history: History, clock: Clock) -> None:
    empty = history.usage()
    for _ in range(1_000):
        history.record(status(1))
        clock.now_s += 60
    full = history.usage()
    assert (empty.bytes, full.bytes) == (SIZE_BYTES, SIZE_BYTES)
    assert full.limit_bytes == SIZE_BYTES
    assert history.relieve(Level.CRITICAL, 1 << 30) == 0
    assert SIZE_BYTES < 256 * 1024


def test_where_nothing_was_seen_there_is_a_gap(history: History, clock: Clock) -> None:
    history.record(status(1))
    clock.now_s += 3 * FINE_STEP_S
    history.record(status(2))
    assert line(history)[-4:] == [1, None, None, 2]


def test_the_first_value_stands_where_it_is_said_to(history: History, clock: Clock) -> None:
    history.record(status(1))
    found = history.stretch([TREE], "2027-01-15T08:00:00Z")
    assert found.first_at == "2027-01-15T08:00:00.000Z"
    assert (found.step_s, found.lines[0].values) == (FINE_STEP_S, [1])


@pytest.mark.parametrize("jump_s", [-600, -10])
def test_a_clock_that_is_set_back_loses_nothing(
    history: History, clock: Clock, jump_s: int
) -> None:
    for number in range(100):
        history.record(status(100 + number))
        clock.now_s += FINE_STEP_S
    clock.now_s += jump_s
    history.record(status(1))
    assert seen(history) == list(range(100, 200))


@pytest.mark.parametrize("jump_s", [-10 * 24 * 3_600, 10 * 24 * 3_600])
def test_a_clock_that_jumps_for_days_begins_it_anew(
    history: History, clock: Clock, jump_s: int
) -> None:
    history.record(status(1))
    clock.now_s += jump_s
    history.record(status(2))
    assert seen(history) == [2]
    assert history.points == 2  # one in each ring


def test_it_goes_on_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    path = str(tmp_path / "history.zst")
    before = History(path, clock_s=clock)
    for number in range(500):
        before.record(status(number))
        clock.now_s += FINE_STEP_S
    before.save()
    after = History(path, clock_s=clock)
    assert after.load() == ""
    assert line(after) == line(before)
    assert after.points == before.points
    clock.now_s += 5 * FINE_STEP_S
    after.record(status(1_000))
    assert line(after)[-7:] == [499, None, None, None, None, None, 1_000]


def test_only_its_owner_can_read_the_file(history: History, tmp_path: Path) -> None:
    history.save()
    assert os.stat(tmp_path / "history.zst").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x28\xb5\x2f\xfd" + b"\x00" * 20])
def test_a_file_that_cannot_be_read_is_told_and_begun_anew(
    tmp_path: Path, clock: Clock, content: bytes
) -> None:
    path = tmp_path / "history.zst"
    path.write_bytes(content)
    history = History(str(path), clock_s=clock)
    assert history.load() != ""
    history.record(status(1))
    assert seen(history) == [1]
    history.save()
    assert History(str(path), clock_s=clock).load() == ""


def test_no_file_is_no_problem(history: History) -> None:
    assert history.load() == ""


def test_it_is_written_now_and_then_also_when_the_clock_was_set_back(
    history: History, clock: Clock
) -> None:
    clock.now_s += SAVE_INTERVAL_S - 1
    assert not history.save_due()
    clock.now_s += 1
    assert history.save_due()
    history.save()
    assert not history.save_due()
    clock.now_s -= 3_600
    assert history.save_due()


def test_a_figure_without_history_is_refused_by_name(history: History) -> None:
    with pytest.raises(UnknownFigure, match=TREE):
        history.stretch(["holdfast_threads"])


def test_a_time_that_is_none_is_refused(history: History) -> None:
    with pytest.raises(BadTime, match="yesterday"):
        history.stretch([TREE], "yesterday")
