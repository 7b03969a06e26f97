"""A large database of OpenCode is imported while somebody works with another agent.

The daemon starts beside a database that it has never seen. While its children read that, lines are
appended to a log of Claude Code, and each is asked for until it is there. Memory is that of the
whole tree of processes, from the start until the last session is stored.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any, Final

from bench.kit.figures import Bar, Outcome, p50, p99, row
from bench.kit.homes import RunningDaemon, fresh_home, running_daemon
from bench.kit.opencode import FULL_BYTES, MadeDatabase, make_database
from bench.kit.proc import sampling
from bench.kit.setting import Setting
from holdfast.clock import instant
from holdfast.demo.lines import user_line
from holdfast.events import session_id

TITLE: Final = "A database of 2 GB imported while another session is tailed"

MAX_MEMORY_MB: Final = 200
TAILED_WITHIN_MS: Final = 250
SESSION: Final = "33333333-0000-4000-a000-000000000003"
PAUSE_S: Final = 0.05  # between two lines
POLL_S: Final = 0.000_5
TIMEOUT_S: Final = 900.0
LINES_AFTER: Final = 20  # where the import is over before this many lines are, the rest are quiet


def run(setting: Setting) -> Outcome:
    wanted = max(4_000_000, round(FULL_BYTES * setting.scale))
    with setting.folder("database") as folder:
        free = shutil.disk_usage(folder).free
        assert free > 3 * wanted, f"this takes {3 * wanted / 1e9:.0f} GB of disk, {free:,} are free"
        data = folder / "opencode"
        data.mkdir()
        began_s = time.perf_counter()
        made = make_database(data / "opencode.db", wanted)
        made_s = time.perf_counter() - began_s
        log = folder / "claude" / "projects" / "-home-hana" / f"{SESSION}.jsonl"
        log.parent.mkdir(parents=True)
        settings = {
            "sources.opencode.roots": f'["{data}"]',
            "daemon.max_memory_mb": MAX_MEMORY_MB,
        }
        with (
            fresh_home(setting, folder / "claude", settings) as home,
            sampling(home.daemon_pid) as samples,
            running_daemon(home) as daemon,
        ):
            began_s = time.perf_counter()
            seen = _tail_until_imported(daemon, log, made)
            took_s = time.perf_counter() - began_s
            status = daemon.status()
        changed = sorted(os.listdir(data)) != ["opencode.db"]
    assert not changed, "reading the database left files beside it"
    return Outcome(
        rows=[
            row(
                "memory of the tree, highest",
                samples.peak_bytes / 1e6,
                "MB",
                bar=Bar(MAX_MEMORY_MB),
            ),
            row(
                f"p99 of {len(seen)} lines tailed meanwhile",
                p99(seen),
                "ms",
                bar=Bar(TAILED_WITHIN_MS),
            ),
            row("the slowest of them", max(seen), "ms", bar=Bar(TAILED_WITHIN_MS)),
            row("p50 of them", p50(seen), "ms"),
            row("until all of it was stored", took_s, "s"),
        ],
        corpus=(
            f"a made-up database of OpenCode: {made.bytes / 1e6:,.0f} MB, {made.sessions:,} "
            f"sessions, {made.parts:,} parts, made in {made_s:.0f} s"
        ),
        notes=[_notes(status, made, took_s)],
    )


def _tail_until_imported(daemon: RunningDaemon, log: Path, made: MadeDatabase) -> list[float]:
    """Milliseconds from each line to its event, for as long as the import takes."""
    session = session_id("claude", SESSION)
    deadline_s = time.monotonic() + TIMEOUT_S
    seen: list[float] = []
    after = 0
    with log.open("ab", buffering=0) as file:
        while after < LINES_AFTER:
            line = user_line(f"line {len(seen)}", session=SESSION, at=instant())
            began_s = time.perf_counter()
            os.write(file.fileno(), line)
            _wait_for(daemon, session, len(seen), deadline_s, is_first=not seen)
            seen.append((time.perf_counter() - began_s) * 1_000)
            time.sleep(PAUSE_S)
            after += _is_imported(daemon.status(), made)
    return seen


def _wait_for(
    daemon: RunningDaemon, session: str, event: int, deadline_s: float, *, is_first: bool
) -> None:
    while True:
        assert time.monotonic() < deadline_s, f"event {event} of {session} did not appear"
        known = not is_first or any(
            each["id"] == session for each in daemon.status()["sessions"]["newest"]
        )
        if known and daemon.api.get(f"/v1/sessions/{session}/events?from={event}"):
            return
        time.sleep(POLL_S)


def _opencode(status: Any) -> Any:
    return next(source for source in status["sources"] if source["agent"] == "opencode")


def _is_imported(status: Any, made: MadeDatabase) -> bool:
    return not status["importing"]["running"] and _opencode(status)["files"] >= made.sessions


def _notes(status: Any, made: MadeDatabase, took_s: float) -> str:
    counted = _opencode(status)["bytes"]
    return (
        f"{made.bytes / 1e6 / took_s:,.0f} MB a second beside the tailing; of the rows, "
        f"{counted['parsed'] / 1e6:,.0f} MB were parsed and {counted['unknown'] / 1e6:,.0f} MB, "
        "one row, went to a payload unread. Nothing was left beside the database."
    )
