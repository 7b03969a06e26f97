"""The last words of a run that crashes: a file that is opened before anything can go wrong.

A fault in native code leaves no time to open files, so `faulthandler` holds the descriptor from the
start and writes where every thread was. An error of Python's that nobody caught goes to the same
file. An orderly end removes it: so a file with something in it is a crash.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import traceback
from contextlib import suppress
from types import TracebackType
from typing import Final

MAX_BYTES: Final = 64 * 1024


class CrashFile:
    def __init__(self, path: str) -> None:
        self.path: Final = path
        self.kept: Final = f"{path}.last"
        self._fd: int | None = None
        self._hook = sys.excepthook

    def read(self) -> str:
        """What the last run left, before the next one armed the file."""
        try:
            with open(self.path, "rb") as file:
                return file.read(MAX_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""

    def arm(self) -> None:
        """From now on it is ours; what the run before left stays beside it."""
        with suppress(OSError):
            if self.read():
                os.replace(self.path, self.kept)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self.path, flags, 0o600)
            faulthandler.enable(self._fd)
            self._hook = sys.excepthook
            sys.excepthook = self._uncaught

    def write(self, error: BaseException) -> None:
        """For an error that ends the daemon, whoever noticed it."""
        if self._fd is not None:
            with suppress(OSError):
                os.write(self._fd, "".join(traceback.format_exception(error)).encode()[-MAX_BYTES:])

    def disarm(self) -> None:
        """After an orderly end there is nothing to tell, unless something was written."""
        if self._fd is None:
            return
        faulthandler.disable()
        sys.excepthook = self._hook
        os.close(self._fd)
        self._fd = None
        with suppress(OSError):
            if not os.path.getsize(self.path):
                os.unlink(self.path)

    def _uncaught(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        self.write(error)
        self._hook(kind, error, trace)


def first_line(trace: str) -> str:
    """What happened: a fault stands first in its trace, an error last."""
    lines = [line for line in trace.splitlines() if line.strip()]
    if not lines:
        return ""
    return lines[0] if lines[0].startswith("Fatal") else lines[-1]
