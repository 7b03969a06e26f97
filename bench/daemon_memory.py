"""The ceiling on memory: the tree of a daemon while it imports, afterwards, and with nothing held.

Two daemons. One keeps what its default budget allows, for the ceiling; the other evicts whatever is
not being written, for the floor. PSS + swap comes from /proc, sampled from outside; the split by
name is the daemon's own, from `status --json`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bench.kit.corpora import described
from bench.kit.figures import Bar, Ceiling, Outcome, row
from bench.kit.homes import RunningDaemon, fresh_home, plain_environ, running_daemon
from bench.kit.proc import Samples, footprint_bytes, sampling, tree_rss_bytes
from bench.kit.setting import Setting
from holdfast.demo import Manifest

TITLE: Final = "Memory of the daemon's process tree (PSS + swap), daemon.max_memory_mb = 200"

MAX_MEMORY_MB: Final = 200
AIM_MB: Final = 120
IDLE_MB: Final = 50
HEARTBEAT_MS: Final = 500  # twenty times as often as by default, to settle soon
LIBRARIES: Final = "apsw, asyncio, msgspec, starlette.applications, uvicorn, uvloop, zstandard"
SETTLE_S: Final = 6.0
WATCH_S: Final = 10.0

_CEILING: Final = {"daemon.max_memory_mb": MAX_MEMORY_MB, "daemon.heartbeat_ms": HEARTBEAT_MS}
_HOLD_NOTHING: Final = {
    **_CEILING,
    "snapshots.max_memory_mb": 1,
    "snapshots.max_sessions": 1,
    "snapshots.idle_eviction_ms": 1,
    "snapshots.idle_eviction_mode": "enforce",
}


def run(setting: Setting) -> Outcome:
    corpus = setting.corpora.full
    holding = _measure(setting, corpus, _CEILING)
    empty = _measure(setting, corpus, _HOLD_NOTHING)
    snapshots = holding.memory["snapshots"]
    return Outcome(
        rows=[
            row(
                "during import and after, highest",
                max(holding.samples.peak_bytes, empty.samples.peak_bytes) / 1e6,
                "MB",
                bar=Bar(MAX_MEMORY_MB),
            ),
            row(
                f"after import, {snapshots['resident_sessions']:,} sessions resident",
                holding.samples.phase_peak_bytes / 1e6,
                "MB",
            ),
            row(
                "idle after import, nothing resident",
                empty.samples.phase_peak_bytes / 1e6,
                "MB",
                ceiling=Ceiling(_libraries_bytes() / 1e6, "Python with the same libraries loaded"),
                bar=Bar(IDLE_MB),
            ),
            row("of it not accounted for by name", empty.memory["unaccounted_bytes"] / 1e6, "MB"),
            row("RSS then, shared pages in full", empty.rss_bytes / 1e6, "MB"),
        ],
        corpus=described(corpus),
        notes=[
            f"The aim during import is {AIM_MB} MB.",
            (
                "PSS splits a page among all who map it, the bench's own Python included; RSS is "
                "what the daemon would be charged if nobody else ran Python."
            ),
            f"With sessions resident: {_by_name(holding.memory)}",
            f"With nothing resident: {_by_name(empty.memory)}",
            (
                f"Sampled every 20 ms: {len(holding.samples.taken):,} and "
                f"{len(empty.samples.taken):,} times; "
                f"evictions of the first daemon: {_counts(snapshots['evictions'])}."
            ),
        ],
    )


class _Measured(NamedTuple):
    samples: Samples  # its last phase is the one after the import
    rss_bytes: int  # at the end of it
    memory: Any  # as `status --json` has it, right then


def _measure(setting: Setting, corpus: Manifest, settings: Mapping[str, object]) -> _Measured:
    with (
        fresh_home(setting, corpus.root, settings) as home,
        sampling(home.daemon_pid) as samples,
        running_daemon(home) as daemon,
    ):
        daemon.wait_until_imported(corpus.bytes)
        _settle(setting, daemon, hold_nothing=settings is _HOLD_NOTHING)
        samples.start_phase()
        time.sleep(setting.seconds(WATCH_S))
        rss_bytes = tree_rss_bytes(daemon.pid)
        memory = home.call("status", "--json")["memory"]
    return _Measured(samples, rss_bytes, memory)


def _settle(setting: Setting, daemon: RunningDaemon, *, hold_nothing: bool) -> None:
    """Until the heartbeats after the import gave back what it needed."""
    time.sleep(setting.seconds(SETTLE_S, least=2.5 * HEARTBEAT_MS / 1_000))
    if hold_nothing:
        daemon.wait_for(
            lambda status: status["memory"]["snapshots"]["resident_sessions"] == 0,
            "the last session to leave memory",
        )


def _libraries_bytes() -> int:
    """What no program on these libraries can be below."""
    program = f"import {LIBRARIES}; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-I", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**plain_environ(), "MALLOC_ARENA_MAX": "2"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        size = footprint_bytes(process.pid)
        process.communicate(b"\n")
    return size


def _by_name(memory: Any) -> str:
    parts = [("the program itself", memory["baseline_bytes"])]
    parts += [(each["name"], each["bytes"]) for each in memory["components"]]
    parts += [("unaccounted", memory["unaccounted_bytes"])]
    named = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in parts)
    return f"{memory['process']['tree_bytes'] / 1e6:.1f} MB = {named}."


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} by {reason}" for reason, count in counts.items() if count) or "none"
