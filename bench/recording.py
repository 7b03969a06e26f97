"""From a line that an agent appends to the same line in the file that records its session.

A long and a short session are captured by one daemon, and take turns, so that whatever else the
machine does falls on both. The recording is looked at every fifth of a millisecond; the ceiling is
how long such a look takes to see a plain append of the same bytes.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Final

from bench.kit.corpora import LongSession
from bench.kit.figures import Bar, Ceiling, Outcome, p50, p99, row
from bench.kit.homes import Home, RunningDaemon, fresh_home, running_daemon
from bench.kit.setting import Setting
from holdfast.clock import instant
from holdfast.demo import lines
from holdfast.events import session_id

TITLE: Final = "From an appended line to the same line in a recording"

APPENDS: Final = 300
SHORT_SHARE: Final = 100  # the short session has one hundredth of the long one's lines
POLL_S: Final = 0.000_2
PAUSE_MAX_S: Final = 0.02  # between appends, by chance: so that they meet every phase of the daemon
TIMEOUT_S: Final = 10.0
WORDS: Final = 60


class _Recorded:
    """A session, its log, and the file that follows it."""

    def __init__(self, folder: Path, name: str, content: bytes) -> None:
        self.name = name
        self.log = folder / "claude" / "projects" / "-bench" / f"{name}.jsonl"
        self.file = folder / f"{name}.md"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(content)

    def capture(self, home: Home) -> None:
        home.call("capture", session_id("claude", self.name), str(self.file), "--json")

    def append(self, line: bytes) -> float:
        """Milliseconds until it is in the recording."""
        size = self.file.stat().st_size
        began_s = time.perf_counter()
        with self.log.open("ab", buffering=0) as log:
            log.write(line)
        _wait_beyond(self.file, size)
        return (time.perf_counter() - began_s) * 1_000


def run(setting: Setting) -> Outcome:
    long = setting.corpora.long
    count = setting.count(APPENDS, least=10)
    with setting.folder("recording") as folder:
        content = long.path.read_bytes()
        cut = content.splitlines(keepends=True)
        short_lines = cut[: max(4, len(cut) // SHORT_SHARE)]
        sessions = [
            _Recorded(folder, "long", content),
            _Recorded(folder, "short", b"".join(short_lines)),
        ]
        settings = {"recording.allowed_write_roots": folder}
        with (
            fresh_home(setting, folder / "claude", settings) as home,
            running_daemon(home) as daemon,
        ):
            daemon.wait_until_imported(sum(each.log.stat().st_size for each in sessions))
            for each in sessions:
                each.capture(home)
            times, plain = _append_all(sessions, folder, count)
            events = _events(daemon, sessions)
        recorded_bytes = sessions[0].file.stat().st_size
    at_long, at_short = times
    return Outcome(
        rows=[
            row(
                f"p99 at {events[0]:,} events",
                p99(at_long),
                "ms",
                ceiling=Ceiling(p99(plain), "p99 of a plain append of the same bytes"),
                bar=Bar(100.0),
            ),
            row(
                f"p50 at {events[0]:,} against {events[1]:,} events",
                p50(at_long),
                "ms",
                ceiling=Ceiling(p50(at_short), f"p50 at {events[1]:,} events"),
                bar=Bar(1.5, on="ratio"),
            ),
            row("slowest", max(at_long), "ms"),
        ],
        corpus=(
            f"a session of {events[0]:,} events, {recorded_bytes / 1e6:,.1f} MB as Markdown, and "
            f"one of {events[1]:,}, from {_described(long)}; {count} appends to each"
        ),
    )


def _append_all(
    sessions: list[_Recorded], folder: Path, count: int
) -> tuple[list[list[float]], list[float]]:
    throw = random.Random(1)
    times: list[list[float]] = [[] for _ in sessions]
    plain = []
    other = folder / "plain.md"
    other.touch()
    for number in range(count):
        text = f"append {number} " + "word " * throw.randrange(WORDS)
        for each, found in zip(sessions, times, strict=True):
            time.sleep(throw.random() * PAUSE_MAX_S)
            line = lines.assistant_line(
                text, session=each.name, at=instant(), uuid=f"{each.name}-{number}"
            )
            found.append(each.append(line))
        plain.append(_plain(other, text.encode()))
    return times, plain


def _plain(path: Path, content: bytes) -> float:
    size = path.stat().st_size
    began_s = time.perf_counter()
    with path.open("ab", buffering=0) as file:
        file.write(content)
    _wait_beyond(path, size)
    return (time.perf_counter() - began_s) * 1_000


def _wait_beyond(path: Path, size: int) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while os.stat(path).st_size <= size:
        assert time.monotonic() < deadline_s, f"nothing came to {path}"
        time.sleep(POLL_S)


def _events(daemon: RunningDaemon, sessions: list[_Recorded]) -> list[int]:
    found = [daemon.api.json(f"/v1/sessions/claude/{each.name}") for each in sessions]
    return [each["events"] for each in found]


def _described(long: LongSession) -> str:
    return f"a generated log of {long.bytes / 1e6:,.1f} MB of the design's distribution"
