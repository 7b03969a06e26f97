"""The extractor on a journal: when it looks, where it goes on, what it leaves alone."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest

from holdfast.blocks import seal
from holdfast.events import Kind, encode, session_id, stream_id
from holdfast.governor.gate import BackgroundGate
from holdfast.journal.model import Batch, Facts
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalError
from holdfast.journal.streams import Append, NewEvent, Projection
from holdfast.journal.writer import SqliteWriter
from holdfast.work.learnings import captures
from holdfast.work.learnings.captures import JOB, PROJECTION, STREAM, LearningExtractor
from holdfast.work.learnings.pending import Capture
from tests.support.logs import RememberedLog
from tests.work.learnings.talks import event

DEBOUNCE_MS = 1_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


class Died(BaseException):
    """Nothing of the program runs any more."""


class Bench:
    """A journal that conversations are written into, and extractors that come and go."""

    def __init__(self, path: str) -> None:
        self.service = JournalService(lambda: SqliteWriter(path), lambda: SqliteReader(path))
        self.clock = Clock()
        self.gate = BackgroundGate()
        self.log = RememberedLog()
        self.appends = self.saves = 0
        self.before_append: Callable[[], None] = lambda: None
        self.before_save: Callable[[], None] = lambda: None
        self.said: dict[str, int] = {}
        self.appended = asyncio.Event()

    def say(self, session: str, *texts: str, kind: str = Kind.USER, parent: str = "") -> None:
        first = self.said.get(session, 0)
        own_id = session_id("claude", session)
        events = [
            event(first + number, kind, text, session=own_id, id=f"{own_id}.0.{first + number}.0")
            for number, text in enumerate(texts)
        ]
        self.said[session] = first + len(events)
        facts = Facts(id=own_id, agent="claude", agent_session_id=session, parent=parent)
        lines = b"".join(encode(each) + b"\n" for each in events)
        blocks = [seal(lines, first, len(events))] if len(events) > 1 else []
        batch = Batch(
            facts=facts,
            first_seq=first,
            blocks=blocks,
            lines=b"" if blocks else lines,
            line_count=0 if blocks else len(events),
        )
        self.service.submit(batch).result()

    async def append(self, stream: str, events: Sequence[NewEvent]) -> None:
        self.before_append()
        self.appends += 1
        await asyncio.wrap_future(self.service.append([Append(stream, events)]))
        self.appended.set()

    async def save(self, position: int) -> None:
        self.before_save()
        self.saves += 1
        kept = Projection(position, b"")
        work = self.service.transact(lambda writer: writer.save_projection(PROJECTION, kept))
        await asyncio.wrap_future(work)

    def extractor(self) -> LearningExtractor:
        self.gate = BackgroundGate()
        made = LearningExtractor(
            self.service.reader,
            self.append,
            self.save,
            gate=self.gate,
            log=self.log,
            debounce_ms=DEBOUNCE_MS,
            clock_ms=self.clock,
        )
        made.open()
        return made

    def found(self) -> list[str]:
        with self.service.reader() as reader:
            return [each.text for each in reader.events(stream_id(STREAM))]

    def position(self) -> int:
        with self.service.reader() as reader:
            kept = reader.projection(PROJECTION)
        return kept.position if kept else 0

    def end(self) -> int:
        with self.service.reader() as reader:
            return reader.totals().next_position


def on_bench(test: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory(prefix="hf") as folder:
            bench = Bench(f"{folder}/journal.db")
            try:
                await test(bench)
            finally:
                bench.service.close()

    asyncio.run(run())


async def rest(extractor: LearningExtractor) -> None:
    """Until there is nothing to be done at once."""
    while await extractor.step():
        pass


def test_a_session_is_looked_at_when_it_pauses() -> None:
    async def test(bench: Bench) -> None:
        extractor = bench.extractor()
        bench.say("a", "Always use tabs here.")
        await rest(extractor)
        assert (bench.found(), extractor.stats.pending) == ([], 1)
        bench.clock.now_ms = DEBOUNCE_MS - 1
        bench.say("a", "I prefer short names for it.")
        await rest(extractor)
        bench.clock.now_ms = DEBOUNCE_MS
        await rest(extractor)
        assert bench.found() == [], "what came put it off"
        bench.clock.now_ms = 2 * DEBOUNCE_MS
        await rest(extractor)
        assert bench.found() == ["Always use tabs here.", "I prefer short names for it."]
        assert extractor.stats.pending == 0
        bench.say("a", "Thanks.")
        await rest(extractor)
        assert extractor.stats.pending == 1
        bench.clock.now_ms += DEBOUNCE_MS
        await rest(extractor)
        assert extractor.stats.pending == 0
        assert extractor.stats.found == 2, "what was looked at is not looked at again"

    on_bench(test)


def test_an_event_of_the_stream_says_what_and_where_from() -> None:
    async def test(bench: Bench) -> None:
        bench.say("a", "Hello.", "Always use tabs here.")
        await rest(bench.extractor())
        with bench.service.reader() as reader:
            (stored,) = reader.events(stream_id(STREAM))
        assert (stored.kind, stored.text) == ("learning.found", "Always use tabs here.")
        own_id = session_id("claude", "a")
        assert stored.causation == f"{own_id}.0.1.0"
        assert stored.key
        assert stored.correlation
        told = msgspec.json.decode(stored.data, type=captures.FoundData)
        assert (told.type, told.session, told.seq, told.said_by) == (
            "preference",
            own_id,
            1,
            "user",
        )

    on_bench(test)


def test_history_is_read_at_once_a_page_and_a_block_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(captures, "RUNS_PAGE", 2)

    async def test(bench: Bench) -> None:
        for number in range(5):
            for session in ("a", "b", "c"):
                thing = chr(ord("a") + number)
                bench.say(session, "Hello there.", f"Always do {session} and {thing} first.")
        extractor = bench.extractor()
        looks: list[int] = []
        look = extractor._look

        def counted(*arguments: object) -> object:
            outcome = look(*arguments)  # type: ignore[arg-type]  # passed through
            looks.append(len(outcome[0]))
            return outcome

        monkeypatch.setattr(extractor, "_look", counted)
        await rest(extractor)
        assert len(bench.found()) == len(set(bench.found())) == 15
        assert max(looks) == 1, "one block of a session at a time"

    on_bench(test)


def test_what_an_answer_gives_in_to_is_found_though_it_came_in_another_piece() -> None:
    async def test(bench: Bench) -> None:
        bench.say("a", "Hello there.", "This is a fresh process each time.")
        bench.say("a", "You're right.", "The cache is empty then.", kind=Kind.ASSISTANT)
        await rest(bench.extractor())
        assert bench.found() == ["This is a fresh process each time."]
        extractor = bench.extractor()
        bench.say("a", "But there is only one thread.")
        bench.clock.now_ms += DEBOUNCE_MS
        await rest(extractor)
        bench.clock.now_ms += DEBOUNCE_MS
        await rest(extractor)
        bench.say("a", "You're right, one thread.", kind=Kind.ASSISTANT)
        bench.clock.now_ms += DEBOUNCE_MS
        await rest(extractor)
        bench.clock.now_ms += DEBOUNCE_MS
        await rest(extractor)
        assert bench.found()[1:] == ["But there is only one thread."]

    on_bench(test)


@pytest.mark.parametrize("deadly", ["append", "save"])
def test_killed_again_and_again_it_loses_nothing_and_repeats_nothing(
    deadly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run dies before, or right behind, its first write; the one after it goes on."""
    monkeypatch.setattr(captures, "SAVE_EVERY_EVENTS", 2)

    async def test(bench: Bench) -> None:
        def die() -> None:
            raise Died

        expected = []
        for number in range(4):
            for session in ("a", "b"):
                text = f"Always do {session} before {chr(ord('a') + number)}."
                bench.say(session, "Hello there.", text)
                expected.append(text)
            for steps in range(1, 4):
                extractor = bench.extractor()
                if steps == 3:
                    setattr(bench, f"before_{deadly}", die)
                try:
                    for _ in range(steps):
                        await extractor.step()
                except Died:
                    pass
                bench.before_append = bench.before_save = lambda: None
        extractor = bench.extractor()
        await rest(extractor)
        await extractor.close()
        assert sorted(bench.found()) == sorted(expected)
        assert bench.position() == bench.end()

    on_bench(test)


