"""What a bench says: rows of figures, each beside the ceiling of the same run and its bar.

A figure alone says more about the machine than about the program. So a bar stands on a ratio
wherever there is something to divide by: the same work without us, on the same machine, in the same
run, taking turns with what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from bench.kit.setting import Setting


class Ceiling(msgspec.Struct, frozen=True):
    """The best that could be reached, in the unit of the figure."""

    value: float
    what: str


class Bar(msgspec.Struct, frozen=True):
    """What must be reached, on the figure or on its ratio to the ceiling."""

    most: float
    on: Literal["figure", "ratio"] = "figure"
    least: float | None = None

    def holds(self, value: float) -> bool:
        return value <= self.most and (self.least is None or value >= self.least)

    def text(self, unit: str) -> str:
        unit = "x" if self.on == "ratio" else f" {unit}"
        if self.least is not None:
            return f"{self.least:g}{unit} to {self.most:g}{unit}"
        return f"at most {self.most:g}{unit}"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a table. Make it with `row`, which fills in what follows from the rest."""

    what: str
    figure: float
    unit: str
    ceiling: Ceiling | None
    ratio: float | None
    bar: Bar | None
    holds: bool | None  # None where there is no bar


class Outcome(msgspec.Struct, kw_only=True):
    rows: list[Row]
    corpus: str  # what was measured on, with its size
    notes: list[str] = []


class Bench(Protocol):
    """A module of a bar."""

    TITLE: str

    def run(self, setting: Setting) -> Outcome: ...


def row(
    what: str,
    figure: float,
    unit: str,
    *,
    ceiling: Ceiling | None = None,
    bar: Bar | None = None,
) -> Row:
    ratio = figure / ceiling.value if ceiling is not None and ceiling.value else None
    measured = ratio if bar is not None and bar.on == "ratio" else figure
    if bar is None:
        holds = None
    else:
        assert measured is not None, f"{what}: a bar on a ratio needs a ceiling"
        holds = bar.holds(measured)
    return Row(
        what=what, figure=figure, unit=unit, ceiling=ceiling, ratio=ratio, bar=bar, holds=holds
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed: no value is made up."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def p50(values: Sequence[float]) -> float:
    return quantile(values, 0.5)


def p95(values: Sequence[float]) -> float:
    return quantile(values, 0.95)


def p99(values: Sequence[float]) -> float:
    return quantile(values, 0.99)
