"""What the system may hold us to, around what we hold ourselves to.

The rule: `MemoryHigh` is the budget and a quarter more (32 MB at least), `MemoryMax` the budget and
half as much again (64 MB at least). Both count what the budget does not: page cache of the journal
and of the logs that are read, page tables, buffers of sockets. At `MemoryHigh` the kernel takes
cache back, which costs nothing; at `MemoryMax` it kills.

Less than half as much again was rejected: the governor calls 60 % of a control group high and 80 %
critical. With 1.5 times the budget these are 90 % and 120 % of it, above its own lines at 85 % and
95 %: what the settings say speaks first, and the group only when something grows that is not ours
to count.
"""

from __future__ import annotations

from typing import Final

import msgspec

HIGH_SHARE: Final = 4  # of the budget, on top of it
MAX_SHARE: Final = 2
HIGH_LEAST_MB: Final = 32
MAX_LEAST_MB: Final = 64
DESCRIPTORS: Final = 8_192  # twice what `requirements` asks for: a watch costs one, a reader some
STOP_MARGIN_S: Final = 5  # for what comes after the last step of an orderly stop
# When the machine itself runs out, somebody is ended. We lose nothing by it and come back; an
# editor with unsaved text does not. A user's services start out at 100 to 200, and may only rise.
OOM_SCORE_ADJUST: Final = 500
WATCHDOG_S: Final = 60
START_TIMEOUT_S: Final = 600  # a large journal may have to be brought up to date first


class Limits(msgspec.Struct, frozen=True):
    memory_high_mb: int
    memory_max_mb: int
    stop_s: int


def limits_for(max_memory_mb: int, stop_deadline_ms: int) -> Limits:
    return Limits(
        memory_high_mb=max_memory_mb + max(HIGH_LEAST_MB, max_memory_mb // HIGH_SHARE),
        memory_max_mb=max_memory_mb + max(MAX_LEAST_MB, max_memory_mb // MAX_SHARE),
        stop_s=-(-stop_deadline_ms // 1000) + STOP_MARGIN_S,
    )
