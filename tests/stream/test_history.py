"""The newest events in memory: bounded by number and bytes, without gaps, the oldest first out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.governor import Level
from holdfast.journal.streams import Committed
from holdfast.stream.history import RUN_BYTES, SLACK_MAX, EventHistory


def run(position: int, count: int = 1, *, size: int = 10, sealed: bool = False) -> Committed:
    lines = b"" if sealed else (b"x" * (size - 1) + b"\n") * count
    return Committed(position, "s", "stream", "orders", position - 1, count, lines)


def history(*, max_events: int = 100, max_bytes: int = 1_000_000, start: int = 1) -> EventHistory:
    return EventHistory(max_events=max_events, max_bytes=max_bytes, start=start)


def test_a_run_is_found_by_any_of_its_positions() -> None:
    held = history(start=5)
    held.add(run(5, 3))
    held.add(run(8))
    assert [getattr(held.run_at(at), "position", None) for at in range(4, 10)] == [
        None,
        5,
        5,
        5,
        8,
        None,
    ]
    assert (held.start, held.end) == (5, 9)


def test_the_oldest_leave_when_there_are_too_many_events() -> None:
    held = history(max_events=3)
    for position in range(1, 6):
        held.add(run(position))
    assert (held.start, held.end, held.events) == (3, 6, 3)
    assert held.run_at(2) is None


def test_the_oldest_leave_when_they_take_too_many_bytes() -> None:
    held = history(max_bytes=2 * (RUN_BYTES + 100))
    for position in range(1, 4):
        held.add(run(position, size=100))
    assert (held.start, held.end) == (2, 4)
    held.add(run(4, size=10_000))  # larger than all there is room for
    assert (held.start, held.end) == (5, 5)
    assert held.usage().bytes == 0


def test_a_sealed_run_holds_its_place_and_counts_no_event() -> None:
    held = history(max_events=2)
    held.add(run(1, 50, sealed=True))
    held.add(run(51))
    found = held.run_at(20)
    assert found is not None
    assert found.lines == b""
    assert (held.start, held.events) == (1, 1)


def test_a_gap_forgets_what_was_before_it() -> None:
    held = history()
    held.add(run(1))
    held.add(run(5))
    assert (held.start, held.end) == (5, 6)
    assert held.run_at(1) is None


def test_relief_gives_back_the_oldest() -> None:
    held = history()
    for position in range(1, 11):
        held.add(run(position, size=100))
    freed = held.relieve(Level.HIGH, 3 * (RUN_BYTES + 100))
    assert freed == 3 * (RUN_BYTES + 100)
    assert held.start == 4
    assert held.relieve(Level.CRITICAL, 10**9) == 7 * (RUN_BYTES + 100)
    assert (held.start, held.end) == (11, 11)
    held.add(run(11))
    assert held.run_at(11) is not None


def test_places_of_what_left_are_given_back() -> None:
    held = history(max_events=10)
    for position in range(1, 5 * SLACK_MAX):
        held.add(run(position))
    assert len(held._runs) <= 2 * SLACK_MAX + 11
    assert held.events == 10


@given(
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=60),
    st.integers(1, 20),
    st.integers(200, 2_000),
)
def test_bounds_hold_and_what_is_held_is_the_end_of_what_came(
    runs: list[tuple[int, bool]], max_events: int, max_bytes: int
) -> None:
    held = history(max_events=max_events, max_bytes=max_bytes)
    position = 1
    came: dict[int, Committed] = {}
    for count, sealed in runs:
        each = run(position, count, sealed=sealed)
        came |= dict.fromkeys(range(position, position + count), each)
        held.add(each)
        position += count
        usage = held.usage()
        assert usage.bytes <= max_bytes
        assert usage.items <= max_events
        assert held.end == position
        inside = {at: held.run_at(at) for at in range(1, position)}
        assert inside == {at: each if at >= held.start else None for at, each in came.items()}


def test_runs_are_given_from_a_position_on_up_to_so_many_bytes() -> None:
    held = history()
    held.add(run(1, 4))
    held.add(run(5, 2))
    held.add(run(7, 3, sealed=True))
    found = held.runs(3, 1_000)
    assert [(each.position, each.first_seq, each.count) for each in found] == [(3, 2, 2), (5, 4, 2)]
    assert [len(each.lines) for each in found] == [20, 20]
    assert [(each.position, each.count) for each in held.runs(1, 15)] == [(1, 2)]
    assert [(each.position, each.count) for each in held.runs(1, 1)] == [(1, 1)]
    assert held.runs(7, 1_000) == []
    assert held.runs(0, 1_000) == []
