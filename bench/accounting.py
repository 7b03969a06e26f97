"""Accounted bytes of the session store against what a clean process grew by.

Each kind of event gets a process of its own, warmed up before the first reading, so that what grows
is what the store holds and not what some library loads when it is first used. The last two rows are
about the Python objects of a session: `arena.OVERHEAD_BYTES` is measured here.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from bench.kit.figures import Bar, Ceiling, Outcome, row
from bench.kit.homes import plain_environ
from bench.kit.proc import footprint_bytes
from bench.kit.setting import Setting
from holdfast.events import EMPTY, Event, Kind, Origin, encode_onto, event_id, session_id
from holdfast.governor import libc
from holdfast.snapshots import SessionStore, StoreLimits
from holdfast.snapshots.arena import OVERHEAD_BYTES, PAGE_BYTES

TITLE: Final = "Accounted bytes of resident sessions against the real growth of the process"

FULL_MB: Final = 24  # accounted, about
SESSIONS: Final = 150
SMALL_SESSIONS: Final = 4_000
BATCH_EVENTS: Final = 10
POOL_CHARS: Final = 3_000_000  # texts are cut from it: more than one block holds
WARM_SESSIONS: Final = 4
WARM_BYTES: Final = 4_000_000
WITHIN: Final = 0.05
BUDGET_BYTES: Final = 1 << 30

_ROOT: Final = Path(__file__).parents[1]
_SEED: Final = 3
_CJK: Final = (0x4E00, 0x9FA5)
_EMOJI: Final = (0x1F300, 0x1F64F)
_ASCII: Final = (0x61, 0x7A)

# name -> letters, and how many characters a text has
KINDS: Final[dict[str, tuple[tuple[int, int], int]]] = {
    "ASCII": (_ASCII, 900),
    "CJK": (_CJK, 300),
    "emoji": (_EMOJI, 200),
    "tiny": (_ASCII, 1),
    "huge": (_ASCII, 700_000),
}
SMALL: Final = "small sessions"


def run(setting: Setting) -> Outcome:
    rows = []
    for kind, (_letters, chars) in KINDS.items():
        found = _in_clean_process(kind, setting.scale)
        rows.append(
            row(
                f"{kind} events, {chars:,} character{'s' if chars > 1 else ''} each",
                found["accounted_bytes"] / 1e6,
                "MB",
                ceiling=Ceiling(found["grown_bytes"] / 1e6, "real growth, PSS + swap"),
                bar=Bar(1 + WITHIN, "ratio", least=1 - WITHIN),
            )
        )
    small = _in_clean_process(SMALL, setting.scale)
    rows.append(
        row(
            f"{small['sessions']:,} sessions of one tiny event",
            small["accounted_bytes"] / 1e6,
            "MB",
            ceiling=Ceiling(small["grown_bytes"] / 1e6, "real growth, PSS + swap"),
        )
    )
    overhead_bytes = small["grown_bytes"] / small["sessions"] - PAGE_BYTES
    rows.append(
        row(
            "accounted for the Python objects of one session",
            OVERHEAD_BYTES,
            "B",
            ceiling=Ceiling(overhead_bytes, "real growth beyond its one page"),
        )
    )
    return Outcome(
        rows=rows,
        corpus=(
            f"made-up events of each kind, random letters, {SESSIONS} sessions of different "
            f"lengths, about {FULL_MB * setting.scale:g} MB accounted for each kind"
        ),
        notes=["For the ratio, 1 is exact; the accounted bytes are what the budget is kept by."],
    )


def _in_clean_process(kind: str, scale: float) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "bench.accounting", kind, str(scale)],
        cwd=_ROOT,
        env={**plain_environ(), "MALLOC_ARENA_MAX": "2"},  # as the daemon is started
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


# In the clean process.


class _Fill:
    """Fills a store with events of one kind, a batch here and a batch there, as agents do."""

    def __init__(self, kind: str) -> None:
        from random import Random

        self._throw = Random(_SEED)
        (first, last), self._chars = KINDS.get(kind, KINDS["tiny"])
        # Some letters are frequent and most are not, so that it compresses about as text does.
        letters = [chr(first + (last - first) * number // 63) for number in range(64)]
        weights = [1 / (number + 2) for number in range(64)]
        self._pool = "".join(self._throw.choices(letters, weights, k=POOL_CHARS))

    def fill(self, store: SessionStore, sessions: int, most_bytes: int) -> None:
        """Some sessions get many batches and others few, until all of them are large enough."""
        throw = self._throw
        ids = [session_id("claude", f"{sessions}/{number}") for number in range(sessions)]
        seqs = dict.fromkeys(ids, 0)
        for session in ids:
            self._append(store, session, seqs, 1)
        while store.accounted_bytes < most_bytes:
            session = ids[int(throw.random() ** 2 * sessions)]
            self._append(store, session, seqs, BATCH_EVENTS if self._chars < PAGE_BYTES else 1)

    def _append(self, store: SessionStore, session: str, seqs: dict[str, int], count: int) -> None:
        first = seqs[session]
        lines = bytearray()
        for seq in range(first, first + count):
            encode_onto(self._event(session, seq), lines)
        store.append(session, first, bytes(lines), count)
        seqs[session] = first + count

    def _event(self, session: str, seq: int) -> Event:
        start = int(self._throw.random() * (len(self._pool) - self._chars))
        text = self._pool[start : start + self._chars]
        return Event(
            id=event_id(session, 0, seq * 1_000, 0),
            session=session,
            seq=seq,
            kind=Kind.ASSISTANT,
            at="2026-03-01T12:00:00.000Z",
            text=text,
            data=EMPTY,
            source=Origin("claude", "project/session.jsonl", seq * 1_000),
        )


def _measure(kind: str, scale: float) -> dict[str, int]:
    # A budget that is never reached, and retention that drops nothing: growth only.
    limits = StoreLimits(
        budget_bytes=BUDGET_BYTES, max_sessions=SMALL_SESSIONS, max_events_per_session=10**9
    )
    fill = _Fill(kind)
    warm = SessionStore(limits)
    fill.fill(warm, WARM_SESSIONS, WARM_BYTES)
    warm.close()
    del warm
    sessions = max(20, round((SMALL_SESSIONS if kind == SMALL else SESSIONS) * scale))
    most_bytes = 0 if kind == SMALL else round(FULL_MB * 1_000_000 * scale)
    before_bytes = _settled_bytes()
    store = SessionStore(limits)
    fill.fill(store, sessions, most_bytes)
    grown_bytes = _settled_bytes() - before_bytes
    return {
        "sessions": sessions,
        "accounted_bytes": store.accounted_bytes,
        "grown_bytes": grown_bytes,
    }


def _settled_bytes() -> int:
    """After giving back what only passed through."""
    import os

    gc.collect()
    libc.malloc_trim()
    return footprint_bytes(os.getpid())


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], float(sys.argv[2]))))
