"""Rules and figures in, changes out."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.alerts.engine import Alerts
from holdfast.alerts.rules import AlertRule

RULE = AlertRule(name="busy", condition="threads > 10 for 30s", actions=("log", "throttle"))


class Bench:
    def __init__(self, *rules: AlertRule, repeat_s: float = 600) -> None:
        self.alerts = Alerts(rules or (RULE,), repeat_s=repeat_s)
        self.now_s = 1_000.0

    def step(self, threads: float | None, *, after_s: float = 0) -> list[str]:
        self.now_s += after_s
        notices = self.alerts.step({"threads": threads}, self.now_s, self.now_s)
        return [f"{each.rule} {each.what}" for each in notices]

    def state(self) -> str:
        return self.alerts.status(self.now_s, self.now_s)[0].state


def test_it_fires_once_it_held_long_enough_and_ends_once_it_was_untrue_as_long() -> None:
    bench = Bench()
    assert (bench.step(11), bench.state()) == ([], "pending")
    assert bench.step(11, after_s=29) == []
    assert (bench.step(11, after_s=1), bench.state()) == (["busy began"], "firing")
    assert (bench.step(9, after_s=5), bench.state()) == ([], "firing")
    assert bench.step(9, after_s=29) == []
    assert (bench.step(9, after_s=1), bench.state()) == (["busy ended"], "quiet")


def test_what_stops_too_early_begins_anew() -> None:
    bench = Bench()
    bench.step(11)
    assert (bench.step(9, after_s=20), bench.state()) == ([], "quiet")
    bench.step(11, after_s=5)
    assert bench.step(11, after_s=20) == []
    assert bench.step(11, after_s=10) == ["busy began"]


def test_a_figure_that_dances_on_its_line_is_told_once() -> None:
    bench = Bench()
    bench.step(11)
    told = bench.step(11, after_s=30)
    for _ in range(20):
        told += bench.step(9, after_s=10)
        told += bench.step(11, after_s=10)
    assert told == ["busy began"]


def test_without_a_time_it_fires_and_ends_at_once() -> None:
    bench = Bench(AlertRule(name="now", condition="threads > 10"))
    assert bench.step(11) == ["now began"]
    assert bench.step(10) == ["now ended"]


def test_it_is_told_again_at_the_interval_of_its_rule_or_else_of_all() -> None:
    rules = [
        AlertRule(name="often", condition="threads > 10", repeat_secs=60),
        AlertRule(name="usual", condition="threads > 10"),
        AlertRule(name="once", condition="threads > 10", repeat_secs=0),
    ]
    bench = Bench(*rules, repeat_s=100)
    assert bench.step(11) == ["often began", "usual began", "once began"]
    assert bench.step(11, after_s=59) == []
    assert bench.step(11, after_s=1) == ["often goes on"]
    assert bench.step(11, after_s=40) == ["usual goes on"]
    assert bench.step(11, after_s=20) == ["often goes on"]


def test_of_a_silenced_rule_nobody_is_told_until_the_silence_ends() -> None:
    bench = Bench(AlertRule(name="busy", condition="threads > 10"))
    bench.alerts.silence("busy", bench.now_s + 50)
    assert bench.step(11) == []
    assert bench.alerts.status(bench.now_s, bench.now_s)[0].silenced_s == 50
    assert bench.alerts.silenced(bench.now_s) == {"busy": 50}
    assert bench.step(11, after_s=49) == []
    assert bench.step(11, after_s=1) == ["busy goes on"]
    assert bench.alerts.silenced(bench.now_s) == {}


def test_of_an_end_nobody_is_told_who_was_not_told_of_its_beginning() -> None:
    bench = Bench(AlertRule(name="busy", condition="threads > 10"))
    bench.step(11)
    assert bench.step(9) == ["busy ended"]
    bench.alerts.silence("busy", bench.now_s + 10)
    assert bench.step(11, after_s=1) == []
    assert bench.step(9, after_s=20) == []


def test_who_fires_and_asks_for_an_action() -> None:
    bench = Bench()
    bench.alerts.silence("busy", bench.now_s + 1_000)
    bench.step(11)
    assert bench.alerts.firing("throttle") == []
    bench.step(11, after_s=30)
    assert (bench.alerts.firing("throttle"), bench.alerts.firing("page")) == (["busy"], [])


def test_a_figure_that_is_unknown_never_fires_and_is_shown_as_unknown() -> None:
    bench = Bench()
    assert bench.step(None) + bench.step(None, after_s=100) == []
    assert bench.alerts.status(bench.now_s, bench.now_s)[0].values == {"threads": None}


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(8, 13)), max_size=60))
def test_beginnings_and_ends_take_turns_with_the_time_of_the_rule_between(
    readings: list[tuple[float, int]],
) -> None:
    bench = Bench(repeat_s=0)
    told: list[tuple[str, float]] = []
    for after_s, threads in readings:
        told += [(what, bench.now_s) for what in bench.step(threads, after_s=after_s)]
    assert [what for what, _ in told] == (["busy began", "busy ended"] * len(told))[: len(told)]
    assert all(later - earlier >= 30 for (_, earlier), (_, later) in pairwise(told))
