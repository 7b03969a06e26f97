"""An event loop without a clock, threads or chance of its own: a seed draws what comes next.

Time stands still but for what steps are said to take, and jumps to the next timer when nobody has
anything to do. So an hour takes no time, and the same seed gives the same run, step by step.

What asyncio promises, this keeps, and it draws what asyncio leaves open. Callbacks are called in
the order in which they were given. Which of the tasks that can go on does so first is not promised
by anybody who may change tomorrow, so that is drawn; also how long a step takes, so timers fire in
the middle of things; when a thread begins, and when the loop hears of it. Shuffling the callbacks
too was tried and rejected: whoever hands things over with `call_soon_threadsafe` may rely on their
order, and would fail for a reason that cannot happen.

Half of the seeds draw evenly. The others give every task a priority and follow it until it is drawn
anew: that makes one task wait for very long, which an even draw as good as never does, and is how
most bugs that need two or three things to happen in one order are found (Burckhardt et al., *A
Randomized Scheduler with Probabilistic Guarantees of Finding Bugs*, 2010).

A thread is a function that runs as a whole at a moment that is drawn. It must not wait for another
thread: there is none that could come.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import threading
import warnings
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, Final, Never, TypeVar, TypeVarTuple

from holdfast.errors import HoldfastError
from holdfast.simulation.faults import Faults, drawn_delay
from holdfast.simulation.trace import Trace
from holdfast.simulation.waits import waiting_told

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STEPS_MAX: Final = 200_000
TIME_MAX_S: Final = 7 * 86_400.0
_NEW_PRIORITY_SHARE: Final = 0.03
_CLOSE_TRIES: Final = 100
_PRUNE_TASKS: Final = 1_000


class SimulationError(HoldfastError):
    """A run that cannot go on, or that shows something wrong."""


class Deadlock(SimulationError):
    """Nobody can go on, and no timer will change that."""


class NeverEnds(SimulationError):
    """More steps or more time than a run may take."""


class TaskFailed(SimulationError):
    """A task ended with an error and nobody asked for it."""


class CallbackFailed(SimulationError):
    """A callback of the event loop raised an error."""


class NotSimulated(SimulationError):
    """Something that would make a run depend on more than its seed."""


class Process:
    """A program that can die at any step: its tasks are gone then, and what they knew."""

    def __init__(self, loop: SimulatedLoop, name: str, *, dies_after_steps: int = 0) -> None:
        self.name = name
        self.alive = True
        self._loop = loop
        self._left = dies_after_steps
        self._context = copy_context()
        self._context.run(_process.set, self)
        self._on_death: list[Callable[[], None]] = []

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str = "") -> asyncio.Task[T]:
        """A task of this program; what it starts is of this program too."""
        return self._loop.create_task(work, name=name or None, context=self._context.copy())

    def run(self, work: Callable[..., T], *args: object) -> T:
        """Call something as this program does."""
        return self._context.copy().run(work, *args)

    def on_death(self, told: Callable[[], None]) -> Callable[[], None]:
        """For who is outside: their connection breaks. Returns what takes that back."""
        self._on_death.append(told)

        def forget() -> None:
            with suppress(ValueError):
                self._on_death.remove(told)

        return forget

    def crash(self) -> None:
        """None of its tasks takes another step. No `finally` runs, as after `kill -9`."""
        if not self.alive:
            return
        self.alive = False
        self._loop.note(f"{self.name} dies")
        told, self._on_death = self._on_death, []
        for each in told:
            each()

    def count_step(self) -> None:
        if self._left:
            self._left -= 1
            if not self._left:
                self.crash()


_process: Final[ContextVar[Process | None]] = ContextVar("process", default=None)


def current_process() -> Process | None:
    """The program that the caller belongs to; None for the world around."""
    return _process.get()


class _Handle(asyncio.Handle):
    __slots__ = ("process", "what")
    what: str
    process: Process | None


class _Timer(asyncio.TimerHandle):
    __slots__ = ("process", "what")
    what: str
    process: Process | None


class SimulatedTask(asyncio.Task[Any]):
    """Its hash is a number of the run, so that sets of tasks have the same order in every run."""

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *,
        loop: SimulatedLoop,
        name: str,
        context: Context | None,
        serial: int,
        priority: float,
    ) -> None:
        self.serial = serial
        self.priority = priority
        context = copy_context() if context is None else context  # an empty one is false
        self.process = context.get(_process)
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self.serial


class SimulatedFuture(asyncio.Future[Any]):
    def __init__(self, *, loop: SimulatedLoop, serial: int) -> None:
        self.serial = serial
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.serial


class SimulatedLoop(asyncio.BaseEventLoop):
    """`run_until_complete` with a drawn order; `vanish` at the end instead of `close`."""

    def __init__(
        self,
        random: Random,
        *,
        faults: Faults | None = None,
        trace: Trace | None = None,
        steps_max: int = STEPS_MAX,
        time_max_s: float = TIME_MAX_S,
    ) -> None:
        self._now_s = 0.0
        self._random = random
        self._faults = faults or Faults()
        self._trace = trace or Trace()
        self._steps_max = steps_max
        self._time_max_s = time_max_s
        self._follows_priorities = random.random() < 0.5
        self.steps = 0
        self._serial = 0
        self._tasks: list[SimulatedTask] = []
        self._prune_at = _PRUNE_TASKS
        self._runnable: list[_Handle | _Timer] = []  # of tasks, in no order
        self._called: deque[_Handle | _Timer] = deque()  # callbacks, in order
        self._from_threads: list[_Handle] = []  # what the loop has not noticed yet
        self._vanished = False
        self._timers: list[tuple[float, float, int, _Timer]] = []
        self._thread = threading.get_ident()
        self._in_thread = False
        self._problem: CallbackFailed | None = None
        self._invariants: list[Callable[[], None]] = []
        super().__init__()
        self.set_exception_handler(_note_problem)

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._now_s

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: object = None,
        context: Context | None = None,
        **_options: object,  # later versions of Python give further ones
    ) -> asyncio.Task[T]:
        self._serial += 1
        called = name or f"{getattr(coro, '__qualname__', 'task')}-{self._serial}"
        task = SimulatedTask(
            coro,
            loop=self,
            name=str(called),
            context=context,
            serial=self._serial,
            priority=self._random.random(),
        )
        self._tasks.append(task)
        if len(self._tasks) >= self._prune_at:
            self._tasks = [each for each in self._tasks if not each.done() or _unheeded(each)]
            self._prune_at = 2 * len(self._tasks) + _PRUNE_TASKS
        return task

    def create_future(self) -> asyncio.Future[Any]:
        self._serial += 1
        return SimulatedFuture(loop=self, serial=self._serial)

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        if self._in_thread:
            raise NotSimulated(
                f"a thread gave {_name(callback)} to call_soon: use call_soon_threadsafe"
            )
        return self._soon(callback, args, context)

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        if threading.get_ident() != self._thread:
            raise NotSimulated(
                f"a real thread called {_name(callback)}: a run depends on its seed only when"
                " threads are made with run_in_executor or asyncio.to_thread"
            )
        if not self._in_thread:
            return self._soon(callback, args, context)
        handle = self._handle(callback, args, context)
        handle.what = _name(callback)
        self._from_threads.append(handle)
        if len(self._from_threads) == 1:
            heard_s = self._now_s + drawn_delay(self._random, self._faults.thread_s)
            self.call_at(heard_s, self._hear_threads, context=Context())
        return handle

    def _hear_threads(self) -> None:
        """In the order in which they called."""
        self._called.extend(self._from_threads)
        self._from_threads.clear()

    def _must_be_open(self) -> None:
        if self.is_closed() and not self._vanished:
            raise RuntimeError("Event loop is closed")

    def _handle(
        self, callback: Callable[..., object], args: Any, context: Context | None
    ) -> _Handle:
        self._must_be_open()
        context = copy_context() if context is None else context
        handle = _Handle(callback, args, self, context)
        handle.process = context.get(_process)
        return handle

    def _soon(
        self, callback: Callable[..., object], args: Any, context: Context | None
    ) -> asyncio.Handle:
        handle = self._handle(callback, args, context)
        owner = getattr(callback, "__self__", None)
        if isinstance(owner, SimulatedTask):
            handle.what = owner.get_name()
            self._runnable.append(handle)
        else:
            handle.what = _name(callback)
            self._called.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self._must_be_open()
        context = copy_context() if context is None else context
        timer = _Timer(when, callback, args, self, context)
        timer.process = context.get(_process)
        timer.what = _name(callback)
        self._serial += 1
        # Nobody says which of two timers of the same moment comes first, so it is drawn.
        heapq.heappush(self._timers, (when, self._random.random(), self._serial, timer))
        return timer

    def run_in_executor(  # type: ignore[override]  # as the base declares it, without its overloads
        self,
        executor: object,  # noqa: ARG002  # there are no threads to choose from
        func: Callable[..., T],
        *args: Any,
    ) -> asyncio.Future[T]:
        """The function runs at a drawn moment, and at a later one its result is there."""
        done: asyncio.Future[T] = self.create_future()

        def begin() -> None:
            if done.done():  # given up before it began
                return
            result, error = None, None
            try:
                result = self.as_thread(func, *args)
            except BaseException as raised:  # noqa: BLE001  # it goes to whoever waits
                error = raised
            self.call_later(drawn_delay(self._random, self._faults.thread_s), end, result, error)

        def end(result: Any, error: BaseException | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        self.call_later(drawn_delay(self._random, self._faults.thread_s), begin)
        return done

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # the base's
        """There is none."""

    async def getaddrinfo(self, *_args: object, **_options: object) -> Never:
        raise NotSimulated("there is no network in a simulation: let programs talk through a Host")

    def _timer_handle_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        pass  # it is passed over when its time comes

    def _run_once(self) -> None:
        """One step of one task, or one callback. `run_forever` of the base calls it."""
        handle = self._next()
        if handle is None:
            return
        self.steps += 1
        self._trace.add(self._now_s, handle.what)
        handle._run()  # noqa: SLF001  # a loop is what runs handles
        self._spend()
        if handle.process is not None:
            handle.process.count_step()
        if self._problem is not None:
            raise self._problem
        for holds in self._invariants:
            holds()
        if self.steps >= self._steps_max:
            raise NeverEnds(f"no end after {self.steps:,} steps\n{self.waits()}")

    # What a simulation asks of it.

    def as_thread(self, work: Callable[..., T], *args: object) -> T:
        """Call something as if on a thread: there is no running loop, only threadsafe calls."""
        within = self._in_thread
        running = asyncio._get_running_loop()  # noqa: SLF001  # asyncio exports it for loops
        self._in_thread = True
        asyncio._set_running_loop(None)  # noqa: SLF001  # as above
        try:
            return work(*args)
        finally:
            self._in_thread = within
            asyncio._set_running_loop(running)  # noqa: SLF001  # as above

    def note(self, line: str) -> None:
        """Let the trace tell something."""
        self._trace.add(self._now_s, f"- {line}")

    def always(self, holds: Callable[[], None]) -> None:
        """Call it after every step from now on; what it raises ends the run."""
        self._invariants.append(holds)

    def waits(self) -> str:
        """What every task waits for, a line each."""
        lines = [f"  {waiting_told(task)}" for task in self._living()]
        return "\n".join(lines) or "  there are no tasks"

    def unheeded(self) -> list[SimulatedTask]:
        """Tasks of living programs that failed without anybody asking."""
        return [task for task in self._tasks if _unheeded(task) and _lives(task)]

    def vanish(self) -> None:
        """The end of the world: nothing that is left takes another step, and none of it complains.

        Python would run `finally` blocks whenever it finds a task that nobody has any more; they
        run here, where nothing can come of it. What they call for, as who gives a lock back wakes
        the next, is taken down and never done.
        """
        self._vanished = True
        self.close()
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # so that it does not complain
            if _unheeded(task):
                task.exception()
            if not task.done():
                with warnings.catch_warnings():
                    # Whatever a `finally` would have begun is not begun any more.
                    warnings.filterwarnings("ignore", "coroutine .* was never awaited")
                    _close(task.get_coro())
        self._tasks.clear()
        self._runnable.clear()
        self._called.clear()
        self._from_threads.clear()
        self._timers.clear()
        self._vanished = False

    # Its own.

    def _next(self) -> _Handle | _Timer | None:
        """What comes next; None when what was chosen is not wanted any more."""
        self._fire()
        while not (self._runnable or self._called):
            if not self._timers:
                raise Deadlock(f"nobody can go on after {self.steps:,} steps\n{self.waits()}")
            self._now_s = max(self._now_s, self._timers[0][0])
            if self._now_s > self._time_max_s:
                raise NeverEnds(f"no end after {self._now_s:,.0f} s\n{self.waits()}")
            self._fire()
        handle = self._drawn()
        return handle if _wanted(handle) else None

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= self._now_s:
            timer = heapq.heappop(self._timers)[3]
            if _wanted(timer):
                self._called.append(timer)

    def _drawn(self) -> _Handle | _Timer:
        runnable, called = self._runnable, self._called
        if not runnable:
            return called.popleft()
        if self._follows_priorities:
            # Among priorities, callbacks are as urgent as chance has it.
            if called and self._random.random() < 0.5:
                return called.popleft()
            at = max(range(len(runnable)), key=lambda at: _owner(runnable[at]).priority)
            if self._random.random() < _NEW_PRIORITY_SHARE:
                _owner(runnable[at]).priority = self._random.random()
        else:
            at = int(self._random.random() * (len(runnable) + bool(called)))
            if at == len(runnable):
                return called.popleft()
        chosen = runnable[at]
        last = runnable.pop()
        if at < len(runnable):
            runnable[at] = last
        return chosen

    def _spend(self) -> None:
        random, faults = self._random, self._faults
        self._now_s += random.random() * faults.step_s
        if faults.stall and random.random() < faults.stall:
            stalled_s = drawn_delay(random, faults.stall_s)
            self.note(f"everything stands still for {stalled_s:.3f} s")
            self._now_s += stalled_s

    def _living(self) -> list[SimulatedTask]:
        return [task for task in self._tasks if not task.done() and _lives(task)]

    def _write_to_self(self) -> None:
        pass  # nobody sleeps

    def callback_failed(self, problem: CallbackFailed) -> None:
        self._problem = self._problem or problem


def _wanted(handle: _Handle | _Timer) -> bool:
    return not handle.cancelled() and (handle.process is None or handle.process.alive)


def _lives(task: SimulatedTask) -> bool:
    return task.process is None or task.process.alive


def _unheeded(task: SimulatedTask) -> bool:
    return task._log_traceback  # noqa: SLF001  # no other way to ask without heeding it


def _owner(handle: _Handle | _Timer) -> SimulatedTask:
    owner = handle._callback.__self__  # type: ignore[union-attr]  # noqa: SLF001  # checked when it was taken
    assert isinstance(owner, SimulatedTask)
    return owner


def _name(callback: object) -> str:
    return str(getattr(callback, "__qualname__", type(callback).__name__))


def _note_problem(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Of what asyncio complains about, errors of callbacks.

    It also tells of tasks that nobody asks, when Python happens to clear them away; a run must not
    depend on when that is, so `unheeded` is asked at its end instead.
    """
    assert isinstance(loop, SimulatedLoop)
    if "handle" in context or "asyncgen" in context:
        error = context.get("exception")
        problem = CallbackFailed(f"{context.get('message')}: {error!r}")
        problem.__cause__ = error
        loop.callback_failed(problem)


def _close(work: Any) -> None:
    """Also what waits again when it is told to end."""
    for _ in range(_CLOSE_TRIES):
        try:
            work.close()
        except BaseException:  # noqa: BLE001, S112  # whatever it does now does not matter any more
            continue
        return


class no_garbage_collection:  # noqa: N801  # read as `with no_garbage_collection():`
    """What is in circles goes away after the run, not at a step that depends on what ran before."""

    def __enter__(self) -> None:
        self._was_on = gc.isenabled()
        gc.disable()

    def __exit__(self, *_error: object) -> None:
        if self._was_on:
            gc.enable()
