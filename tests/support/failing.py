"""A daemon that fails inside once it runs: `python failing.py task`, `fault` or `memory`."""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading

from holdfast import daemon
from holdfast.heartbeat import Heartbeat


async def _fail(_heart: Heartbeat, _stop: asyncio.Event) -> None:
    raise ZeroDivisionError("nobody caught this")


def _fault() -> None:
    ctypes.string_at(0)


async def _fault_beside(_heart: Heartbeat, _stop: asyncio.Event) -> None:
    threading.Thread(target=_fault).start()


async def _hoard(heart: Heartbeat, _stop: asyncio.Event) -> None:
    running = heart._daemon
    running.run_file.beat(running.governor.footprint_bytes, running.machine.oom_kills())
    held = []
    while True:
        held.append(bytearray(b"x") * (1 << 20))
        await asyncio.sleep(0)


if __name__ == "__main__":
    beat = {"task": _fail, "fault": _fault_beside, "memory": _hoard}[sys.argv[1]]
    setattr(Heartbeat, "run", beat)  # noqa: B010  # mypy refuses to replace a method
    sys.exit(daemon.main())
