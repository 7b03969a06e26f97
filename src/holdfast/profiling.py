"""Where memory is: by component, by type of object, by the line that allocated it.

Loaded only when somebody asks, and whatever costs is started only on request and ends by itself.

By type: what the garbage collector tracks, and one step beyond it the strings, bytes and numbers
that tracked objects refer to, each once. What was there before the daemon began to work is frozen
(`gc.freeze`) and not among them: it is counted, and what is listed is what came since. Sizes are
shallow: a list's own, without its items'.

By line: `tracemalloc`, which notes every allocation from the moment it is started, at a price in
memory and speed. So it is on for a limited time, and no longer than its own notes stay below
`TRACER_MAX_BYTES`; a snapshot of them needs three times as much for a moment. Rejected: `memray`,
one dependency more, which writes a file about everything that the program did.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from typing import ClassVar, Final, Protocol

import msgspec

from holdfast.clock import instant
from holdfast.errors import Exit, HoldfastError
from holdfast.governor import Snapshot
from holdfast.governor.admission import Throttled

TYPES_SHOWN: Final = 30
SITES_SHOWN: Final = 30
SEEN_MAX: Final = 200_000  # untracked objects that are told apart; the set of them takes 8 MB
TRACE_SECONDS: Final = 60
TRACE_SECONDS_MAX: Final = 600
TRACER_MAX_BYTES: Final = 8 << 20  # and 22 MB for a snapshot of so many, measured
LOOK_S: Final = 1.0  # how often the tracer's own notes are weighed
_PACKAGE: Final = os.path.dirname(os.path.abspath(__file__))
_MIB: Final = 1 << 20


class NotTraced(HoldfastError):
    """Nobody asked for allocations to be noted, or the time for it is over."""

    exit: ClassVar[Exit] = Exit.USAGE


class OneAtATime(Throttled):
    """Somebody else's profile is being made: it takes memory, and time of the interpreter."""


class TypeMemory(msgspec.Struct, frozen=True):
    name: str
    count: int
    bytes: int


class Types(msgspec.Struct, frozen=True):
    objects: int
    bytes: int
    frozen_objects: int  # from before the daemon began to work; not looked at
    truncated: bool  # there were more than are told apart
    largest: list[TypeMemory]


class SiteMemory(msgspec.Struct, frozen=True):
    file: str
    line: int
    count: int
    bytes: int


class Sites(msgspec.Struct, frozen=True):
    """What was allocated since the tracing began, and is still there."""

    traced_s: float
    bytes: int
    peak_bytes: int
    tracer_bytes: int  # what the tracing itself takes
    largest: list[SiteMemory]


class Component(msgspec.Struct, frozen=True):
    name: str
    bytes: int
    items: int


class Components(msgspec.Struct, frozen=True):
    """The lines add up: baseline + components + unaccounted = footprint."""

    footprint_bytes: int
    budget_bytes: int
    baseline_bytes: int
    unaccounted_bytes: int
    python_blocks: int
    malloc_in_use_bytes: int | None
    parts: list[Component]


class Profile(msgspec.Struct, frozen=True):
    at: str
    components: Components
    types: Types
    sites: Sites | None  # None while nothing is traced


class Tracing(msgspec.Struct, frozen=True):
    on: bool
    seconds_left: float
    tracer_bytes: int
    ended: str  # why the last one ended


class Handle(Protocol):
    def cancel(self) -> None: ...


class Loop(Protocol):
    """As much of an event loop as is needed here."""

    def time(self) -> float: ...
    def call_later(self, delay: float, callback: Callable[[], object], /) -> Handle: ...


