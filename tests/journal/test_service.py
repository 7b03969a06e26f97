"""One thread that writes in groups and outlives what fails, and a bounded pool of readers."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from holdfast.governor.gate import WAIT_MAX_S
from holdfast.journal import checkpoints, mailbox, service, sqlite, unindexed
from holdfast.journal.conformance import Trial, cursor, known, many
from holdfast.journal.footprint import UnindexedTexts, WaitingBatches
from holdfast.journal.mailbox import JournalClosed
from holdfast.journal.memory import MemoryJournal, MemoryReader, MemoryWriter
from holdfast.journal.model import AuditRecord, Batch, SearchQuery
from holdfast.journal.protocol import JournalReader, JournalWriter, never
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalBroken, JournalError, JournalFull
from holdfast.journal.streams import Append, NewEvent
from holdfast.journal.writer import SequenceConflict, SqliteWriter
from tests.journal.subjects import MemorySubject
from tests.support.waiting import until

SOON_S = 30  # generous: whoever waits so long has failed


class Gate(MemoryWriter):
    """A writer that can be held before its next transaction, and made to fail."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.journal)
        self.bench = bench
        self.closed = False

    def write(self, batches: Sequence[Batch], *, durable: bool = False) -> None:
        self.bench.arrived.release()
        assert self.bench.open.wait(SOON_S)
        self.bench.groups.append([batch.facts.agent_session_id for batch in batches])
        self.bench.durable.append(durable)
        failure = self.bench.failures.pop(0) if self.bench.failures else None
        if failure is not None:
            raise failure
        super().write(batches, durable=durable)

    def feed_index(self, in_haste: Callable[[], bool] = never) -> bool:
        self.bench.feeds += 1
        if self.bench.feed_failures:
            raise self.bench.feed_failures.pop(0)
        if self.bench.in_feed is not None:
            self.bench.in_feed()
            self.bench.haste.append(in_haste())
        return super().feed_index(in_haste)

    def checkpoint(self) -> None:
        self.bench.checkpoints += 1

    def close(self) -> None:
        self.closed = True


