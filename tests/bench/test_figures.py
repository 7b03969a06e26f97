"""Figures, ratios, bars, quantiles."""

from __future__ import annotations

import pytest

from bench.kit.figures import Bar, Ceiling, p50, p95, p99, quantile, row


def test_a_ratio_is_figure_by_ceiling() -> None:
    assert row("wall", 3.0, "s", ceiling=Ceiling(2.0, "least")).ratio == 1.5


def test_a_ceiling_of_nothing_gives_no_ratio() -> None:
    assert row("wall", 3.0, "s", ceiling=Ceiling(0.0, "least")).ratio is None


def test_a_bar_on_the_figure_is_not_about_the_ratio() -> None:
    ceiling = Ceiling(0.1, "least")
    assert row("wall", 1.0, "s", ceiling=ceiling, bar=Bar(1.0)).holds is True
    assert row("wall", 1.1, "s", ceiling=ceiling, bar=Bar(1.0)).holds is False


def test_a_bar_on_the_ratio_is_not_about_the_figure() -> None:
    bar = Bar(2.0, "ratio")
    assert row("wall", 90.0, "s", ceiling=Ceiling(50.0, "least"), bar=bar).holds is True
    assert row("wall", 0.9, "s", ceiling=Ceiling(0.4, "least"), bar=bar).holds is False


def test_a_bar_may_have_two_ends() -> None:
    bar = Bar(1.05, "ratio", 0.95)
    holds = [
        row("bytes", figure, "MB", ceiling=Ceiling(100.0, "real"), bar=bar).holds
        for figure in (94.0, 95.0, 105.0, 106.0)
    ]
    assert holds == [False, True, True, False]


def test_a_bar_on_a_ratio_needs_a_ceiling() -> None:
    with pytest.raises(AssertionError, match="needs a ceiling"):
        row("wall", 1.0, "s", bar=Bar(1.0, "ratio"))


def test_a_quantile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(200, 0, -1)]
    assert (p50(values), p95(values), p99(values)) == (100.0, 190.0, 198.0)
    assert quantile([7.0], 0.99) == 7.0
    assert quantile([1.0, 2.0], 0.0) == 1.0


def test_bars_are_told_in_words() -> None:
    assert Bar(1.0).text("ms") == "at most 1 ms"
    assert Bar(1.5, "ratio").text("ms") == "at most 1.5x"
    assert Bar(1.05, "ratio", 0.95).text("MB") == "0.95x to 1.05x"
