"""Checkpoints: each comes to exactly one end, and everybody is told the same one.

Agents ask under keys and wait; several people answer the same questions; deadlines pass, some of
them at the very moment; who asked takes it back. The daemon crashes, is restarted, and its disk
fills up and fails. What counts is the log: the first end in it is the end, and there is no second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from holdfast.events import decode, stream_id
from holdfast.simulation import Host, Simulation
from holdfast.simulation.journal import Disk
from holdfast.work import Checkpoint, CheckpointDesk, CheckpointSettings, NewCheckpoint
from holdfast.work.checkpoints import STREAM, Answer
from holdfast.work.entities import WrongState
from tests.simulation.asking import again
from tests.simulation.keeping import Program, hosted, same_after_a_crash

SETTINGS: Final = CheckpointSettings(max_pending=100, expiry_s=60, retain_s=30 * 86_400)
AGENTS: Final = 3
PEOPLE: Final = 2
ASKED_EACH: Final = 4  # by an agent
ANSWERS: Final[tuple[Answer, ...]] = ("approved", "rejected")
ENDS: Final = frozenset(
    f"checkpoint.{end}" for end in ("approved", "rejected", "expired", "cancelled")
)


class Desk(CheckpointDesk):
    async def close(self) -> None:
        """As the room of all of them does: nobody is left waiting."""
        self.release()
        await super().close()


Daemon = Host[Program[Desk]]


class _Change(msgspec.Struct):
    at_ms: int
    expires_ms: int = 0


class Told:
    """How each checkpoint ended, as everybody was told."""

    def __init__(self, disk: Disk) -> None:
        self._state = disk.journal.state
        self.ends: dict[str, tuple[str, str]] = {}  # state, by whom
        self.asked: set[str] = set()

    def ended(self, checkpoint: Checkpoint) -> None:
        end = checkpoint.state, checkpoint.ended_by
        known = self.ends.setdefault(checkpoint.id, end)
        assert known == end, f"{checkpoint.id} was told to be {known} and is {end}"

    def check(self) -> None:
        """Against the log, which decides."""
        keys: set[str] = set()
        asked: dict[str, int] = {}
        ends: dict[str, tuple[str, str]] = {}
        for line in self._state.lines.get(stream_id(STREAM), []):
            event = decode(line)
            change, checkpoint = msgspec.json.decode(event.data, type=_Change), event.correlation
            if event.kind == "checkpoint.requested":
                name = event.key or event.causation
                assert name not in keys, f"{name} was requested twice"
                keys.add(name)
                asked[checkpoint] = change.expires_ms
            elif event.kind in ENDS:
                assert checkpoint not in ends, (
                    f"{checkpoint} ended as {ends[checkpoint]}, and again"
                )
                ends[checkpoint] = event.kind.partition(".")[2], event.actor or ""
                if event.kind == "checkpoint.expired":
                    assert 0 < asked[checkpoint] <= change.at_ms, f"{checkpoint} expired early"
        for checkpoint, end in self.ends.items():
            assert ends.get(checkpoint) == end, f"{checkpoint} is {ends.get(checkpoint)}, not {end}"
        missing = self.asked - asked.keys()
        assert not missing, f"acknowledged and lost: {sorted(missing)}"
        unended = asked.keys() - ends.keys()
        assert not unended, f"without an end: {sorted(unended)}"


async def scenario(world: Simulation) -> None:
    disk = Disk(world)
    told = Told(disk)
    host = hosted(world, disk, lambda room: Desk(room, SETTINGS))
    people = [
        world.spawn(_answer(world, host, told, f"person {number}"), name=f"person {number}")
        for number in range(PEOPLE)
    ]
    agents = [_agent(world, host, told, f"agent {number}") for number in range(AGENTS)]
    await asyncio.gather(*agents)
    for person in people:
        person.cancel()
    told.check()
    await same_after_a_crash(world, host, lambda desk: desk.listed())


async def _agent(world: Simulation, host: Daemon, told: Told, name: str) -> None:
    for number in range(ASKED_EACH):
        wanted = NewCheckpoint(
            title="Delete it?",
            key=f"{name}/{number}",
            by=name,
            expires_s=world.random.choice((0, 1, 1, 2, 20)),
        )
        asked = await again(world, host, lambda program: program.keeper.ask(wanted))  # noqa: B023  # asked at once
        told.asked.add(asked.id)
        if world.random.random() < 0.2:
            await world.pause(0.5)
            await _decided(
                world,
                host,
                told,
                asked.id,
                lambda desk: desk.cancel(asked.id, by=name),  # noqa: B023  # asked at once
            )
        while asked.is_open:
            wait_s = world.random.choice((0.2, 5, 60))
            asked = await again(world, host, lambda program: program.keeper.wait(asked.id, wait_s))  # noqa: B023  # asked at once
            await world.pause(0.01)
        told.ended(asked)


async def _answer(world: Simulation, host: Daemon, told: Told, name: str) -> None:
    """In half of the runs people leave alone what ends by itself."""
    number, eager = 0, world.draw("people").random() < 0.5
    while True:
        await world.pause(world.random.choice((0.2, 1, 3)))
        pending = await again(world, host, _pending)
        pending = [each for each in pending if eager or not each.expires_ms]
        if not pending:
            continue
        number += 1
        chosen, by = world.random.choice(pending), f"{name}/{number}"
        answer = world.random.choice(ANSWERS)
        decided = await _decided(
            world,
            host,
            told,
            chosen.id,
            lambda desk: desk.resolve(chosen.id, answer, by=by),  # noqa: B023  # asked at once
        )
        if decided is not None:
            got = decided.state, decided.ended_by
            assert got == (answer, by), f"{by} was told that {chosen.id} is {answer}; it is {got}"


async def _decided(
    world: Simulation,
    host: Daemon,
    told: Told,
    checkpoint: str,
    decide: Callable[[Desk], Awaitable[Checkpoint]],
) -> Checkpoint | None:
    """How it ended by what was done; None when it had ended before, or that was not heard."""
    try:
        decided = await again(world, host, lambda program: decide(program.keeper))
    except WrongState:
        decided = None
    known = await again(world, host, lambda program: program.keeper.wait(checkpoint, 0))
    assert not known.is_open, f"{checkpoint} was decided and is pending"
    told.ended(known)
    return decided


async def _pending(program: Program[Desk]) -> list[Checkpoint]:
    return program.keeper.listed(states=("pending",))
