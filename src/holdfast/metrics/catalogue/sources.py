"""Where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from holdfast.metrics.figure import (
    Figure,
    Number,
    Point,
    Read,
    single,
)
from holdfast.status.model import SourceStatus, Status


def _of_sources(read: Callable[[SourceStatus], Number]) -> Read:
    return lambda status: [Point((each.agent,), read(each)) for each in status.sources]


def _bytes_of_sources(status: Status) -> Iterator[Point]:
    for each in status.sources:
        for outcome in ("parsed", "skipped", "unknown", "bad"):
            yield Point((each.agent, outcome), getattr(each.bytes, outcome))


FIGURES: Final = (
    Figure(
        "holdfast_source_files",
        "gauge",
        "Logs that are known.",
        _of_sources(lambda s: s.files),
        ("agent",),
    ),
    Figure(
        "holdfast_source_gone_files",
        "gauge",
        "Logs that the agent has deleted; what they held is kept.",
        _of_sources(lambda s: s.gone_files),
        ("agent",),
    ),
    Figure(
        "holdfast_source_unreadable_files",
        "gauge",
        "Logs that cannot be read.",
        _of_sources(lambda s: s.unreadable_files),
        ("agent",),
    ),
    Figure(
        "holdfast_source_excluded_files",
        "gauge",
        "Logs of projects that are left alone.",
        _of_sources(lambda s: s.excluded_files),
        ("agent",),
    ),
    Figure(
        "holdfast_source_seen_bytes",
        "gauge",
        "All bytes of all known logs; falls when an agent rewrites one.",
        _of_sources(lambda s: s.bytes.seen),
        ("agent",),
    ),
    Figure(
        "holdfast_source_bytes",
        "gauge",
        "What became of them: the outcomes add up to `holdfast_source_seen_bytes`.",
        _bytes_of_sources,
        ("agent", "outcome"),
    ),
    Figure(
        "holdfast_source_torn_bytes",
        "gauge",
        "Of the bad ones, ends of logs that are being written.",
        _of_sources(lambda s: s.bytes.torn),
        ("agent",),
    ),
    Figure(
        "holdfast_source_unknown_types",
        "gauge",
        "Record types that no rule knows; their records are kept raw.",
        _of_sources(lambda s: len(s.unknown_types)),
        ("agent",),
    ),
    Figure(
        "holdfast_source_expiring_files",
        "gauge",
        "Logs that the agent deletes soon (`sources.warn_deletion_days`).",
        _of_sources(lambda s: 0 if s.expiring is None else s.expiring.files),
        ("agent",),
    ),
    Figure(
        "holdfast_source_expiring_not_kept_files",
        "gauge",
        "Of these, the ones that the journal has not in full.",
        _of_sources(lambda s: 0 if s.expiring is None else s.expiring.not_kept_files),
        ("agent",),
    ),
    Figure(
        "holdfast_sources_lag_bytes",
        "gauge",
        "What a running import has still to read, of all agents together.",
        single(lambda s: max((each.lag_bytes for each in s.sources), default=0)),
        kept=True,
    ),
    Figure(
        "holdfast_import_running",
        "gauge",
        "1 while an import runs.",
        single(lambda s: int(s.importing.running)),
    ),
    Figure(
        "holdfast_import_done_bytes",
        "gauge",
        "What the last import read so far.",
        single(lambda s: s.importing.done_bytes),
    ),
    Figure(
        "holdfast_import_plan_bytes",
        "gauge",
        "What it is to read.",
        single(lambda s: s.importing.total_bytes),
    ),
    Figure(
        "holdfast_import_sessions",
        "gauge",
        "Sessions that it found.",
        single(lambda s: s.importing.sessions),
    ),
    Figure(
        "holdfast_import_events",
        "gauge",
        "Events that it stored.",
        single(lambda s: s.importing.events),
    ),
)
