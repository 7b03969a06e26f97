"""Keeps the exporter's process running, for as long as there is memory for it.

It is a component of the governor: what it weighs is told, and when memory is critical it ends and
comes back after a while. One that dies is started again, later each time. One that says that its
libraries are missing is not: a person must install them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from holdfast.errors import Exit
from holdfast.governor.measured import Claim
from holdfast.governor.protocol import Level, Usage
from holdfast.governor.readings import TreeMemory, resident_bytes
from holdfast.observe import EventLog
from holdfast.telemetry.job import MEMORY_BYTES_MAX, Job, Said

COMMAND: Final = (sys.executable, "-I", "-m", "holdfast.telemetry.child")
FIRST_PAUSE_S: Final = 1.0
PAUSE_MAX_S: Final = 300.0
RELIEF_PAUSE_S: Final = 60.0  # after it was ended for its memory
LONG_LIFE_S: Final = 60.0  # after which the next pause is a short one again
TOLD_BYTES_MAX: Final = 500


def pause_s(failures: int) -> float:
    """How long to wait after so many short lives in a row."""
    return float(min(FIRST_PAUSE_S * 2 ** (failures - 1), PAUSE_MAX_S))


class Supervisor:
    """Lives on the event loop; is a `Bounded`."""

    name: Final = "telemetry"

    def __init__(
        self,
        job: Job,
        environ: Mapping[str, str],
        log: EventLog,
        *,
        command: Sequence[str] = COMMAND,
        pause: Callable[[int], float] = pause_s,
    ) -> None:
        self._job: Final = job
        self._environ: Final = dict(environ)
        self._log: Final = log
        self._command: Final = tuple(command)
        self._pause: Final = pause
        self._ending: Final = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._over = False
        self._was_shed = False
        self._is_well = True
        self.problem = ""  # what a person should know
        self.starts = 0
        self.claim: Final = Claim(self._pids)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self, grace_s: float) -> None:
        """Let it send what there is, within that time; then it is gone."""
        self._ending.set()
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if self._task is not None:
            try:
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(self._task), grace_s)
            finally:
                self._over = True  # one that is being started now is killed once it is there
                self._kill()
            await self._task

    # As a component, a `Measured` one.

    def usage_in(self, tree: TreeMemory) -> Usage:
        found = self.claim.found_in(tree)
        size = sum(child.footprint_bytes for child in found)
        return Usage(bytes=size, items=len(found), limit_bytes=MEMORY_BYTES_MAX)

    def _pids(self) -> list[int]:
        pid = self.pid
        return [pid] if pid is not None else []

    def usage(self) -> Usage:
        pid = self.pid
        size = resident_bytes(pid) if pid is not None else 0
        return Usage(bytes=size, items=int(pid is not None), limit_bytes=MEMORY_BYTES_MAX)

    def relieve(self, level: Level, target_bytes: int) -> int:
        size = self.usage().bytes
        if level < Level.CRITICAL or target_bytes <= 0 or not size:
            return 0
        self._was_shed = True
        self._kill()
        return size

    # Its life.

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._ending.is_set():
            begun_s = loop.time()
            code, said = await self._live()
            if self._ending.is_set():
                return
            if code == Exit.CONFIG:
                self._log.error("telemetry.impossible", problem=said)
                self.problem = said
                return
            failures = 1 if loop.time() - begun_s >= LONG_LIFE_S else failures + 1
            delay_s = RELIEF_PAUSE_S if self._was_shed else self._pause(failures)
            why = "memory was short" if self._was_shed else f"it ended with {code}: {said}"
            self._was_shed = False
            self.problem = f"figures and log are not sent to telemetry.otlp_endpoint: {why}"
            self._is_well = False
            self._log.warning("telemetry.ended", why=why, again_in_s=delay_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), delay_s)

    async def _live(self) -> tuple[int, str]:
        """One child from start to end; its exit code and the last of what it complained of."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environ,
            )
        except OSError as error:
            return int(Exit.FAILURE), str(error)
        self._process = process
        if self._over:
            self._kill()
        self.starts += 1
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        complaints = asyncio.ensure_future(_last_of(process.stderr))
        try:
            with suppress(ConnectionError):  # it ended at once: its exit code says why
                process.stdin.write(msgspec.json.encode(self._job) + b"\n")
                await process.stdin.drain()
            if self._ending.is_set():
                process.stdin.close()
            async for line in process.stdout:
                self._hear(line)
            code = await process.wait()
            return code, await complaints
        finally:
            self._process = None
            process.stdin.close()

    def _hear(self, line: bytes) -> None:
        with suppress(msgspec.DecodeError):
            problem = msgspec.json.decode(line, type=Said).problem
            was_well, self._is_well = self._is_well, not problem
            if was_well and problem:  # once: who tries again all day would fill the log
                self._log.warning("telemetry.failing", problem=problem)
            elif not was_well and not problem:
                self._log.info("telemetry.resumed")
            self.problem = f"telemetry.otlp_endpoint: nothing arrives: {problem}" if problem else ""

    def _kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()


async def _last_of(stream: asyncio.StreamReader) -> str:
    last = b""
    while chunk := await stream.read(4_096):
        last = (last + chunk)[-TOLD_BYTES_MAX:]
    return last.decode("utf-8", "replace").strip()
