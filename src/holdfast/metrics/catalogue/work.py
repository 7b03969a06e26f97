"""Tasks, checkpoints and intents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from holdfast.metrics.figure import Figure, Number, Point, Read, single
from holdfast.status.model import Status
from holdfast.work import WorkStatus


def _from_work(read: Callable[[WorkStatus], Number | None]) -> Read:
    return single(lambda status: None if status.work is None else read(status.work))


def _states(status: Status) -> Iterator[Point]:
    for state, count in status.work.tasks.states.items() if status.work is not None else ():
        yield Point((state,), count)


FIGURES: Final = (
    Figure(
        "holdfast_work_tasks",
        "gauge",
        "Tasks of agents and programs that are unfinished or ended lately, by state.",
        _states,
        ("state",),
    ),
    Figure(
        "holdfast_work_tasks_watched",
        "gauge",
        "How many of them are at work, so watched for silence.",
        _from_work(lambda w: w.tasks.observer.active),
    ),
    Figure(
        "holdfast_work_looks_total",
        "counter",
        "How often it was looked for stuck tasks.",
        _from_work(lambda w: w.tasks.observer.looks),
    ),
    Figure(
        "holdfast_work_looks_failed_total",
        "counter",
        "How many of these looks failed.",
        _from_work(lambda w: w.tasks.observer.failed_looks),
    ),
    Figure(
        "holdfast_work_stuck_total",
        "counter",
        "How often a task was found that is silent or takes too long.",
        _from_work(lambda w: w.tasks.observer.stuck),
    ),
    Figure(
        "holdfast_work_look_interval_seconds",
        "gauge",
        "Until the next look; not there while nothing is due.",
        _from_work(lambda w: w.tasks.observer.interval_s),
    ),
    Figure(
        "holdfast_checkpoints_pending",
        "gauge",
        "Checkpoints that wait for a person.",
        _from_work(lambda w: w.checkpoints.pending),
        kept=True,
    ),
    Figure(
        "holdfast_checkpoints_ended",
        "gauge",
        "Those that ended lately and are in memory.",
        _from_work(lambda w: w.checkpoints.ended),
    ),
    Figure(
        "holdfast_checkpoints_waiting",
        "gauge",
        "Connections that wait for an answer.",
        _from_work(lambda w: w.checkpoints.waiting),
    ),
    Figure(
        "holdfast_intents_active",
        "gauge",
        "Intents that are active.",
        _from_work(lambda w: w.intents.active),
    ),
    Figure(
        "holdfast_intents_ended",
        "gauge",
        "Those that ended and are in memory.",
        _from_work(lambda w: w.intents.ended),
    ),
    Figure(
        "holdfast_work_timers",
        "gauge",
        "Deadlines that are waited for, with one timer.",
        _from_work(lambda w: w.timers),
    ),
)
