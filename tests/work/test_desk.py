"""The desk: answers come at once, deadlines outlive restarts, and the log is all it needs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest

from holdfast.events import Event
from holdfast.governor import Level
from holdfast.journal.protocol import JournalReader
from holdfast.journal.sqlite import JournalError, JournalFull
from holdfast.journal.streams import NewEvent
from holdfast.work.checkpoints import NewCheckpoint
from holdfast.work.desk import CheckpointDesk, CheckpointSettings
from holdfast.work.entities import Ambiguous, NotThere, NotValid, WrongState
from holdfast.work.projection import Projector
from holdfast.work.timers import AGAIN_MS
from tests.support.waiting import DEADLINE_S
from tests.support.work import Bench

SETTINGS = CheckpointSettings(max_pending=100, expiry_s=60, retain_s=600)
WAIT_S = DEADLINE_S


def benched(work: Callable[[Bench[CheckpointDesk]], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Bench(lambda room: CheckpointDesk(room, SETTINGS)) as bench:
            await work(bench)

    asyncio.run(run())


async def ask(bench: Bench[CheckpointDesk], **wanted: object) -> str:
    new = NewCheckpoint(**{"title": "Delete it?", **wanted})  # type: ignore[arg-type]  # for short
    return (await bench.keeper.ask(new)).id


def test_who_waits_is_told_when_it_is_decided() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        waiting = [asyncio.create_task(bench.keeper.wait(checkpoint, WAIT_S)) for _ in range(3)]
        await bench.until(lambda: bench.keeper.status().waiting == 3)
        decided = await bench.keeper.resolve(checkpoint, "approved", by="hana", comment="go")
        async with asyncio.timeout(DEADLINE_S):
            assert await asyncio.gather(*waiting) == [decided] * 3
        assert bench.keeper.status().waiting == 0
        assert (decided.state, decided.ended_by, decided.comment) == ("approved", "hana", "go")

    benched(work)


def test_who_waits_in_vain_is_told_that_it_is_pending() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        assert (await bench.keeper.wait(checkpoint, 0.01)).is_open
        assert bench.keeper.status().waiting == 0
        waiting = asyncio.create_task(bench.keeper.wait(checkpoint, WAIT_S))
        await bench.until(lambda: bench.keeper.status().waiting)
        bench.keeper.release()
        assert (await waiting).is_open
        late = asyncio.create_task(bench.keeper.wait(checkpoint, 1_000_000))
        await bench.until(late.done)
        assert late.result().is_open

    benched(work)


def test_who_goes_away_is_waited_for_no_more() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        waiting = asyncio.create_task(bench.keeper.wait(checkpoint, WAIT_S))
        await bench.until(lambda: bench.keeper.status().waiting)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert bench.keeper.status().waiting == 0

    benched(work)


def test_its_time_is_an_event_and_whoever_waits_is_told() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        waiting = asyncio.create_task(bench.keeper.wait(checkpoint, WAIT_S))
        await bench.until(lambda: bench.keeper.status().waiting)
        await bench.forward(59)
        assert bench.keeper.get(checkpoint).is_open
        await bench.forward(1)
        assert (await waiting).state == "expired"
        assert bench.kinds() == ["checkpoint.requested", "checkpoint.expired"]

    benched(work)


def test_an_answer_stops_the_clock() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        await ask(bench, expires_s=0)
        assert len(bench.timers) == 1
        await bench.keeper.resolve(checkpoint, "rejected")
        await bench.forward(120)
        assert bench.keeper.get(checkpoint).state == "rejected"
        assert bench.kinds().count("checkpoint.expired") == 0

    benched(work)


def test_a_restart_keeps_it_pending_with_the_deadline_it_had() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        before = bench.keeper.get(checkpoint)
        await bench.end()
        bench.clock.forward(30)
        await bench.begin()
        assert bench.keeper.get(checkpoint) == before
        await bench.forward(29)
        assert bench.keeper.get(checkpoint).is_open
        await bench.forward(1)
        assert bench.keeper.get(checkpoint).state == "expired"

    benched(work)


def test_what_passed_while_nobody_ran_is_dealt_with_at_the_start() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        later = await ask(bench, expires_s=1_000)
        await bench.die()
        bench.clock.forward(100)
        await bench.begin()
        await bench.until(lambda: bench.keeper.get(checkpoint).state == "expired")
        assert bench.keeper.get(later).is_open

    benched(work)


def test_many_that_are_due_together_each_expire_once() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        for _ in range(20):
            await ask(bench)
        await bench.forward(60)
        await bench.until(lambda: bench.keeper.status().pending == 0)
        assert bench.kinds().count("checkpoint.expired") == 20

    benched(work)


def test_a_deadline_that_could_not_be_stored_is_not_forgotten() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        bench.failing = [JournalFull("the disk is full")]
        await bench.forward(60)
        assert bench.keeper.get(checkpoint).is_open
        assert bench.problems == ["the disk is full"]
        await bench.forward(AGAIN_MS / 1_000)
        assert bench.keeper.get(checkpoint).state == "expired"

    benched(work)


def test_a_clock_that_was_set_back_loses_no_deadline() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        bench.clock.forward(60)
        seen = bench.clock.ms
        reads = iter([seen, seen - 30_000])

        def jumps() -> int:
            return next(reads, bench.clock.ms)

        bench.timers._now_ms = bench.keeper._family._now_ms = jumps
        bench.clock.ms = seen - 30_000
        bench.timers.look()
        await bench.until(lambda: bench.timers.rung)
        assert bench.keeper.get(checkpoint).is_open
        await bench.forward(30)
        assert bench.keeper.get(checkpoint).state == "expired"

    benched(work)


def test_only_the_first_of_two_answers_counts() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        outcomes = await asyncio.gather(
            bench.keeper.resolve(checkpoint, "approved", by="ann"),
            bench.keeper.resolve(checkpoint, "rejected", by="bob"),
            bench.keeper.cancel(checkpoint),
            return_exceptions=True,
        )
        assert [isinstance(each, WrongState) for each in outcomes] == [False, True, True]
        assert "approved by ann at" in str(outcomes[1])
        assert len(bench.kinds()) == 2

    benched(work)


def test_what_somebody_else_stored_meanwhile_is_seen_before_it_is_decided() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        waiting = asyncio.create_task(bench.keeper.wait(checkpoint, WAIT_S))
        await bench.until(lambda: bench.keeper.status().waiting)
        bench.stored_first = [
            [
                NewEvent(
                    kind="checkpoint.rejected",
                    actor="bob",
                    data=msgspec.Raw(b'{"at_ms":1}'),
                    correlation=checkpoint,
                )
            ]
        ]
        with pytest.raises(WrongState, match="rejected by bob"):
            await bench.keeper.resolve(checkpoint, "approved", by="ann")
        assert (await waiting).state == "rejected"
        assert bench.kinds() == ["checkpoint.requested", "checkpoint.rejected"]

    benched(work)


def test_what_somebody_else_stored_is_read_on_a_thread_and_applied_on_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop must not wait for a reader, and nobody may meet a state that is being changed."""
    read_by, applied_by = set[int](), set[int]()
    since, take = Projector._since, Projector._take

    def reading(self: Projector, reader: JournalReader) -> Iterator[Event]:
        read_by.add(threading.get_ident())
        return since(self, reader)

    def taking(self: Projector, event: Event) -> None:
        applied_by.add(threading.get_ident())
        take(self, event)

    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        monkeypatch.setattr(Projector, "_since", reading)
        monkeypatch.setattr(Projector, "_take", taking)
        bench.stored_first = [[NewEvent(kind="a.note", correlation=checkpoint)]]
        assert (await bench.keeper.resolve(checkpoint, "approved")).state == "approved"
        assert threading.get_ident() not in read_by
        assert applied_by == {threading.get_ident()}
        assert len(read_by) == 1

    benched(work)


