"""When the log is moved, when the writer stands still for that, and what becomes of failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

import pytest

from holdfast.journal import checkpoints
from holdfast.journal.checkpoints import Checkpoints
from holdfast.journal.sqlite import JournalBroken, JournalError, JournalFull
from tests.support.waiting import until

MAX: Final = 6_400
STEP: Final = MAX // 8
REST: Final = MAX // 64
HALF: Final = MAX // 2
SOON_S: Final = 30.0


class Slow:
    """A checkpointer that can be held in its work, and made to fail."""

    def __init__(self) -> None:
        self.log_bytes = 0
        self.blocked_from: int | None = None  # where somebody reads
        self.failures: list[Exception] = []
        self.begun = self.done = 0
        self.finished = 0
        self.closed = False
        self.open = threading.Event()
        self.open.set()

    def run(self) -> int:
        assert not self.closed
        log_bytes = self.log_bytes  # as SQLite: what comes meanwhile is not moved
        self.begun += 1
        assert self.open.wait(SOON_S)
        self.done += 1
        if self.failures:
            raise self.failures.pop(0)
        return log_bytes if self.blocked_from is None else min(log_bytes, self.blocked_from)

    def finish(self, at_most_ms: int) -> bool:
        assert at_most_ms < 1_000 * checkpoints.PAUSE_MAX_S, "else the pause is over"
        self.finished += 1
        return self.blocked_from is None

    def close(self) -> None:
        self.closed = True


class Bench:
    """The thread, and the writer who tells it what it committed."""

    def __init__(self) -> None:
        self.slow = Slow()
        self.told: list[JournalError] = []
        self.checkpoints = Checkpoints(self.slow, max_bytes=MAX, on_failure=self.told.append)

    def commit(self, log_bytes: int, *, idle: bool = False) -> None:
        self.slow.log_bytes = log_bytes
        self.checkpoints.committed(log_bytes, idle=idle)

    def commit_aside(self, log_bytes: int, *, idle: bool = False) -> threading.Thread:
        """A writer that may have to stand still."""
        writer = threading.Thread(target=self.commit, args=(log_bytes,), kwargs={"idle": idle})
        writer.start()
        return writer

    def moved(self, times: int) -> None:
        until(lambda: self.slow.done == times, f"checkpoint {times} is done")
        until(lambda: self.checkpoints._done == times, "and its thread is back")


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.slow.open.set()
    bench.checkpoints.close()


def test_the_log_is_moved_whenever_a_step_has_come(bench: Bench) -> None:
    bench.commit(STEP)
    bench.commit(STEP + 1)
    bench.moved(1)
    bench.commit(2 * STEP)
    bench.commit(2 * STEP + 2)
    bench.moved(2)


def test_a_log_that_was_begun_anew_is_counted_from_its_beginning(bench: Bench) -> None:
    bench.commit(STEP + 1)
    bench.moved(1)
    bench.commit(10)
    bench.commit(STEP)
    bench.commit(STEP + 2)
    bench.moved(2)


def test_a_writer_that_is_never_idle_does_not_stand_still_below_the_bound(bench: Bench) -> None:
    bench.slow.open.clear()
    for log_bytes in range(0, MAX, STEP):
        bench.commit(log_bytes)
    bench.commit(MAX - 1)
    assert bench.slow.done == 0, "the disk has not done anything yet"


def test_above_half_what_is_left_is_moved_until_it_is_little(bench: Bench) -> None:
    bench.commit(HALF)
    bench.moved(1)
    bench.commit(HALF + REST + 1)
    bench.moved(2)


def test_an_idle_writer_stands_still_for_the_last_of_it(bench: Bench) -> None:
    bench.commit(HALF)
    bench.moved(1)
    assert bench.slow.finished == 0, "that is for when the writer stands still"
    bench.commit(HALF + REST, idle=True)
    assert (bench.slow.done, bench.slow.finished) == (2, 1)
    bench.commit(10, idle=True)  # begun anew: nothing to do
    assert bench.slow.begun == 2


def test_an_idle_writer_does_not_wait_for_a_slow_disk_and_not_at_each_commit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PAUSE_MAX_S", 0.01)
    bench.commit(HALF)
    bench.moved(1)
    bench.slow.open.clear()
    bench.commit(HALF + 1, idle=True)
    assert bench.slow.done == 1, "it went on while the disk was busy"
    bench.slow.open.set()
    bench.moved(2)
    bench.commit(HALF + 2, idle=True)
    assert bench.slow.begun == 2


def test_a_writer_with_much_left_to_move_does_not_stand_still(bench: Bench) -> None:
    """It would wait for as long as the disk needs for all of that."""
    bench.slow.open.clear()
    bench.commit(HALF, idle=True)
    bench.commit(HALF + REST, idle=True)
    assert bench.slow.done == 0


def test_at_the_bound_the_writer_stands_still_until_all_of_it_is_moved(bench: Bench) -> None:
    bench.slow.open.clear()
    bench.commit(HALF)
    until(lambda: bench.slow.begun == 1, "one is under way that will not know of the last pages")
    writer = bench.commit_aside(MAX)
    until(lambda: bench.checkpoints._wanted == 2, "the writer stands still")
    bench.slow.open.set()
    writer.join(SOON_S)
    assert not writer.is_alive()
    assert bench.slow.done == 2
    assert bench.checkpoints._moved_bytes == MAX


def test_readers_at_the_last_moment_are_waited_for_at_the_bound_alone(bench: Bench) -> None:
    """The rest may take as long as the disk wants, and a writer that is only idle must go on."""
    bench.commit(HALF)
    bench.moved(1)
    bench.slow.blocked_from = HALF
    bench.commit(HALF + 1, idle=True)
    assert (bench.slow.done, bench.slow.finished) == (2, 0)
    bench.commit(MAX)
    assert bench.slow.finished == 1


def test_a_log_that_somebody_reads_in_is_told_and_the_writer_goes_on(bench: Bench) -> None:
    bench.slow.blocked_from = STEP
    bench.commit(2 * MAX)
    assert bench.checkpoints.held_bytes == 0, "it may be a statement that is nearly done"
    bench.commit(3 * MAX)
    assert bench.checkpoints.held_bytes == 3 * MAX
    bench.slow.open.clear()
    bench.commit(3 * MAX + REST)  # it would not return if it stood still at each commit
    bench.slow.open.set()
    bench.commit(10)
    assert bench.checkpoints.held_bytes == 0


def test_when_the_reader_has_left_the_log_is_moved_without_another_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoints, "BLOCKED_RETRY_S", 0.01)
    bench = Bench()
    bench.slow.blocked_from = STEP
    bench.commit(3 * MAX)
    assert bench.checkpoints.held_bytes
    bench.slow.blocked_from = None
    until(lambda: not bench.checkpoints.held_bytes, "it is tried again")
    bench.checkpoints.close()


def test_what_broke_is_not_tried_again_on_the_same_connection(bench: Bench) -> None:
    bench.slow.failures.append(JournalBroken("sync"))
    bench.commit(MAX)  # and the writer, who stands still for it, goes on
    until(lambda: bench.told, "it is told")
    assert [type(error) for error in bench.told] == [JournalBroken]
    assert bench.slow.closed
    bench.commit(2 * MAX)
    bench.commit(3 * MAX, idle=True)
    bench.checkpoints.close()
    assert bench.slow.begun == 1


@pytest.mark.parametrize("error", [JournalFull("no room"), ZeroDivisionError("surprise")])
def test_another_failure_is_told_and_tried_again_when_more_has_come(
    bench: Bench, error: Exception
) -> None:
    bench.slow.failures.append(error)
    bench.commit(STEP + 1)
    bench.moved(1)
    assert len(bench.told) == 1
    assert isinstance(bench.told[0], JournalError)
    bench.commit(2 * STEP + 2)
    bench.moved(2)
    assert bench.checkpoints._moved_bytes == 2 * STEP + 2
    assert len(bench.told) == 1


def test_closing_waits_for_the_checkpoint_that_is_under_way(bench: Bench) -> None:
    bench.slow.open.clear()
    bench.commit(STEP + 1)
    until(lambda: bench.slow.begun == 1, "one is under way")
    closing = threading.Thread(target=bench.checkpoints.close)
    closing.start()
    until(lambda: bench.checkpoints._closing, "it closes")
    assert not bench.slow.closed
    bench.slow.open.set()
    closing.join(SOON_S)
    assert (bench.slow.done, bench.slow.closed) == (1, True)
    bench.commit(MAX)  # a writer that is still there does not wait for what has ended