def test_what_waits_is_looked_at_on_the_way_down() -> None:
    async def test(bench: Bench) -> None:
        extractor = bench.extractor()
        bench.say("a", "Always use tabs here.")
        await rest(extractor)
        bench.say("b", "Never use spaces for it.")  # not even seen yet
        bench.gate.close()
        await extractor.close()
        assert sorted(bench.found()) == ["Always use tabs here.", "Never use spaces for it."]
        assert extractor.stats.pending == 0
        assert bench.position() == bench.end() - 2, "up to its own findings"
        again = bench.extractor()
        await rest(again)
        assert again.stats.found == 0

    on_bench(test)


def test_what_there_is_no_time_for_on_the_way_down_is_the_next_runs() -> None:
    async def test(bench: Bench) -> None:
        extractor = bench.extractor()
        bench.say("a", "Always use tabs here.")
        await extractor.close(within_ms=0)
        assert (bench.found(), bench.position()) == ([], 0)
        await rest(bench.extractor())
        assert bench.found() == ["Always use tabs here."]

    on_bench(test)


def test_a_failure_is_told_and_tried_again() -> None:
    async def test(bench: Bench) -> None:
        def refuse() -> None:
            raise JournalError("the disk is full")

        bench.before_append = refuse
        extractor = bench.extractor()
        bench.say("a", "Always use tabs here.")
        bench.say("b", "Hello there.")
        await rest(extractor)
        bench.clock.now_ms = DEBOUNCE_MS
        await rest(extractor)
        assert bench.log.names() == ["learnings.failed"]
        assert (extractor.stats.failures, extractor.stats.pending) == (1, 1)
        assert extractor.stats.position == 1
        bench.before_append = lambda: None
        bench.clock.now_ms = 2 * DEBOUNCE_MS
        await rest(extractor)
        assert bench.found() == ["Always use tabs here."]

    on_bench(test)


