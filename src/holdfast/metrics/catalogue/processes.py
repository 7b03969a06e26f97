"""Processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from holdfast.metrics.figure import (
    Figure,
    Number,
    each_of_memory,
    from_machine,
    from_memory,
)
from holdfast.status.model import MemoryStatus


def _processes(measure: str) -> Callable[[MemoryStatus], list[tuple[str, Number | None]]]:
    def read(memory: MemoryStatus) -> list[tuple[str, Number | None]]:
        process = memory.process
        return [
            ("daemon", getattr(process, measure)),
            ("children", sum(getattr(child, measure) or 0 for child in process.children)),
        ]

    return read


FIGURES: Final = (
    Figure(
        "holdfast_process_resident_bytes",
        "gauge",
        "RSS of the daemon, and of its children together.",
        each_of_memory(_processes("rss_bytes")),
        ("process",),
    ),
    Figure(
        "holdfast_process_proportional_bytes",
        "gauge",
        "PSS of the daemon, and of its children together; absent where there is none.",
        each_of_memory(_processes("pss_bytes")),
        ("process",),
    ),
    Figure(
        "holdfast_process_swap_bytes",
        "gauge",
        "Swap of the daemon, and of its children together.",
        each_of_memory(_processes("swap_bytes")),
        ("process",),
    ),
    Figure(
        "holdfast_process_resident_peak_bytes",
        "gauge",
        "The most RSS that the daemon ever had.",
        from_memory(lambda m: m.process.peak_rss_bytes),
    ),
    Figure(
        "holdfast_process_children",
        "gauge",
        "How many child processes run.",
        from_memory(lambda m: len(m.process.children)),
    ),
    Figure(
        "holdfast_python_allocated_blocks",
        "gauge",
        "Blocks that Python's allocator has handed out.",
        from_memory(lambda m: m.process.python_allocated_blocks),
    ),
    Figure(
        "holdfast_malloc_in_use_bytes",
        "gauge",
        "What malloc has handed out; glibc only.",
        from_memory(lambda m: m.process.malloc_in_use_bytes),
    ),
    Figure(
        "holdfast_open_descriptors",
        "gauge",
        "Open file descriptors.",
        from_machine(lambda m: None if m.descriptors is None else m.descriptors.open),
    ),
    Figure(
        "holdfast_open_descriptors_limit",
        "gauge",
        "How many there may be; absent without a limit.",
        from_machine(lambda m: None if m.descriptors is None else m.descriptors.soft_limit),
    ),
    Figure(
        "holdfast_threads",
        "gauge",
        "Threads of the daemon.",
        from_machine(lambda m: m.threads),
    ),
)
