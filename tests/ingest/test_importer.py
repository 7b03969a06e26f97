"""What an import says of a log is said behind what it gave, however slow the journal is."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import zstandard

from holdfast.ingest.importer import GONE_AT_ONCE, Importer
from holdfast.ingest.plan import Plan, make_plan
from holdfast.ingest.slots import ChildSlots
from holdfast.journal.model import Batch, Cursor
from holdfast.journal.service import JournalService
from holdfast.settings import Settings
from holdfast.sources.agents.codex import Agent
from holdfast.wiring import make_setup, open_journal
from tests.support.codex import NAME, user
from tests.support.home import Home


class LateJournal:
    """Stores what it gets, in order, when somebody waits for any of it and not before."""

    def __init__(self, journal: JournalService) -> None:
        self._journal = journal
        self._waiting: list[Callable[[], Future[Any]]] = []
        self.reader, self.questions = journal.reader, journal.questions

    def submit(self, batch: Batch) -> Future[None]:
        return self._later(lambda: self._journal.submit(batch))

    def save_cursors(self, cursors: list[Cursor]) -> Future[object]:
        return self._later(lambda: self._journal.save_cursors(cursors))

    def _later(self, store: Callable[[], Future[Any]]) -> Future[Any]:
        self._waiting.append(store)
        return _Awaited(self._store_all)

    def _store_all(self) -> None:
        while self._waiting:
            self._waiting.pop(0)().result()


class _Awaited(Future[Any]):
    def __init__(self, store: Callable[[], None]) -> None:
        super().__init__()
        self._store = store

    def result(self, timeout: float | None = None) -> Any:
        assert timeout is None
        self._store()


def test_where_a_log_stands_is_not_taken_back_by_its_error(home: Home) -> None:
    root = Path(home.folder) / "codex"
    path = root / "sessions" / f"{NAME}.zst"
    path.parent.mkdir(parents=True)
    line = json.dumps(user("a")).encode() + b"\n"
    path.write_bytes(zstandard.ZstdCompressor().compress(line) + b"\xff" * 50)
    home.paths.ensure_dirs()
    sources = {"codex": Agent([str(root)])}
    journal = open_journal(Settings(), home.paths, lambda _error: None)
    try:
        late = cast("JournalService", LateJournal(journal))
        importer = Importer(late, sources, workers=1, setup=make_setup(Settings(), home.paths))
        with journal.reader() as reader:
            plan = make_plan(sources, reader)
        importer.read(plan)
        with journal.reader() as reader:
            cursor = reader.cursor("codex", str(path))
            assert cursor is not None
            assert "cannot be decompressed" in cursor.error
            assert cursor.size == path.stat().st_size
            assert cursor.ledger.parsed == len(line)
            assert make_plan(sources, reader).pending == []
    finally:
        journal.close()


def test_imports_that_share_one_place_for_a_child_take_turns_and_end(home: Home) -> None:
    roots = [Path(home.folder) / name for name in ("one", "two")]
    for root in roots:
        for number in range(3):
            path = root / "sessions" / NAME.replace("0", str(number + 1))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(json.dumps(user(f"{root.name} {number}")).encode() + b"\n")
    home.paths.ensure_dirs()
    journal = open_journal(Settings(), home.paths, lambda _error: None)
    slots, setup = ChildSlots(1), make_setup(Settings(), home.paths)
    at_once: list[int] = []
    importers = [
        Importer(
            journal,
            {"codex": Agent([str(root)])},
            workers=2,
            setup=setup,
            slots=slots,
            on_stored=lambda _batch: at_once.append(
                sum(len(each.child_pids()) for each in importers)
            ),
        )
        for root in roots
    ]
    try:
        with ThreadPoolExecutor(len(importers)) as threads:
            reports = list(threads.map(Importer.run, importers))
    finally:
        journal.close()
    assert [report.problems for report in reports] == [[], []]
    assert sum(report.imported_events for report in reports) == 6
    assert set(at_once) == {1}


def test_a_mass_of_deleted_logs_is_marked_with_no_reader_held(home: Home) -> None:
    home.paths.ensure_dirs()
    paths = [("codex", f"/p/{number}.jsonl") for number in range(GONE_AT_ONCE + 2)]
    with closing(open_journal(Settings(), home.paths, lambda _error: None)) as journal:
        journal.save_cursors(
            [Cursor(agent=agent, path=path, session="codex:1") for agent, path in paths]
        ).result()
        importer = Importer(journal, {}, workers=1, setup=make_setup(Settings(), home.paths))
        with journal.reader() as one:  # all but one are lent
            importer.read(Plan(gone=paths))
            assert one.ledger().gone == len(paths)
