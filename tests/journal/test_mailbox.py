"""What waits for the writer is in order, bounded, taken in groups, and refused once closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from holdfast.journal import mailbox as module
from holdfast.journal.conformance import known
from holdfast.journal.mailbox import URGENT_TURNS, Call, JournalClosed, Mailbox, Post, Write
from holdfast.journal.model import Batch, Text
from tests.support.waiting import until


def write(number: int = 0, size: int = 10) -> Write:
    return Write(Batch(facts=known("s"), first_seq=number, lines=b"x" * size), durable=False)


def call() -> Call:
    return Call(lambda _writer: None)


def numbers(work: object) -> list[int]:
    assert isinstance(work, list)
    return [each.batch.first_seq for each in work]


@contextmanager
def waiting(mailbox: Mailbox, work: Callable[[], object]) -> Iterator[list[object]]:
    """Runs something that blocks in a thread; what came of it is in the list once it ends."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(work())
        except JournalClosed as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    conditions = (mailbox._room, mailbox._mail)
    until(lambda: any(each._waiters for each in conditions), "it waits")  # type: ignore[attr-defined]  # no public way to see who waits
    assert outcome == []
    yield outcome
    thread.join(30)
    assert not thread.is_alive()


def test_what_is_put_is_taken_in_order_as_one_group() -> None:
    mailbox = Mailbox()
    for number in range(5):
        mailbox.put(write(number))
    assert len(mailbox) == 5
    assert numbers(mailbox.take(wait=True)) == [0, 1, 2, 3, 4]
    assert len(mailbox) == 0
    assert mailbox.take(wait=False) == []


def test_a_call_ends_a_group_and_comes_in_its_turn() -> None:
    mailbox = Mailbox()
    between = call()
    for item in (write(0), write(1), between, write(2)):
        mailbox.put(item)
    assert numbers(mailbox.take(wait=True)) == [0, 1]
    assert mailbox.take(wait=True) is between
    assert numbers(mailbox.take(wait=True)) == [2]


def test_a_group_is_bounded_by_number_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUP_BATCHES_MAX", 3)
    monkeypatch.setattr(module, "GROUP_BYTES_MAX", 100)
    mailbox = Mailbox()
    for number, size in enumerate((1, 1, 1, 60, 60, 1)):
        mailbox.put(write(number, size))
    groups = [numbers(mailbox.take(wait=True)) for _ in range(3)]
    assert groups == [[0, 1, 2], [3, 4], [5]]


def test_bytes_are_those_of_lines_and_texts() -> None:
    batch = Batch(facts=known("s"), first_seq=0, lines=b"12345", texts=[Text(0, 0, "né".encode())])
    mailbox = Mailbox()
    mailbox.put(Write(batch, durable=False))
    assert mailbox.bytes == 8
    mailbox.take(wait=True)
    assert mailbox.bytes == 0


@pytest.mark.parametrize("mailbox", [Mailbox(waiting_max=2), Mailbox(waiting_bytes_max=25)])
def test_who_puts_too_much_waits_for_room(mailbox: Mailbox) -> None:
    mailbox.put(write(0))
    mailbox.put(write(1))
    with waiting(mailbox, lambda: mailbox.put(write(2))) as outcome:
        assert numbers(mailbox.take(wait=True)) == [0, 1]
    assert outcome == [None]
    assert numbers(mailbox.take(wait=True)) == [2]


def test_something_larger_than_the_bound_goes_in_alone() -> None:
    mailbox = Mailbox(waiting_bytes_max=25)
    mailbox.put(write(0, size=1_000))
    with waiting(mailbox, lambda: mailbox.put(write(1))) as outcome:
        assert numbers(mailbox.take(wait=True)) == [0]
    assert outcome == [None]


def test_who_takes_waits_for_mail() -> None:
    mailbox = Mailbox()
    with waiting(mailbox, lambda: mailbox.take(wait=True)) as outcome:
        mailbox.put(write(7))
    assert numbers(outcome[0]) == [7]


def test_who_takes_waits_no_longer_than_told() -> None:
    mailbox = Mailbox()
    assert mailbox.take(wait=True, at_most_s=0.001) == []
    mailbox.put(write(7))
    assert numbers(mailbox.take(wait=True, at_most_s=0.001)) == [7]
    mailbox.close()
    assert mailbox.take(wait=True, at_most_s=0.001) is None


