"""As much of a daemon as one family of things takes: tasks, checkpoints or intents."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Generic, TypeVar

from holdfast.simulation import Host, Process, Simulation
from holdfast.simulation.journal import Disk, SimulatedJournal
from holdfast.stream import Appended, NewEvent, Streams
from holdfast.work.keeper import Keeper, Room
from holdfast.work.timers import Timers
from tests.simulation.asking import again

RESTART_SHARE: Final = 0.5
RESTART_AFTER_S: Final = 20.0  # at most

K = TypeVar("K", bound=Keeper[Any])


class Program(Generic[K]):
    """Who keeps them, with what that needs."""

    def __init__(
        self, world: Simulation, process: Process, disk: Disk, make: Callable[[Room], K]
    ) -> None:
        self.journal = SimulatedJournal(world, process, disk)
        self.streams = Streams(self.journal, clock_s=world.now_s)

        def now_ms() -> int:
            return int(world.wall_s() * 1_000)

        self.timers = Timers(now_ms=now_ms)
        self.keeper = make(Room(self.journal, self._append, self.timers, now_ms))

    async def start(self) -> None:
        self.streams.start()
        await self.keeper.start()

    async def close(self) -> None:
        await self.keeper.close()
        await self.timers.close()
        await self.streams.close()
        self.journal.close()

    def _append(
        self, stream: str, events: Sequence[NewEvent], *, expected_seq: int | None
    ) -> Coroutine[Any, Any, Appended]:
        return self.streams.append(stream, events, expected_seq=expected_seq, own=True)


def hosted(world: Simulation, disk: Disk, make: Callable[[Room], K]) -> Host[Program[K]]:
    """A daemon, which in half of the runs is restarted in an orderly way as well."""

    async def boot(process: Process) -> Program[K]:
        program = Program(world, process, disk, make)
        await program.start()
        return program

    host = Host(world, "daemon", boot)
    if world.random.random() < RESTART_SHARE:
        world.loop.call_later(
            world.random.uniform(0, RESTART_AFTER_S),
            lambda: world.spawn(host.restart(lambda program: program.close()), name="restart"),
        )
    return host


async def same_after_a_crash(
    world: Simulation, host: Host[Program[K]], listed: Callable[[K], list[Any]]
) -> list[Any]:
    """What is there in the end, which is what a restart makes of the log."""

    async def ask(program: Program[K]) -> list[Any]:
        return listed(program.keeper)

    before = await again(world, host, ask)
    host.crash()
    after = await again(world, host, ask)
    other = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert not other, f"before a restart and after it: {other}"
    await host.stop(lambda program: program.close())
    return after
