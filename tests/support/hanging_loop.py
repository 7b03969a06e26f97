"""A daemon whose event loop hangs when it gets SIGUSR1, while its threads live on."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading

from holdfast import daemon
from holdfast.daemon import Daemon

_start = Daemon._start


async def start_and_listen(self: Daemon) -> None:
    """It listens first: a signal that comes while it starts would end it without a word."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, hang_for_good)
    await _start(self)


def hang_for_good() -> None:
    threading.Event().wait()


if __name__ == "__main__":
    setattr(Daemon, "_start", start_and_listen)  # noqa: B010  # mypy refuses to replace a method
    sys.exit(daemon.main())
