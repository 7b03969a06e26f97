"""Intents: whoever takes one up is given the memo that was left last.

Agents work through the same intents in turns, a step at a time, leave a memo of the last step, and
vanish; another resumes where the memo says. Some fail and are taken up again. The daemon crashes,
is restarted, and its disk fills up and fails. A step that was acknowledged is never done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from holdfast.events import decode, stream_id
from holdfast.simulation import Host, Simulation
from holdfast.simulation.journal import Disk
from holdfast.work.entities import WrongState
from holdfast.work.intent_registry import IntentRegistry, IntentSettings
from holdfast.work.intents import STREAM, Intent, NewIntent
from tests.simulation.asking import again
from tests.simulation.keeping import Program, hosted, same_after_a_crash

SETTINGS: Final = IntentSettings(retain_s=30 * 86_400)
INTENTS: Final = 3
AGENTS_EACH: Final = 2  # who ask for the same one, under the same key
STEPS: Final = 6
VANISH_SHARE: Final = 0.3  # after a step
FAIL_SHARE: Final = 0.1


Daemon = Host[Program[IntentRegistry]]


class Told:
    """What was acknowledged."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}  # by key
        self.steps: dict[str, int] = {}  # by intent: the last one whose memo is stored
        self.completed: set[str] = set()

    def made(self, key: str, intent: Intent) -> None:
        known = self.ids.setdefault(key, intent.id)
        assert known == intent.id, f"{key} is {known} and {intent.id}"

    def resumed(self, intent: Intent, before: int) -> None:
        """`before`: the step that was acknowledged before it was asked for."""
        step = int(intent.memo or 0)
        assert step >= before, f"{intent.id} goes on behind {step}; {before} was acknowledged"

    def check(self, disk: Disk) -> None:
        """Against the log."""
        keys: set[str] = set()
        states: dict[str, str] = {}
        for line in disk.journal.state.lines.get(stream_id(STREAM), []):
            event = decode(line)
            what = event.kind.partition(".")[2]
            if what == "created":
                assert event.key not in keys, f"{event.key} was created twice"
                keys.add(event.key)
            state = states.get(event.correlation, "")
            assert state != "completed", f"{event.correlation} was completed, then {what}"
            assert state != "failed" or what == "resumed", f"it had failed: {what}"
            states[event.correlation] = what
        assert set(self.ids.values()) == states.keys()
        unended = [intent for intent, state in states.items() if state != "completed"]
        assert not unended, f"without an end: {unended}"
        assert self.completed <= states.keys()


async def scenario(world: Simulation) -> None:
    disk = Disk(world)
    host = hosted(world, disk, lambda room: IntentRegistry(room, SETTINGS))
    told = Told()
    await asyncio.gather(
        *(
            _agent(world, host, told, f"intent {number}", f"agent {number}.{other}")
            for number in range(INTENTS)
            for other in range(AGENTS_EACH)
        )
    )
    told.check(disk)
    await same_after_a_crash(world, host, lambda intents: intents.listed())


async def _agent(world: Simulation, host: Daemon, told: Told, key: str, name: str) -> None:
    wanted = NewIntent(title="Move it over", key=key, by=name)
    made = await again(world, host, lambda program: program.keeper.create(wanted))
    told.made(key, made)
    intent = made.id
    while True:
        before = told.steps.get(intent, 0)
        taken = await _try(world, host, lambda intents: intents.resume(intent, by=name))
        if taken is None:  # it is completed
            return
        told.resumed(taken, before)
        if await _work(world, host, told, taken, name):
            return
        await world.pause(world.random.choice((0.1, 2.0)))


async def _work(world: Simulation, host: Daemon, told: Told, taken: Intent, name: str) -> bool:
    """From the step behind the memo on; whether that was seen through."""
    intent = taken.id
    for step in range(int(taken.memo or 0) + 1, STEPS + 1):
        await world.pause(world.random.choice((0.05, 1.0)))
        noted = await _try(
            world,
            host,
            lambda intents: intents.progress(intent, memo=str(step), by=name),  # noqa: B023  # asked at once
        )
        if noted is None or noted.worker != name:  # somebody else has taken it up
            return False
        told.steps[intent] = max(told.steps.get(intent, 0), step)
        if world.random.random() < VANISH_SHARE:
            return False
        if world.random.random() < FAIL_SHARE:
            await _try(world, host, lambda intents: intents.fail(intent, by=name))
            return False
    if await _try(world, host, lambda intents: intents.complete(intent, by=name)) is None:
        return False
    told.completed.add(intent)
    return True


async def _try(
    world: Simulation, host: Daemon, do: Callable[[IntentRegistry], Awaitable[Intent]]
) -> Intent | None:
    """What it answers; None when that cannot be done, or was done before its answer was lost."""
    try:
        return await again(world, host, lambda program: do(program.keeper))
    except WrongState:
        return None
