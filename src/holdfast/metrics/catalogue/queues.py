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
        "holdfast_queue_items",
        "gauge",
        "Items of work queues by state; all but the `dead` are pending.",
        lambda s: [Point((each,), getattr(s.queues, each)) for each in STATES],
        ("state",),
    ),
    Figure(
        "holdfast_queue_items_max",
        "gauge",
        "How many items may be pending.",
        lambda s: [Point((), s.queues.pending_max)],
    ),
    Figure(
        "holdfast_queue_oldest_seconds",
        "gauge",
        "How long the oldest pending item has been in its queue.",
        lambda s: [] if s.queues.oldest_age_s is None else [Point((), s.queues.oldest_age_s)],
    ),
    Figure(
        "holdfast_queues",
        "gauge",
        "Queues that have items.",
        lambda s: [Point((), s.queues.queues)],
    ),
    Figure(
        "holdfast_queue_waiting_for_room",
        "gauge",
        "Who has items to enqueue and waits until some are pending no more.",
        lambda s: [Point((), s.queues.waiting_for_room)],
    ),
    Figure(
        "holdfast_queue_waiting_for_work",
        "gauge",
        "Who waits for an item to claim.",
        lambda s: [Point((), s.queues.waiting_for_work)],
    ),
)
