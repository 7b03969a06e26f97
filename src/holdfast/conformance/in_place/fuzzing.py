"""Stores that were damaged on purpose, and reading as many of them as there is time for.

Whatever stands there: no exception but one that says what is wrong, nothing slow, events that can
be read again, each once; bytes that add up; and what is whole later is told then.
"""

from __future__ import annotations

import itertools
import os
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

from holdfast.conformance.in_place.desk import Desk, Standing
from holdfast.conformance.in_place.keepers import DatabaseKeeper
from holdfast.conformance.in_place.sample import StoreSample
from holdfast.conformance.in_place.wildness import spoil_pages, spoil_tables, wild_entries
from holdfast.conformance.meaning import round_trips
from holdfast.conformance.mutation import (
    ALLOWANCE_BYTES,
    GROWN_MAX,
    SLOW_S,
    Findings,
    damage,
)
from holdfast.conformance.sample import Nonconformant, expect, require
from holdfast.journal.reader import SqliteReader
from holdfast.journal.writer import SqliteWriter

REAL_EVERY: Final = 16  # so often the journal is a file, which takes less than memory does


class _Trial:
    """One store that is damaged again and again."""

    def __init__(self, sample: StoreSample, folder: Path) -> None:
        self.sample = sample
        self.folder = folder
        self.desk = Desk(sample, folder)
        self.desk.write(sample.entries)
        self.desk.catch_up()
        self.whole: Standing = self.desk.standing
        self.desk.write([])
        self.blank = {path: Path(path).read_bytes() for path in self.desk.keeper.paths()}
        self.size = 0

    def run(self, number: int, throw: Random) -> None:
        """Raises whatever is found."""
        if number % REAL_EVERY:
            self.desk.forget()
            self._run(throw)
            return
        journal = self.folder / "journal.db"
        writer, reader = SqliteWriter(str(journal)), SqliteReader(str(journal))
        try:
            self.desk.keep_in(writer, reader)
            self._run(throw)
        finally:
            reader.close()
            writer.close()
            for ending in ("", "-wal", "-shm"):
                Path(f"{journal}{ending}").unlink(missing_ok=True)

    def _run(self, throw: Random) -> None:
        desk, keeper = self.desk, self.desk.keeper
        self._reset()
        desk.write(wild_entries(self.sample, throw))
        is_sound = self._spoil(throw)
        paths = keeper.paths()
        self.size = sum(map(os.path.getsize, paths))
        is_file = not isinstance(keeper, DatabaseKeeper)
        desk.catch_up()
        for event in desk.events:
            round_trips(event)
        require(
            len(desk.lines) <= GROWN_MAX * self.size + ALLOWANCE_BYTES,
            f"{self.size:,} bytes became {len(desk.lines):,}",
        )
        if is_file or is_sound:
            expect(desk.problems, {}, "problems")
        if is_file and self.sample.silent:  # of what belongs to nothing, nobody knows
            require(desk.ledger.consumed <= self.size, f"{desk.ledger} is more than {self.size}")
        elif is_file:
            expect(desk.ledger.consumed, self.size, "bytes counted")
        if not desk.problems:
            told = desk.lines
            expect(desk.catch_up().pending, [], "what is left to read")
            desk.read_again()
            expect(desk.problems, {}, "problems of reading again")
            expect(desk.lines, told, "events when all is read again")
        self._heal()

    def _spoil(self, throw: Random) -> bool:
        """Whether it is still what an agent's program would open."""
        keeper = self.desk.keeper
        how = throw.randrange(4)
        if not isinstance(keeper, DatabaseKeeper):
            if how:
                pool = [path.encode() for path in self.blank] + list(self.blank.values())
                path = throw.choice(keeper.paths())
                content = bytearray(Path(path).read_bytes())
                damage(content, throw, pool)
                keeper.replace(path, bytes(content))
            return True
        if how in (1, 3):
            spoil_tables(keeper.connection, throw)
        if how in (2, 3):
            [path] = keeper.paths()
            content = bytearray(Path(path).read_bytes())
            spoil_pages(content, throw)
            keeper.replace(path, bytes(content))
        return how == 0

    def _reset(self) -> None:
        keeper = self.desk.keeper
        if isinstance(keeper, DatabaseKeeper):
            keeper.reset(self.blank[keeper.path])

    def _heal(self) -> None:
        """The agent mends it: what stands there then is told, and what was told before stays."""
        desk = self.desk
        told = desk.lines
        self._reset()
        desk.write([])
        desk.write(self.sample.entries)
        desk.keeper.rewrite()
        desk.catch_up()
        desk.read_again()
        expect(desk.problems, {}, "problems when it is whole again")
        require(desk.lines.startswith(told), "what was told before is not as it was")
        lost = self.whole - desk.standing
        require(not lost, f"lost when it is whole again: {lost}")


def fuzz_stores(
    samples: Sequence[StoreSample],
    folder: Path,
    seconds: float,
    *,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Findings:
    """The stores take turns; the same seed damages them the same way."""
    found = Findings()
    trials = [_Trial(sample, folder / str(at)) for at, sample in enumerate(samples)]
    began_s = clock()
    for number in itertools.count():
        if (at_s := clock()) - began_s > seconds:
            break
        trial = trials[number % len(trials)]
        throw = Random(f"{seed}/{number}")  # noqa: S311  # damage need not be unpredictable
        problem = _problem(trial, number, throw)
        took_s = clock() - at_s
        if took_s > SLOW_S:
            problem = problem or f"took {took_s:.1f} s"
        if problem:
            where = f"seed {seed}, store {number} ({trial.sample.name})"
            found.problems.append(f"{where}: {problem}")
        found.executions += 1
        found.bytes += trial.size
        found.slowest_s = max(found.slowest_s, took_s)
    for trial in trials:
        trial.desk.keeper.close()
    return found


def _problem(trial: _Trial, number: int, throw: Random) -> str:
    try:
        trial.run(number, throw)
    except Nonconformant as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{error!r} in {last.filename}:{last.lineno}"
    return ""
