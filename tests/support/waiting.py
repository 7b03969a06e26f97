"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

DEADLINE_S: Final = 60.0  # generous: a test that hits it has failed, however slow the machine
POLL_S: Final = 0.01


def until(
    look: Callable[[], T],
    what: str,
    *,
    deadline_s: float = DEADLINE_S,
    poll_s: float = POLL_S,
    detail: Callable[[], object] = lambda: "",
) -> T:
    """The first truthy value that `look` gives."""
    last_s = time.monotonic() + deadline_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > last_s:
            raise AssertionError(f"not within {deadline_s:.0f} s: {what} {detail()}".rstrip())
        time.sleep(poll_s)
