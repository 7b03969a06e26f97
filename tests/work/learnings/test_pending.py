"""Timers of sessions that wait to be looked at, moved by a clock of the test."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.work.learnings.pending import DEBOUNCES_MAX, Capture, PendingCaptures


def saw(pending: PendingCaptures, session: str, position: int, now_ms: int, seq: int = 0) -> None:
    pending.saw(session, seq, seq + 1, position, now_ms, settled=False)


def taken(pending: PendingCaptures, now_ms: int) -> list[str]:
    found = []
    while capture := pending.take(now_ms):
        found.append(capture.session)
        pending.done(capture)
    return found


def test_a_session_is_due_when_it_was_quiet_for_long_enough() -> None:
    pending = PendingCaptures(100)
    saw(pending, "a", 1, now_ms=0)
    saw(pending, "b", 2, now_ms=50)
    assert pending.next_due_ms == 100
    assert taken(pending, 99) == []
    saw(pending, "a", 3, now_ms=99, seq=1)
    assert taken(pending, 150) == ["b"]
    assert taken(pending, 199) == ["a"]
    assert pending.next_due_ms is None


def test_a_session_that_is_never_quiet_is_due_all_the_same() -> None:
    pending = PendingCaptures(100)
    for now_ms in range(0, DEBOUNCES_MAX * 100, 50):
        saw(pending, "a", 1 + now_ms, now_ms, seq=now_ms)
        assert taken(pending, now_ms) == []
    capture = pending.take(DEBOUNCES_MAX * 100)
    assert capture is not None
    assert (capture.from_seq, capture.to_seq) == (0, DEBOUNCES_MAX * 100 - 50 + 1)


def test_what_is_settled_is_due_at_once() -> None:
    pending = PendingCaptures(100)
    pending.saw("a", 0, 5, 1, 0, settled=True)
    assert taken(pending, 0) == ["a"]


def test_only_so_many_wait_and_then_the_one_that_waited_longest_is_due() -> None:
    pending = PendingCaptures(100, sessions_max=2)
    saw(pending, "a", 1, 0)
    saw(pending, "b", 2, 0)
    assert pending.is_full
    assert taken(pending, 0) == []
    saw(pending, "c", 3, 0)
    assert taken(pending, 0) == ["a"]


def test_the_position_stays_before_all_that_was_not_looked_at() -> None:
    pending = PendingCaptures(100)
    saw(pending, "a", 1, 0)
    saw(pending, "b", 2, 0)
    saw(pending, "a", 3, 0, seq=1)
    assert pending.position(4) == 1
    capture = pending.take(100)
    assert capture is not None
    assert pending.position(4) == 1, "taken is not looked at"
    pending.done(capture)
    assert pending.position(4) == 2
    assert taken(pending, 100) == ["b"]
    assert pending.position(4) == 4


def test_what_failed_is_tried_again_with_what_came_meanwhile() -> None:
    pending = PendingCaptures(100)
    saw(pending, "a", 1, 0)
    capture = pending.take(100)
    assert capture is not None
    saw(pending, "a", 2, 110, seq=1)
    pending.failed(capture, 120)
    assert taken(pending, 219) == []
    again = pending.take(220)
    assert again is not None
    assert (again.from_seq, again.to_seq, again.position) == (0, 2, 1)


def test_in_a_hurry_all_are_due() -> None:
    pending = PendingCaptures(100)
    saw(pending, "a", 1, 0)
    saw(pending, "b", 2, 0)
    pending.hurry(5)
    assert taken(pending, 5) == ["a", "b"]


STEPS = st.lists(
    st.tuples(st.sampled_from(["saw", "take", "done", "failed"]), st.sampled_from("abc")),
    max_size=60,
)


@given(STEPS)
def test_nothing_is_ever_behind_the_position_that_was_not_looked_at(
    steps: list[tuple[str, str]],
) -> None:
    pending = PendingCaptures(10, sessions_max=2)
    unseen: dict[str, set[int]] = {"a": set(), "b": set(), "c": set()}
    places: dict[tuple[str, int], int] = {}
    seqs = dict.fromkeys("abc", 0)
    taken_now: list[Capture] = []
    position = 1
    for now_ms, (step, session) in enumerate(steps):
        if step == "saw":
            places[session, seqs[session]] = position
            unseen[session].add(position)
            saw(pending, session, position, now_ms * 5, seqs[session])
            seqs[session] += 1
            position += 1
        elif step == "take" and (capture := pending.take(now_ms * 5)):
            taken_now.append(capture)
        elif step == "done" and taken_now:
            capture = taken_now.pop()
            pending.done(capture)
            looked_at = range(capture.from_seq, capture.to_seq)
            unseen[capture.session] -= {places[capture.session, seq] for seq in looked_at}
        elif step == "failed" and taken_now:
            pending.failed(taken_now.pop(), now_ms * 5)
        waiting = [each for several in unseen.values() for each in several]
        assert pending.position(position) <= min([position, *waiting])
