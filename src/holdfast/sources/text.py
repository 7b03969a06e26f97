"""Small things that every source does with text."""

from __future__ import annotations

from datetime import UTC, datetime


def one_line(text: str, most: int) -> str:
    line = " ".join(text[: most * 4].split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def instant(timestamp: str | None) -> str:
    """A time as events write it; "" for none, or one that nobody can read."""
    if not timestamp:
        return ""
    try:
        moment = datetime.fromisoformat(timestamp)
        if timestamp[4:20:3] == "--T::." and len(timestamp) == 24 and timestamp[-1] == "Z":
            return timestamp  # 2026-01-05T09:00:00.000Z, as nearly all are
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant_of_ms(epoch_ms: float | None) -> str:
    """The same from milliseconds since 1970."""
    if not epoch_ms:
        return ""
    try:
        moment = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
