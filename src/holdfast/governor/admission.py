"""Who is let in while memory is scarce.

Under high pressure of our own the costly requests are put off (429), under critical pressure all
that begin something new (503). What says how we are, and what ends things, always gets through:
whoever is to help must be able to see. A request that was let in is finished.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import ClassVar, Final

import msgspec

from holdfast.errors import Exit, HoldfastError

THROTTLED_RETRY_S: Final = 1
REFUSED_RETRY_S: Final = 3


class Cost(Enum):
    """Of a request, in memory."""

    ALWAYS = "always"  # says how we are, or ends something: gets through
    CHEAP = "cheap"  # let in until all is refused
    COSTLY = "costly"


class PutOff(HoldfastError):
    """Not now."""

    exit: ClassVar[Exit] = Exit.BUSY
    status: ClassVar[int] = 503
    retry_after_s: ClassVar[int] = REFUSED_RETRY_S


class Throttled(PutOff):
    """Costly work, under high pressure."""

    status: ClassVar[int] = 429
    retry_after_s: ClassVar[int] = THROTTLED_RETRY_S


class Requests(msgspec.Struct, frozen=True):
    """What the door does, and what it did since the start."""

    throttling: bool
    refusing: bool
    throttled: int
    refused: int


class Admission:
    """The door for requests. Lives on the event loop."""

    def __init__(self, *, asked: Callable[[], Sequence[str]] = tuple) -> None:
        """`asked`: the alerts that want costly work to be put off, whatever the level."""
        self.throttling = False
        self._asked = asked
        self.refusing = False
        self._throttled = 0
        self._refused = 0

    def check(self, cost: Cost) -> None:
        """Raises PutOff for what is not to begin now."""
        if cost is Cost.ALWAYS:
            return
        if self.refusing:
            self._refused += 1
            raise PutOff(
                "holdfast is critically short of memory and begins nothing new: try again in some "
                "seconds, see `holdfast status`, or raise daemon.max_memory_mb"
            )
        if cost is not Cost.COSTLY:
            return
        if self.throttling:
            self._throttled += 1
            raise Throttled(
                "holdfast is short of memory and puts costly work off: try again in some seconds, "
                "see `holdfast status`, or raise daemon.max_memory_mb"
            )

        if asked := self._asked():
            self._throttled += 1
            raise Throttled(
                f"holdfast puts costly work off while an alert says so ({', '.join(asked)}): try "
                "again in some seconds, or see `holdfast alerts` and `alerts.rules` of the config"
            )

    def status(self) -> Requests:
        throttling = self.throttling or bool(self._asked())
        return Requests(throttling, self.refusing, self._throttled, self._refused)
