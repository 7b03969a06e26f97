"""The room as the daemon has it: sessions that end, what may be forgotten, the way down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from holdfast.journal.memory import MemoryJournal
from holdfast.journal.service import JournalService
from holdfast.journal.streams import Appended
from holdfast.shutdown import run_steps
from holdfast.stream import NewEvent, Streams
from holdfast.work import NewCheckpoint, NewIntent, NewTask, Workroom, WorkSettings
from holdfast.work.desk import CheckpointSettings
from holdfast.work.intent_registry import IntentSettings
from holdfast.work.registry import TaskSettings
from holdfast.work.sessions import session_of
from holdfast.work.workroom import KEYS_EVERY_MS
from tests.support.waiting import DEADLINE_S
from tests.support.work import Clock, until

SETTINGS = WorkSettings(
    tasks=TaskSettings(retain_s=600),
    checkpoints=CheckpointSettings(retain_s=600, expiry_s=0),
    intents=IntentSettings(retain_s=600),
    keys_s=7_200,
)


class House:
    """Journal, streams and the room, with restarts."""

    def __init__(self) -> None:
        self.memory = MemoryJournal()
        self.clock = Clock()
        self.problems: list[str] = []
        self.late: list[str] = []

    async def begin(self) -> None:
        self.journal = JournalService(
            self.memory.writer, self.memory.reader, wall_s=lambda: self.clock.ms / 1_000
        )
        self.streams = Streams(self.journal)
        self.streams.start()
        self.work = Workroom(
            self.journal,
            self.streams,
            SETTINGS,
            now_ms=self.clock,
            on_problem=self.problems.append,
        )
        await self.work.start()

    async def end(self) -> None:
        steps = [*self.work.steps(), ("streams", self.streams.close)]
        self.late += (await run_steps(steps, deadline_s=DEADLINE_S)).late
        await asyncio.to_thread(self.journal.close)

    async def restart(self) -> None:
        await self.end()
        await self.begin()

    async def say(self, kind: str, **about: object) -> Appended:
        data = about.pop("data", None)
        event = NewEvent(kind=kind, data=msgspec.Raw(msgspec.json.encode(data)), **about)  # type: ignore[arg-type]  # for short
        return await self.streams.append("plugin", [event])


def housed(work: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        house = House()
        await house.begin()
        await work(house)
        await house.end()
        assert not house.late
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left

    asyncio.run(run())


async def some_of(house: House, session: str) -> tuple[str, str, str]:
    """The ids of a task, a checkpoint and an intent of a session."""
    task = await house.work.tasks.create(NewTask(title="t", session=session))
    checkpoint = await house.work.checkpoints.ask(NewCheckpoint(title="c", session=session))
    intent = await house.work.intents.create(NewIntent(title="i", session=session))
    return task.id, checkpoint.id, intent.id


def states(house: House, ids: tuple[str, str, str]) -> tuple[str, str, str]:
    task, checkpoint, intent = ids
    work = house.work
    return (
        work.tasks.get(task).state,
        work.checkpoints.get(checkpoint).state,
        work.intents.get(intent).state,
    )


FREED = ("cancelled", "cancelled", "active")
KEPT = ("pending", "pending", "active")


def test_with_a_session_go_its_tasks_and_checkpoints_and_no_others() -> None:
    async def work(house: House) -> None:
        ours, theirs = await some_of(house, "s"), await some_of(house, "t")
        await house.say("session.started", correlation="s")
        await house.say("session.end", correlation="s")
        await until(lambda: states(house, ours) == FREED)
        assert states(house, theirs) == KEPT
        await house.say("session.deleted", data={"session": "t", "why": 1})
        await until(lambda: states(house, theirs) == FREED)

    housed(work)


def test_an_end_that_was_stored_just_before_a_crash_is_acted_on_after_it() -> None:
    async def work(house: House) -> None:
        ours = await some_of(house, "s")
        await house.work._ends.close()  # as if it died here
        await house.say("session.end", correlation="s")
        await house.restart()
        await until(lambda: states(house, ours) == FREED)

    housed(work)


def test_a_session_that_goes_on_after_its_end_is_not_ended_again_by_a_restart() -> None:
    async def work(house: House) -> None:
        before = await some_of(house, "s")
        await house.say("session.end", correlation="s")
        await until(lambda: states(house, before) == FREED)
        after = await some_of(house, "s")
        await house.restart()
        other = await some_of(house, "t")
        await house.say("session.end", correlation="t")
        await until(lambda: states(house, other) == FREED)
        assert states(house, after) == KEPT

    housed(work)


def test_what_fails_for_one_end_is_told_and_the_next_is_acted_on() -> None:
    async def work(house: House) -> None:
        ours = await some_of(house, "s")
        end = house.work.checkpoints.end_session

        async def fails(session: str) -> int:
            if session == "plugin":
                raise OSError("no")
            return await end(session)

        house.work.checkpoints.end_session = fails  # type: ignore[method-assign]  # fails for once
        await house.say("session.end", data=["s"])
        await house.say("session.end", correlation="s")
        await until(lambda: states(house, ours) == FREED)
        assert house.problems == ["what belonged to the session plugin stays: no"]

    housed(work)


def test_ends_from_before_the_first_start_are_none_of_ours() -> None:
    async def run() -> None:
        house = House()
        house.journal = JournalService(house.memory.writer, house.memory.reader)
        house.streams = Streams(house.journal)
        house.streams.start()
        await house.say("session.end", correlation="s")
        await house.streams.close()
        await asyncio.to_thread(house.journal.close)
        await house.begin()
        ours, theirs = await some_of(house, "s"), await some_of(house, "t")
        await house.say("session.end", correlation="t")
        await until(lambda: states(house, theirs) == FREED)
        assert states(house, ours) == KEPT
        await house.end()

    asyncio.run(run())


def test_which_session_an_event_names() -> None:
    both = b'{"correlation":"a","data":{"session":"b"}}'
    assert session_of("opencode/c", both) == "b"
    assert session_of("opencode/c", b'{"correlation":"a","data":[]}') == "a"
    for unnamed in (b'{"data":null}', b'{"data":{"session":1}}', b"{}", b"{"):
        assert session_of("opencode/c", unnamed) == "c"


def test_what_may_be_forgotten_is_shown_and_let_go_of_and_nothing_else() -> None:
    async def work(house: House) -> None:
        ours = await some_of(house, "s")
        done = await some_of(house, "done")
        await house.work.tasks.complete(done[0])
        await house.work.checkpoints.resolve(done[1], "approved")
        await house.work.intents.complete(done[2])
        await house.say("order.placed", key="7")
        assert (await house.say("order.placed", key="7")).repeated == 1
        nothing = await house.work.compact(dry_run=False)
        assert msgspec.structs.astuple(nothing) == (0, 0, 0, 0)
        house.work.timers._rings.clear()  # what it does by itself is not asked here
        house.clock.forward(7_201)
        for dry_run in (True, True, False):
            compacted = await house.work.compact(dry_run=dry_run)
            assert msgspec.structs.astuple(compacted) == (1, 1, 1, 1), dry_run
        again = await house.work.compact(dry_run=True)
        assert msgspec.structs.astuple(again) == (0, 0, 0, 0)
        assert states(house, ours) == KEPT
        assert (await house.say("order.placed", key="7")).repeated == 0

    housed(work)


def test_keys_are_forgotten_by_themselves() -> None:
    async def work(house: House) -> None:
        await house.say("order.placed", key="7")
        for _ in range(3):
            house.clock.forward(KEYS_EVERY_MS / 1_000)
            house.work.timers.look()
            await until(lambda: (house.work.timers.next_due_ms or 0) > house.clock.ms)
        assert (await house.say("order.placed", key="7")).repeated == 0

    housed(work)


def test_a_stop_keeps_every_state_and_the_next_start_reads_none_of_it_again() -> None:
    async def work(house: House) -> None:
        ours = await some_of(house, "s")
        await house.end()
        for name in ("tasks", "checkpoints", "intents"):
            kept = house.memory.reader().projection(name)
            assert kept is not None
            assert kept.state
        await house.begin()
        assert states(house, ours) == KEPT
        assert house.work.status().checkpoints.pending == 1

    housed(work)


def test_a_stop_tells_who_waits_at_once() -> None:
    async def work(house: House) -> None:
        _task, checkpoint, _intent = await some_of(house, "s")
        waiting = asyncio.create_task(house.work.checkpoints.wait(checkpoint, DEADLINE_S))
        await until(lambda: house.work.status().checkpoints.waiting)
        await house.end()
        async with asyncio.timeout(1):
            assert (await waiting).is_open
        await house.begin()

    housed(work)