class Pooled(MemoryReader):
    closed = False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class Bench:
    """A service on the twin, which shows what happens within."""

    def __init__(self, tmp_path: Path, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.journal = MemoryJournal()
        self.trial = Trial(MemorySubject(tmp_path, self.journal))
        self.open = threading.Event()
        self.open.set()
        self.arrived = threading.Semaphore(0)
        self.groups: list[list[str]] = []
        self.durable: list[bool] = []
        self.failures: list[Exception | None] = []  # of the next writes
        self.feed_failures: list[Exception] = []
        self.open_failures: list[JournalError] = []
        self.noted: list[JournalError] = []
        self.feeds = 0
        self.in_feed: Callable[[], None] | None = None  # what happens while the index is fed
        self.haste: list[bool] = []  # whether what was fed then had to be in haste
        self.checkpoints = 0
        self.writers: list[Gate] = []
        self.readers: list[Pooled] = []
        self.service = JournalService(
            self._writer, self._reader, readers=2, on_failure=self.noted.append, clock_s=clock_s
        )

    def _writer(self) -> JournalWriter:
        if self.open_failures:
            raise self.open_failures.pop(0)
        self.writers.append(Gate(self))
        return self.writers[-1]

    def _reader(self) -> JournalReader:
        self.readers.append(Pooled(self.journal))
        return self.readers[-1]

    def batch(self, session: str, *texts: str, first: int = 0) -> Batch:
        return self.trial.batch(session, *texts, first=first)

    def submit(self, *batches: Batch) -> list[Future[None]]:
        """Submits them while the thread is held, so that they become one group."""
        self.open.clear()
        held = self.service.submit(self.batch(f"held{len(self.groups)}", "x"))
        assert self.arrived.acquire(timeout=SOON_S)
        futures = [self.service.submit(batch) for batch in batches]
        self.open.set()
        held.result(SOON_S)
        return futures

    def events(self, session: str) -> int:
        row = self.trial.reader.session(known(session).id)
        return row.events if row else 0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.open.set()
    bench.service.close()


@pytest.fixture
def timeless(tmp_path: Path) -> Iterator[Bench]:
    """Nothing becomes due because the machine is slow."""
    bench = Bench(tmp_path, clock_s=lambda: 0.0)
    yield bench
    bench.open.set()
    bench.service.close()


def outcomes(futures: Sequence[Future[None]]) -> list[type[BaseException] | None]:
    errors = [future.exception(SOON_S) for future in futures]
    return [type(error) if error else None for error in errors]


# Writing.


def test_what_waits_together_is_one_transaction(bench: Bench) -> None:
    futures = bench.submit(*[bench.batch(f"s{number}", "a") for number in range(40)])
    assert outcomes(futures) == [None] * 40
    assert [len(group) for group in bench.groups] == [1, 40]
    assert bench.events("s39") == 1


def test_a_group_waits_for_the_disk_when_one_of_it_was_promised(bench: Bench) -> None:
    bench.open.clear()
    bench.service.submit(bench.batch("first", "x"))
    assert bench.arrived.acquire(timeout=SOON_S)
    bench.service.submit(bench.batch("a", "x"))
    last = bench.service.submit(bench.batch("b", "x"), durable=True)
    bench.open.set()
    last.result(SOON_S)
    assert bench.durable == [False, True]


def test_one_bad_batch_costs_only_itself(bench: Bench) -> None:
    futures = bench.submit(
        bench.batch("a", "x"), bench.batch("b", "x", first=7), bench.batch("c", "x")
    )
    assert outcomes(futures) == [None, SequenceConflict, None]
    assert (bench.events("a"), bench.events("b"), bench.events("c")) == (1, 0, 1)
    assert [type(error) for error in bench.noted] == [SequenceConflict]


@pytest.mark.parametrize("error", [JournalFull, JournalBroken])
def test_what_the_disk_refuses_is_refused_for_the_whole_group_and_not_tried_again(
    bench: Bench, error: type[JournalError]
) -> None:
    bench.failures += [None, error("no")]
    futures = bench.submit(*[bench.batch(name, "x") for name in "abc"])
    assert outcomes(futures) == [error] * 3
    assert len(bench.groups) == 2
    assert len(bench.noted) == 1
    assert bench.service.is_failing
    bench.service.submit(bench.batch("a", "x")).result(SOON_S)
    assert bench.events("a") == 1, "and the next goes in"
    assert not bench.service.is_failing


def test_what_is_appended_ends_a_failure_as_what_is_read_from_logs_does(bench: Bench) -> None:
    bench.failures.append(JournalFull("no"))
    assert outcomes([bench.service.submit(bench.batch("a", "x"))]) == [JournalFull]
    assert bench.service.is_failing
    appends = [Append("s", [NewEvent(kind="thing.happened")])]
    bench.service.append(appends).result(SOON_S)
    assert not bench.service.is_failing


def test_after_the_disk_failed_the_writer_is_opened_anew_and_checkpointed(bench: Bench) -> None:
    bench.failures.append(JournalBroken("io"))
    (future,) = [bench.service.submit(bench.batch("a", "x"))]
    assert outcomes([future]) == [JournalBroken]
    bench.service.submit(bench.batch("a", "x")).result(SOON_S)
    assert len(bench.writers) == 2
    assert bench.writers[0].closed
    assert bench.checkpoints == 1
    assert bench.events("a") == 1


def test_a_writer_that_does_not_open_again_is_tried_each_time(bench: Bench) -> None:
    bench.failures.append(JournalBroken("io"))
    bench.open_failures += [JournalBroken("still")] * 3
    while bench.open_failures:
        assert outcomes([bench.service.submit(bench.batch("a", "x"))]) == [JournalBroken]
    until(lambda: outcomes([bench.service.submit(bench.batch("a", "x"))]) == [None], "it opens")
    assert bench.events("a") == 1


def test_an_error_that_nobody_foresaw_goes_to_who_waits_and_is_noted(bench: Bench) -> None:
    bench.failures.append(ZeroDivisionError("surprise"))
    assert outcomes([bench.service.submit(bench.batch("a", "x"))]) == [ZeroDivisionError]
    assert "report this" in str(bench.noted[0])
    assert isinstance(bench.noted[0].__cause__, ZeroDivisionError)
    bench.service.submit(bench.batch("a", "x")).result(SOON_S)


def test_who_stops_waiting_does_not_stop_the_thread(bench: Bench) -> None:
    async def give_up() -> None:
        bench.open.clear()
        waiting = asyncio.wrap_future(bench.service.submit(bench.batch("a", "x")))
        waiting.cancel()
        bench.open.set()

    asyncio.run(give_up())
    bench.service.submit(bench.batch("b", "x")).result(SOON_S)
    assert (bench.events("a"), bench.events("b")) == (1, 1)


def test_calls_come_in_their_turn_and_their_errors_go_to_who_called(bench: Bench) -> None:
    first = bench.service.submit(bench.batch("a", "x"))
    seen = bench.service.call(lambda writer: writer.index_lag).result(SOON_S)
    assert first.done()
    assert isinstance(seen, int)

    def fail(_writer: JournalWriter) -> None:
        raise JournalError("on purpose")

    with pytest.raises(JournalError, match="on purpose"):
        bench.service.call(fail).result(SOON_S)
    bench.service.audit([AuditRecord("t", "done", b"{}")]).result(SOON_S)  # type: ignore[arg-type]  # Raw is bytes
    bench.service.save_cursors([cursor("a", "/log")]).result(SOON_S)
    with bench.service.reader() as reader:
        assert len(reader.audit()) == len(reader.cursors()) == 1


def test_too_much_that_waits_holds_up_who_brings_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "Mailbox", lambda: mailbox.Mailbox(waiting_max=3))
    bench = Bench(tmp_path)
    bench.open.clear()
    bench.service.submit(bench.batch("first", "x"))
    assert bench.arrived.acquire(timeout=SOON_S)
    submitted = []

    def bring() -> None:
        for number in range(10):
            bench.service.submit(bench.batch(f"s{number}", "x"))
            submitted.append(number)

    thread = threading.Thread(target=bring, daemon=True)
    thread.start()
    until(lambda: bench.service._mailbox._room._waiters, "it waits")  # type: ignore[attr-defined]  # no public way to see who waits
    assert submitted == [0, 1, 2]
    assert bench.service.waiting == 3
    assert bench.service.waiting_bytes > 0
    bench.open.set()
    thread.join(SOON_S)
    bench.service.close()
    assert len(submitted) == 10
    assert len(bench.journal.state.sessions) == 11


