"""The largest logs ever met, and somebody at work beside them.

Each giant is imported twice: by `holdfast import` on its own, and under a running daemon while
lines are appended to a log of Claude Code. What is measured is the whole tree's memory at its
highest, and how long each line took to its answer.
"""

from __future__ import annotations

import os
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from bench.kit.figures import Bar, Outcome, Row, p99, row
from bench.kit.giants import GIANTS, Giant
from bench.kit.homes import HOLDFAST, Home, RunningDaemon, fresh_home, running_daemon
from bench.kit.proc import sampling
from bench.kit.setting import Setting
from holdfast.demo import LiveSession
from holdfast.events import session_id

TITLE: Final = "The largest logs ever met: memory, and a session that is tailed meanwhile"

MAX_MEMORY_MB: Final = 200
SEEN_MS: Final = 250.0
SESSION: Final = "33333333-0000-4000-a000-000000000003"
APPEND_EVERY_S: Final = 0.1
POLL_S: Final = 0.001
TIMEOUT_S: Final = 30.0
_SPOKEN: Final = ("user", "assistant")
_SETTINGS: Final = {"daemon.max_memory_mb": MAX_MEMORY_MB}


class _Type(msgspec.Struct):
    type: str = ""


class _Measured(NamedTuple):
    peak_bytes: int
    seconds: float
    report: Any


def run(setting: Setting) -> Outcome:
    rows: list[Row] = []
    notes: list[str] = []
    for giant in GIANTS:
        wanted = round(giant.bytes * setting.scale)
        imported, size = _import(setting, giant, wanted)
        rows.append(_memory(f"{giant.name}: highest during import", imported.peak_bytes))
        rows.append(row("seconds of it", imported.seconds, "s"))
        peak_bytes, seen = _beside(setting, giant, wanted)
        rows.append(_memory("the same under a daemon", peak_bytes))
        rows.append(
            row(
                f"slowest of {len(seen)} lines appended meanwhile",
                max(seen),
                "ms",
                bar=Bar(SEEN_MS),
            )
        )
        rows.append(row("p99 of them", p99(seen), "ms"))
        counts = imported.report["bytes"]
        notes.append(
            f"{giant.name}: {size:,} bytes, {imported.report['events']:,} events; "
            f"{counts['parsed']:,} parsed, {counts['skipped']:,} skipped, "
            f"{counts['unknown']:,} unknown, {counts['bad']:,} bad."
        )
    names = ", ".join(f"{giant.name} ({giant.bytes / 1e6:,.0f} MB)" for giant in GIANTS)
    return Outcome(rows=rows, corpus=f"generated: {names}", notes=notes)


def _memory(what: str, size: int) -> Row:
    return row(what, size / 1e6, "MB", bar=Bar(MAX_MEMORY_MB))


def _import(setting: Setting, giant: Giant, wanted: int) -> tuple[_Measured, int]:
    with setting.folder("giant") as root, fresh_home(setting, root / "claude", _SETTINGS) as home:
        size = giant.write(home.agents[giant.agent], wanted)
        with subprocess.Popen(
            [HOLDFAST, "import", "--json", "--quiet"], env=home.environ, stdout=subprocess.PIPE
        ) as importing:
            began_s = time.monotonic()
            with sampling(lambda: importing.pid) as samples:
                out, _ = importing.communicate()
            seconds = time.monotonic() - began_s
        assert importing.returncode == 0, f"holdfast import ended with {importing.returncode}"
        report = msgspec.json.decode(out)
        assert report["bytes"]["seen"] == size, f"{report['bytes']} of {size:,}"
        return _Measured(samples.peak_bytes, seconds, report), size


def _beside(setting: Setting, giant: Giant, wanted: int) -> tuple[int, list[float]]:
    """What a daemon takes for it, and the milliseconds to each line of somebody else's."""
    with setting.folder("giant") as root, fresh_home(setting, root / "claude", _SETTINGS) as home:
        with sampling(home.daemon_pid) as samples, running_daemon(home) as daemon:
            others = _Others(home, daemon)
            seen = others.append()  # the session begins: not measured
            # Elsewhere first: it appears all at once.
            size = giant.write(root / "elsewhere", wanted)
            _move(root / "elsewhere", home.agents[giant.agent])
            seen = []
            while not _is_read(daemon, size + others.written):
                seen += others.append()
                time.sleep(APPEND_EVERY_S)
        return samples.peak_bytes, seen


def _move(root: Path, target: Path) -> None:
    for path in sorted(root.rglob("*.*")):
        if path.is_file():
            moved = target / path.relative_to(root)
            moved.parent.mkdir(parents=True, exist_ok=True)
            path.rename(moved)


def _is_read(daemon: RunningDaemon, wanted: int) -> bool:
    seen: int = sum(source["bytes"]["seen"] for source in daemon.status()["sources"])
    return seen >= wanted


class _Others:
    """A session of Claude Code beside the giant."""

    def __init__(self, home: Home, daemon: RunningDaemon) -> None:
        self._daemon = daemon
        self._log = home.agents["claude"] / "projects" / "-home-hana" / f"{SESSION}.jsonl"
        self._log.parent.mkdir(parents=True)
        scratch = home.path / "scratch.jsonl"
        self._live = LiveSession(scratch, SESSION, seed=1, clock=lambda: datetime.now(UTC))
        self._lines: list[bytes] = []
        self._events = 0
        self.written = 0

    def append(self) -> list[float]:
        """One line; the milliseconds until its event was given out."""
        while not self._lines:
            self._lines = [line for line in self._live.append() if _is_spoken(line)]
        line = self._lines.pop(0)
        with self._log.open("ab", buffering=0) as file:
            began_s = time.perf_counter()
            os.write(file.fileno(), line)
        self.written += len(line)
        deadline_s = time.monotonic() + TIMEOUT_S
        while not (more := self._more()):
            assert time.monotonic() < deadline_s, f"event {self._events} did not appear"
            time.sleep(POLL_S)
        self._events += more
        return [(time.perf_counter() - began_s) * 1_000]

    def _more(self) -> int:
        path = f"/v1/sessions/{session_id('claude', SESSION)}/events?from={self._events}"
        try:
            return self._daemon.api.get(path).count(b"\n")
        except AssertionError:  # the first line of a session: nobody knows it yet
            return 0


def _is_spoken(line: bytes) -> bool:
    return msgspec.json.decode(line, type=_Type).type in _SPOKEN
