"""The daemon."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from holdfast.metrics.figure import (
    Figure,
    Point,
    one_of,
    single,
)
from holdfast.status.model import Status

STATES: Final = ("starting", "importing", "running", "stopping", "stopped")


def _states(status: Status) -> Iterator[Point]:
    return (Point((state,), is_it) for state, is_it in one_of(STATES, status.daemon.state))


def _build(status: Status) -> Iterator[Point]:
    yield Point((status.daemon.version, str(status.schema_version)), 1)


def _started(status: Status) -> float | None:
    at = status.daemon.started_at
    return datetime.fromisoformat(at).timestamp() if at else None


def _last_run_was_clean(status: Status) -> int | None:
    last = status.daemon.last_run
    return None if last is None else int(last.ending == "stopped")


FIGURES: Final = (
    Figure(
        "holdfast_build_info",
        "gauge",
        "Always 1; its labels say which version answers, and of which version its status is.",
        _build,
        ("version", "schema_version"),
    ),
    Figure(
        "holdfast_start_time_seconds",
        "gauge",
        "When the daemon started, in seconds since 1970.",
        single(_started),
    ),
    Figure(
        "holdfast_uptime_seconds",
        "gauge",
        "How long it has been running.",
        single(lambda s: s.daemon.uptime_s),
    ),
    Figure(
        "holdfast_state", "gauge", "1 for the state that the daemon is in.", _states, ("state",)
    ),
    Figure(
        "holdfast_last_run_clean",
        "gauge",
        "1 when the run before this one was stopped in an orderly way, 0 when it was killed or "
        "failed; absent when there was none.",
        single(_last_run_was_clean),
    ),
    Figure(
        "holdfast_problems",
        "gauge",
        "How many problems the status names.",
        single(lambda s: len(s.problems)),
    ),
)
