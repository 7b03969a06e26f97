"""A program's way to the daemon: `Holdfast` for code that waits, `AsyncHoldfast` for asyncio."""

from holdfast.remote.blocking import Holdfast
from holdfast.remote.queue import Item, Queue, VoidClaim
from holdfast.remote.talk import Missed, Placed, Told
from holdfast.remote.waiting import AsyncHoldfast

__all__ = [
    "AsyncHoldfast",
    "Holdfast",
    "Item",
    "Missed",
    "Placed",
    "Queue",
    "Told",
    "VoidClaim",
]
