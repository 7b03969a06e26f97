"""Looking for damage in a journal that others may be using, within a time.

`JournalReader.check` looks at everything in one transaction, which keeps the write-ahead log from
being emptied meanwhile. Here blocks are read a few at a time, each time anew, the newest first;
SQLite's own check is one statement and cannot be cut, but it can be given up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import apsw
import msgspec

from holdfast.blocks import DamagedBlock, NewerBlock
from holdfast.journal import sqlite
from holdfast.journal.reader import PROBLEMS_MAX, unsealed
from holdfast.journal.sql import queries
from holdfast.journal.sqlite import JournalDamaged, plain_errors

BLOCKS_AT_ONCE: Final = 16
STEPS_BETWEEN_LOOKS: Final = 50_000  # of SQLite's machine; some milliseconds
_BEHIND_ALL: Final = (1 << 63) - 1

OnProgress = Callable[[str, float], None]
"""What is being looked at, and the share of it that is done; -1 where nobody knows."""


class Examined(msgspec.Struct, frozen=True):
    problems: list[str]
    structure_finished: bool  # SQLite's own check, the index included
    blocks: int
    blocks_checked: int
    seconds: float

    @property
    def finished(self) -> bool:
        return self.structure_finished and self.blocks_checked == self.blocks


def examine(
    path: str,
    *,
    full: bool,
    limit_s: float | None,
    on_progress: OnProgress = lambda _what, _share: None,
    clock: Callable[[], float] = time.monotonic,
) -> Examined:
    """`full` compares indexes with their tables too; a limit ends the search, not the journal."""
    began_s = clock()
    connection = sqlite.open_reader(path)
    try:
        search = _Search(connection, path, full=full, on_progress=on_progress)
        search.is_late = lambda: limit_s is not None and clock() - began_s > limit_s
        problems = list(search.structure())
        problems += search.blocks()
        return Examined(
            problems=problems,
            structure_finished=search.structure_finished,
            blocks=search.count,
            blocks_checked=search.checked,
            seconds=round(clock() - began_s, 3),
        )
    finally:
        connection.close()


class _Search:
    is_late: Callable[[], bool]

    def __init__(
        self, connection: apsw.Connection, path: str, *, full: bool, on_progress: OnProgress
    ) -> None:
        self._connection = connection
        self._path = path
        self._full = full
        self._on_progress = on_progress
        self._q = queries()
        self.structure_finished = False
        self.count = 0
        self.checked = 0

    def structure(self) -> Iterator[str]:
        self._on_progress("the database", -1)
        pragma = "integrity_check" if self._full else "quick_check"
        self._connection.set_progress_handler(self._give_up, STEPS_BETWEEN_LOOKS)
        try:
            with plain_errors(self._path):
                try:
                    for (line,) in self._connection.execute(f"PRAGMA {pragma}({PROBLEMS_MAX})"):
                        if line != "ok":
                            yield f"SQLite: {line}"
                    for (session,) in self._connection.execute(
                        self._q.session_gaps, (PROBLEMS_MAX,)
                    ):
                        yield f"session {session}: its events do not stand end to end"
                    for (position,) in self._connection.execute(
                        self._q.order_gaps, (PROBLEMS_MAX,)
                    ):
                        yield f"position {position}: the run does not reach to the next one"
                    self.structure_finished = True
                except apsw.InterruptError:
                    return
        except JournalDamaged as error:
            self.structure_finished = True  # there is nothing more to find out
            yield str(error)
        finally:
            self._connection.set_progress_handler(None)

    def blocks(self) -> Iterator[str]:
        found = 0
        try:
            with plain_errors(self._path):
                ((self.count,),) = sqlite.select(self._connection, self._q.count_blocks)
            before = _BEHIND_ALL
            while found < PROBLEMS_MAX and not self.is_late():
                self._on_progress("blocks", self.checked / max(1, self.count))
                with plain_errors(self._path):
                    rows = sqlite.select(
                        self._connection, self._q.blocks_before, (before, BLOCKS_AT_ONCE)
                    )
                if not rows:
                    self.count = self.checked  # some may have come or gone meanwhile
                    return
                for position, session, first, count, data in rows:
                    before = position
                    self.checked += 1
                    try:
                        unsealed(data, first, count)
                    except (DamagedBlock, NewerBlock) as error:
                        found += 1
                        yield f"session {session}, position {position}: {error}"
        except JournalDamaged as error:
            yield str(error)

    def _give_up(self) -> bool:
        self._on_progress("the database", -1)
        return self.is_late()
