"""A daemon of which one part never comes back when it is told to end."""

from __future__ import annotations

import sys
import threading

from holdfast import daemon
from holdfast.journal.service import JournalService


def hang(_self: JournalService) -> None:
    threading.Event().wait()


if __name__ == "__main__":
    setattr(JournalService, "settle", hang)  # noqa: B010  # mypy refuses to replace a method
    sys.exit(daemon.main())
