"""Telling the service manager how we are: systemd's notification protocol, which is one datagram.

Whoever is not run by such a manager has no `NOTIFY_SOCKET`, and here that costs nothing. A manager
that cannot be reached is its own trouble: nothing in here raises, and nothing waits.

The watchdog is fed from the event loop on purpose. A thread would go on feeding it while the loop
hangs, and then nobody would restart us.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Self

# Half of what the manager allows is what its documentation asks for; a third leaves room for a
# loop that is busy for a moment.
WATCHDOG_SHARE: Final = 3
_US_PER_S: Final = 1_000_000


class Notifier:
    """Where to send, and how often the watchdog wants to hear from us (None: never)."""

    def __init__(self, address: str | None, *, watchdog_s: float | None = None) -> None:
        self.watchdog_s: Final = watchdog_s if address is not None else None
        self._address: Final = address

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, pid: int | None = None) -> Self:
        return cls(
            _address(environ.get("NOTIFY_SOCKET", "")),
            watchdog_s=_watchdog_s(environ, os.getpid() if pid is None else pid),
        )

    def ready(self) -> None:
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={' '.join(text.split())}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | _CLOEXEC) as sending,
        ):
            sending.setblocking(False)
            sending.sendto(message.encode(), self._address)


_CLOEXEC: Final = getattr(socket, "SOCK_CLOEXEC", 0)  # macOS has none


def _address(named: str) -> str | None:
    """A path, or a name in the abstract namespace, which begins with `@` where NUL is meant."""
    if named.startswith("@"):
        return f"\0{named[1:]}"
    return named if named.startswith("/") else None


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two signs of life. A watchdog for another process is none for us."""
    allowed_us = environ.get("WATCHDOG_USEC", "")
    if not allowed_us.isdecimal() or not int(allowed_us):
        return None
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(allowed_us) / _US_PER_S / WATCHDOG_SHARE
