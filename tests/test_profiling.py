"""What a profile says of memory that a test knows: types, lines, and the end of tracing."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from holdfast import profiling
from holdfast.profiling import NotTraced, OneAtATime, Profiler, by_site, by_type


class Leaked:
    __slots__ = ("kept",)

    def __init__(self, kept: object) -> None:
        self.kept = kept


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """A clock and its timers, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._timers: list[tuple[float, Callable[[], object], Handle]] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Handle:
        handle = Handle()
        self._timers.append((self.now_s + delay, callback, handle))
        return handle

    def advance(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while due := [each for each in self.waiting() if each[0] <= end_s]:
            first = min(due, key=lambda timer: timer[0])
            self._timers.remove(first)
            self.now_s = first[0]
            first[1]()
        self.now_s = end_s

    def waiting(self) -> list[tuple[float, Callable[[], object], Handle]]:
        return [each for each in self._timers if not each[2].cancelled]


@pytest.fixture(autouse=True)
def untraced() -> Iterator[None]:
    yield
    tracemalloc.stop()


def leak(count: int) -> list[Leaked]:
    return [Leaked(bytearray(10_000)) for _ in range(count)]


def test_what_leaks_is_found_by_its_type() -> None:
    gc.collect()
    before = {each.name: each for each in by_type().largest}
    leaked = leak(3_000)
    found = by_type()
    after = {each.name: each for each in found.largest}
    assert len(leaked) == 3_000
    name = f"{Leaked.__module__}.Leaked"
    assert name not in before or before[name].count < 3_000
    grown = after["bytearray"].count - (before["bytearray"].count if "bytearray" in before else 0)
    assert 3_000 <= grown < 3_100, "the collector does not track it, what refers to it is tracked"
    assert after["bytearray"].bytes > 30_000_000
    assert found.bytes >= sum(each.bytes for each in found.largest)


def test_what_is_frozen_is_counted_and_not_listed() -> None:
    kept = [Leaked(bytearray(10_000)) for _ in range(500)]
    gc.freeze()
    try:
        found = by_type()
        names = {each.name for each in found.largest if each.count >= 500}
        assert found.frozen_objects > len(kept)
        assert "bytearray" not in names
    finally:
        gc.unfreeze()


def test_one_object_that_many_refer_to_is_counted_once() -> None:
    shared = bytearray(50_000_000)
    kept = [Leaked(shared) for _ in range(100)]
    (found,) = [each for each in by_type().largest if each.name == "bytearray"]
    assert len(kept) == 100
    assert found.bytes < 2 * len(shared)


def test_more_objects_than_are_told_apart_are_said_to_be_missing() -> None:
    assert by_type(seen_max=10).truncated
    assert not by_type(seen_max=50_000_000).truncated


def test_what_was_allocated_while_it_was_traced_is_found_by_its_line() -> None:
    tracemalloc.start()
    kept = leak(200)
    found = by_site(1.0)
    line = leak.__code__.co_firstlineno + 1
    heaviest = found.largest[0]
    assert heaviest.file.endswith("test_profiling.py")
    assert heaviest.line == line
    assert heaviest.bytes > 200 * 10_000
    assert len(kept) == 200
    assert 0 < found.tracer_bytes < found.bytes


def test_tracing_ends_by_itself_when_its_time_is_over() -> None:
    loop = Loop()
    profiler = Profiler(loop)
    begun = profiler.start(5)
    assert (begun.on, begun.seconds_left) == (True, 5.0)
    loop.advance(4.9)
    assert profiler.tracing().on
    loop.advance(0.2)
    ended = profiler.tracing()
    assert (ended.on, ended.ended) == (False, "its time was over")
    assert ended.tracer_bytes < 10_000, "an empty table is left"
    assert loop.waiting() == []


def test_asking_again_prolongs_it_and_leaves_one_timer() -> None:
    loop = Loop()
    profiler = Profiler(loop)
    profiler.start(5)
    loop.advance(4)
    profiler.start(5)
    assert len(loop.waiting()) == 1
    loop.advance(4)
    assert profiler.tracing().on
    loop.advance(2)
    assert not profiler.tracing().on


def test_nobody_may_have_it_traced_for_ever() -> None:
    loop = Loop()
    profiler = Profiler(loop)
    assert profiler.start(1_000_000).seconds_left == 600


def test_tracing_ends_when_its_own_notes_take_too_much() -> None:
    loop = Loop()
    profiler = Profiler(loop, tracer_max_bytes=100_000)
    profiler.start(60)
    kept = [object() for _ in range(20_000)]
    loop.advance(1.5)
    ended = profiler.tracing()
    assert not ended.on
    assert "its notes took" in ended.ended
    assert len(kept) == 20_000


def test_somebody_may_end_it() -> None:
    loop = Loop()
    profiler = Profiler(loop)
    profiler.start(60)
    assert not profiler.stop().on
    assert loop.waiting() == []


def test_lines_of_what_is_not_traced_are_refused_with_the_reason() -> None:
    profiler = Profiler(Loop())
    with pytest.raises(NotTraced, match="--sites"):
        profiler._sites()
    profiler.start(5)
    profiler.stop("it rained")
    with pytest.raises(NotTraced, match="it rained"):
        profiler._sites()


def test_tracing_that_ends_before_the_snapshot_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    profiler = Profiler(Loop())
    profiler.start(5)
    take = tracemalloc.take_snapshot

    def ended_meanwhile() -> tracemalloc.Snapshot:
        profiler.stop("its time was over")
        return take()

    monkeypatch.setattr(tracemalloc, "take_snapshot", ended_meanwhile)
    with pytest.raises(NotTraced, match="its time was over"):
        profiler._sites()


def test_one_profile_is_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    profiler = Profiler(Loop())
    begun, may_end = threading.Event(), threading.Event()
    types = by_type(seen_max=0)

    def slowly() -> profiling.Types:
        begun.set()
        assert may_end.wait(30)
        return types

    monkeypatch.setattr(profiling, "by_type", slowly)
    monkeypatch.setattr(profiling, "by_component", lambda _memory: None)
    nothing: Any = None
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(profiler.profile, nothing, sites=False)
        assert begun.wait(30)
        try:
            with pytest.raises(OneAtATime, match="try again"):
                profiler.profile(nothing, sites=False)
        finally:
            may_end.set()
        assert first.result().types == types
    assert profiler.profile(nothing, sites=False).types == types, "the next one is let in"
