"""What is read and not stored yet is settled in order, and a log ends when all of it is stored."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from holdfast.ingest import unstored as module
from holdfast.ingest.unstored import Underway, Unstored
from holdfast.journal.conformance import known
from holdfast.journal.model import Batch
from holdfast.journal.sqlite import JournalFull
from holdfast.journal.writer import SequenceConflict
from holdfast.sources.base import Log


class Bench:
    def __init__(self) -> None:
        self.stored: list[str] = []
        self.ended: list[str] = []
        self.unstored = Unstored(self._on_stored, lambda log: self.ended.append(log.log.path))

    def _on_stored(self, log: Underway, batch: Batch) -> None:
        self.stored.append(f"{log.log.path}{batch.first_seq}")

    def put(self, log: Underway, number: int, failure: Exception | None = None) -> None:
        done: Future[None] = Future()
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)
        self.unstored.put(log, Batch(facts=known("s"), first_seq=number), done)


def log(name: str) -> Underway:
    return Underway(Log("claude", name, "/", name))


def test_a_log_ends_when_all_of_it_is_stored() -> None:
    bench, a, b = Bench(), log("a"), log("b")
    bench.put(a, 0)
    bench.put(a, 1)
    bench.unstored.end(a)
    bench.put(b, 0)
    assert (bench.stored, bench.ended) == ([], [])
    bench.unstored.settle()
    assert (bench.stored, bench.ended) == (["a0", "a1", "b0"], ["a"])
    assert not bench.unstored
    bench.unstored.end(b)
    assert bench.ended == ["a", "b"]


def test_no_more_waits_than_may() -> None:
    bench, a = Bench(), log("a")
    for number in range(module.BATCHES_MAX + 2):
        bench.put(a, number)
    assert bench.stored == ["a0", "a1", "a2"]


def test_a_conflict_is_a_problem_of_its_log_alone() -> None:
    bench, a, b = Bench(), log("a"), log("b")
    bench.put(a, 0, SequenceConflict("a is elsewhere"))
    bench.put(a, 1, SequenceConflict("so is this"))
    bench.unstored.end(a)
    bench.put(b, 0)
    bench.unstored.settle()
    assert a.problem == "a is elsewhere"
    assert not b.problem
    assert (bench.stored, bench.ended) == (["b0"], ["a"])


def test_when_the_disk_is_full_every_log_that_was_read_ends() -> None:
    """Else it would stay claimed, and nobody would read it again."""
    bench, a, b = Bench(), log("a"), log("b")
    bench.put(a, 0, JournalFull("full"))
    bench.unstored.end(a)
    bench.put(b, 0, JournalFull("as before"))
    bench.unstored.end(b)
    with pytest.raises(JournalFull, match="full"):
        bench.unstored.settle()
    assert (bench.stored, bench.ended) == ([], ["a", "b"])