def test_a_closed_mailbox_refuses_what_comes_and_gives_what_it_has() -> None:
    mailbox = Mailbox()
    mailbox.put(write(0))
    mailbox.close()
    with pytest.raises(JournalClosed):
        mailbox.put(write(1))
    assert numbers(mailbox.take(wait=True)) == [0]
    assert mailbox.take(wait=True) is None
    assert mailbox.take(wait=False) is None


def test_who_waits_for_room_is_refused_at_closing() -> None:
    """Else it would slip in behind the last look, and wait for ever."""
    mailbox = Mailbox(waiting_max=1)
    mailbox.put(write(0))
    with waiting(mailbox, lambda: mailbox.put(write(1))) as outcome:
        mailbox.close()
    assert isinstance(outcome[0], JournalClosed)
    assert numbers(mailbox.take(wait=True)) == [0]
    assert mailbox.take(wait=True) is None


def test_who_waits_for_mail_hears_of_the_closing() -> None:
    mailbox = Mailbox()
    with waiting(mailbox, lambda: mailbox.take(wait=True)) as outcome:
        mailbox.close()
    assert outcome == [None]


def test_a_promise_cannot_be_called_off() -> None:
    """Whoever stops waiting must not make the thread that keeps it fail."""
    item = write()
    assert not item.done.cancel()
    item.done.set_result(None)


def test_what_is_offered_goes_in_only_where_there_is_room() -> None:
    mailbox = Mailbox(waiting_max=2)
    assert mailbox.offer(write(1))
    assert mailbox.offer(write(2))
    assert not mailbox.offer(write(3))
    assert numbers(mailbox.take(wait=False)) == [1, 2]
    mailbox.close()
    with pytest.raises(JournalClosed):
        mailbox.offer(call())


def test_what_is_urgent_goes_first_and_then_in_turns() -> None:
    mailbox = Mailbox()
    for number in range(3):
        mailbox.put(write(number))
        mailbox.put(write(10 + number), urgent=True)
    assert numbers(mailbox.take(wait=False)) == [10, 11, 12]
    for number in range(13, 13 + URGENT_TURNS - 1):
        mailbox.put(write(number), urgent=True)
        assert numbers(mailbox.take(wait=False)) == [number]
    mailbox.put(write(20), urgent=True)
    assert numbers(mailbox.take(wait=False)) == [0, 1, 2], "the others have their turn"
    mailbox.put(write(3))
    assert numbers(mailbox.take(wait=False)) == [20]
    assert numbers(mailbox.take(wait=False)) == [3]
    assert (len(mailbox), mailbox.bytes) == (0, 0)


def test_what_was_urgent_before_the_others_came_is_no_turn_of_theirs() -> None:
    """A line behind a quiet stretch does not wait for a group of an import first."""
    mailbox = Mailbox()
    for number in range(2 * URGENT_TURNS):
        mailbox.put(write(number), urgent=True)
        assert numbers(mailbox.take(wait=False)) == [number]
    mailbox.put(write(50))
    mailbox.put(write(60), urgent=True)
    assert numbers(mailbox.take(wait=False)) == [60]


def test_a_call_waits_for_all_that_was_put_before_it_and_no_longer() -> None:
    mailbox = Mailbox()
    mailbox.put(write(0))
    mailbox.put(write(10), urgent=True)
    mailbox.put(Post([]), urgent=True)
    call = Call(lambda _writer: None)
    mailbox.put(call)
    mailbox.put(write(11), urgent=True)
    taken = [mailbox.take(wait=False) for _ in range(5)]
    assert numbers(taken[0]) == [10]
    assert isinstance(taken[1], list)
    assert isinstance(taken[1][0], Post)
    assert numbers(taken[2]) == [11]
    assert numbers(taken[3]) == [0]
    assert taken[4] is call


def test_a_call_does_not_wait_for_ever_for_what_is_urgent() -> None:
    mailbox = Mailbox()
    call = Call(lambda _writer: None)
    mailbox.put(write(0), urgent=True)
    mailbox.put(call)
    taken = []
    for number in range(1, 2 * URGENT_TURNS):
        taken.append(mailbox.take(wait=False))
        mailbox.put(write(number), urgent=True)
    assert taken.index(call) == 1 + URGENT_TURNS, "the first was there before it"
