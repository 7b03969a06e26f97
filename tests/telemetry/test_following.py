"""Every record of the log once, whatever is rotated, restarted or half written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.observe import JsonLog
from holdfast.telemetry.following import CHUNK_BYTES, Follower

EVERYTHING = 1_000_000


class Log:
    """A log that a test writes, and who follows it."""

    def __init__(self, folder: Path, *, max_bytes: int = 1_000, keep_files: int = 4) -> None:
        self.path = folder / "holdfast.log.jsonl"
        self.position_path = folder / "otlp-position.json"
        self.now_s = 1_800_000_000.0
        self.log = JsonLog(
            self.path, max_bytes=max_bytes, keep_files=keep_files, clock=lambda: self.now_s
        )
        self.count = 0

    def write(self, records: int = 1) -> None:
        for _ in range(records):
            self.log.info("counted", number=self.count)
            self.count += 1

    def follower(self, since: str = "") -> Follower:
        return Follower(self.path, self.position_path, since=since)


def take(follower: Follower, records_max: int = EVERYTHING) -> list[int]:
    records, position = follower.read(records_max)
    follower.done(position)
    return [record["number"] for record in records]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_records_come_in_order_and_once(log: Log) -> None:
    follower = log.follower()
    log.write(3)
    assert take(follower) == [0, 1, 2]
    assert take(follower) == []
    log.write(2)
    assert take(follower) == [3, 4]


def test_what_was_not_taken_comes_again(log: Log) -> None:
    follower = log.follower()
    log.write(3)
    assert len(follower.read(EVERYTHING)[0]) == 3
    assert take(follower) == [0, 1, 2]


def test_a_batch_ends_where_it_is_full_and_the_next_goes_on(log: Log) -> None:
    log.write(50)  # over several files
    assert log.path.with_name("holdfast.log.2.jsonl").exists()
    follower = log.follower()
    found: list[int] = []
    while batch := take(follower, 7):
        assert len(batch) <= 7
        found += batch
    assert found == list(range(50))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.booleans()), max_size=12))
@settings(max_examples=60, deadline=None)
def test_rotation_and_restarts_lose_and_repeat_nothing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bool]]
) -> None:
    log = Log(tmp_path_factory.mktemp("log"), max_bytes=400, keep_files=100)
    follower, found = log.follower(), []
    for written, taken, restarted in steps:
        log.write(written)
        found += take(follower, taken)
        if restarted:
            follower = log.follower()
    found += take(follower)
    assert found == list(range(log.count))


def test_a_line_that_is_not_whole_yet_is_left_for_later(log: Log) -> None:
    log.write()
    with log.path.open("ab") as file:
        file.write(b'{"at":"2027-01-15T08:00:00.000Z","number"')
        file.flush()
        follower = log.follower()
        assert take(follower) == [0]
        file.write(b":7}\n")
    assert take(follower) == [7]


@pytest.mark.parametrize("line", [b"nonsense", b"[]", b'{"number":5}', b"\xff\xfe", b'{"at":5}'])
def test_what_is_no_record_is_passed_over(log: Log, line: bytes) -> None:
    log.write()
    with log.path.open("ab") as file:
        file.write(line + b"\n")
    log.write()
    assert take(log.follower()) == [0, 1]


def test_when_too_much_was_written_meanwhile_what_is_left_is_read(tmp_path: Path) -> None:
    log = Log(tmp_path, max_bytes=400, keep_files=2)
    follower = log.follower()
    log.write(2)
    assert take(follower) == [0, 1]
    log.write(100)
    found = take(follower)
    assert found == list(range(found[0], 102))
    assert found[0] > 2


def test_the_first_time_nothing_older_than_this_run_is_sent(log: Log) -> None:
    log.write(2)
    log.now_s += 60
    log.write(2)
    since = "2027-01-15T08:00:30.000Z"
    follower = log.follower(since)
    assert take(follower) == [2, 3]
    log.write()  # what the next run finds of this one is not too old
    assert take(log.follower("2030-01-01T00:00:00.000Z")) == [4]


def test_more_than_a_chunk_is_read(tmp_path: Path) -> None:
    log = Log(tmp_path, max_bytes=10 * CHUNK_BYTES)
    log.write(2 * CHUNK_BYTES // 60)
    assert log.path.stat().st_size > CHUNK_BYTES
    assert take(log.follower()) == list(range(log.count))


@pytest.mark.parametrize("content", [b"", b"{", b'{"device":"x"}'])
def test_a_damaged_position_is_as_none(log: Log, content: bytes) -> None:
    log.position_path.write_bytes(content)
    log.write(2)
    assert take(log.follower()) == [0, 1]


def test_without_a_log_there_is_nothing(log: Log) -> None:
    follower = log.follower()
    assert take(follower) == []
    assert not log.position_path.exists()


def test_only_its_owner_can_read_the_position(log: Log) -> None:
    log.write()
    take(log.follower())
    assert log.position_path.stat().st_mode & 0o777 == 0o600


def test_nothing_stays_open(log: Log) -> None:
    def open_files() -> list[Any]:
        return list(Path("/proc/self/fd").iterdir())

    log.write(50)
    follower = log.follower()
    before = len(open_files())
    take(follower, 3)
    assert len(open_files()) == before
