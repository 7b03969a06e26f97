"""A daemon that fails inside once it runs: `python failing.py task`, `fault` or `memory`."""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading

from holdfast import daemon


async def _fail(_self: daemon.Daemon) -> None:
    raise ZeroDivisionError("nobody caught this")


def _fault() -> None:
    ctypes.string_at(0)


async def _fault_beside(_self: daemon.Daemon) -> None:
    threading.Thread(target=_fault).start()


async def _hoard(running: daemon.Daemon) -> None:
    running.run_file.beat(running.governor.footprint_bytes, running.machine.oom_kills())
    held = []
    while True:
        held.append(bytearray(b"x") * (1 << 20))
        await asyncio.sleep(0)


if __name__ == "__main__":
    beat = {"task": _fail, "fault": _fault_beside, "memory": _hoard}[sys.argv[1]]
    setattr(daemon.Daemon, "_beat", beat)  # noqa: B010  # mypy refuses to replace a method
    sys.exit(daemon.main())