def test_what_waits_is_counted(bench: Bench) -> None:
    component = WaitingBatches(bench.service)
    before = component.usage()
    bench.open.clear()
    bench.service.submit(bench.batch("a", "x"))
    assert bench.arrived.acquire(timeout=SOON_S)
    waits = bench.service.submit(bench.batch("b", "y" * 100_000))
    usage = component.usage()
    assert usage.items == before.items + 1
    assert usage.bytes - before.bytes > 100_000
    assert (usage.limit_bytes, usage.limit_items) == (
        mailbox.WAITING_BYTES_MAX,
        mailbox.WAITING_MAX,
    )
    bench.open.set()
    waits.result(SOON_S)


@pytest.mark.parametrize("urgent", [True, False])
def test_what_is_urgent_makes_haste_of_feeding_the_index(timeless: Bench, *, urgent: bool) -> None:
    """Else a line that somebody just wrote waits for megabytes of an import to be indexed."""
    bench = timeless
    until(lambda: bench.service.index_lag == 0, "the index is fed")
    said: list[Future[None]] = []

    def say() -> None:
        if not said:
            said.append(bench.service.submit(bench.batch("line", "word"), urgent=urgent))

    bench.in_feed = say
    bench.service.submit(bench.batch("import", *["x" * 100] * 9)).result(SOON_S)
    until(lambda: said, "the index is fed meanwhile")
    said[0].result(SOON_S)
    assert bench.haste[0] is urgent
    until(lambda: bench.service.index_lag == 0, "what was left is fed as well")
    with bench.service.reader() as reader:
        assert len(reader.search(SearchQuery(words="word"))) == 1


