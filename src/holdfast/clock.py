"""Wall time as events write it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def instant(epoch_s: float | None = None) -> str:
    """UTC, ISO 8601, milliseconds."""
    moment = datetime.fromtimestamp(time.time() if epoch_s is None else epoch_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
