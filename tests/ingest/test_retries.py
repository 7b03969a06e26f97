"""What fails is tried again ever less often, until it was read."""

from __future__ import annotations

from holdfast.ingest.retries import FAILING_MAX, FIRST_S, LONGEST_S, Retries


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_each_failure_doubles_the_rest_up_to_the_longest() -> None:
    retries = Retries(Clock())
    rests = [retries.failed("a") for _ in range(10)]
    assert rests[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert rests[-2:] == [LONGEST_S, LONGEST_S]
    assert retries.failed("b") == FIRST_S, "others have a count of their own"


def test_it_rests_until_its_time_has_come() -> None:
    clock = Clock()
    retries = Retries(clock)
    assert not retries.rests("a")
    rest_s = retries.failed("a")
    assert retries.rests("a")
    clock.now_s += rest_s
    assert not retries.rests("a")


def test_what_was_read_begins_anew() -> None:
    retries = Retries(Clock())
    retries.failed("a")
    retries.failed("a")
    retries.over("a")
    assert not retries.rests("a")
    assert retries.failed("a") == FIRST_S


def test_no_more_are_remembered_than_were_said() -> None:
    retries = Retries(Clock())
    for number in range(FAILING_MAX + 1):
        retries.failed(str(number))
    assert not retries.rests("0")
    assert retries.rests("1")
