"""A made-up session that is being written right now, for showing how the live tail follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from holdfast.demo.conversation import Conversation
from holdfast.demo.files import Project
from holdfast.demo.pace import stamp
from holdfast.demo.text import dice

TURN_BYTES: Final = 60_000
CWD: Final = "/home/hana/src/tidepool"


class LiveSession:
    """Appends realistic turns to one log file; goes on where the file ends."""

    def __init__(
        self,
        path: Path,
        session: str,
        *,
        seed: int,
        clock: Callable[[], datetime],
        cwd: str = CWD,
    ) -> None:
        self.path = path
        self.session = session
        self._clock = clock
        self._last = datetime.min.replace(tzinfo=UTC)
        self._lines: list[str] = []
        parent, size = _leaf(path)
        self._talk = Conversation(
            # A session that is taken up again must not repeat the ids that it has used.
            dice(seed, session, size),
            Project(cwd, f"{seed}/live"),
            session,
            self._at,
            self._lines.append,
            parent=parent,
        )

    def append(self, turns: int = 1) -> list[bytes]:
        """Writes turns line by line, as an agent does, and gives the lines."""
        written: list[bytes] = []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            for _ in range(turns):
                self._talk.turn(TURN_BYTES)
                for line in self._lines:
                    written.append(line.encode())
                    file.write(written[-1])
                self._lines.clear()
        return written

    def _at(self, _gap_s: float) -> str:
        self._last = max(self._clock().astimezone(UTC), self._last + timedelta(milliseconds=1))
        return stamp(self._last)


def _leaf(path: Path) -> tuple[str | None, int]:
    """The uuid that the next record follows, and the size of the file."""
    if not path.exists():
        return None, 0
    lines = path.read_bytes().splitlines()
    uuids = (json.loads(line).get("uuid") for line in reversed(lines))
    return next(filter(None, uuids), None), sum(map(len, lines))
