"""What goes wrong in a run, how often, and how slow things are. Rates are shares from 0 to 1.

Each seed draws which of them there are at all (`Faults.drawn`). With everything always on, runs
look alike: a disk that is full all the time hides what happens when a subscriber is slow and all
else is well.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final

import msgspec

_LONG_SHARE: Final = 0.02  # of the delays
_LONG_FACTOR: Final = 50.0


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing goes wrong by default, and everything is fast."""

    step_s: float = 0.000_02  # what one step takes, at most
    thread_s: float = 0.001  # until a thread begins, and until its result is there, on average
    latency_s: float = 0.002  # of a message between two programs, on average
    commit_s: float = 0.003  # of a commit, on average
    stall: float = 0.0  # share of steps in which everything stands still
    stall_s: float = 2.0  # for how long, on average
    lost: float = 0.0  # share of messages that break their connection
    crash_steps: int = 0  # a program lives for about so many steps; 0: until it is stopped
    crash_s: float = 1.0  # how long it is down then, on average
    disk_full: float = 0.0  # share of commits that find the disk full
    disk_full_s: float = 3.0  # how long it stays so, on average
    disk_error: float = 0.0  # share of commits that fail, and nobody knows what of them is kept

    @classmethod
    def drawn(cls, random: Random) -> Faults:
        """Some of them, at rates of their own."""

        def perhaps(share: float, low: float, high: float) -> float:
            there = random.random() < share
            rate = math.exp(random.uniform(math.log(low), math.log(high)))
            return rate if there else 0.0

        return cls(
            latency_s=random.choice((0.000_1, 0.002, 0.05)),
            commit_s=random.choice((0.000_5, 0.003, 0.03)),
            stall=perhaps(0.3, 0.000_1, 0.005),
            stall_s=random.choice((0.05, 2.0, 40.0)),
            lost=perhaps(0.5, 0.002, 0.2),
            crash_steps=int(perhaps(0.6, 40, 2_000)),
            crash_s=random.choice((0.01, 1.0, 30.0)),
            disk_full=perhaps(0.3, 0.005, 0.2),
            disk_full_s=random.choice((0.02, 3.0)),
            disk_error=perhaps(0.3, 0.005, 0.1),
        )

    def told(self) -> str:
        """What differs from a world in which nothing goes wrong."""
        usual = Faults()
        return ", ".join(
            f"{name}={getattr(self, name):g}"
            for name in self.__struct_fields__
            if getattr(self, name) != getattr(usual, name)
        )


def drawn_delay(random: Random, mean_s: float) -> float:
    """Mostly near the mean; now and then very much longer, as delays are."""
    long = random.random() < _LONG_SHARE
    return -math.log(1.0 - random.random()) * mean_s * (_LONG_FACTOR if long else 1.0)
