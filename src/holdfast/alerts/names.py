"""What conditions may speak of: each figure with its unit and its meaning.

All of them are in hand without asking the journal, so that rules can be looked at as often as the
governor looks. `docs/alerts.md` lists them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Unit = Literal["percent", "bytes", "seconds", "count"]


class Name(NamedTuple):
    unit: Unit
    meaning: str


NAMES: Final[Mapping[str, Name]] = {
    "memory_usage_pct": Name("percent", "memory of the process tree, of `daemon.max_memory_mb`"),
    "memory_bytes": Name("bytes", "the same: PSS + swap of the process tree"),
    "unaccounted_pct": Name("percent", "what no component explains, of `daemon.max_memory_mb`"),
    "pressure": Name("count", "the level: 0 normal, 1 moderate, 2 high, 3 critical"),
    "pressure_secs": Name("seconds", "for how long that level has lasted"),
    "system_memory_pct": Name("percent", "memory of the machine that is not available"),
    "cgroup_memory_pct": Name("percent", "memory of our control group, of its limit"),
    "stall_some_pct": Name("percent", "time in which at least one task waited for memory"),
    "stall_full_pct": Name("percent", "time in which all tasks waited for memory"),
    "children": Name("count", "child processes that run"),
    "descriptors_pct": Name("percent", "open file descriptors, of their limit"),
    "threads": Name("count", "threads of the daemon"),
    "disk_free_bytes": Name("bytes", "room on the disk of the journal"),
    "disk_used_pct": Name("percent", "the part of that disk that is taken"),
    "work_queue": Name("count", "items of work queues that are pending"),
    "work_queue_pct": Name("percent", "the same, of `resources.work_queue_max`"),
    "connections_used": Name("count", "readers of the journal that are in use"),
    "connections_leaked": Name("count", "readers that were not given back for far too long"),
    "lag_bytes": Name("bytes", "what a running import has still to read; 0 while none runs"),
    "waiting_logs": Name("count", "logs that were seen to have changed and are not read yet"),
    "sessions_resident": Name("count", "sessions in memory"),
    "journal_failed": Name("count", "1 while the journal takes nothing, else 0"),
    "uptime_secs": Name("seconds", "since the daemon was started"),
}
