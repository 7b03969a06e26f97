"""Streams of events, and who follows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from holdfast.metrics.figure import Figure, Read, single
from holdfast.stream import Figures


def _of(read: Callable[[Figures], int]) -> Read:
    return single(lambda status: None if status.streams is None else read(status.streams))


FIGURES: Final = (
    Figure("holdfast_stream_followers", "gauge", "Who follows events.", _of(lambda s: s.followers)),
    Figure(
        "holdfast_stream_appended_total",
        "counter",
        "Events that programs appended.",
        _of(lambda s: s.appended),
    ),
    Figure(
        "holdfast_stream_lagged_total",
        "counter",
        "How often a follower was told that it was too slow.",
        _of(lambda s: s.lagged),
    ),
    Figure(
        "holdfast_stream_history_events",
        "gauge",
        "The newest events, in memory for followers.",
        _of(lambda s: s.history_events),
    ),
    Figure(
        "holdfast_stream_cache_events",
        "gauge",
        "Older events that were read back for followers.",
        _of(lambda s: s.cache_events),
    ),
    Figure(
        "holdfast_stream_cache_hits_total",
        "counter",
        "How often older events that somebody asked for had been read back before.",
        _of(lambda s: s.cache_hits),
    ),
    Figure(
        "holdfast_stream_cache_misses_total",
        "counter",
        "How often it was not.",
        _of(lambda s: s.cache_misses),
    ),
    Figure(
        "holdfast_stream_ring_frames",
        "gauge",
        "Events that are held ready for who follows.",
        _of(lambda s: s.ring_frames),
    ),
)
