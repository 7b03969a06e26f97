"""Somebody who writes logs of every sort, live and in bulk, while a test does its worst."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

from holdfast.demo import lines
from tests.support.home import Home, moment

MAX_LINE_BYTES: Final = 65_536  # the smallest cap that the settings allow
LIVE_PAUSE_S: Final = 0.002
_WORDS: Final = ("tide", "kelp", "anemone", "barnacle", "current", "reef", "潮汐", "море", "🐚")


class Author:
    """All that it writes follows from the seed; when it writes does not."""

    def __init__(self, home: Home, seed: int) -> None:
        self._home = home
        self._throw = Random(seed)
        self._lock = threading.Lock()
        self._count = 0
        self._sessions = 0
        self._paths: list[tuple[str, str]] = []  # project, name
        self.needles: list[str] = []

    @property
    def size(self) -> int:
        """Of all logs as they stand on disk."""
        return sum(
            os.path.getsize(self._home.log_path(name, project)) for project, name in self._paths
        )

    def bulk(self, files: int, lines_each: int) -> None:
        """New sessions, whole at once, as a first import finds them."""
        with self._lock:
            for _ in range(files):
                project, name = self._new_session()
                content = [self._line(name) for _ in range(lines_each)]
                self._home.append_log(name, *content, project=project)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Append to sessions that are there, line by line and sometimes in two pieces."""
        done = threading.Event()

        def write() -> None:
            while not done.wait(LIVE_PAUSE_S):
                with self._lock:
                    self._append()

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _append(self) -> None:
        throw = self._throw
        newest = self._paths[-12:]
        project, name = newest[throw.randrange(len(newest))]
        line = self._line(name)
        cut = throw.randrange(1, len(line)) if throw.random() < 0.3 else len(line)
        if throw.random() < 0.1:
            cut = len(line) - 1  # whole but for its newline: read before that comes
        self._home.append_log(name, line[:cut], project=project)
        if line[cut:]:
            self._home.append_log(name, line[cut:], project=project)

    def _new_session(self) -> tuple[str, str]:
        self._sessions += 1
        number = self._sessions
        project = f"-work-project-{number % 4}"
        name = f"{number:08x}-0000-4000-a000-000000000000"
        if number % 5 == 0 and self._paths:  # a subagent of the session before
            project, parent = self._paths[-1]
            name = f"{parent.split('/', maxsplit=1)[0]}/subagents/agent-{number}"
        self._paths.append((project, name))
        return project, name

    def _line(self, name: str) -> bytes:
        """One record: mostly talk, and now and then what makes readers stumble."""
        throw, number = self._throw, self._count
        self._count += 1
        at = moment(number)
        session = name.split("/", maxsplit=1)[0]
        needle = f"needle{number:06}x"
        text = " ".join(throw.choice(_WORDS) for _ in range(throw.randrange(4, 60)))
        dice = throw.random()
        if dice < 0.45:
            if number % 37 == 0:
                self.needles.append(needle)
            return lines.user_line(f"{needle} {text}", session=session, at=at)
        if dice < 0.7:
            return lines.assistant_line(f"{text} {number}", session=session, at=at)
        if dice < 0.8:
            return lines.tool_result_line(text * throw.randrange(1, 9), session=session, at=at)
        if dice < 0.88:
            return lines.progress_line(text, step=number, session=session, at=at)
        if dice < 0.91:
            return f'{{"type":"novelty-{number % 3}","text":"{needle}"}}\n'.encode()
        if dice < 0.94:
            return b'{"type":"user","message":' + needle.encode() + b"\n"
        if dice < 0.96:
            return throw.randbytes(200).replace(b"\n", b"\0") + b"\n"
        if dice < 0.97:
            picture = base64.b64encode(Random(number % 7).randbytes(3_000)).decode()
            return lines.image_line(f"picture {number}", picture, session=session, at=at)
        if dice < 0.975:
            return lines.assistant_line(f"{needle} " + "x" * (MAX_LINE_BYTES + number % 999))
        return lines.title_line(f"Title {number}", session=session)
