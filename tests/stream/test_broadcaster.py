"""One ring for all who listen, bounded by number, bytes and age; who is slow holds nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from holdfast.governor import Level
from holdfast.stream.broadcaster import Broadcaster
from holdfast.stream.frames import FRAME_BYTES, Frame


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def frame(position: int, size: int = 60) -> Frame:
    line = b'{"kind":"thing.happened"'
    return Frame(position, "stream", "orders", line + b" " * (size - len(line) - 1) + b"}")


def ring(
    clock: Clock | None = None, *, capacity: int = 10, ttl_s: float = 60.0, max_bytes: int = 10**6
) -> Broadcaster:
    return Broadcaster(
        capacity=capacity, ttl_s=ttl_s, clock_s=clock or Clock(), max_bytes=max_bytes
    )


def fill(held: Broadcaster, first: int, last: int) -> None:
    for position in range(first, last + 1):
        held.publish([frame(position)], position + 1)


def positions(held: Broadcaster, position: int) -> list[int] | None:
    frames = held.behind(position)
    return None if frames is None else [each.position for each in frames]


def test_who_listens_gets_what_is_behind_a_position() -> None:
    held = ring()
    fill(held, 1, 3)
    assert positions(held, 1) == [1, 2, 3]
    assert positions(held, 3) == [3]
    assert positions(held, 4) == []


def test_the_oldest_leave_and_who_wants_them_is_told_to_look_elsewhere() -> None:
    held = ring(capacity=3)
    fill(held, 1, 5)
    assert positions(held, 2) is None
    assert positions(held, 3) == [3, 4, 5]
    assert (held.start, held.kept_from, held.dropped) == (3, 3, 2)


def test_frames_grow_too_old() -> None:
    clock = Clock()
    held = ring(clock, ttl_s=60.0)
    fill(held, 1, 2)
    clock.now_s += 50
    fill(held, 3, 3)
    clock.now_s += 11
    held.tick()
    assert positions(held, 2) is None
    assert positions(held, 3) == [3]


def test_bytes_are_those_of_the_frames_with_what_is_sent() -> None:
    held = ring(max_bytes=3 * (FRAME_BYTES + 120))
    fill(held, 1, 4)
    assert held.usage().bytes == 3 * (FRAME_BYTES + 120)
    assert positions(held, 1) is None
    assert positions(held, 2) == [2, 3, 4]


def test_what_is_passed_over_makes_nobody_late() -> None:
    held = ring()
    fill(held, 1, 3)
    held.pass_over(50)
    assert positions(held, 2) is None
    assert held.kept_from == 1
    assert positions(held, 50) == []
    fill(held, 50, 50)
    assert positions(held, 50) == [50]


def test_a_frame_is_encoded_once() -> None:
    held = ring()
    fill(held, 1, 1)
    [first], [second] = list(held.behind(1) or ()), list(held.behind(1) or ())
    assert first.sse() is second.sse()
    assert first.sse() == b"id: 1\nevent: thing.happened\ndata: " + first.line + b"\n\n"


def test_relief_gives_back_the_oldest() -> None:
    held = ring()
    fill(held, 1, 4)
    one = FRAME_BYTES + 120
    assert held.relieve(Level.HIGH, one + 1) == 2 * one
    assert positions(held, 3) == [3, 4]


def test_who_waits_is_woken_by_what_comes_by_a_tick_and_by_the_end() -> None:
    async def wait() -> list[bool]:
        held = ring()
        woken = []
        wakes: list[Callable[[], None]] = [partial(fill, held, 1, 1), held.tick, held.close]
        for wake in wakes:
            waiting = asyncio.ensure_future(held.changed(held.end))
            await asyncio.sleep(0)
            woken.append(waiting.done())
            wake()
            await asyncio.wait_for(waiting, 30)
            woken.append(waiting.done())
        await asyncio.wait_for(held.changed(held.end), 30)  # closed: nothing to wait for
        return woken

    assert asyncio.run(wait()) == [False, True] * 3
