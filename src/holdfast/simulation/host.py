"""A program that is started again whenever it crashes, and connections to it that break.

Who asks gets an answer, an error that the program raised, or `ConnectionLost`: then nobody knows
whether what was asked for was done. That is what an answer that is lost on its way looks like, a
program that dies while it works, and one that is not there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

from holdfast.errors import HoldfastError
from holdfast.simulation.faults import drawn_delay
from holdfast.simulation.loop import Process, SimulationError
from holdfast.simulation.world import Simulation

P = TypeVar("P")
T = TypeVar("T")

BUFFERED_MAX: Final = 4  # what is under way in a connection before the sender has to wait


class ConnectionLost(SimulationError):
    """No answer came: what was asked for may have been done, or not."""


class Host(Generic[P]):
    """Where a program runs. `boot` makes it, in a process that it may die with.

    When `boot` raises a `HoldfastError` it is tried again, as after a crash.
    """

    def __init__(
        self, world: Simulation, name: str, boot: Callable[[Process], Awaitable[P]]
    ) -> None:
        self.name = name
        self.starts = 0
        self._world = world
        self._random = world.draw(f"connections to {name}")
        self._boot = boot
        self._process: Process | None = None
        self._program: P | None = None
        self._wanted = True
        self._change = asyncio.Event()
        self._keeper = world.spawn(self._keep(), name=f"keeper of {name}")

    @property
    def program(self) -> P | None:
        """The running one, for who checks it from outside; None while there is none."""
        up = self._process is not None and self._process.alive
        return self._program if up else None

    async def up(self) -> P:
        """Wait until it runs."""
        while (program := self.program) is None:
            await self._change.wait()
        return program

    def crash(self) -> None:
        if self._process is not None:
            self._process.crash()

    async def request(
        self, ask: Callable[[P], Awaitable[T]], *, name: str = "", cancels: bool = False
    ) -> T:
        """Have it do something.

        Whoever gives up waiting does not keep it from being done, unless that `cancels` it.
        """
        await self._travel()
        process, program = self._running()
        answer: asyncio.Future[T] = self._world.loop.create_future()

        async def served() -> None:
            try:
                result = await ask(program)
            except Exception as error:  # noqa: BLE001  # it goes to whoever asked
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(result)
            finally:
                if not answer.done():
                    answer.set_exception(_lost(self.name))

        forget = process.on_death(lambda: _break(answer, self.name))
        try:
            serving = process.spawn(served(), name=name)
            try:
                result = await answer
            except asyncio.CancelledError:
                if cancels and process.alive:
                    serving.cancel()
                raise
        finally:
            forget()
        await self._travel()
        return result

    async def stream(
        self, listen: Callable[[P], AsyncIterator[T]], *, name: str = ""
    ) -> AsyncGenerator[T, None]:
        """What the program sends, through a connection that holds `BUFFERED_MAX` at a time.

        Close it (`contextlib.aclosing`): the program hears of that when it sends next.
        """
        await self._travel()
        process, program = self._running()
        pipe: _Pipe[T] = _Pipe()

        async def sending() -> None:
            listened = listen(program)
            try:
                async for item in listened:
                    await pipe.put(item)
            except _HungUp:
                pass
            except Exception as error:  # noqa: BLE001  # it goes to whoever listens
                pipe.end(error)
            finally:
                if isinstance(listened, AsyncGenerator):
                    await listened.aclose()
                pipe.end(None)

        forget = process.on_death(lambda: pipe.end(_lost(self.name)))
        process.spawn(sending(), name=name)
        try:
            while True:
                item = await pipe.get()
                if item is _END:
                    return
                yield item
                if self._random.random() < self._world.faults.lost:
                    raise _lost(self.name)
        finally:
            forget()
            pipe.hang_up()

    async def stop(self, closing: Callable[[P], Awaitable[object]] | None = None) -> None:
        """In order, and for good. It may die on the way like at any other time."""
        self._wanted = False
        process, program = self._process, self._program
        if closing is not None and process is not None and program is not None and process.alive:
            await self._closed(process, lambda: closing(program))
        if process is not None:
            process.crash()
        await self._keeper

    async def restart(self, closing: Callable[[P], Awaitable[object]]) -> None:
        """Stopped in order and started again."""
        process, program = self._process, self.program
        if process is not None and program is not None:
            await self._closed(process, lambda: closing(program))
            process.crash()

    async def _closed(self, process: Process, closing: Callable[[], Awaitable[object]]) -> None:
        """As far as that goes: a program ends, whatever fails on the way down.

        Who asks meanwhile finds nobody; who asked before may still be answered.
        """
        self._program = None
        try:
            await self._in(process, closing)
        except HoldfastError as error:
            self._world.note(f"{process.name} ends with {type(error).__name__}")

    async def _keep(self) -> None:
        """Start it; when it has died, wait and start it again."""
        while self._wanted:
            self.starts += 1
            process = self._process = self._world.process(f"{self.name} {self.starts}")
            died = asyncio.Event()
            process.on_death(died.set)
            try:
                self._program = await self._in(process, lambda p=process: self._boot(p))  # type: ignore[misc]  # bound now
            except HoldfastError as error:  # it died on the way up, or says why it cannot start
                self._world.note(f"{process.name} does not start: {type(error).__name__}")
                process.crash()
            else:
                self._world.note(f"{process.name} is up")
                self._tell()
                await died.wait()
            self._program = None
            if self._wanted:
                await asyncio.sleep(drawn_delay(self._random, self._world.faults.crash_s))

    async def _in(self, process: Process, work: Callable[[], Awaitable[T]]) -> T:
        """Run in a program and hear what came of it; `ConnectionLost` when it died."""
        answer: asyncio.Future[T] = self._world.loop.create_future()

        async def run() -> None:
            try:
                result = await work()
            except Exception as error:  # noqa: BLE001  # it goes to whoever waits
                answer.set_exception(error)
            else:
                answer.set_result(result)

        forget = process.on_death(lambda: _break(answer, self.name))
        try:
            process.spawn(run())
            return await answer
        finally:
            forget()

    def _tell(self) -> None:
        self._change.set()
        self._change.clear()

    def _running(self) -> tuple[Process, P]:
        process, program = self._process, self.program
        if process is None or program is None:
            raise _lost(self.name)
        return process, program

    async def _travel(self) -> None:
        await asyncio.sleep(drawn_delay(self._random, self._world.faults.latency_s))
        if self._random.random() < self._world.faults.lost:
            raise _lost(self.name)


_END: Final[Any] = object()


class _HungUp(Exception):
    """Nobody listens any more."""


class _Pipe(Generic[T]):
    """One direction of a connection."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._ended = False
        self._error: Exception | None = None
        self._hung_up = False
        self._change = asyncio.Event()

    async def put(self, item: T) -> None:
        while len(self._items) >= BUFFERED_MAX and not self._hung_up:
            await self._changed()
        if self._hung_up:
            raise _HungUp
        self._items.append(item)
        self._tell()

    async def get(self) -> T:
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._ended:
                end: T = _END
                return end
            await self._changed()
        item = self._items.popleft()
        self._tell()
        return item

    def end(self, error: Exception | None) -> None:
        if not self._ended:
            self._ended, self._error = True, error
            self._tell()

    def hang_up(self) -> None:
        self._hung_up = True
        self._items.clear()
        self._tell()

    async def _changed(self) -> None:
        await self._change.wait()

    def _tell(self) -> None:
        self._change.set()
        self._change.clear()


def _lost(name: str) -> ConnectionLost:
    return ConnectionLost(f"the connection to {name} broke: ask again, or ask what was done")


def _break(answer: asyncio.Future[Any], name: str) -> None:
    if not answer.done():
        answer.set_exception(_lost(name))