def test_it_waits_at_the_gate_and_goes_on_by_itself() -> None:
    async def test(bench: Bench) -> None:
        bench.say("a", "Always use tabs here.")
        extractor = bench.extractor()
        assert bench.gate.jobs == (JOB,)
        bench.gate.close()
        running = asyncio.create_task(extractor.run())
        for _ in range(20):
            await asyncio.sleep(0)
        assert extractor.stats.position == 1
        bench.gate.open()
        await asyncio.wait_for(bench.appended.wait(), 30)
        bench.appended.clear()
        bench.say("b", "Never use spaces for it.")
        extractor.wake()
        async with asyncio.timeout(30):
            while not extractor.stats.pending:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.001)  # its own thread reads meanwhile
        bench.clock.now_ms += DEBOUNCE_MS
        extractor.wake()
        await asyncio.wait_for(bench.appended.wait(), 30)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await extractor.close()
        assert bench.found() == ["Always use tabs here.", "Never use spaces for it."]

    on_bench(test)


def test_where_nobody_speaks_nothing_is_looked_for() -> None:
    async def test(bench: Bench) -> None:
        bench.say("child", "Always use tabs here.", parent="a")
        told = NewEvent(kind=Kind.USER, text="Always use tabs here.", actor="user")
        bench.service.append([Append("mine", [told])]).result()
        await rest(bench.extractor())
        assert bench.found() == []

    on_bench(test)


def test_a_position_is_not_kept_for_every_event() -> None:
    async def test(bench: Bench) -> None:
        extractor = bench.extractor()
        for number in range(20):
            bench.say("a", f"Hello {number}.")
            bench.clock.now_ms += DEBOUNCE_MS
            await rest(extractor)
        assert bench.saves == 0
        bench.clock.now_ms += captures.SAVE_EVERY_MS
        await rest(extractor)
        assert bench.saves == 1

    on_bench(test)


def test_a_session_that_goes_on_is_not_read_again_from_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(bench: Bench) -> None:
        extractor = bench.extractor()
        begins: list[int] = []
        look = extractor._look

        def noted(capture: Capture, *rest: object) -> object:
            begins.append(capture.from_seq)
            return look(capture, *rest)  # type: ignore[arg-type]  # passed through

        monkeypatch.setattr(extractor, "_look", noted)
        for _ in range(3):
            bench.say("a", "Hello there.")
            await rest(extractor)
            bench.clock.now_ms += DEBOUNCE_MS
            await rest(extractor)
        assert begins == [0, 1, 2]

    on_bench(test)
