"""What happened in a run, a line a step: its digest is the run's fingerprint, its end its story."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final

STORY_LINES: Final = 200  # kept of a run that nobody asked to see


class Trace:
    """Every line goes into the digest; the last ones are kept, or all of them."""

    def __init__(self, *, keep_all: bool = False) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self._lines: deque[str] = deque(maxlen=None if keep_all else STORY_LINES)

    def add(self, now_s: float, line: str) -> None:
        told = f"{now_s:.6f} {line}"
        self._digest.update(told.encode("utf-8", "backslashreplace") + b"\n")
        self._lines.append(told)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def lines(self, last: int | None = None) -> list[str]:
        lines = list(self._lines)
        return lines if last is None else lines[-last:]
