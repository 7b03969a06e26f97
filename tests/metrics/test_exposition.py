"""What Prometheus gets is read here with Prometheus' own library for Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_plain

from holdfast.metrics.exposition import OPENMETRICS, PLAIN, Dialect, dialect_for, exposition
from holdfast.metrics.figures import Figure, Point, Reading, read_all
from tests.support.statuses import full_status

Read = Callable[[str], Iterable[Any]]
DIALECTS = pytest.mark.parametrize(
    ("dialect", "read"), [(PLAIN, read_plain), (OPENMETRICS, read_open)], ids=["plain", "open"]
)


def samples(families: Iterable[Any]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


@DIALECTS
def test_every_figure_arrives_with_its_value_type_unit_and_help(
    dialect: Dialect, read: Read
) -> None:
    readings = read_all(full_status())
    families = list(read(exposition(readings, dialect)))
    expected = {
        (figure.name, frozenset(zip(figure.labels, point.labels, strict=True))): point.value
        for figure, points in readings
        for point in points
    }
    assert samples(families) == expected
    by_name = {family.name: family for family in families}
    for figure, points in readings:
        if points:
            family = by_name[figure.name.removesuffix("_total")]
            assert family.type == figure.kind
            assert family.documentation == figure.help
            if dialect is OPENMETRICS:
                assert family.unit == figure.unit


@DIALECTS
@pytest.mark.parametrize("text", ['say "hi"', "back\\slash", "two\nlines", "\\n", "päper €"])
def test_whatever_stands_in_a_label_comes_back(dialect: Dialect, read: Read, text: str) -> None:
    figure = Figure("holdfast_x", "gauge", "A \\ and a line\nbreak.", lambda _s: [], ("kind",))
    family = next(iter(read(exposition([Reading(figure, (Point((text,), 1),))], dialect))))
    assert family.samples[0].labels == {"kind": text}
    assert family.documentation == figure.help


@DIALECTS
@pytest.mark.parametrize("value", [0, 1 << 62, -5, 0.1, 1e-9, 1.7e300])
def test_no_digit_is_lost(dialect: Dialect, read: Read, value: float) -> None:
    figure = Figure("holdfast_x", "gauge", "It.", lambda _s: [])
    family = next(iter(read(exposition([Reading(figure, (Point((), value),))], dialect))))
    assert family.samples[0].value == value


def test_a_figure_that_nobody_tells_is_not_named() -> None:
    figure = Figure("holdfast_x", "gauge", "It.", lambda _s: [])
    assert exposition([Reading(figure, ())]) == "\n"


@pytest.mark.parametrize(
    ("accept", "dialect"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/plain", PLAIN),
        ("application/openmetrics-text; version=1.0.0", OPENMETRICS),
        # As Prometheus 2 and 3 ask.
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
            OPENMETRICS,
        ),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.9", PLAIN),
        ("application/openmetrics-text;q=0", PLAIN),
        ("application/openmetrics-text;q=high", PLAIN),
    ],
)
def test_who_asks_for_openmetrics_gets_it(accept: str, dialect: Dialect) -> None:
    assert dialect_for(accept) == cast("object", dialect)
