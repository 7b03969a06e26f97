"""How long what failed is left alone."""

from __future__ import annotations

from holdfast.work.queue import Backoff


def test_it_doubles_up_to_its_end_and_half_of_it_is_chance() -> None:
    backoff = Backoff(base_ms=1_000, max_ms=5_000)
    attempts = range(1, 6)
    assert [backoff.delay_ms(each, lambda: 1.0) for each in attempts] == [
        *(1_000, 2_000, 4_000, 5_000, 5_000)
    ]
    assert [backoff.delay_ms(each, lambda: 0.0) for each in attempts] == [
        *(500, 1_000, 2_000, 2_500, 2_500)
    ]


def test_a_thousandth_attempt_is_no_number_without_end() -> None:
    assert Backoff(base_ms=1, max_ms=600_000).delay_ms(1_000, lambda: 1.0) == 600_000


def test_two_that_failed_together_do_not_come_back_together() -> None:
    assert len({Backoff().delay_ms(5) for _ in range(50)}) > 10
