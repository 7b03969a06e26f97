"""The durable work queue: enqueue, claim, confirm; what is not confirmed comes again."""

from holdfast.journal.work import Claim, DeadItem, Died, NewItem, QueueCounts, WorkItem
from holdfast.work.queue.backoff import Backoff
from holdfast.work.queue.checking import BadItem, BadQueue, claim_of
from holdfast.work.queue.queue import (
    DeadLettersFull,
    Enqueued,
    Figures,
    Limits,
    Moved,
    NoDeadItem,
    QueueClosed,
    Settled,
    WorkQueue,
)
from holdfast.work.queue.room import QueueFull
from holdfast.work.queue.taken import StaleClaim, Taken

__all__ = [
    "Backoff",
    "BadItem",
    "BadQueue",
    "Claim",
    "DeadItem",
    "DeadLettersFull",
    "Died",
    "Enqueued",
    "Figures",
    "Limits",
    "Moved",
    "NewItem",
    "NoDeadItem",
    "QueueClosed",
    "QueueCounts",
    "QueueFull",
    "Settled",
    "StaleClaim",
    "Taken",
    "WorkItem",
    "WorkQueue",
    "claim_of",
]
