"""`LEDGER.md` where a person wants it, written anew a moment after the ledger changed.

The file is a copy: it is replaced as a whole, through the policy that every file of holdfast goes
through, and nobody reads it back. Only a ledger is replaced by one: whoever names a file of their
own by a slip keeps it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final

from holdfast.errors import Exit, HoldfastError
from holdfast.governor.gate import BackgroundGate
from holdfast.journal.protocol import ReaderScope
from holdfast.observe import EventLog
from holdfast.recording.policy import WritePolicy
from holdfast.work.ledger import Ledger
from holdfast.work.ledger_page import page
from holdfast.work.replay import bring_up_to_date

JOB: Final = "writing the ledger"
RETRY_MS: Final = 60_000  # whoever put something in its way is to have a moment

_BEGINNING: Final = b"# Ledger\n\n*"


class NoLedger(HoldfastError):
    """There is another file in its place."""

    exit: ClassVar[Exit] = Exit.REFUSED


def write_page(policy: WritePolicy, path: str, content: str, *, force: bool = False) -> int:
    """How many bytes were written."""
    if not force and not _may_be_replaced(policy.resolve(path)):
        raise NoLedger(
            f"refused to write {path!r}: the file that is there is no ledger of holdfast; "
            "name another, or move it away (`holdfast ledger --force` replaces it)"
        )
    return policy.write_atomically(path, [content.encode()])


def _may_be_replaced(real: str) -> bool:
    with suppress(FileNotFoundError, IsADirectoryError, PermissionError):  # writing explains these
        with open(real, "rb") as file:
            beginning = file.read(len(_BEGINNING))
        return not beginning or beginning == _BEGINNING
    return True


class LedgerFile:
    """A ledger of its own, and a file that shows it. Lives on the event loop; `run` writes.

    The ledger is brought up to date from the journal when the file is due, on a thread: between
    two times nothing is done for any event.
    """

    def __init__(  # what it needs of the daemon, each by itself
        self,
        path: str,
        readers: ReaderScope,
        policy: WritePolicy,
        *,
        gate: BackgroundGate,
        log: EventLog,
        debounce_ms: int,
        clock_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self._path = path
        self._readers = readers
        self._policy = policy
        self._gate = gate
        self._log = log
        self._debounce_ms = debounce_ms
        self._clock_ms = clock_ms
        self._anew = False  # whether what is known may not be what is stored
        self._ledger = Ledger()
        self._position = 1
        self._written = ""
        self._due_ms: int | None = clock_ms()  # there may be news since the last run
        self._woken = asyncio.Event()
        gate.join(JOB)

    def wake(self) -> None:
        """Something was stored. The first of several changes decides when it is due."""
        if self._due_ms is None:
            self._due_ms = self._clock_ms() + self._debounce_ms
            self._woken.set()

    def begin_again(self) -> None:
        """What is stored was rewritten: the ledger is made anew of it, and shown at once."""
        self._anew = True
        self._due_ms = self._clock_ms()
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self._woken.clear()
            await self._gate.passed()
            wait_s = await self.step()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()

    async def step(self) -> float | None:
        """Write it if it is due; how long there is nothing to be done, if that is known."""
        now_ms = self._clock_ms()
        if self._due_ms is not None and self._due_ms <= now_ms:
            self._due_ms = None
            await self._write()
        return None if self._due_ms is None else max(0, self._due_ms - now_ms) / 1_000

    async def close(self) -> None:
        """What is not shown yet is shown. The run was cancelled before."""
        await self._write()

    async def _write(self) -> None:
        if self._anew:
            self._ledger, self._position, self._anew = Ledger(), 1, False
        try:
            await asyncio.to_thread(self._write_now)
        except (HoldfastError, OSError) as error:
            self._log.warning("ledger.not_written", path=self._path, error=str(error))
            self._due_ms = self._clock_ms() + RETRY_MS

    def _write_now(self) -> None:
        with self._readers() as reader:
            self._position = bring_up_to_date(reader, self._ledger, self._position)
        shown = page(self._ledger.state)
        if shown != self._written:
            write_page(self._policy, self._path, shown)
            self._written = shown
