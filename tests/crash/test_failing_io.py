"""A disk that fails costs the write that it failed, nothing else, and the journal goes on after it.

Every read, write and sync that a piece of work needs is failed once in turn, and once with all that
follow it. A call either worked, or raised a JournalError and changed nothing.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw
import msgspec
import pytest

from holdfast.journal.model import AuditRecord, Batch, SearchQuery, SessionFilter
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import PAGE_BYTES, JournalBroken, JournalError, JournalFull
from holdfast.journal.writer import SqliteWriter
from tests.crash.test_power_loss import BLOCK_BYTES, BYTES_PER_EVENT, batch, cursor, facts, lines
from tests.support.vfs import Faults, Kind, broken, mounted, no_room
from tests.support.waiting import until

Step = Callable[[SqliteWriter], object]

WAL_MAX_BYTES: Final = 32 * PAGE_BYTES  # moved after each four pages

CASES: Final[list[tuple[Kind, Callable[[Kind], Exception]]]] = [
    ("read", broken),
    ("write", broken),
    ("write", no_room),
    ("sync", broken),
]


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    report = sys.unraisablehook

    def pass_over_ours(unraisable: sys.UnraisableHookArgs) -> None:
        """apsw also prints the errors that SQLite gets from us while it handles another one."""
        if not isinstance(unraisable.exc_value, apsw.Error):
            report(unraisable)

    monkeypatch.setattr(sys, "unraisablehook", pass_over_ours)
    faults = Faults("faults")
    with mounted(faults):
        yield faults


def open_writer(path: str, faults: Faults) -> SqliteWriter:
    return SqliteWriter(path, block_bytes=BLOCK_BYTES, vfs=faults.name)


def work() -> list[Step]:
    """A little of everything that a journal is asked to do."""
    steps: list[Step] = []
    events = dict.fromkeys(("s0", "s1"), 0)

    def write(session: str, count: int, *, durable: bool = False, sealed: bool = False) -> None:
        made = batch(session, events[session], count, sealed=sealed)
        events[session] += count
        steps.append(lambda writer: writer.write([made], durable=durable))

    write("s0", 3)
    write("s1", 2, durable=True)
    steps.append(feed_all)
    write("s0", 30, sealed=True)
    write("s1", 40)
    write("s1", 1, durable=True)
    steps.append(
        lambda writer: writer.audit([AuditRecord("2026", "session.evicted", msgspec.Raw(b"{}"))])
    )
    steps.append(lambda writer: writer.save_cursors([cursor("s2", 7)]))
    steps.append(lambda writer: writer.checkpoint())
    write("s0", 5)
    steps.append(checkpoint_beside)
    write("s1", 3)
    steps.append(lambda writer: writer.release_memory())
    write("s1", 6, durable=True)
    steps.append(feed_all)
    return steps


def feed_all(writer: SqliteWriter) -> None:
    while writer.feed_index():
        pass


def checkpoint_beside(writer: SqliteWriter) -> None:
    """By another connection, which is not used again whatever became of it."""
    checkpointer = writer.checkpointer()
    try:
        checkpointer.run()
    finally:
        checkpointer.close()


def content(path: str) -> dict[str, Any]:
    """What the journal holds, seen by a reader on a disk that is well."""
    reader = SqliteReader(path)
    try:
        return {
            "problems": reader.check(),
            "sessions": {
                row.id: (row.events, b"".join(reader.read(row.id)))
                for row in reader.sessions(SessionFilter())
            },
            "cursors": {each.path: each.offset for each in reader.cursors()},
            "audit": reader.audit(),
            "unknown": reader.unknown_types(),
            "position": reader.totals().next_position,
            "indexed": reader.totals().indexed_position,
            "found": sorted(
                (hit.session, hit.seq) for hit in reader.search(SearchQuery(words="s1n2", limit=99))
            ),
        }
    finally:
        reader.close()


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the work gives on a disk that is well."""
    path = str(tmp_path_factory.mktemp("well") / "journal.db")
    writer = SqliteWriter(path, block_bytes=BLOCK_BYTES)
    for step in work():
        step(writer)
    writer.close()
    found = content(path)
    assert found["sessions"]["s1"] == (52, lines("s1", 0, 52))
    assert found["position"] == found["indexed"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("times", "stride"), [(1, 2), (math.inf, 7)], ids=["once", "for good"])
