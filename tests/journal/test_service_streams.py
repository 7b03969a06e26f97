"""Appends and transactions through the service: one commit for many, each with its own outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from holdfast.events import stream_id
from holdfast.journal.conformance import Trial
from holdfast.journal.memory import MemoryJournal, MemoryReader, MemoryWriter
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalBroken, JournalError, JournalFull
from holdfast.journal.streams import Append, Appended, Committed, NewEvent, WrongSequence
from tests.journal.subjects import MemorySubject

NOW_S = 1_767_261_600.0
SOON_S = 30  # generous: whoever waits so long has failed


class Counting(MemoryWriter):
    """Tells how many works each transaction had, and fails when told to."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.journal)
        self.bench = bench

    def transact(
        self, works: Sequence[Callable[[JournalWriter], object]]
    ) -> list[object | Exception]:
        self.bench.arrived.release()
        assert self.bench.open.wait(SOON_S)
        self.bench.transactions.append(len(works))
        failure = self.bench.failures.get(len(self.bench.transactions))
        if failure is not None:
            if self.bench.keeps_what_fails:
                super().transact(works)
            raise failure
        return super().transact(works)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.journal = MemoryJournal()
        self.trial = Trial(MemorySubject(folder, self.journal))
        self.arrived, self.open = threading.Semaphore(0), threading.Event()
        self.open.set()
        self.transactions: list[int] = []
        self.failures: dict[int, Exception] = {}  # of the first, second … transaction
        self.keeps_what_fails = False
        self.told: list[Committed] = []
        self.noted: list[JournalError] = []
        self.service = JournalService(
            lambda: Counting(self),
            lambda: MemoryReader(self.journal),
            on_failure=self.noted.append,
            wall_s=lambda: NOW_S,
        )
        self.service.listen(self.told.extend)

    def held(self) -> None:
        """Keep the thread in a transaction, so that what comes now waits together."""
        self.open.clear()
        self.service.transact(lambda _writer: None)
        assert self.arrived.acquire(timeout=SOON_S)

    def texts(self, stream: str) -> list[str]:
        with self.service.reader() as reader:
            return [event.text for event in reader.events(stream_id(stream))]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.open.set()
    bench.service.close()


def said(stream: str, *texts: str, expected_seq: int | None = None) -> list[Append]:
    events = [NewEvent(kind="said", text=text) for text in texts]
    return [Append(stream, events, expected_seq)]


def stored(future: Future[list[Appended | WrongSequence]]) -> Appended:
    [outcome] = future.result(SOON_S)
    assert isinstance(outcome, Appended)
    return outcome


def test_appends_that_wait_together_are_one_work_and_each_hears_of_its_own(bench: Bench) -> None:
    bench.held()
    futures = [bench.service.append(said("a", str(number))) for number in range(3)]
    refused = bench.service.append(said("a", "x", expected_seq=7))
    last = bench.service.append(said("b", "y"))
    bench.open.set()
    assert [list(stored(each).seqs) for each in futures] == [[0], [1], [2]]
    assert isinstance(refused.result(SOON_S)[0], WrongSequence)
    assert list(stored(last).positions) == [4]
    assert bench.transactions == [1, 1]  # the one that held the thread, and one for all five
    assert bench.texts("a") == ["0", "1", "2"]


def test_works_and_appends_share_a_transaction_in_their_order(bench: Bench) -> None:
    def fails(writer: JournalWriter) -> object:
        writer.append(said("a", "undone"), NOW_S)
        raise KeyError("a work")

    bench.held()
    first = bench.service.append(said("a", "first"))
    failed = bench.service.transact(fails)
    second = bench.service.append(said("a", "second"))
    counted = bench.service.transact(lambda _writer: 7)
    bench.open.set()
    assert list(stored(first).seqs) == [0]
    assert isinstance(failed.exception(SOON_S), KeyError)
    assert list(stored(second).seqs) == [1]
    assert counted.result(SOON_S) == 7
    assert bench.transactions == [1, 4]
    assert bench.texts("a") == ["first", "second"]
    assert bench.noted == []


def test_what_a_failed_commit_left_in_the_journal_is_told_before_what_comes_next(
    bench: Bench,
) -> None:
    stored(bench.service.append(said("a", "before")))
    bench.keeps_what_fails = True
    bench.failures[2] = JournalBroken("the sync failed")
    failed = bench.service.append(said("a", "one", "two"))
    assert isinstance(failed.exception(SOON_S), JournalBroken)
    found = [(run.position, run.name, run.first_seq, run.count, run.lines) for run in bench.told]
    assert found[1:] == [(2, "a", 1, 2, b"")]
    assert list(stored(bench.service.append(said("b", "next"))).positions) == [4]
    assert [run.position for run in bench.told] == [1, 2, 4]


def test_nothing_is_told_when_a_failed_commit_left_nothing(bench: Bench) -> None:
    bench.failures[1] = JournalBroken("the sync failed")
    failed = bench.service.append(said("a", "one"))
    assert isinstance(failed.exception(SOON_S), JournalBroken)
    stored(bench.service.append(said("a", "two")))
    assert [run.position for run in bench.told] == [1]


def test_what_is_committed_is_told_before_anybody_hears_that_it_is(bench: Bench) -> None:
    appended = bench.service.append(said("a", "one", "two"))
    told_then: list[int] = []
    appended.add_done_callback(lambda _done: told_then.append(len(bench.told)))
    assert list(stored(appended).seqs) == [0, 1]
    bench.service.submit(bench.trial.batch("talk", "hello")).result(SOON_S)
    assert told_then == [1]
    assert [(run.position, run.count, run.agent) for run in bench.told] == [
        (1, 2, "stream"),
        (3, 1, "claude"),
    ]


def test_a_disk_that_is_full_fails_all_who_share_the_transaction(bench: Bench) -> None:
    bench.failures[2] = JournalFull("no room")
    bench.held()
    futures = [bench.service.append(said("a", "x")), bench.service.append(said("b", "y"))]
    bench.open.set()
    for future in futures:
        assert isinstance(future.exception(SOON_S), JournalFull)
    assert [str(error) for error in bench.noted] == ["no room"]
    assert bench.told == []
    assert list(stored(bench.service.append(said("a", "again"))).seqs) == [0]


def test_several_appends_of_one_caller_are_answered_together(bench: Bench) -> None:
    bench.held()
    alone = bench.service.append(said("a", "0"))
    both = bench.service.append([*said("a", "1"), *said("b", "x", expected_seq=3)])
    bench.open.set()
    assert list(stored(alone).seqs) == [0]
    first, second = both.result(SOON_S)
    assert isinstance(first, Appended)
    assert list(first.seqs) == [1]
    assert isinstance(second, WrongSequence)


def test_who_may_not_wait_is_taken_whatever_waits(bench: Bench) -> None:
    bench.held()
    waiting = [bench.service.append(said("a", "x"), wait=False) for _ in range(300)]
    bench.open.set()
    assert [stored(each).seqs[0] for each in waiting] == list(range(300))


def test_a_closed_service_refuses_appends(bench: Bench) -> None:
    bench.service.close()
    with pytest.raises(JournalError, match="closing"):
        bench.service.append(said("a", "x"))
