"""One run: a seed, a clock, what goes wrong, and the scenario that lives in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, Final, TypeVar

import msgspec

from holdfast.clock import instant
from holdfast.simulation.faults import Faults, drawn_delay
from holdfast.simulation.loop import (
    STEPS_MAX,
    TIME_MAX_S,
    Deadlock,
    NeverEnds,
    Process,
    SimulatedLoop,
    TaskFailed,
    no_garbage_collection,
)
from holdfast.simulation.trace import Trace

T = TypeVar("T")

EPOCH_S: Final = 1_800_000_000.0  # when a run begins, by the clock on the wall


def drawn_from(seed: int, name: str) -> Random:
    return Random(f"{seed}/{name}")  # noqa: S311  # to be repeated, not to be a secret


class Simulation:
    """What a scenario gets: programs to start, chance, clocks, and a place to take notes."""

    def __init__(self, seed: int, loop: SimulatedLoop, faults: Faults) -> None:
        self.seed = seed
        self.loop = loop
        self.faults = faults
        self.random = self.draw("scenario")

    def draw(self, name: str) -> Random:
        """Chance of one's own: what others draw does not change it."""
        return drawn_from(self.seed, name)

    def process(self, name: str) -> Process:
        """A program; when programs crash in this run, its end is drawn."""
        mean = self.faults.crash_steps
        lives = int(self.draw(f"life of {name}").expovariate(1 / mean)) + 1 if mean else 0
        return Process(self.loop, name, dies_after_steps=lives)

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str = "") -> asyncio.Task[T]:
        """A task outside of every program: it does not die with any."""
        return self.loop.create_task(work, name=name or None)

    def now_s(self) -> float:
        return self.loop.time()

    def wall_s(self) -> float:
        """The time of day, in seconds since 1970."""
        return EPOCH_S + self.loop.time()

    def instant(self) -> str:
        return instant(self.wall_s())

    def note(self, line: str) -> None:
        self.loop.note(line)

    def always(self, holds: Callable[[], None]) -> None:
        """Check something after every step; it raises when it does not hold."""
        self.loop.always(holds)

    async def pause(self, mean_s: float) -> None:
        await asyncio.sleep(drawn_delay(self.random, mean_s))


Scenario = Callable[[Simulation], Awaitable[None]]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    steps: int
    simulated_s: float
    digest: str  # of every step: the same seed gives the same
    faults: str
    error: BaseException | None
    story: list[str]  # the last steps, or all of them


def simulate(
    scenario: Scenario,
    seed: int,
    *,
    faults: Faults | None = None,
    steps_max: int = STEPS_MAX,
    time_max_s: float = TIME_MAX_S,
    keep_all: bool = False,
) -> Outcome:
    """Run a scenario with one seed. Without `faults`, they are drawn too."""
    faults = Faults.drawn(drawn_from(seed, "faults")) if faults is None else faults
    trace = Trace(keep_all=keep_all)
    loop = SimulatedLoop(
        drawn_from(seed, "order"),
        faults=faults,
        trace=trace,
        steps_max=steps_max,
        time_max_s=time_max_s,
    )
    error: BaseException | None = None
    with no_garbage_collection():
        try:
            loop.run_until_complete(_lived(scenario, Simulation(seed, loop, faults)))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as raised:  # noqa: BLE001  # whatever it is, it is what the run found
            error = _cause(loop, raised)
            trace.add(loop.time(), f"- ends with {type(error).__name__}")
        finally:
            loop.vanish()
    return Outcome(
        seed=seed,
        steps=loop.steps,
        simulated_s=loop.time(),
        digest=trace.digest,
        faults=faults.told(),
        error=error,
        story=trace.lines(),
    )


async def _lived(scenario: Scenario, world: Simulation) -> None:
    await scenario(world)
    failed = _failed(world.loop)
    if failed is not None:
        raise failed


def _cause(loop: SimulatedLoop, error: BaseException) -> BaseException:
    """Who waits for ever for a task that has failed is not what went wrong."""
    stuck = isinstance(error, (Deadlock, NeverEnds))
    return (stuck and _failed(loop)) or error


def _failed(loop: SimulatedLoop) -> TaskFailed | None:
    for task in loop.unheeded():
        error = task.exception()
        failed = TaskFailed(f"{task.get_name()} failed: {error!r}")
        failed.__cause__ = error
        return failed
    return None