def test_who_asks_again_by_the_same_key_gets_the_same_one() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench, key="once")
        assert await ask(bench, key="once") == checkpoint
        await bench.keeper.resolve(checkpoint, "approved")
        again = await bench.keeper.ask(NewCheckpoint(title="?", key="once"))
        assert again.state == "approved"
        await bench.forward(601)
        with pytest.raises(WrongState, match="another key"):
            await ask(bench, key="once")
        assert bench.kinds().count("checkpoint.requested") == 1

    benched(work)


def test_it_is_named_by_as_much_of_its_id_as_fits_no_other() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        await ask(bench, key="abc")
        await ask(bench, key="abd")
        assert bench.keeper.get("of-abc").id == "of-abc"
        with pytest.raises(Ambiguous, match="of-abc, of-abd"):
            bench.keeper.get("of-a")
        for name in ("x", ""):
            with pytest.raises(NotThere, match="holdfast checkpoints"):
                bench.keeper.get(name)
        assert (await bench.keeper.resolve("of-abd", "approved")).id == "of-abd"

    benched(work)


def test_a_template_asks_with_its_words_and_options() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        fields = {"command": "rm -rf build", "where": "tidepool", "why": "it is stale"}
        checkpoint = bench.keeper.get(await ask(bench, title="", template="command", fields=fields))
        assert checkpoint.title == "Run: rm -rf build"
        assert "Why: it is stale" in checkpoint.question
        assert checkpoint.options == ("once", "always in this session")
        assert checkpoint.template == "command"
        with pytest.raises(NotValid, match="name it too"):
            await ask(bench, fields=fields)

    benched(work)


