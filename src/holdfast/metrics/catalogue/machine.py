"""The machine, and limits that others set."""

from __future__ import annotations

from typing import Final

from holdfast.metrics.figure import (
    Figure,
    from_machine,
)

FIGURES: Final = (
    Figure(
        "holdfast_machine_memory_bytes",
        "gauge",
        "Memory of the machine.",
        from_machine(lambda m: None if m.system is None else m.system.total_bytes),
    ),
    Figure(
        "holdfast_machine_memory_available_bytes",
        "gauge",
        "What can be had of it without swapping.",
        from_machine(lambda m: None if m.system is None else m.system.available_bytes),
    ),
    Figure(
        "holdfast_machine_swap_bytes",
        "gauge",
        "Swap of the machine.",
        from_machine(lambda m: None if m.system is None else m.system.swap_total_bytes),
    ),
    Figure(
        "holdfast_machine_swap_free_bytes",
        "gauge",
        "What is free of it.",
        from_machine(lambda m: None if m.system is None else m.system.swap_free_bytes),
    ),
    Figure(
        "holdfast_cgroup_limit_bytes",
        "gauge",
        "The memory limit that is nearest, of our control group and those above; absent without.",
        from_machine(lambda m: None if m.group is None else m.group.limit_bytes),
    ),
    Figure(
        "holdfast_cgroup_used_bytes",
        "gauge",
        "What that group uses, without what the kernel can drop.",
        from_machine(lambda m: None if m.group is None else m.group.used_bytes),
    ),
    Figure(
        "holdfast_cgroup_cache_bytes",
        "gauge",
        "What the kernel can drop of it.",
        from_machine(lambda m: None if m.group is None else m.group.cache_bytes),
    ),
    Figure(
        "holdfast_cgroup_high_bytes",
        "gauge",
        "From where on the kernel slows one of these groups down; absent without such a line.",
        from_machine(lambda m: None if m.group is None else m.group.high_bytes),
    ),
    Figure(
        "holdfast_cgroup_high_used_ratio",
        "gauge",
        "How near that is; of the group that is nearest.",
        from_machine(
            lambda m: (
                None
                if m.group is None or m.group.high_used_pct is None
                else m.group.high_used_pct / 100
            )
        ),
    ),
    Figure(
        "holdfast_cgroup_oom_kills_total",
        "counter",
        "Processes of our control group that the kernel killed for memory.",
        from_machine(lambda m: None if m.group is None else m.group.oom_kills),
    ),
    Figure(
        "holdfast_memory_stall_some_ratio",
        "gauge",
        "The share of the last ten seconds in which a task waited for memory.",
        from_machine(lambda m: None if m.stall is None else m.stall.some_pct / 100),
    ),
    Figure(
        "holdfast_memory_stall_full_ratio",
        "gauge",
        "The share in which all tasks did.",
        from_machine(lambda m: None if m.stall is None else m.stall.full_pct / 100),
    ),
    Figure(
        "holdfast_disk_bytes",
        "gauge",
        "The disk that the data folder is on.",
        from_machine(lambda m: None if m.disk is None else m.disk.total_bytes),
    ),
    Figure(
        "holdfast_disk_free_bytes",
        "gauge",
        "What is free on it for us.",
        from_machine(lambda m: None if m.disk is None else m.disk.free_bytes),
    ),
)
