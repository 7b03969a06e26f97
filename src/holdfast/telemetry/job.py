"""What the daemon and its exporter tell each other: one line of JSON down, some lines up."""

from __future__ import annotations

from typing import Final

import msgspec

MEMORY_BYTES_MAX: Final = 96 * 1024 * 1024  # what the exporter may allocate


class Job(msgspec.Struct, frozen=True):
    """What to send, where, how often."""

    endpoint: str
    metrics: bool
    logs: bool
    interval_s: float
    log_path: str
    position_path: str  # up to where the log was sent
    logs_since: str  # the first time ever: nothing older


class Said(msgspec.Struct, frozen=True):
    """Told after the first round, and when it changes. Empty: all is well."""

    problem: str
