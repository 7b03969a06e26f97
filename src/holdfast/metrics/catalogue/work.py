"""Work queues."""

from __future__ import annotations

from typing import Final

from holdfast.metrics.figure import (
    Figure,
    Point,
)

STATES: Final = ("ready", "delayed", "waiting", "claimed", "dead")


FIGURES: Final = (
    Figure(
        "holdfast_work_items",
        "gauge",
        "Items of work queues by state; all but the `dead` are pending.",
        lambda s: [Point((each,), getattr(s.work, each)) for each in STATES],
        ("state",),
    ),
    Figure(
        "holdfast_work_items_max",
        "gauge",
        "How many items may be pending.",
        lambda s: [Point((), s.work.pending_max)],
    ),
    Figure(
        "holdfast_work_oldest_seconds",
        "gauge",
        "How long the oldest pending item has been in its queue.",
        lambda s: [] if s.work.oldest_age_s is None else [Point((), s.work.oldest_age_s)],
    ),
    Figure(
        "holdfast_work_queues",
        "gauge",
        "Queues that have items.",
        lambda s: [Point((), s.work.queues)],
    ),
    Figure(
        "holdfast_work_waiting_for_room",
        "gauge",
        "Who has items to enqueue and waits until some are pending no more.",
        lambda s: [Point((), s.work.waiting_for_room)],
    ),
    Figure(
        "holdfast_work_waiting_for_work",
        "gauge",
        "Who waits for an item to claim.",
        lambda s: [Point((), s.work.waiting_for_work)],
    ),
)
