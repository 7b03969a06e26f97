"""When a log that could not be read is tried again: soon at first, then ever less often.

A log that fails may be written to many times a second; without a rest each of these would try it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

FIRST_S: Final = 1.0
LONGEST_S: Final = 15.0  # a disk may have room again, and whoever made it waits
FAILING_MAX: Final = 1_024  # that are remembered; of others, each failure is the first one


class Retries:
    """What failed, and until when it rests."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._rests: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how long, until when

    def failed(self, key: str) -> float:
        """How long it is to rest now, in seconds."""
        before_s, _until_s = self._rests.pop(key, (0.0, 0.0))
        rest_s = min(max(FIRST_S, 2 * before_s), LONGEST_S)
        self._rests[key] = (rest_s, self._clock_s() + rest_s)
        if len(self._rests) > FAILING_MAX:
            self._rests.popitem(last=False)
        return rest_s

    def rests(self, key: str) -> bool:
        _rest_s, until_s = self._rests.get(key, (0.0, 0.0))
        return self._clock_s() < until_s

    def over(self, key: str) -> None:
        """It was read."""
        self._rests.pop(key, None)
