"""Recordings and privacy."""

from __future__ import annotations

from typing import Final

from holdfast.metrics.figure import (
    Figure,
    Point,
)

RECORDING_STATES: Final = (
    "active",
    "paused",
    "prepared",
    "stopped",
    "lost",
    "failed",
    "exported",
)


FIGURES: Final = (
    Figure(
        "holdfast_recordings",
        "gauge",
        "Recordings by state; `paused` ones count as `active` too.",
        lambda s: [Point((each,), getattr(s.recordings, each)) for each in RECORDING_STATES],
        ("state",),
    ),
    Figure(
        "holdfast_recording_commands",
        "gauge",
        "Commands in chats and from outside, by what became of them.",
        lambda s: [
            Point(("done",), s.recordings.commands_done),
            Point(("refused",), s.recordings.commands_refused),
        ],
        ("outcome",),
    ),
    Figure(
        "holdfast_privacy_redactions_total",
        "counter",
        "Private parts and secrets that were taken out, by kind.",
        lambda s: [Point((kind,), count) for kind, count in s.privacy.redactions.items()],
        ("kind",),
    ),
    Figure(
        "holdfast_privacy_enabled",
        "gauge",
        "1 for what the door takes out, 0 for what is switched off.",
        lambda s: [
            Point(("private_tags",), int(s.privacy.private_tags)),
            Point(("secrets",), int(s.privacy.secrets)),
        ],
        ("part",),
    ),
)
