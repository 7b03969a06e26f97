"""Import children are limited in sum, and whoever waits for one is served in turn."""

from __future__ import annotations

import threading

from holdfast.ingest.slots import ChildSlots
from tests.support.waiting import until


def never() -> bool:
    return False


class Waiter:
    """Somebody who wants a place, on a thread of its own."""

    def __init__(self, slots: ChildSlots) -> None:
        self.got: bool | None = None
        self.over = False
        self.thread = threading.Thread(target=self._wait, args=(slots,), daemon=True)
        self.thread.start()

    def _wait(self, slots: ChildSlots) -> None:
        self.got = slots.take(self, lambda: self.over)


def test_there_are_no_more_places_than_were_said_whoever_takes_them() -> None:
    slots = ChildSlots(2)
    assert slots.take("import", never)
    assert slots.take("rewritten log", never)
    late = Waiter(slots)
    until(lambda: slots.wanted_beside("import"), "a place")
    assert late.got is None
    slots.give_back()
    until(lambda: late.got is not None, "a place")
    assert late.got is True


def test_who_came_first_is_served_first() -> None:
    slots = ChildSlots(1)
    assert slots.take("import", never)
    first = Waiter(slots)
    until(lambda: slots.wanted_beside("import"), "a place")
    second = Waiter(slots)
    until(lambda: slots.wanted_beside(first), "a place")
    slots.give_back()
    until(lambda: first.got is not None, "a place")
    assert second.got is None
    slots.give_back()
    until(lambda: second.got is not None, "a place")


def test_who_waits_for_a_second_place_does_not_press_itself() -> None:
    slots = ChildSlots(1)
    assert slots.take("import", never)
    waiting = Waiter(slots)
    until(lambda: slots.wanted_beside("import"), "a place")
    assert not slots.wanted_beside(waiting)
    slots.give_back()
    until(lambda: waiting.got is not None, "a place")


def test_who_has_no_use_for_a_place_any_more_stops_waiting() -> None:
    slots = ChildSlots(1)
    assert slots.take("import", never)
    waiting = Waiter(slots)
    until(lambda: slots.wanted_beside("import"), "a place")
    waiting.over = True
    slots.look_again()
    until(lambda: waiting.got is not None, "a place")
    assert waiting.got is False
    assert not slots.wanted_beside("import")
