"""`LEDGER.md` where a person wants it, written anew a moment after the ledger changed.

The file is a copy: it is replaced as a whole, through the policy that every file of holdfast goes
through, and nobody reads it back. Only a ledger is replaced by one: whoever names a file of their
own by a slip keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final

from holdfast.errors import Exit, HoldfastError
from holdfast.recording.policy import WritePolicy

_BEGINNING: Final = b"# Ledger\n\n*"


class NoLedger(HoldfastError):
    """There is another file in its place."""

    exit: ClassVar[Exit] = Exit.REFUSED


def write_page(policy: WritePolicy, path: str, page: str, *, force: bool = False) -> int:
    """How many bytes were written."""
    if not force and not _may_be_replaced(policy.resolve(path)):
        raise NoLedger(
            f"refused to write {path!r}: the file that is there is no ledger of holdfast; "
            "name another, or move it away (`holdfast ledger --force` replaces it)"
        )
    return policy.write_atomically(path, [page.encode()])


def _may_be_replaced(real: str) -> bool:
    with suppress(FileNotFoundError, IsADirectoryError, PermissionError):  # writing explains these
        with open(real, "rb") as file:
            beginning = file.read(len(_BEGINNING))
        return not beginning or beginning == _BEGINNING
    return True


class LedgerFile:
    """A debounced timer beside a clock that is passed in. `write` may wait for the disk."""

    def __init__(self, path: str, policy: WritePolicy, debounce_ms: int) -> None:
        self.path = path
        self._policy = policy
        self._debounce_ms = debounce_ms
        self.due_ms: int | None = None
        self._written = ""

    def changed(self, now_ms: int) -> None:
        """The first of several changes decides when it is written, so a busy log delays nothing."""
        if self.due_ms is None:
            self.due_ms = now_ms + self._debounce_ms

    def is_due(self, now_ms: int) -> bool:
        return self.due_ms is not None and now_ms >= self.due_ms

    def write(self, render: Callable[[], str], now_ms: int) -> bool:
        """At once; whether there was anything to write. What fails is tried again later."""
        self.due_ms = None
        page = render()
        if page == self._written:
            return False
        try:
            write_page(self._policy, self.path, page)
        except HoldfastError:
            self.changed(now_ms)
            raise
        self._written = page
        return True
