"""Import children that end to save memory: their work waits, goes on, and is done once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.demo import lines
from holdfast.ingest.importer import HOLDS_MAX, Importer
from holdfast.ingest.plan import Plan, make_plan
from holdfast.journal.service import JournalService
from holdfast.settings import Settings
from holdfast.sources.agents.claude import Agent
from holdfast.wiring import make_setup, open_journal
from tests.support.home import Home
from tests.support.waiting import until

LOGS = 6
EVENTS = 3_000


class Import:
    """An import on a thread of its own, and the journal that it fills."""

    def __init__(self, home: Home, journal: JournalService, workers: int) -> None:
        self.journal = journal
        self.sources = {"claude": Agent([home.claude])}
        self.stored = threading.Event()
        self.importer = Importer(
            journal,
            self.sources,
            workers=workers,
            setup=make_setup(Settings(), home.paths),
            on_stored=lambda _batch: self.stored.set(),
        )
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._read, args=(self.plan(),))
        self.thread.start()

    def plan(self) -> Plan:
        with self.journal.reader() as reader:
            return make_plan(self.sources, reader)

    def _read(self, plan: Plan) -> None:
        try:
            self.importer.read(plan)
        except BaseException as error:  # noqa: BLE001  # the test is to see it
            self.failure = error

    def join(self) -> None:
        self.thread.join(60)
        assert not self.thread.is_alive()
        assert self.failure is None


@pytest.fixture
def importing(home: Home) -> Iterator[Callable[[int], Import]]:
    for number in range(LOGS):
        session = f"5e551035-0000-4000-a000-00000000000{number}"
        path = Path(home.projects) / "p" / f"{session}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(
            b"".join(lines.user_line(f"words {number} {n}", session=session) for n in range(EVENTS))
        )
    home.paths.ensure_dirs()
    with journal_of(home) as journal:
        yield lambda workers: Import(home, journal, workers)


@contextmanager
def journal_of(home: Home) -> Iterator[JournalService]:
    journal = open_journal(Settings(), home.paths, lambda _error: None)
    try:
        yield journal
    finally:
        journal.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_held_goes_on_and_every_log_is_read_once(
    importing: Callable[[int], Import], workers: int
) -> None:
    run = importing(workers)
    until(run.importer.child_pids, "a child runs")
    assert run.importer.hold() > 0
    assert run.importer.is_held
    until(lambda: not run.importer.child_pids(), "all children have ended")
    assert run.thread.is_alive()
    run.importer.go_on()
    run.join()
    assert run.plan().pending == []
    with run.journal.reader() as reader:
        totals = reader.totals()
    assert (totals.sessions, totals.events) == (LOGS, LOGS * EVENTS)


def test_the_last_child_of_all_is_left_alone_in_the_end(
    importing: Callable[[int], Import],
) -> None:
    """What cannot be read in less memory would be begun for ever."""
    run = importing(1)
    for _ in range(HOLDS_MAX):
        until(run.importer.child_pids, "a child runs")
        assert run.importer.hold(last=True) == 1
        until(lambda: not run.importer.child_pids(), "it has ended")
        run.importer.go_on()
    until(run.importer.child_pids, "a child runs")
    assert run.importer.times_held == HOLDS_MAX
    assert run.importer.hold(last=True) == 0
    run.join()
    assert run.plan().pending == []


def test_an_import_that_is_held_can_be_stopped(importing: Callable[[int], Import]) -> None:
    run = importing(1)
    until(run.importer.child_pids, "a child runs")
    run.importer.hold()
    run.importer.stop()
    run.join()


def test_of_two_children_one_ends_and_the_other_reads_the_rest(
    importing: Callable[[int], Import],
) -> None:
    run = importing(2)
    until(lambda: len(run.importer.child_pids()) == 2, "two children run")
    assert run.importer.shed()
    assert not run.importer.shed() or len(run.importer.child_pids()) > 1
    run.join()
    assert run.plan().pending == []