@pytest.mark.parametrize(
    ("kind", "error"), CASES, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_failed_operation_changes_nothing_and_the_journal_goes_on(
    tmp_path: Path,
    faults: Faults,
    wanted: dict[str, Any],
    kind: Kind,
    error: Callable[[Kind], Exception],
    times: float,
    stride: int,
) -> None:
    # Where both would be long, one sweep takes the even operations and the other the odd ones.
    number, failures = -(error is no_room), 0
    failed = True
    while failed:
        number += stride if kind == "write" else 1
        path = str(tmp_path / f"journal-{number}.db")
        failed = run_with_one_failure(path, faults, Plan(kind, number, error, times))
        failures += failed
        assert content(path) == wanted, f"{kind} number {number}"
        for file in tmp_path.iterdir():
            file.unlink()
    print(f"{failures} failures")
    assert failures > 5, "the sweep came upon operations to fail"


class Plan(NamedTuple):
    kind: Kind
    number: int
    error: Callable[[Kind], Exception]
    times: float


def run_with_one_failure(path: str, faults: Faults, plan: Plan) -> bool:
    """The work, with one failure somewhere on its way; False when it ended before that came."""
    open_writer(path, faults).close()
    writer = open_writer(path, faults)
    faults.fail(*plan[:3], times=plan.times)
    failed = False
    for step in work():
        before = None if failed else content_now(path, faults)
        error = outcome(step, writer)
        if error is None:
            continue
        assert before is not None, f"{plan}: healed, and failed again: {error}"
        failed = True
        if plan.times > 1:  # the caller tries again while the disk is still what it was
            outcome(step, writer)
        faults.heal()
        if plan.times == 1 or isinstance(error, JournalFull):
            assert content(path) == before, f"{plan}: it failed and changed things"
        if isinstance(error, JournalBroken):
            writer.close()
            writer = open_writer(path, faults)
        if content(path) == before:
            step(writer)
    failed = failed or bool(faults.failed)
    faults.heal()
    writer.close()
    return failed


def outcome(step: Step, writer: SqliteWriter) -> JournalError | None:
    try:
        step(writer)
    except JournalError as error:
        return error
    return None


def content_now(path: str, faults: Faults) -> dict[str, Any]:
    """Looking uses a file system of its own: it does not come upon what is planned."""
    counts = dict(faults.counts)
    found = content(path)
    assert faults.counts == counts
    return found


@pytest.mark.parametrize(
    ("kind", "error"), CASES, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_journal_that_could_not_be_opened_opens_when_the_disk_is_well(
    tmp_path: Path, faults: Faults, kind: Kind, error: Callable[[Kind], Exception]
) -> None:
    number = 0
    failed = True
    while failed:
        number += 1
        path = str(tmp_path / f"journal-{number}.db")
        faults.fail(kind, number, error)
        with suppress(JournalError):
            open_writer(path, faults).close()
        failed = bool(faults.failed)
        faults.heal()
        writer = open_writer(path, faults)
        writer.write([batch("s0", 0, 3, sealed=False)], durable=True)
        writer.close()
        assert content(path)["sessions"] == {"s0": (3, lines("s0", 0, 3))}
    print(f"{number - 1} failures")


def test_a_reader_on_a_failing_disk_raises_or_tells_the_truth(
    tmp_path: Path, faults: Faults
) -> None:
    path = str(tmp_path / "journal.db")
    writer = open_writer(path, faults)
    for step in work():
        step(writer)
    writer.close()
    wanted = lines("s1", 0, 52)
    number, raised = 0, 0
    failed = True
    while failed:
        number += 1
        faults.fail("read", number, broken)
        reader = None
        try:
            reader = SqliteReader(path, vfs=faults.name)
            assert b"".join(reader.read("s1")) == wanted
            assert reader.search(SearchQuery(words="s1n2"))[0].seq == 2
            assert [row.events for row in reader.sessions(SessionFilter())] == [38, 52]
            assert reader.ledger().files == 3
        except JournalError:
            raised += 1
        finally:
            failed = bool(faults.failed)
            faults.heal()
            # To close, SQLite tries for a lock that a file opened for reading cannot have. It does
            # not mind, but an error that comes by way of Python goes on to the caller.
            with suppress(JournalBroken):
                if reader is not None:
                    reader.close()
    assert raised > 5


# The service: the thread that writes must outlive whatever the disk does.


class Served:
    """A journal service on a disk that fails on demand."""

    def __init__(self, path: str, faults: Faults) -> None:
        self.path = path
        self.opened = 0
        self.failures: list[JournalError] = []
        self._faults = faults
        self.service = JournalService(
            self._open,
            lambda: SqliteReader(path),
            wal_max_bytes=WAL_MAX_BYTES,
            on_failure=self.failures.append,
        )

    def _open(self) -> SqliteWriter:
        self.opened += 1
        return open_writer(self.path, self._faults)

    def submit(self, *batches: Batch, durable: bool = False) -> list[BaseException | None]:
        """Store batches as one group if the thread takes them so; what became of each."""
        futures: list[Future[None]] = []

        def together(_writer: object) -> None:
            futures.extend(self.service.submit(each, durable=durable) for each in batches)

        self.service.call(together).result(30)
        return [future.exception(30) for future in futures]

    def events(self, session: str) -> tuple[int, int]:
        """How many events the journal has, and how many its cursor says were read."""
        with self.service.reader() as reader:
            row = reader.session(session)
            at = reader.cursor("claude", f"/logs/{session}.jsonl")
        return row.events if row else 0, at.offset // BYTES_PER_EVENT if at else 0


@pytest.fixture
def served(tmp_path: Path, faults: Faults) -> Iterator[Served]:
    served = Served(str(tmp_path / "journal.db"), faults)
    try:
        yield served
    finally:
        faults.heal()
        served.service.close()


def test_a_full_disk_heals_by_itself(served: Served, faults: Faults) -> None:
    assert served.submit(batch("s0", 0, 2, sealed=False)) == [None]
    faults.fail("write", 1, no_room, times=math.inf)
    (error,) = served.submit(batch("s0", 2, 2, sealed=False))
    assert isinstance(error, JournalFull)
    assert served.events("s0") == (2, 2), "reading goes on"
    faults.heal()
    assert served.submit(batch("s0", 2, 2, sealed=False)) == [None]
    assert served.events("s0") == (4, 4)
    assert served.opened == 1, "there was nothing wrong with the connection"
    assert all(isinstance(failure, JournalFull) for failure in served.failures)


def test_a_cursor_never_passes_events_that_the_full_disk_refused(
    served: Served, faults: Faults
) -> None:
    """A file's last batch may move the cursor alone: it must not be stored without those before."""
    only_cursor = Batch(facts=facts("s0"), first_seq=5, cursor=cursor("s0", 5 * BYTES_PER_EVENT))
    faults.fail("write", 1, no_room, times=2)  # the group, then the first batch by itself
    outcomes = served.submit(batch("s0", 0, 5, sealed=False), only_cursor)
    assert isinstance(outcomes[0], JournalFull)
    assert isinstance(outcomes[1], JournalError)
    assert served.events("s0") == (0, 0)


def test_one_batch_that_cannot_be_stored_costs_only_itself(served: Served) -> None:
    wrong = batch("s1", 7, 2, sealed=False)  # its session has no events before
    outcomes = served.submit(batch("s0", 0, 2, sealed=False), wrong, batch("s2", 0, 1, sealed=True))
    assert [bool(outcome) for outcome in outcomes] == [False, True, False]
    assert isinstance(outcomes[1], JournalError)
    assert served.events("s0") == (2, 2)
    assert served.events("s2") == (1, 1)


def test_after_a_failed_sync_the_connection_is_not_used_again(
    served: Served, faults: Faults
) -> None:
    """Linux forgets what it could not write: a second sync says "done" for what is lost."""
    faults.fail("sync", 1, broken)
    (error,) = served.submit(batch("s0", 0, 2, sealed=False), durable=True)
    assert isinstance(error, JournalBroken)
    assert faults.counts["sync"] >= 1
    until(lambda: served.opened == 2, "the journal is opened anew")
    faults.heal()
    stored = served.events("s0")
    assert stored in {(0, 0), (2, 2)}, "all or nothing"
    assert served.submit(batch("s0", stored[0], 2, sealed=False), durable=True) == [None]
    assert served.events("s0") == (stored[0] + 2, stored[0] + 2)


# The checkpoints that a thread of their own makes. Only they write to the database itself.


def store_until(served: Served, is_enough: Callable[[], bool]) -> int:
    """Small batches, none of them promised, so that the writer syncs nothing; how many events."""
    events = served.events("s0")[0]
    for _ in range(200):
        if is_enough():
            return events
        if served.submit(batch("s0", events, 2, sealed=False)) == [None]:
            events += 2
    raise AssertionError(f"not after {events} events")


@pytest.mark.parametrize("file", ["journal.db", "journal.db-wal"])
def test_after_a_checkpoints_failed_sync_everything_is_opened_anew(
    served: Served, faults: Faults, file: str
) -> None:
    """Linux has forgotten what the sync did not write: the next "done" is about something else."""
    assert served.submit(batch("s0", 0, 2, sealed=False)) == [None]  # syncs the log's beginning
    faults.fail("sync", 1, broken, only=file)
    store_until(served, lambda: faults.failed > 0)
    until(lambda: served.opened == 2, "the writer is opened anew, though it did not fail")
    assert [type(failure) for failure in served.failures] == [JournalBroken]
    until(lambda: faults.counts["sync"] >= 2, "the log is moved and synced anew")
    found = content(served.path)
    events, read = served.events("s0")
    assert events == read >= 2
    assert found["sessions"] == {"s0": (events, lines("s0", 0, events))}
    assert found["problems"] == []
    assert database_writes(served, faults), "and its checkpoints go on"


def database_writes(served: Served, faults: Faults) -> int:
    """How many writes to the database more events cost, which only a checkpoint makes."""
    faults.fail("write", 1_000_000, broken, only="journal.db")
    store_until(served, lambda: faults.counts["write"] > 0)
    return faults.counts["write"]


def test_a_checkpoint_without_room_is_told_and_made_when_there_is_room(
    served: Served, faults: Faults
) -> None:
    faults.fail("write", 1, no_room, times=math.inf, only="journal.db")
    events = store_until(served, lambda: bool(served.failures))
    assert {type(failure) for failure in served.failures} == {JournalFull}
    faults.heal()
    assert database_writes(served, faults)
    assert served.opened == 1, "there was nothing wrong with any connection"
    assert served.events("s0")[0] >= events


def test_a_service_ends_while_its_checkpoints_fail(tmp_path: Path, faults: Faults) -> None:
    served = Served(str(tmp_path / "journal.db"), faults)
    faults.fail("sync", 1, broken, times=math.inf, only="journal.db")
    store_until(served, lambda: faults.failed > 0)
    with suppress(JournalError):
        served.service.close()
    faults.heal()
    again = Served(served.path, faults)
    try:
        events = again.events("s0")
        assert events[0] == events[1] > 0
    finally:
        again.service.close()


def test_a_disk_that_stays_broken_for_a_while_is_tried_again(
    served: Served, faults: Faults
) -> None:
    assert served.submit(batch("s0", 0, 2, sealed=False)) == [None]
    faults.fail("write", 1, broken, times=math.inf)
    (error,) = served.submit(batch("s0", 2, 2, sealed=False))
    assert isinstance(error, JournalBroken)
    faults.fail("read", 1, broken, times=math.inf)  # now it does not even open
    for _ in range(3):
        (error,) = served.submit(batch("s0", 2, 2, sealed=False))
        assert isinstance(error, JournalError), repr(error)
    faults.heal()
    assert served.submit(batch("s0", 2, 2, sealed=False)) == [None]
    assert served.events("s0") == (4, 4)


def test_whatever_fails_in_the_index_the_writing_goes_on(served: Served, faults: Faults) -> None:
    assert served.submit(batch("s0", 0, 2, sealed=False)) == [None]
    served.service.settle()
    faults.fail("write", 2, broken, times=math.inf)
    served.submit(batch("s0", 2, 2, sealed=False))
    faults.heal()
    at = served.events("s0")[0]
    assert served.submit(batch("s0", at, 2, sealed=False)) == [None]
    served.service.settle()
    with served.service.reader() as reader:
        hits = reader.search(SearchQuery(words=f"s0n{at + 1}"))
    assert [hit.seq for hit in hits] == [at + 1]


def test_what_was_not_indexed_when_the_program_died_is_indexed_at_the_next_start(
    tmp_path: Path, faults: Faults
) -> None:
    """Without waiting for something new to be written."""
    path = str(tmp_path / "journal.db")
    writer = open_writer(path, faults)
    writer.write([batch("s0", 0, 20, sealed=False)])
    writer.close()
    served = Served(path, faults)
    try:
        until(lambda: served.service.index_lag == 0, "the index is fed")
    finally:
        served.service.close()


def test_a_damaged_block_does_not_stop_the_index_or_the_writing(
    tmp_path: Path, faults: Faults
) -> None:
    path = str(tmp_path / "journal.db")
    writer = open_writer(path, faults)
    writer.write([batch("s0", 0, 20, sealed=True), batch("s1", 0, 3, sealed=True)])
    damage(writer, "s0")
    writer.close()
    served = Served(path, faults)
    try:
        assert served.submit(batch("s1", 3, 2, sealed=False)) == [None]
        until(lambda: served.service.index_lag == 0, "the index is fed")
        with served.service.reader() as reader:
            hits = reader.search(SearchQuery(words="s1n4"))
            assert len(reader.check()) == 1
        assert [hit.seq for hit in hits] == [4]
    finally:
        served.service.close()


def damage(writer: SqliteWriter, session: str) -> None:
    """Turn a bit of a stored block."""
    connection = writer._connection
    number = connection.execute("SELECT no FROM sessions WHERE id = ?", (session,)).get
    row = connection.execute("SELECT pos, data FROM blocks WHERE session_no = ?", (number,)).get
    assert isinstance(row, tuple)
    position, data = row
    assert isinstance(data, bytes)
    turned = bytearray(data)
    turned[len(turned) // 2] ^= 1
    connection.execute("UPDATE blocks SET data = ? WHERE pos = ?", (bytes(turned), position))
