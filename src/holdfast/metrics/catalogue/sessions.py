"""Sessions in memory."""

from __future__ import annotations

from typing import Final

from holdfast.metrics.figure import (
    Figure,
    each_of_memory,
    from_memory,
)

FIGURES: Final = (
    Figure(
        "holdfast_snapshots_bytes",
        "gauge",
        "What sessions in memory take, by their own account.",
        from_memory(lambda m: m.snapshots.accounted_bytes),
        kept=True,
    ),
    Figure(
        "holdfast_snapshots_budget_bytes",
        "gauge",
        "What they may take.",
        from_memory(lambda m: m.snapshots.budget_bytes),
    ),
    Figure(
        "holdfast_snapshots_allowed_bytes",
        "gauge",
        "What they may take now: less than the budget while memory is scarce.",
        from_memory(lambda m: m.snapshots.allowed_bytes),
    ),
    Figure(
        "holdfast_snapshots_peak_bytes",
        "gauge",
        "The most they took since the start.",
        from_memory(lambda m: m.snapshots.peak_bytes),
    ),
    Figure(
        "holdfast_snapshots_over_budget",
        "gauge",
        "1 while they are above that.",
        from_memory(lambda m: int(m.snapshots.over_budget)),
    ),
    Figure(
        "holdfast_snapshots_sessions",
        "gauge",
        "Sessions in memory.",
        from_memory(lambda m: m.snapshots.resident_sessions),
        kept=True,
    ),
    Figure(
        "holdfast_snapshots_sessions_limit",
        "gauge",
        "How many there may be.",
        from_memory(lambda m: m.snapshots.max_sessions),
    ),
    Figure(
        "holdfast_snapshots_events",
        "gauge",
        "Events in memory.",
        from_memory(lambda m: m.snapshots.resident_events),
    ),
    Figure(
        "holdfast_snapshots_dropped_events_total",
        "counter",
        "Events that left memory because their session had newer ones; they are in the journal.",
        from_memory(lambda m: m.snapshots.dropped_events),
    ),
    Figure(
        "holdfast_snapshots_spilled_events_total",
        "counter",
        "Events that left memory because their session was oversized; they are in the journal.",
        from_memory(lambda m: m.snapshots.spilled_events),
    ),
    Figure(
        "holdfast_snapshots_evictions_total",
        "counter",
        "Sessions that left memory, by reason; they are in the journal.",
        each_of_memory(lambda m: m.snapshots.evictions.items()),
        ("reason",),
    ),
    Figure(
        "holdfast_snapshots_reclaimed_bytes_total",
        "counter",
        "Bytes that evictions gave back, by reason.",
        each_of_memory(lambda m: m.snapshots.bytes_reclaimed.items()),
        ("reason",),
    ),
    Figure(
        "holdfast_snapshots_idle_sessions",
        "gauge",
        "Sessions that are idle and that an eviction of idle ones would take.",
        from_memory(lambda m: m.snapshots.idle_eviction.would_evict),
    ),
)
