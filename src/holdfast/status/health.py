"""What only the daemon can tell of itself: memory, connections, what it has under way."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from typing import Final, Protocol

from holdfast.checks import Check, Fact, Verdict, maker, size
from holdfast.governor.governor import Snapshot
from holdfast.governor.protocol import Level
from holdfast.ingest.tail import Tail
from holdfast.journal.service import JournalService
from holdfast.settings import Settings
from holdfast.snapshots import SessionStore

WAITING_MANY_PCT: Final = 90.0  # of how much may wait before whoever reads must
OOM_ADJ_HIGH: Final = 500  # of at most 1,000; user services have 100 or 200

_memory: Final = maker("memory")
_process: Final = maker("process")
_journal: Final = maker("journal")


class Patient(Protocol):
    settings: Settings
    journal: JournalService
    store: SessionStore
    tail: Tail


def checks(daemon: Patient, memory: Snapshot) -> list[Check]:
    """On the event loop: nothing here waits."""
    return [_footprint(memory), oom_score(), _connections(daemon), _work(daemon)]


def _footprint(snapshot: Snapshot) -> Check:
    used, budget = snapshot.footprint_bytes, snapshot.budget_bytes
    evidence: dict[str, Fact] = {
        "tree_bytes": used,
        "peak_tree_bytes": snapshot.peak_footprint_bytes,
        "budget_bytes": budget,
        "level": Level(snapshot.level).label,
        "exact": snapshot.tree.exact,
        "baseline_bytes": snapshot.baseline_bytes,
        "unaccounted_bytes": snapshot.unaccounted_bytes,
        **{f"{each.name.replace(' ', '_')}_bytes": each.bytes for each in snapshot.components},
    }
    said = (
        f"{size(used)} of {size(budget)} (daemon.max_memory_mb), {evidence['level']}, "
        f"peak {size(snapshot.peak_footprint_bytes)}"
    )
    if used > budget or snapshot.level >= Level.CRITICAL:
        verdict: Verdict = "problem"
    else:
        verdict = "warning" if snapshot.level >= Level.HIGH else "ok"
    remedies = (
        ["raise daemon.max_memory_mb, or set ingest.workers = 1 while much is imported"]
        if verdict != "ok"
        else []
    )
    return _memory("footprint", verdict, said, evidence, *remedies)


def oom_score(proc: str = "/proc/self") -> Check:
    """Whom the kernel ends first when there is no memory left."""
    adjusted = None
    with suppress(OSError, ValueError), open(f"{proc}/oom_score_adj", encoding="ascii") as file:
        adjusted = int(file.read())
    evidence: dict[str, Fact] = {"oom_score_adj": adjusted}
    if adjusted is None:
        return _memory("oom-score", "unknown", "this system tells of no OOM score")
    if adjusted >= OOM_ADJ_HIGH:
        return _memory(
            "oom-score",
            "warning",
            f"the kernel ends this process among the first when memory is short ({adjusted:+})",
            evidence,
            "set OOMScoreAdjust=0 in its systemd unit, or start it from another place",
        )
    return _memory("oom-score", "ok", f"OOM score adjusted by {adjusted:+}", evidence)


def _connections(daemon: Patient) -> Check:
    readers = daemon.journal.connections(daemon.settings.resources.reader_held_secs)
    held = readers.held_too_long
    evidence: dict[str, Fact] = {
        "writers": 1,
        "readers_max": readers.readers_max,
        "open": readers.open,
        "readers_lent": readers.lent,
        "waiting": readers.waiting,
        "held_too_long": len(held),
        "longest_held_s": held[0].for_s if held else 0.0,
    }
    said = f"one writer, {readers.lent} of {readers.readers_max} readers in use"
    if held:
        return _journal(
            "connections",
            "warning",
            f"a reader of the journal is in use for {held[0].for_s:,.0f} s: it is leaked, or "
            "somebody reads very slowly",
            evidence,
            "end what reads from the daemon; if nothing does, `holdfast restart` and report it",
        )
    return _journal("connections", "ok", said, evidence)


def _work(daemon: Patient) -> Check:
    store = daemon.store.status()
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:  # asked outside of the loop
        tasks = 0
    waiting = daemon.journal.waiting
    evidence: dict[str, Fact] = {
        "threads": threading.active_count(),
        "tasks": tasks,
        "import_children": len(daemon.tail.child_pids()),
        "waiting_batches": waiting,
        "waiting_bytes": daemon.journal.waiting_bytes,
        "waiting_pct": round(daemon.journal.waiting_pct, 1),
        "resident_sessions": store.resident_sessions,
        "resident_events": store.resident_events,
        "pid": os.getpid(),
    }
    said = (
        f"{tasks} tasks and {evidence['threads']} threads, {waiting:,} batches waiting, "
        f"{store.resident_events:,} events of {store.resident_sessions:,} sessions in memory"
    )
    if daemon.journal.waiting_pct >= WAITING_MANY_PCT:
        return _process(
            "work", "warning", said, evidence, "the disk may be slow: look at its load and its logs"
        )
    return _process("work", "ok", said, evidence)
