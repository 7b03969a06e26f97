"""The catalogue: every figure that leaves the program, stated once as a function of the status.

Prometheus, OTLP, the history and the page of documentation are all made from `FIGURES`. None of
them looks at anything but a `Status`, so they cannot say otherwise than `holdfast status` does.

Names end in their unit (`_bytes`, `_seconds`, `_ratio`), counters in `_total`. Labels are of few
values, known beforehand or limited by the settings: parts of the program, agents, levels, reasons,
kinds. Never a session, a path or a process id: those grow without end, and a path says what
somebody works on.

A counter never falls while the daemon lives. What can fall, such as the bytes of logs that an agent
rewrites, is a gauge whatever else it counts.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from holdfast.metrics.catalogue import (
    alerts,
    daemon,
    health,
    kept,
    machine,
    memory,
    processes,
    queues,
    recordings,
    sessions,
    sources,
    streams,
    work,
)
from holdfast.metrics.figure import Figure, Kind, Point
from holdfast.status.model import Status

__all__ = ["FIGURES", "Figure", "Kind", "Point", "Reading", "read_all"]

FIGURES: Final[tuple[Figure, ...]] = (
    *daemon.FIGURES,
    *memory.FIGURES,
    *processes.FIGURES,
    *machine.FIGURES,
    *sessions.FIGURES,
    *kept.FIGURES,
    *sources.FIGURES,
    *recordings.FIGURES,
    *streams.FIGURES,
    *queues.FIGURES,
    *alerts.FIGURES,
    *health.FIGURES,
    *work.FIGURES,
)


class Reading(NamedTuple):
    """A figure at one moment. A platform that does not tell it leaves it without points."""

    figure: Figure
    points: tuple[Point, ...]


def read_all(status: Status) -> list[Reading]:
    return [Reading(figure, tuple(figure.read(status))) for figure in FIGURES]
