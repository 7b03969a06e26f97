"""The one timer, with a clock that may be set."""

from __future__ import annotations

from holdfast.work.queue.alarm import LOOK_AGAIN_S, Alarm
from tests.support.moving_clock import MovingClock


class Bell:
    def __init__(self) -> None:
        self.clock = MovingClock()
        self.rang = 0
        self.alarm = Alarm(self.ring, self.clock, self.clock.later)

    def ring(self) -> None:
        self.rang += 1

    def due_in(self, seconds: float) -> None:
        self.alarm.set(round((self.clock() + seconds) * 1_000))


def test_it_rings_once_when_something_is_due() -> None:
    bell = Bell()
    bell.due_in(5)
    bell.clock.move(4.999)
    assert bell.rang == 0
    bell.clock.move(0.001)
    bell.clock.move(1_000)
    assert bell.rang == 1


def test_what_is_due_sooner_or_not_any_more_takes_its_place() -> None:
    bell = Bell()
    bell.due_in(5)
    bell.due_in(2)
    bell.clock.move(2)
    assert bell.rang == 1
    bell.due_in(3)
    bell.alarm.set(None)
    bell.clock.move(1_000)
    assert (bell.rang, bell.clock.waiting) == (1, 0)


def test_only_one_timer_waits_however_often_it_is_set() -> None:
    bell = Bell()
    for _ in range(100):
        bell.due_in(5)
    assert bell.clock.waiting == 1


def test_what_is_due_already_rings_at_once() -> None:
    bell = Bell()
    bell.due_in(-5)
    bell.clock.move(0)
    assert bell.rang == 1


def test_a_clock_that_is_set_forward_is_noticed() -> None:
    bell = Bell()
    bell.due_in(3_600)
    real = bell.clock.now_s
    for call in (LOOK_AGAIN_S,):
        bell.clock.move(call)
    assert bell.rang == 0
    bell.clock.now_s = real + 4_000  # set, with nothing called
    bell.clock.move(0)
    assert bell.rang == 1


def test_a_clock_that_is_set_back_makes_it_wait() -> None:
    bell = Bell()
    bell.due_in(30)
    due_s = bell.clock.now_s + 30
    bell.clock.now_s -= 100
    bell.clock.move(130)  # the timer's time is over, the moment is now
    assert bell.clock.now_s == due_s
    assert bell.rang == 1
