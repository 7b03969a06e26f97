"""Somebody else's service with our store: 1,000 sessions of 1,000 events in 64 MB.

In a process of its own that has imported nothing but the store, warmed up before the first reading.
All events together would take many times the budget: most of the time the store is full, and
sessions leave.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any, Final

from bench.kit.figures import Bar, Ceiling, Outcome, row
from bench.kit.homes import plain_environ
from bench.kit.proc import footprint_bytes
from bench.kit.setting import Setting
from holdfast import SessionStore
from holdfast.governor import libc

TITLE: Final = "The store as a library: a thousand chats under a budget"

SESSIONS: Final = 1_000
EVENTS: Final = 1_000  # of each session
BUDGET_MB: Final = 64
BATCH_EVENTS: Final = 10
WITHIN: Final = 0.05
POOL_CHARS: Final = 1_000_000
TEXT_CHARS: Final = (40, 900)

_ROOT: Final = Path(__file__).parents[1]
_MIB: Final = 1 << 20


def run(setting: Setting) -> Outcome:
    found = _in_clean_process(setting.scale)
    return Outcome(
        rows=[
            row(
                "most that was accounted at any time",
                found["peak_bytes"] / _MIB,
                "MiB",
                bar=Bar(BUDGET_MB),
            ),
            row(
                "accounted in the end",
                found["accounted_bytes"] / 1e6,
                "MB",
                ceiling=Ceiling(found["grown_bytes"] / 1e6, "real growth, PSS + swap"),
                bar=Bar(1 + WITHIN, "ratio", least=1 - WITHIN),
            ),
            row("one event added, evictions included", found["add_us"], "us"),
            row("sessions in memory in the end", found["resident"], "sessions"),
        ],
        corpus=(
            f"{found['sessions']:,} sessions of {found['events']:,} events, "
            f"{found['json_bytes'] / 1e6:,.0f} MB as JSON, ten here and ten there"
        ),
        notes=["For the ratio, 1 is exact."],
    )


def _in_clean_process(scale: float) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "bench.library", str(scale)],
        cwd=_ROOT,
        env={**plain_environ(), "MALLOC_ARENA_MAX": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


# In the clean process.


def _measure(scale: float) -> dict[str, float]:
    throw = Random(5)
    letters = "etaoinshrdlucmfwypvbgkjqxz "
    pool = "".join(throw.choices(letters, [1 / (n + 2) for n in range(len(letters))], k=POOL_CHARS))
    sessions, events = max(20, round(SESSIONS * scale)), EVENTS

    def batch(number: int) -> list[dict[str, Any]]:
        made = []
        for which in range(BATCH_EVENTS):
            start, length = throw.randrange(POOL_CHARS - 1_000), throw.randint(*TEXT_CHARS)
            made.append(
                {
                    "role": "user" if which % 2 else "assistant",
                    "at": f"2026-03-01T12:{number % 60:02}:00.000Z",
                    "text": pool[start : start + length],
                }
            )
        return made

    with SessionStore(BUDGET_MB) as warm:
        for number in range(40):
            for _ in range(30):
                warm.add(f"warm-{number}", *batch(number))
    before_bytes = _settled_bytes()
    store = SessionStore(BUDGET_MB)
    peak_bytes = json_bytes = 0
    spent_s = 0.0
    for step in range(events // BATCH_EVENTS):
        for number in throw.sample(range(sessions), sessions):
            added = batch(step)
            json_bytes += sum(len(each["text"]) + 70 for each in added)
            began_s = time.perf_counter()
            store.add(f"session-{number}", *added)
            spent_s += time.perf_counter() - began_s
            peak_bytes = max(peak_bytes, store.accounted_bytes)
    figures = {
        "sessions": sessions,
        "events": events,
        "json_bytes": json_bytes,
        "peak_bytes": peak_bytes,
        "add_us": spent_s / (sessions * events) * 1e6,
        "grown_bytes": _settled_bytes() - before_bytes,
        "accounted_bytes": store.accounted_bytes,
        "resident": len(store),
    }
    store.close()
    return figures


def _settled_bytes() -> int:
    """After giving back what only passed through."""
    gc.collect()
    libc.malloc_trim()
    return footprint_bytes(os.getpid())


if __name__ == "__main__":
    print(json.dumps(_measure(float(sys.argv[1]))))
