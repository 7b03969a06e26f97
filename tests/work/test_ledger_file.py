"""`LEDGER.md` on change: when it is written, and what it never replaces."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from holdfast.events import stream_id
from holdfast.governor.gate import BackgroundGate
from holdfast.journal.conformance.kit import Erasing
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.streams import Append, NewEvent
from holdfast.journal.writer import SqliteWriter
from holdfast.recording.policy import WritePolicy, WriteRefused
from holdfast.work import replay
from holdfast.work.ledger import Ledger
from holdfast.work.ledger_file import JOB, RETRY_MS, LedgerFile, NoLedger, write_page
from holdfast.work.ledger_page import page
from tests.support.logs import RememberedLog

DEBOUNCE_MS = 1_000


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "notes" / "LEDGER.md"
        journal = str(folder / "journal.db")
        self.service = JournalService(lambda: SqliteWriter(journal), lambda: SqliteReader(journal))
        self.now_ms = 0
        self.gate = BackgroundGate()
        self.log = RememberedLog()
        self.policy = WritePolicy([str(folder)], str(folder), str(folder))

    def file(self) -> LedgerFile:
        return LedgerFile(
            str(self.path),
            self.service.reader,
            self.policy,
            gate=self.gate,
            log=self.log,
            debounce_ms=DEBOUNCE_MS,
            clock_ms=lambda: self.now_ms,
        )

    def append(self, *titles: str, stream: str = "work") -> None:
        events = [NewEvent(kind="task.created", text=title, correlation=title) for title in titles]
        self.service.append([Append(stream, events)]).result()

    def shown(self) -> str:
        return self.path.read_text("utf-8")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.service.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def awaited() -> None:
        await test()

    asyncio.run(awaited())


def test_the_file_follows_the_log_a_moment_later(desk: Desk) -> None:
    async def test() -> None:
        desk.append("first")
        file = desk.file()
        assert desk.gate.jobs == (JOB,)
        assert await file.step() is None
        assert "first" in desk.shown(), "what came since the last run is shown at once"
        desk.append("second")
        file.wake()
        desk.now_ms = 400
        file.wake()
        assert await file.step() == 0.6, "the first change decides"
        assert "second" not in desk.shown()
        desk.now_ms = DEBOUNCE_MS
        await file.step()
        assert "second" in desk.shown()
        desk.append("third")
        await file.close()
        assert "third" in desk.shown()

    run(test)


def test_a_page_that_did_not_change_is_not_written_again(desk: Desk) -> None:
    async def test() -> None:
        desk.append("first")
        file = desk.file()
        await file.step()
        desk.path.unlink()
        file.wake()
        desk.now_ms = DEBOUNCE_MS
        await file.step()
        assert not desk.path.exists()

    run(test)


def test_what_was_rewritten_is_shown_as_it_is_stored_now(desk: Desk) -> None:
    async def test() -> None:
        desk.append("a secret")
        file = desk.file()
        await file.step()
        session = stream_id("work")
        desk.service.call(lambda writer: writer.rewrite(session, Erasing("secret"))).result()
        file.begin_again()
        await file.step()
        assert "secret" not in desk.shown()
        assert "gone" in desk.shown()

    run(test)


def test_what_is_no_ledger_stays_and_is_told_and_tried_again(desk: Desk) -> None:
    async def test() -> None:
        desk.path.parent.mkdir()
        desk.path.write_text("# My notes\n", "utf-8")
        file = desk.file()
        wait_s = await file.step()
        assert desk.shown() == "# My notes\n"
        assert desk.log.names() == ["ledger.not_written"]
        assert wait_s == RETRY_MS / 1_000
        desk.path.unlink()
        desk.now_ms = RETRY_MS
        await file.step()
        assert desk.shown().startswith("# Ledger\n")

    run(test)


def test_only_ledgers_are_replaced_and_only_where_writing_is_allowed(desk: Desk) -> None:
    content = page(Ledger().state)
    target = str(desk.path)
    assert write_page(desk.policy, target, content) == len(content.encode())
    write_page(desk.policy, target, content)
    desk.path.write_text("", "utf-8")
    write_page(desk.policy, target, content)
    desk.path.write_text("# Ledger of my bank\n", "utf-8")
    with pytest.raises(NoLedger, match="no ledger of holdfast"):
        write_page(desk.policy, target, content)
    write_page(desk.policy, target, content, force=True)
    assert desk.shown() == content
    with pytest.raises(WriteRefused):
        write_page(desk.policy, "/nowhere/LEDGER.md", content)


def test_a_ledger_is_made_of_all_streams_in_order_and_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "RUNS_PAGE", 2)
    for number in range(5):
        desk.append(f"one {number}", f"more {number}", stream="one")
        desk.append(f"two {number}", stream="two")
    whole = Ledger()
    with desk.service.reader() as reader:
        position = replay.bring_up_to_date(reader, whole)
    expected = [f"{name} {n}" for n in range(5) for name in ("one", "more", "two")]
    assert [*whole.state.tasks] == expected
    for start in (1, 2, 5, position):
        made = Ledger()
        with desk.service.reader() as reader:
            assert replay.bring_up_to_date(reader, made, start) == position
        assert [*made.state.tasks] == expected[start - 1 :], "also from the middle of a run"
    assert position == 16
    desk.append("last")
    with desk.service.reader() as reader:
        replay.bring_up_to_date(reader, whole, position)
    assert [*whole.state.tasks] == [*expected, "last"]
    assert whole.state.events == 16