@pytest.mark.parametrize(
    ("events", "stored_before"),
    [(6, 2), (5 * service.BEHIND_FACTOR + 2, 1)],
    ids=["before the index is fed", "behind it, when that is far behind"],
)
def test_what_is_urgent_is_stored(
    timeless: Bench, monkeypatch: pytest.MonkeyPatch, events: int, stored_before: int
) -> None:
    bench = timeless
    until(lambda: bench.service.index_lag == 0, "the index is fed")
    monkeypatch.setattr(service, "INDEX_EVERY_EVENTS", 5)
    stored: list[int] = []
    bench.in_feed = lambda: stored.append(len(bench.groups))
    bench.open.clear()
    bench.service.submit(bench.batch("import", *["x"] * events))
    assert bench.arrived.acquire(timeout=SOON_S)
    bench.service.submit(bench.batch("line", "word"), urgent=True)
    bench.open.set()
    bench.service.settle()
    assert (stored[0], bench.haste[0]) == (stored_before, False)


def test_an_index_that_waited_long_is_fed_in_part_though_something_urgent_waits(
    tmp_path: Path,
) -> None:
    now_s = 0.0
    bench = Bench(tmp_path, clock_s=lambda: now_s)
    stored: list[int] = []
    bench.in_feed = lambda: stored.append(len(bench.groups))
    bench.open.clear()
    bench.service.submit(bench.batch("import", "x"))
    assert bench.arrived.acquire(timeout=SOON_S)
    bench.service.submit(bench.batch("line", "word"), urgent=True)
    now_s = service.BEHIND_FACTOR * service.INDEX_EVERY_S
    bench.open.set()
    bench.service.settle()
    assert (stored[0], bench.haste[0]) == (1, True)
    bench.service.close()


def test_all_that_may_wait_for_what_is_urgent_is_remembered() -> None:
    group = 2 * mailbox.GROUP_BYTES_MAX  # and what its last batch is over
    waits = service.BEHIND_FACTOR * service.INDEX_EVERY_BYTES + group
    assert waits < unindexed.BYTES_MAX


def test_texts_that_wait_for_the_index_are_counted_until_it_is_fed(bench: Bench) -> None:
    component = UnindexedTexts(bench.service)
    until(lambda: bench.service.index_lag == 0, "the index is fed")
    bench.service.pause_index()
    bench.service.submit(bench.batch("a", "z" * 10_000)).result(SOON_S)
    assert component.usage().items == 1
    until(lambda: component.usage().bytes >= 10_000, "they are counted")
    bench.service.resume_index()
    until(lambda: component.usage().bytes == 0, "the index is fed")


# Connections that read.


def test_who_reads_is_counted_and_who_does_not_end_is_named(bench: Bench) -> None:
    with bench.service.reader():
        now_s = time.monotonic()
        found = bench.service.connections(10, now_s)
        assert (found.open, found.lent, found.waiting, found.held_too_long) == (1, 1, 0, ())
        (held,) = bench.service.connections(10, now_s + 20).held_too_long
        assert held.who == threading.current_thread().name
        assert held.for_s >= 20
    found = bench.service.connections(10, time.monotonic() + 20)
    assert (found.open, found.lent, found.held_too_long) == (1, 0, ())


def test_readers_that_wait_for_a_connection_are_counted(bench: Bench) -> None:
    limit = bench.service.connections(1).readers_max

    def read() -> None:
        with bench.service.reader():
            pass

    with ExitStack() as lent:
        for _ in range(limit):
            lent.enter_context(bench.service.reader())
        thread = threading.Thread(target=read)
        thread.start()
        until(lambda: bench.service.connections(1).waiting == 1, "it waits")
        assert bench.service.connections(1).open == limit
    thread.join(SOON_S)
    assert bench.service.connections(1).waiting == 0


# The index.


def test_a_paused_index_is_fed_when_it_goes_on(bench: Bench) -> None:
    until(lambda: bench.service.index_lag == 0, "the index is fed")
    bench.service.pause_index()
    bench.service.submit(bench.batch("a", "needle")).result(SOON_S)
    bench.service.call(lambda _writer: None).result(SOON_S)  # it had time to feed it
    assert bench.service.index_lag == 1
    bench.service.resume_index()
    until(lambda: bench.service.index_lag == 0, "the index is fed")


