"""Many seeds, one after the other; the first that fails, and how to see it again."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import ClassVar, Final

import msgspec

from holdfast.errors import Exit
from holdfast.simulation.loop import SimulationError
from holdfast.simulation.world import Outcome, Scenario, simulate

SHOWN_LINES: Final = 40


class SeedFailed(SimulationError):
    """A seed that shows something wrong; the message tells how to see it again."""

    def __init__(self, name: str, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(told(name, outcome))


class NoScenario(SimulationError):
    """Nothing is there by the name that was given."""

    exit: ClassVar[Exit] = Exit.USAGE


class Hunt(msgspec.Struct):
    """What a number of seeds came to."""

    seeds: int = 0
    steps: int = 0
    simulated_s: float = 0.0
    wall_s: float = 0.0
    failed: list[Outcome] = []

    def add(self, more: Hunt) -> None:
        self.seeds += more.seeds
        self.steps += more.steps
        self.simulated_s += more.simulated_s
        self.wall_s += more.wall_s

    @property
    def seeds_per_minute(self) -> float:
        return 60 * self.seeds / self.wall_s if self.wall_s else 0.0


def name_of(scenario: Scenario) -> str:
    """As `python -m holdfast.simulation` takes it."""
    return f"{scenario.__module__}:{getattr(scenario, '__qualname__', scenario)}"


def scenario_of(name: str) -> Scenario:
    """`package.module` means the function `scenario` in it."""
    module, _, function = name.partition(":")
    function = function or "scenario"
    nowhere = NoScenario(
        f"there is no module {module!r} here: name one as `import` does, or run this from the "
        "folder that it is in"
    )
    if not all(part.isidentifier() for part in module.split(".")):
        raise nowhere
    try:
        found: Scenario | None = getattr(importlib.import_module(module), function, None)
    except ModuleNotFoundError as error:
        if not _is_in(error.name or "", module):
            raise  # it is there, and wants another one that is not
        raise nowhere from error
    if not callable(found):
        raise NoScenario(
            f"module {module!r} has no function {function!r}: name one as MODULE:SCENARIO"
        )
    return found


def _is_in(missing: str, module: str) -> bool:
    """Whether what is missing is the module, or a package that it would be in."""
    return module == missing or module.startswith(f"{missing}.")


def hunt(
    scenario: Scenario,
    seeds: Iterable[int],
    *,
    failures_max: int = 1,
    clock_s: Callable[[], float] = time.perf_counter,
) -> Hunt:
    """Try seeds until so many failed."""
    found = Hunt()
    began_s = clock_s()
    for seed in seeds:
        outcome = simulate(scenario, seed)
        found.seeds += 1
        found.steps += outcome.steps
        found.simulated_s += outcome.simulated_s
        if outcome.error is not None:
            found.failed.append(outcome)
            if len(found.failed) >= failures_max:
                break
    found.wall_s = clock_s() - began_s
    return found


def hunt_named(name: str, seeds: Iterable[int]) -> tuple[Hunt, str]:
    """For another process: errors do not all travel, what is told of the first does."""
    found = hunt(scenario_of(name), seeds)
    problems = [told(name, outcome) for outcome in found.failed]
    found.failed = []
    return found, "".join(problems)


def check(scenario: Scenario, seeds: Iterable[int]) -> Hunt:
    """For tests: every seed is well, or `SeedFailed`."""
    found = hunt(scenario, seeds)
    for outcome in found.failed:
        raise SeedFailed(name_of(scenario), outcome) from outcome.error
    return found


def told(name: str, outcome: Outcome, *, lines: int | None = SHOWN_LINES) -> str:
    """What a failing seed shows."""
    error = outcome.error
    story = outcome.story if lines is None else outcome.story[-lines:]
    return "\n".join(
        [
            f"seed {outcome.seed} of {name}: {type(error).__name__}: {error}",
            f"  what goes wrong there: {outcome.faults or 'nothing'}",
            f"  {outcome.steps:,} steps, {outcome.simulated_s:,.1f} s, digest {outcome.digest}",
            *(f"  {line}" for line in story),
            f"see it again: {_python()} -m holdfast.simulation {name} --seed {outcome.seed}",
        ]
    )


def _python() -> str:
    """As people type it from where they are."""
    relative = os.path.relpath(sys.executable)
    return sys.executable if relative.startswith("..") else relative
