"""Alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from holdfast.alerts import AlertStatus
from holdfast.metrics.figure import (
    Figure,
    Number,
    Point,
    Read,
    single,
)
from holdfast.status.model import Status


def _of_alerts(read: Callable[[AlertStatus], Number]) -> Read:
    def points(status: Status) -> Iterator[Point]:
        for each in status.alerts.rules if status.alerts is not None else ():
            yield Point((each.name, each.severity), read(each))

    return points


FIGURES: Final = (
    Figure(
        "holdfast_alert_firing",
        "gauge",
        "1 while a rule of holdfast's own alerts fires.",
        _of_alerts(lambda a: int(a.state == "firing")),
        ("alert", "severity"),
    ),
    Figure(
        "holdfast_alert_age_seconds",
        "gauge",
        "How long it has been in its state; 0 when quiet.",
        _of_alerts(lambda a: a.for_s),
        ("alert", "severity"),
    ),
    Figure(
        "holdfast_alert_silenced_seconds",
        "gauge",
        "How much longer nobody is told of it.",
        _of_alerts(lambda a: a.silenced_s),
        ("alert", "severity"),
    ),
    Figure(
        "holdfast_alert_told_total",
        "counter",
        "How often somebody was told of it since the start.",
        _of_alerts(lambda a: a.told),
        ("alert", "severity"),
    ),
    Figure(
        "holdfast_restart_recommended",
        "gauge",
        "How many rules that fire recommend a restart.",
        single(lambda s: 0 if s.alerts is None else len(s.alerts.restart_recommended)),
    ),
)
