"""The time in made-up logs."""

from __future__ import annotations

from datetime import datetime, timedelta

_MILLISECOND = timedelta(milliseconds=1)


def stamp(at: datetime) -> str:
    """A moment in UTC, as it stands in a log."""
    return f"{at.isoformat(timespec='milliseconds')[:23]}Z"


class Pace:
    """The time of a session: it goes by as told, but never beyond `end`."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self._now = start
        self._end = end

    @property
    def now(self) -> str:
        return stamp(self._now)

    def skip_to(self, at: datetime) -> None:
        self._now = max(self._now, at)

    def __call__(self, gap_s: float) -> str:
        later = self._now + timedelta(milliseconds=int(gap_s * 1_000) + 1)
        self._now = later if later < self._end else self._now + _MILLISECOND
        return stamp(self._now)
