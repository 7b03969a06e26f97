"""From a line that an agent appends to the same line in the answer to a `GET` of the session.

A client asks again and again over one open connection for events behind the last one that it has;
between two questions it waits half a millisecond. The time runs from before the write to the answer
that has the event, so up to one question and answer of it is the client's own: the ceiling is what
such a question takes when there is nothing new.
"""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from bench.kit.corpora import described
from bench.kit.figures import Bar, Ceiling, Outcome, p50, p99, row
from bench.kit.homes import RunningDaemon, fresh_home, running_daemon
from bench.kit.setting import Setting
from holdfast.demo import LiveSession
from holdfast.events import session_id

TITLE: Final = "From an appended line to its event in GET /v1/sessions/ID/events"

APPENDS: Final = 200
SESSION: Final = "22222222-0000-4000-a000-000000000002"
POLL_S: Final = 0.000_5
PAUSE_MAX_S: Final = 0.02  # between appends, by chance: so that they meet every phase of the daemon
TIMEOUT_S: Final = 10.0
QUIET_ASKS: Final = 100

_SPOKEN: Final = ("user", "assistant")  # what always becomes an event; progress is often skipped


class _Type(msgspec.Struct):
    type: str = ""


def run(setting: Setting) -> Outcome:
    known = setting.corpora.known
    count = setting.count(APPENDS, least=10)
    with setting.folder("tail") as folder:
        lines = _lines(folder / "scratch.jsonl", count + 1)
        log = known.files[0].path.with_name(f"{SESSION}.jsonl")
        try:
            with fresh_home(setting, known.root) as home, running_daemon(home) as daemon:
                daemon.wait_until_imported(known.bytes)
                seen, asked = _append_all(daemon, log, lines)
        finally:
            log.unlink(missing_ok=True)
    sizes = sorted(map(len, lines))
    return Outcome(
        rows=[
            row(
                f"p99 of {len(seen)} appends",
                p99(seen),
                "ms",
                ceiling=Ceiling(p99(asked), "p99 of asking for events when there is none"),
                bar=Bar(50.0),
            ),
            row(
                "p50",
                p50(seen),
                "ms",
                ceiling=Ceiling(p50(asked), "p50 of asking for events when there is none"),
            ),
            row("slowest", max(seen), "ms"),
        ],
        corpus=(
            f"{described(known)}; appended: lines of people and agents from `LiveSession`, half of "
            f"them below {sizes[len(sizes) // 2]:,} B, the largest {sizes[-1]:,} B"
        ),
    )


def _lines(scratch: Path, count: int) -> list[bytes]:
    """Lines as an agent writes them, but ours to append one at a time."""
    live = LiveSession(scratch, SESSION, seed=1, clock=lambda: datetime.now(UTC))
    found: list[bytes] = []
    while len(found) < count:
        found += [
            line for line in live.append() if msgspec.json.decode(line, type=_Type).type in _SPOKEN
        ]
    return found[:count]


def _append_all(
    daemon: RunningDaemon, log: Path, lines: list[bytes]
) -> tuple[list[float], list[float]]:
    """Milliseconds until each line was seen, and of questions that found nothing."""
    throw = random.Random(1)
    session = session_id("claude", SESSION)
    seen: list[float] = []
    with log.open("ab", buffering=0) as file:
        file.write(lines[0])  # the session begins: not measured
        daemon.wait_for(
            lambda status: any(each["id"] == session for each in status["sessions"]["newest"]),
            "the session to appear",
        )
        events = _wait_beyond(daemon, session, 0)
        for line in lines[1:]:
            time.sleep(throw.random() * PAUSE_MAX_S)
            events += _events_behind(daemon, session, events)
            began_s = time.perf_counter()
            os.write(file.fileno(), line)
            events += _wait_beyond(daemon, session, events)
            seen.append((time.perf_counter() - began_s) * 1_000)
    asked = []
    for _ in range(QUIET_ASKS):
        began_s = time.perf_counter()
        _events_behind(daemon, session, events)
        asked.append((time.perf_counter() - began_s) * 1_000)
    return seen, asked


def _wait_beyond(daemon: RunningDaemon, session: str, events: int) -> int:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not (more := _events_behind(daemon, session, events)):
        assert time.monotonic() < deadline_s, f"event {events} of {session} did not appear"
        time.sleep(POLL_S)
    return more


def _events_behind(daemon: RunningDaemon, session: str, events: int) -> int:
    return daemon.api.get(f"/v1/sessions/{session}/events?from={events}").count(b"\n")
