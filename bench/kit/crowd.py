"""Agents at work by the hundred: sessions that begin, are written to in bursts, end and go.

One writer writes as fast as the daemon stores, never far ahead of it: what is measured is a daemon
that is always busy, not a backlog. Lines are put together from ready pieces, so that making them up
takes a small part of what reading them does.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from holdfast.clock import instant
from holdfast.demo import lines

ACTIVE: Final = 40  # at the same time
BURST_LINES: Final = (4, 60)
AHEAD_EVENTS: Final = 6_000
PAUSE_S: Final = 0.005
DELETED_SHARE: Final = 0.5  # of finished logs, as agents delete theirs
LONG_EVERY: Final = 200  # lines
LONG_CHARS: Final = 60_000
_UUID: Final = "ffffffff-0000-4000-a000-00000000beef"
_TEXT: Final = "TEXT-OF-THE-LINE"
_AT: Final = "2026-01-01T00:00:00.000Z"
_WORDS: Final = [
    "pool",
    "timeout",
    "retry",
    "socket",
    "buffer",
    "cache",
    "index",
    "journal",
    "cursor",
    "signal",
    "thread",
    "lock",
    "queue",
    "batch",
    "schema",
    "migration",
    "deploy",
    "rollback",
    "検索",
    "性能",
    "ошибка",
    "réseau",
    "tidepool",
    "harbour",
    "anchor",
    "🚢",
    "keel",
]


class _Log:
    """One session's file."""

    def __init__(self, path: Path, session: str, wanted: int) -> None:
        self.path = path
        self.session = session
        self.wanted = wanted
        self.events = 0
        self._shapes = [
            shape(_TEXT, session=session, uuid=_UUID, at=_AT)
            for shape in (lines.user_line, lines.assistant_line, lines.tool_result_line)
        ]

    def burst(self, count: int, throw: random.Random) -> bytes:
        return b"".join(self._line(throw) for _ in range(count))

    def _line(self, throw: random.Random) -> bytes:
        number = self.events
        self.events += 1
        words = " ".join(throw.choices(_WORDS, k=throw.randrange(6, 60)))
        if number % LONG_EVERY == LONG_EVERY - 1:
            words = (words + " ") * (LONG_CHARS // (len(words) + 1))
        shape = self._shapes[throw.randrange(3)]
        line = shape.replace(_TEXT.encode(), f"{number} {words}".encode())
        line = line.replace(_UUID.encode(), f"{self.session[:24]}{number:012x}".encode())
        return line.replace(_AT.encode(), instant().encode())


class Crowd:
    """Writes on a thread of its own until `stop`."""

    def __init__(
        self,
        projects: Path,
        *,
        events_each: int,
        stored: Callable[[], int],
        kept: Callable[[str], int],
        seed: int = 1,
    ) -> None:
        self.written = 0
        self.finished: list[tuple[str, int]] = []  # session, events
        self.active: list[_Log] = []
        self.begun = 0
        self.deleted = 0
        self.failure: BaseException | None = None
        self._projects = projects
        self._events_each = events_each
        self._stored = stored
        self._kept = kept
        self._throw = random.Random(seed)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)
        self._to_delete: list[_Log] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def everything(self) -> Iterator[tuple[str, int]]:
        yield from self.finished
        for log in self.active:
            yield log.session, log.events

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                if self.written - self._stored() > AHEAD_EVENTS:
                    self._ending.wait(PAUSE_S)
                else:
                    self._step()
        except BaseException as error:  # noqa: BLE001  # told by `stop`
            self.failure = error

    def _step(self) -> None:
        while len(self.active) < ACTIVE:
            self.active.append(self._begin())
        log = self._throw.choice(self.active)
        count = min(self._throw.randint(*BURST_LINES), log.wanted - log.events)
        content = log.burst(count, self._throw)
        fd = os.open(log.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, content)
        finally:
            os.close(fd)
        self.written += count
        if log.events >= log.wanted:
            self._finish(log)

    def _begin(self) -> _Log:
        self.begun += 1
        session = f"{self.begun:08x}-5000-4000-a000-{self._throw.getrandbits(48):012x}"
        folder = self._projects / f"-home-hana-src-p{self.begun % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        spread = self._throw.uniform(0.2, 1.8)
        return _Log(folder / f"{session}.jsonl", session, max(3, round(self._events_each * spread)))

    def _finish(self, log: _Log) -> None:
        self.active.remove(log)
        self.finished.append((log.session, log.events))
        if self._throw.random() < DELETED_SHARE:
            self._to_delete.append(log)
        for old in self._to_delete[:-ACTIVE]:  # not the newest: those may still be read
            if self._kept(old.session) >= old.events:
                old.path.unlink()
                self.deleted += 1
                self._to_delete.remove(old)
