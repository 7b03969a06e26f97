"""The connection that moves the log while the writer goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import apsw
import pytest

from holdfast.journal import checkpointer, sqlite
from holdfast.journal.checkpointer import SqliteCheckpointer
from holdfast.journal.conformance import Trial
from holdfast.journal.writer import SqliteWriter
from tests.journal.subjects import SqliteSubject

ROUNDS: Final = 60


class Beside:
    """A journal with its checkpointer."""

    def __init__(self, folder: Path) -> None:
        self.trial = Trial(SqliteSubject(folder))
        writer = self.trial.writer
        assert isinstance(writer, SqliteWriter)
        self.writer = writer
        self.checkpointer: SqliteCheckpointer = writer.checkpointer()
        self.path = writer.path
        self._no = 0

    def say(self, times: int = 1) -> None:
        """About a hundred kilobytes each time, which cannot be compressed."""
        for _ in range(times):
            self._no += 1
            self.trial.say("one", os.urandom(60_000).hex(), sealed=True)

    def close(self) -> None:
        self.checkpointer.close()
        self.trial.close()


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    beside = Beside(tmp_path)
    yield beside
    beside.close()


def test_no_commit_makes_a_checkpoint(beside: Beside) -> None:
    """However long the log is."""
    before = os.path.getsize(beside.path)
    beside.say(200)
    assert os.path.getsize(beside.path) == before
    assert beside.writer.log_bytes > 12_000_000
    assert os.path.getsize(f"{beside.path}-wal") > beside.writer.log_bytes


def test_all_of_it_is_moved_and_the_next_commit_begins_the_log_anew(beside: Beside) -> None:
    beside.say(20)
    log_bytes = beside.writer.log_bytes
    assert beside.checkpointer.run() == log_bytes
    assert os.path.getsize(beside.path) > 1_200_000
    beside.say()
    assert beside.writer.log_bytes < log_bytes / 4
    beside.trial.verify()


def test_what_a_reader_needs_stays_in_the_log(beside: Beside) -> None:
    beside.say(3)
    held = sqlite.open_reader(beside.path)
    held.execute("BEGIN")
    held.execute("SELECT count(*) FROM blocks").fetchall()
    seen_bytes = beside.writer.log_bytes
    beside.say(3)
    assert beside.checkpointer.run() == seen_bytes
    beside.say()
    assert beside.writer.log_bytes > seen_bytes, "it could not be begun anew"
    held.execute("COMMIT")
    held.close()
    assert beside.checkpointer.run() == beside.writer.log_bytes


def test_readers_are_waited_for_and_no_longer_than_they_may_take(beside: Beside) -> None:
    beside.say(3)
    held = sqlite.open_reader(beside.path)
    held.execute("BEGIN")
    held.execute("SELECT count(*) FROM blocks").fetchall()
    assert beside.checkpointer.run() == beside.writer.log_bytes
    assert not beside.checkpointer.finish(1), "it could be moved, but not begun anew"
    leaving = threading.Timer(0.01, held.close)
    leaving.start()
    assert beside.checkpointer.finish(30_000)
    leaving.join()
    before = beside.writer.log_bytes
    beside.say()
    assert beside.writer.log_bytes < before


def test_it_is_opened_with_its_first_work_and_has_a_small_cache(beside: Beside) -> None:
    before = connections(beside.path)
    beside.say()
    assert connections(beside.path) == before
    beside.checkpointer.run()
    (mine,) = connections(beside.path) - before
    assert mine.pragma("cache_size") == -sqlite.CHECKPOINTER_CACHE_KB
    assert mine.pragma("synchronous") == 1, "NORMAL: a checkpoint syncs the log, then the database"
    beside.checkpointer.close()
    beside.checkpointer.close()
    assert connections(beside.path) == before


def connections(path: str) -> set[apsw.Connection]:
    return {each for each in apsw.connections() if each.filename == path}


def test_the_writers_own_checkpoint_empties_the_log_and_is_counted(beside: Beside) -> None:
    beside.say(3)
    beside.writer.checkpoint()
    assert beside.writer.log_bytes == os.path.getsize(f"{beside.path}-wal") == 0


def test_purging_is_counted_too(beside: Beside) -> None:
    beside.say(3)
    beside.checkpointer.run()
    beside.writer.purge()
    assert beside.writer.log_bytes == os.path.getsize(f"{beside.path}-wal") == 0


class Refused(apsw.Connection):
    """Comes upon somebody who is there for a moment, or for longer."""

    refusals: ClassVar[list[apsw.BusyError]] = []

    def wal_checkpoint(self, *how: Any, **more: Any) -> tuple[int, int]:
        if self.refusals:
            raise self.refusals.pop()
        return super().wal_checkpoint(*how, **more)


@pytest.mark.parametrize("times", [1, checkpointer.BUSY_TRIES])
def test_who_is_in_the_way_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """The writer is, while it changes the head of the index, and so is another program."""
    monkeypatch.setattr(apsw, "Connection", Refused)
    beside = Beside(tmp_path)
    beside.say(3)
    Refused.refusals += [apsw.BusyError()] * times
    expected = beside.writer.log_bytes if times == 1 else 0
    assert beside.checkpointer.run() == expected
    assert beside.checkpointer.run() == beside.writer.log_bytes
    beside.close()


class Counting(apsw.Connection):
    """Sees how many checkpoints run at the same time."""

    running = 0
    most = 0
    made: ClassVar[list[int]] = []
    lock = threading.Lock()

    def wal_checkpoint(self, *how: Any, **more: Any) -> tuple[int, int]:
        with self.lock:
            Counting.running += 1
            Counting.most = max(self.most, self.running)
        try:
            return super().wal_checkpoint(*how, **more)
        finally:
            with self.lock:
                Counting.running -= 1
                self.made.append(id(self))


def test_only_one_checkpoint_runs_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would refuse the second one, and the log of a daemon that stops would stay."""
    monkeypatch.setattr(apsw, "Connection", Counting)
    beside = Beside(tmp_path)

    def move() -> None:
        for _ in range(ROUNDS):
            beside.checkpointer.run()

    thread = threading.Thread(target=move)
    thread.start()
    for _ in range(ROUNDS):
        beside.say()
        beside.writer.checkpoint()
        assert beside.writer.log_bytes == 0, "nobody was in its way"
    thread.join()
    beside.close()
    assert Counting.most == 1
    assert len(set(Counting.made)) == 2
