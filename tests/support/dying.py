"""holdfast, killed by itself with its own hand at a chosen write: `python dying.py N COMMAND...`.

A kill from outside comes when it comes, and hardly ever between two writes that belong together.
"""

from __future__ import annotations

import os
import signal
import sys
from types import TracebackType
from typing import Final

import apsw

NAME: Final = "dying"


class Dying(apsw.VFS):
    """The file system of this process, until the write or sync number `last`."""

    def __init__(self, last: int) -> None:
        self.base = apsw.vfs_names()[0]
        super().__init__(NAME, self.base, makedefault=True)
        self._left = last

    def count(self) -> None:
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  # SQLite's name
        return _DyingFile(self, name, flags)


class _DyingFile(apsw.VFSFile):
    def __init__(self, dying: Dying, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(dying.base, name, flags)
        self._dying = dying

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: TracebackType | None,
    ) -> bool:
        """SQLite tries for locks that it may not get; it is no error there."""
        return True

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # SQLite's name
        self._dying.count()
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802  # SQLite's name
        self._dying.count()
        super().xSync(flags)


def main() -> int:
    dying = Dying(int(sys.argv[1]))
    from holdfast.cli.main import run

    try:
        return run(sys.argv[2:])
    finally:
        dying.unregister()


if __name__ == "__main__":
    sys.exit(main())
