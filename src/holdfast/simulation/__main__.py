"""`python -m holdfast.simulation MODULE[:SCENARIO] …`: try many seeds, or see one."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from holdfast.simulation.hunt import Hunt, NoScenario, hunt_named, scenario_of, told
from holdfast.simulation.world import simulate

SEEDS: Final = 1_000
CHUNK: Final = 100  # seeds that one process tries before the next are given out


def main(arguments: Sequence[str]) -> int:
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        for name in asked.scenarios:  # all of them before the first is tried for an hour
            scenario_of(name)
    except NoScenario as error:
        parser.error(str(error))
    failed = False
    for name in asked.scenarios:
        if asked.seed is not None:
            failed |= _shown(name, asked.seed)
        else:
            seeds = range(asked.first, asked.first + asked.seeds)
            failed |= _tried(name, seeds, asked.jobs)
    return int(failed)


def _shown(name: str, seed: int) -> bool:
    """One run, step by step."""
    outcome = simulate(scenario_of(name), seed, keep_all=True)
    for line in outcome.story:
        print(line)
    if outcome.error is None:
        print(
            f"{name}: seed {seed} is well: {outcome.steps:,} steps, "
            f"{outcome.simulated_s:,.1f} s, digest {outcome.digest}"
        )
        return False
    traceback.print_exception(outcome.error)
    print(told(name, outcome, lines=0))
    return True


def _tried(name: str, seeds: range, jobs: int) -> bool:
    found, problem = Hunt(), ""
    for more, problem in _hunts(name, seeds, jobs):  # the last one is told below
        found.add(more)
        if problem:
            break
    if problem:
        print(problem)
    print(
        f"{name}: {found.seeds:,} seeds, {found.steps:,} steps, {found.simulated_s / 3600:,.1f} h "
        f"simulated, {found.seeds_per_minute * jobs:,.0f} seeds a minute"
        f"{', one of them failed' if problem else ''}"
    )
    return bool(problem)


def _hunts(name: str, seeds: range, jobs: int) -> Iterator[tuple[Hunt, str]]:
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    if jobs == 1:
        yield from (hunt_named(name, chunk) for chunk in chunks)
        return
    # Whole new interpreters: a forked one would share what the first one has imported.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        try:
            yield from pool.map(hunt_named, [name] * len(chunks), chunks)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m holdfast.simulation", description=__doc__)
    parser.add_argument("scenarios", nargs="+", metavar="MODULE[:SCENARIO]", help="what to try")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many ({SEEDS})")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seed", type=int, help="only this one, and show every step")
    jobs = os.cpu_count() or 1
    parser.add_argument("--jobs", type=int, default=jobs, help=f"at the same time ({jobs})")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
