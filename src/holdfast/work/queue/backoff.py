"""How long an item that failed is left alone: twice as long each time, and never quite the same."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    base_ms: int = 1_000
    max_ms: int = 600_000

    def delay_ms(self, attempt: int, chance: Callable[[], float] = random.random) -> int:
        """After the first attempt, `base_ms` at most and half of it at least.

        The half that is left to chance keeps items that failed together from coming back together.
        """
        whole = min(self.max_ms, self.base_ms << min(max(attempt, 1) - 1, 40))
        return round(whole * (1 + chance()) / 2)