def test_a_paused_index_does_not_fall_too_far_behind(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for it is memory too."""
    monkeypatch.setattr(service, "INDEX_EVERY_BYTES", 50)
    bench.service.pause_index()
    bench.service.submit(bench.batch("a", "z" * 60)).result(SOON_S)
    until(lambda: bench.service.index_lag == 0, "the index is fed")


def test_a_paused_index_is_fed_when_the_pause_was_long_enough(tmp_path: Path) -> None:
    """Little comes, and who searches for it does not wait for the pressure to end."""
    now_s = 0.0
    bench = Bench(tmp_path, clock_s=lambda: now_s)
    bench.service.pause_index()
    bench.service.submit(bench.batch("a", "needle")).result(SOON_S)
    now_s = WAIT_MAX_S - 1
    for _ in range(2):  # the second comes when the thread is done with the first
        bench.service.call(lambda _writer: None).result(SOON_S)
    assert bench.service.index_lag == 1
    now_s = WAIT_MAX_S
    bench.service.call(lambda _writer: None).result(SOON_S)
    until(lambda: bench.service.index_lag == 0, "the index is fed")
    bench.service.close()


def test_a_pause_that_was_long_enough_is_noticed_though_nothing_comes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: bench.service.index_lag == 0, "the index is fed")
    monkeypatch.setattr(service, "WAIT_MAX_S", 0.01)
    bench.service.pause_index()
    bench.service.submit(bench.batch("a", "needle")).result(SOON_S)
    until(lambda: bench.service.index_lag == 0, "the index is fed")


def test_who_reads_for_long_is_told_by_the_clock_of_the_service(tmp_path: Path) -> None:
    now_s = 1_000.0
    bench = Bench(tmp_path, clock_s=lambda: now_s)
    with bench.service.reader():
        now_s += 20
        (held,) = bench.service.connections(10).held_too_long
        assert held.for_s == 20
    bench.service.close()


def test_the_index_is_fed_when_nothing_waits(bench: Bench) -> None:
    bench.service.submit(bench.batch("a", "needle")).result(SOON_S)
    until(lambda: bench.service.index_lag == 0, "the index is fed")
    with bench.service.reader() as reader:
        assert len(reader.search(SearchQuery(words="needle"))) == 1


def test_what_was_not_indexed_before_is_indexed_at_the_start(tmp_path: Path) -> None:
    subject = MemorySubject(tmp_path)
    Trial(subject).say("a", "needle")
    started = JournalService(subject.journal.writer, subject.journal.reader)
    until(lambda: started.index_lag == 0, "the index is fed")
    started.close()


@pytest.mark.parametrize(("limit", "bound"), [("INDEX_EVERY_EVENTS", 5), ("INDEX_EVERY_BYTES", 50)])
def test_the_index_does_not_fall_too_far_behind_while_much_is_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, limit: str, bound: int
) -> None:
    monkeypatch.setattr(service, limit, bound)
    lags = []
    bench.open.clear()
    for number in range(6):
        bench.service.submit(bench.batch(f"s{number}", *["x" * 10] * 6))
        bench.service.call(lambda writer: lags.append(writer.index_lag))  # keeps them apart
    bench.open.set()
    bench.service.settle()
    assert lags == [0] * 6


def test_the_index_is_not_fed_between_batches_that_come_one_by_one(tmp_path: Path) -> None:
    """Fed a little at a time, it merges what it holds again and again."""
    bench = Bench(tmp_path, clock_s=lambda: 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "INDEX_QUIET_S", 30)
        for number in range(20):
            bench.service.submit(bench.batch(f"s{number}", "needle")).result(SOON_S)
        assert bench.feeds == 0
        bench.service.settle()
    assert bench.service.index_lag == 0
    bench.service.close()


def test_what_is_stored_is_found_after_a_while_though_more_comes(tmp_path: Path) -> None:
    now_s = 0.0
    bench = Bench(tmp_path, clock_s=lambda: now_s)
    lags = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "INDEX_QUIET_S", 30)
        bench.service.submit(bench.batch("a", "needle")).result(SOON_S)
        bench.service.call(lambda writer: lags.append(writer.index_lag)).result(SOON_S)
        now_s = service.INDEX_EVERY_S
        bench.service.submit(bench.batch("b", "needle")).result(SOON_S)
        bench.service.call(lambda writer: lags.append(writer.index_lag)).result(SOON_S)
    assert lags == [1, 0]
    bench.service.close()


@pytest.mark.parametrize("error", [JournalFull("full"), ValueError("surprise")])
def test_an_index_that_fails_does_not_stop_the_writing(bench: Bench, error: Exception) -> None:
    bench.feed_failures.append(error)
    bench.service.submit(bench.batch("a", "needle")).result(SOON_S)
    until(lambda: bench.noted, "it is noted")
    bench.service.submit(bench.batch("b", "x")).result(SOON_S)
    bench.service.settle()
    assert bench.service.index_lag == 0


# Reading.


def test_readers_are_opened_once_and_no_more_than_there_are_slots(bench: Bench) -> None:
    for _ in range(5):
        with bench.service.reader() as one, bench.service.reader() as other:
            assert one is not other
    assert len(bench.readers) == 2


def test_who_wants_one_reader_too_many_waits(bench: Bench) -> None:
    got = threading.Event()

    def want() -> None:
        with bench.service.reader():
            got.set()

    thread = threading.Thread(target=want, daemon=True)
    with bench.service.reader():
        with bench.service.reader():
            thread.start()
            until(lambda: bench.service._reader_slots._cond._waiters, "it waits")  # type: ignore[attr-defined]  # no public way to see who waits
            assert not got.is_set()
        assert got.wait(SOON_S)
    thread.join(SOON_S)
    assert len(bench.readers) == 2


def test_a_reader_that_met_an_error_of_the_journal_is_not_lent_again(bench: Bench) -> None:
    with pytest.raises(JournalError), bench.service.reader():
        raise JournalBroken("io")
    assert bench.readers[0].closed
    with pytest.raises(KeyError), bench.service.reader() as reader:
        raise KeyError
    with bench.service.reader() as again:
        assert again is reader
    assert len(bench.readers) == 2


def test_a_reader_that_does_not_open_leaves_its_slot_free(tmp_path: Path) -> None:
    journal = MemoryJournal()

    def refuse() -> JournalReader:
        raise JournalError("no")

    opened = JournalService(journal.writer, refuse, readers=1)
    for _ in range(3):
        with pytest.raises(JournalError), opened.reader():
            pass
    opened.close()


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    """On SQLite itself: readers wander between threads."""
    path = str(tmp_path / "journal.db")
    opened = JournalService(lambda: SqliteWriter(path), lambda: SqliteReader(path), readers=2)
    bench_batch = Trial(MemorySubject(tmp_path)).batch
    lines = []
    for number in range(20):
        batch = bench_batch("one", *many("x", 3), first=3 * number)
        lines.append(batch.lines)
        opened.submit(batch)
    opened.settle()
    failures = []

    def read() -> None:
        for number in range(20):
            with opened.reader() as reader:
                seen = b"".join(reader.read(known("one").id, 3 * number, 3 * number + 3))
                found = len(reader.search(SearchQuery(words="x", limit=5)))
            if (seen, found) != (lines[number], 5):
                failures.append(number)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    opened.close()
    assert failures == []


# The write-ahead log, which a thread of its own moves into the database.

WAL_MAX_BYTES: Final = 64 * sqlite.PAGE_BYTES
NOISE_BYTES: Final = 4_000  # of a batch, as text of twice that length: some pages in one commit
GROUPS: Final = 50


class Steady:
    """A service on SQLite that is never without something to write."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "journal.db")
        self.lengths: list[int] = []  # of the log, after each commit
        self.service = JournalService(
            self._open, lambda: SqliteReader(self.path), wal_max_bytes=WAL_MAX_BYTES
        )
        self.trial = Trial(MemorySubject(folder))
        self._no = 0

    def _open(self) -> JournalWriter:
        steady = self

        class Measured(SqliteWriter):
            def write(self, batches: Sequence[Batch], *, durable: bool = False) -> None:
                super().write(batches, durable=durable)
                steady.lengths.append(self.log_bytes)

        return Measured(self.path)

    def write(self, groups: int) -> int:
        """Something always waits, so no commit comes after a moment of rest; the log's length."""
        ahead: deque[Future[None]] = deque()
        for _ in range(groups):
            self._no += 1
            batch = self.trial.batch(f"s{self._no}", os.urandom(NOISE_BYTES).hex())
            ahead.append(self.service.submit(batch))
            if len(ahead) > 4:
                ahead.popleft().result(SOON_S)
        for future in ahead:
            future.result(SOON_S)
        return self.lengths[-1]

    @property
    def commit_bytes(self) -> int:
        """The longest one of those seen."""
        pairs = itertools.pairwise(self.lengths)
        return max(after - before for before, after in pairs)


@pytest.fixture
def steady(tmp_path: Path) -> Iterator[Steady]:
    steady = Steady(tmp_path)
    yield steady
    steady.service.close()


def test_the_log_stays_below_its_bound_under_writes_without_a_pause(
    steady: Steady, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers come and go: there are moments without one, and the wait is long enough for that."""
    monkeypatch.setattr(checkpoints, "READERS_WAIT_MS", 1_000 * SOON_S)
    stopping = threading.Event()

    def read() -> None:
        while not stopping.is_set():
            with steady.service.reader() as reader:
                reader.totals()
            stopping.wait(0.002)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        until(lambda: steady.write(GROUPS) and begun_anew(steady.lengths) > 2, "the log began anew")
    finally:
        stopping.set()
        for reader in readers:
            reader.join(SOON_S)
    # A reader that begins behind the wait costs another step.
    assert max(steady.lengths) < 1.5 * WAL_MAX_BYTES + steady.commit_bytes
    assert steady.service.log_problem == ""


def begun_anew(lengths: list[int]) -> int:
    return sum(after < before for before, after in itertools.pairwise(lengths))


def test_a_reader_that_holds_an_old_state_is_told_and_the_log_is_emptied_behind_it(
    steady: Steady, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "BLOCKED_RETRY_S", 0.01)
    steady.write(1)
    held = sqlite.open_reader(steady.path)
    held.execute("BEGIN")
    held.execute("SELECT count(*) FROM blocks").fetchall()
    until(lambda: steady.write(10) and steady.service.log_problem, "it is told")
    assert re.search(r"grown to \d+ MiB.*lsof", steady.service.log_problem)
    grown = steady.lengths[-1]
    assert grown > WAL_MAX_BYTES
    steady.write(10)
    assert steady.lengths[-1] > grown, "the writing went on"
    held.execute("COMMIT")
    held.close()
    until(lambda: not steady.service.log_problem, "the reader has left")
    until(lambda: steady.write(1) < WAL_MAX_BYTES, "the log begins anew")


# Closing.


def test_closing_stores_what_waits_and_refuses_what_comes(bench: Bench) -> None:
    bench.open.clear()
    futures = [bench.service.submit(bench.batch(f"s{number}", "x")) for number in range(9)]
    closing = threading.Thread(target=bench.service.close)
    closing.start()
    until(lambda: refused(lambda: bench.service.submit(bench.batch("late", "x"))), "it closes")
    bench.open.set()
    closing.join(SOON_S)
    assert outcomes(futures) == [None] * 9
    assert all(writer.closed for writer in bench.writers)
    assert refused(lambda: bench.service.call(lambda _writer: None))
    assert refused(lambda: bench.service.reader().__enter__())
    bench.service.close()


def refused(work: Callable[[], object]) -> bool:
    try:
        work()
    except JournalClosed:
        return True
    return False


def test_closing_closes_idle_readers_at_once_and_lent_ones_when_they_are_back(
    bench: Bench,
) -> None:
    with bench.service.reader() as lent, bench.service.reader():
        pass
    with bench.service.reader() as lent:
        bench.service.close()
        assert [reader.closed for reader in bench.readers].count(False) == 1
        assert lent.totals().events == 0
    assert all(reader.closed for reader in bench.readers)


def test_a_thread_that_ends_by_an_error_of_our_own_leaves_nobody_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_error: JournalError) -> None:
        raise RuntimeError("the one who is told fails itself")

    monkeypatch.setattr(bench.service, "_on_failure", broken)
    monkeypatch.setattr(threading, "excepthook", lambda _info: None)
    bench.feed_failures.append(ValueError("surprise"))
    bench.open.clear()
    first = bench.service.submit(bench.batch("a", "x"))
    bench.open.set()
    first.result(SOON_S)
    bench.service._thread.join(SOON_S)
    assert refused(lambda: bench.service.submit(bench.batch("b", "x")))