class Profiler:
    """Owns whether allocations are traced. All but `profile` is for the event loop's thread."""

    def __init__(self, loop: Loop, *, tracer_max_bytes: int = TRACER_MAX_BYTES) -> None:
        self._loop = loop
        self._tracer_max_bytes = tracer_max_bytes
        self._began_s = 0.0
        self._until_s = 0.0
        self._next: Handle | None = None
        self._ended = ""
        self._making = threading.Lock()

    def start(self, seconds: int) -> Tracing:
        """Or go on for so long from now on."""
        seconds = min(seconds, TRACE_SECONDS_MAX)
        if not tracemalloc.is_tracing():
            tracemalloc.start()
            self._began_s = self._loop.time()
        self._until_s = self._loop.time() + seconds
        self._ended = ""
        self._look()
        return self.tracing()

    def stop(self, why: str = "somebody asked") -> Tracing:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if tracemalloc.is_tracing():
            tracemalloc.stop()
            self._ended = why
        return self.tracing()

    def tracing(self) -> Tracing:
        on = tracemalloc.is_tracing()
        return Tracing(
            on=on,
            seconds_left=max(0.0, self._until_s - self._loop.time()) if on else 0.0,
            tracer_bytes=tracemalloc.get_tracemalloc_memory(),
            ended=self._ended,
        )

    def profile(self, memory: Snapshot, *, sites: bool) -> Profile:
        """Takes a while: for a thread. What `memory` says was asked of the components before, on
        the event loop, where they live."""
        if not self._making.acquire(blocking=False):
            raise OneAtATime("a profile of memory is being made already: try again in some seconds")
        try:
            return Profile(
                at=instant(),
                components=by_component(memory),
                types=by_type(),
                sites=self._sites() if sites else None,
            )
        finally:
            self._making.release()

    def _sites(self) -> Sites:
        """The loop may end the tracing at any moment, so only the snapshot itself can tell."""
        try:
            return by_site(self._loop.time() - self._began_s)
        except RuntimeError as error:
            if tracemalloc.is_tracing():
                raise
            raise NotTraced(
                "allocations are not traced"
                + (f" any more: {self._ended}" if self._ended else "")
                + "; `holdfast debug memory --sites` traces them for a while"
            ) from error

    def _look(self) -> None:
        """Until the time is over, or the notes have grown too large."""
        tracer_bytes = tracemalloc.get_tracemalloc_memory()
        if tracer_bytes > self._tracer_max_bytes:
            self.stop(
                f"its notes took {tracer_bytes / _MIB:.1f} MiB, more than the "
                f"{self._tracer_max_bytes / _MIB:.1f} MiB that it may take"
            )
        elif self._loop.time() >= self._until_s:
            self.stop("its time was over")
        else:
            delay_s = min(LOOK_S, self._until_s - self._loop.time())
            if self._next is not None:
                self._next.cancel()
            self._next = self._loop.call_later(max(delay_s, 0.0), self._look)


def by_component(taken: Snapshot) -> Components:
    return Components(
        footprint_bytes=taken.footprint_bytes,
        budget_bytes=taken.budget_bytes,
        baseline_bytes=taken.baseline_bytes,
        unaccounted_bytes=taken.unaccounted_bytes,
        python_blocks=taken.allocations.python_allocated_blocks,
        malloc_in_use_bytes=taken.allocations.malloc_in_use_bytes,
        parts=[Component(each.name, each.bytes, each.items) for each in taken.components],
    )


def by_type(*, seen_max: int = SEEN_MAX) -> Types:
    """Every object that came since the freeze, by its type, the heaviest first."""
    counts: Counter[type] = Counter()
    sizes: Counter[type] = Counter()
    seen: set[int] = set()
    tracked = gc.get_objects()
    mine = {id(tracked), id(seen), id(counts), id(sizes)}

    def add(thing: object) -> None:
        kind = type(thing)
        counts[kind] += 1
        sizes[kind] += _size(thing)

    truncated = False
    for thing in tracked:
        if id(thing) in mine:
            continue
        add(thing)
        for leaf in gc.get_referents(thing):
            if gc.is_tracked(leaf) or id(leaf) in seen:
                continue
            if len(seen) >= seen_max:
                truncated = True
                continue
            seen.add(id(leaf))
            add(leaf)
    return Types(
        objects=counts.total(),
        bytes=sizes.total(),
        frozen_objects=gc.get_freeze_count(),
        truncated=truncated,
        largest=[
            TypeMemory(_name(kind), counts[kind], size)
            for kind, size in sizes.most_common(TYPES_SHOWN)
        ],
    )


def by_site(traced_s: float) -> Sites:
    """The lines that hold the most of what was allocated while it was traced."""
    current_bytes, peak_bytes = tracemalloc.get_traced_memory()
    tracer_bytes = tracemalloc.get_tracemalloc_memory()
    taken = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(False, tracemalloc.__file__), tracemalloc.Filter(False, __file__)]
    )
    largest = []
    for each in taken.statistics("lineno")[:SITES_SHOWN]:
        frame = each.traceback[0]
        largest.append(SiteMemory(_short(frame.filename), frame.lineno, each.count, each.size))
    return Sites(
        traced_s=round(traced_s, 1),
        bytes=current_bytes,
        peak_bytes=peak_bytes,
        tracer_bytes=tracer_bytes,
        largest=largest,
    )


def _size(thing: object) -> int:
    try:
        return sys.getsizeof(thing)
    except Exception:  # noqa: BLE001  # a library's own `__sizeof__` may fail; it then weighs nothing
        return 0


def _name(kind: type) -> str:
    module = getattr(kind, "__module__", "")
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _short(path: str) -> str:
    """Of a module of ours, or of a library, without what all have in common."""
    for root in (os.path.dirname(_PACKAGE), *_roots()):
        if path.startswith(f"{root}{os.sep}"):
            return path[len(root) + 1 :]
    return path


def _roots() -> Iterable[str]:
    """The longest first: the library's folder holds the one of the packages."""
    return sorted((each for each in sys.path if each), key=len, reverse=True)