def test_with_its_session_it_ends_and_whoever_waits_is_told() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench, session="s")
        waiting = asyncio.create_task(bench.keeper.wait(checkpoint, WAIT_S))
        await bench.until(lambda: bench.keeper.status().waiting)
        assert await bench.keeper.end_session("s") == 1
        assert (await waiting).comment == "its session s ended"
        assert await bench.keeper.end_session("s") == 0

    benched(work)


def test_what_ended_leaves_memory_by_itself_and_under_pressure() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        first = await ask(bench)
        await bench.keeper.resolve(first, "approved")
        assert bench.keeper.ended == 1
        await bench.forward(600)
        await bench.until(lambda: not bench.keeper.ended)
        second, open_ = await ask(bench), await ask(bench)
        await bench.keeper.resolve(second, "approved")
        before = bench.keeper.usage()
        freed = bench.keeper.relieve(Level.HIGH, 1)
        assert freed > 0
        assert bench.keeper.usage().bytes == before.bytes - freed
        assert [each.id for each in bench.keeper.listed()] == [open_]

    benched(work)


def test_the_newest_are_listed_first_and_only_what_was_asked_for() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        ids = []
        for session in ("s", "other", "s"):
            ids.append(await ask(bench, session=session, task=session))
            bench.clock.forward(1)
        await bench.keeper.resolve(ids[0], "approved")
        listed = bench.keeper.listed
        assert [each.id for each in listed()] == ids[::-1]
        assert [each.id for each in listed(session="s")] == [ids[2], ids[0]]
        assert [each.id for each in listed(task="other")] == [ids[1]]
        assert [each.id for each in listed(states=("approved",))] == [ids[0]]
        assert len(listed(limit=2)) == 2

    benched(work)


def test_a_snapshot_makes_the_next_start_short() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        open_ = await ask(bench)
        await bench.end()
        assert bench.memory.reader().projection("checkpoints") is not None
        await bench.begin()
        assert bench.keeper.get(open_).is_open

    benched(work)


def test_what_the_journal_refuses_is_told_and_changes_nothing() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        bench.failing = [JournalError("no")]
        with pytest.raises(JournalError):
            await bench.keeper.resolve(checkpoint, "approved")
        assert bench.keeper.get(checkpoint).is_open
        assert (await bench.keeper.resolve(checkpoint, "rejected")).state == "rejected"

    benched(work)


def test_made_anew_of_a_log_that_was_rewritten_it_knows_what_is_there_and_no_more() -> None:
    async def work(bench: Bench[CheckpointDesk]) -> None:
        checkpoint = await ask(bench)
        before = bench.keeper.get(checkpoint)
        bench.keeper._shelf.keep(msgspec.structs.replace(before, title="what must not be kept"))
        await bench.keeper.rebuild()
        assert bench.keeper.get(checkpoint) == before
        await bench.end()
        await bench.begin()
        assert bench.keeper.get(checkpoint) == before
        await bench.forward(60)
        assert bench.keeper.get(checkpoint).state == "expired"

    benched(work)
