"""What is kept."""

from __future__ import annotations

from typing import Final

from holdfast.metrics.figure import (
    Figure,
    single,
)

FIGURES: Final = (
    Figure(
        "holdfast_sessions",
        "gauge",
        "Sessions in the journal.",
        single(lambda s: s.sessions.total),
    ),
    Figure(
        "holdfast_events",
        "gauge",
        "Events in the journal.",
        single(lambda s: s.sessions.events),
        kept=True,
    ),
    Figure(
        "holdfast_events_raw_bytes",
        "gauge",
        "What they take before compression.",
        single(lambda s: s.sessions.raw_bytes),
    ),
    Figure(
        "holdfast_events_stored_bytes",
        "gauge",
        "What they take in the journal.",
        single(lambda s: s.sessions.stored_bytes),
    ),
    Figure(
        "holdfast_journal_file_bytes",
        "gauge",
        "The journal's file and its write-ahead log.",
        single(lambda s: s.journal.file_bytes),
        kept=True,
    ),
    Figure(
        "holdfast_journal_index_lag_events",
        "gauge",
        "Events that are stored and that a search does not find yet.",
        single(lambda s: s.journal.index_lag_events),
        kept=True,
    ),
    Figure(
        "holdfast_journal_waiting_batches",
        "gauge",
        "Batches that wait for the writer.",
        single(lambda s: s.journal.waiting_batches),
    ),
    Figure(
        "holdfast_journal_blobs",
        "gauge",
        "Payloads beside the journal.",
        single(lambda s: s.journal.blobs),
    ),
    Figure(
        "holdfast_journal_blob_bytes",
        "gauge",
        "What they take.",
        single(lambda s: s.journal.blob_bytes),
    ),
)
