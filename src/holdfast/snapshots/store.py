"""The resident sessions: a byte budget that holds by construction.

The store is a view. Whatever it evicts, spills or never had is in the journal; a session that gets
new events after its eviction is resident again from those events on, so that an append costs what
was appended and never what the session weighs. Readers that want older events ask the journal.

Order of eviction is the order of last update, oldest first: deterministic, and O(1) to find.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import ClassVar, Final, Literal

import msgspec

from holdfast.blocks import Block
from holdfast.errors import Exit, HoldfastError
from holdfast.governor.protocol import Level, Usage
from holdfast.snapshots.arena import Arena

Reason = Literal[
    "max_sessions", "memory_budget", "memory_pressure", "idle", "oversized", "redacted"
]
REASONS: Final[tuple[Reason, ...]] = (
    "max_sessions",
    "memory_budget",
    "memory_pressure",
    "idle",
    "oversized",
    "redacted",
)
Oversized = Literal["spill", "truncate", "fail"]
IdleMode = Literal["observe", "enforce"]

# What a spilled session may keep: half, so that one giant never owns the whole budget.
OVERSIZED_SHARE: Final = 2
WHOLE_PCT: Final = 100
TAIL_WORTH_SEALING_BYTES: Final = 16_384  # a block of less is hardly smaller than its lines


class OversizedSession(HoldfastError):
    """One session alone is over the budget and the policy is to stop."""

    exit: ClassVar[Exit] = Exit.OVERSIZED


class StoreLimits(msgspec.Struct, frozen=True, kw_only=True):
    budget_bytes: int
    max_sessions: int = 200
    max_events_per_session: int = 10_000
    oversized: Oversized = "spill"
    idle_eviction_ms: int | None = None
    idle_eviction_mode: IdleMode = "observe"
    block_bytes: int = 262_144


class Eviction(msgspec.Struct, frozen=True):
    """One removal from memory, for the logs (K6)."""

    session: str
    reason: Reason
    events: int
    bytes_reclaimed: int
    resident_bytes_after: int


class IdleStatus(msgspec.Struct, frozen=True):
    idle_ms: int | None
    mode: IdleMode
    active: bool
    would_evict: int


class StoreStatus(msgspec.Struct, frozen=True):
    """What `status` says about snapshots (K10)."""

    accounted_bytes: int
    budget_bytes: int
    allowed_bytes: int  # the budget, or a part of it while memory is scarce
    peak_bytes: int
    over_budget: bool
    resident_sessions: int
    max_sessions: int
    resident_events: int
    dropped_events: int
    spilled_events: int
    evictions: dict[str, int]
    bytes_reclaimed: dict[str, int]
    idle_eviction: IdleStatus


class Resident(msgspec.Struct, frozen=True):
    """What is in memory of one session."""

    first_seq: int
    next_seq: int
    bytes: int


class _Session:
    __slots__ = ("arena", "retained_from", "updated_s")

    def __init__(self, arena: Arena, retained_from: int) -> None:
        self.arena = arena
        self.retained_from = retained_from
        self.updated_s = 0.0


class SessionStore:
    """Resident sessions by id. Not thread-safe: whoever feeds it owns it."""

    name: Final = "snapshots"

    def __init__(
        self,
        limits: StoreLimits,
        *,
        on_evicted: Callable[[Eviction], None] = lambda _eviction: None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._on_evicted = on_evicted
        self._clock_s = clock_s
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._allowed_bytes = limits.budget_bytes
        self._bytes = 0
        self._peak_bytes = 0
        self._events = 0
        self._dropped_events = 0
        self._spilled_events = 0
        self._evictions: Counter[Reason] = Counter(dict.fromkeys(REASONS, 0))
        self._reclaimed: Counter[Reason] = Counter(dict.fromkeys(REASONS, 0))

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, session: str) -> bool:
        return session in self._sessions

    @property
    def accounted_bytes(self) -> int:
        return self._bytes

    def append(self, session: str, first_seq: int, lines: bytes, count: int) -> None:
        """Add events that were just journalled: `count` canonical lines from `first_seq` on."""
        self._change(session, first_seq, lambda arena: arena.append(lines, count))

    def append_block(self, session: str, block: Block) -> None:
        self._change(session, block.first_seq, lambda arena: arena.append_block(block))

    def read(self, session: str, from_seq: int = 0, to_seq: int | None = None) -> Iterator[bytes]:
        """Resident lines of the range; nothing for what is not resident."""
        entry = self._sessions.get(session)
        return entry.arena.read(from_seq, to_seq) if entry else iter(())

    def resident(self, session: str) -> Resident | None:
        entry = self._sessions.get(session)
        if entry is None:
            return None
        arena = entry.arena
        return Resident(arena.first_seq, arena.next_seq, arena.resident_bytes)

    def sessions(self) -> list[str]:
        """Least recently updated first: the order in which they would be evicted."""
        return list(self._sessions)

    def evict(self, session: str, reason: Reason) -> int:
        """Drop a session from memory; how many bytes that gave back."""
        entry = self._sessions.pop(session)
        freed = entry.arena.resident_bytes
        events = entry.arena.events
        entry.arena.close()
        self._bytes -= freed
        self._events -= events
        self._record(session, reason, events, freed)
        return freed

    def sweep_idle(self) -> int:
        """Apply `idle_eviction_ms`; how many sessions are idle (and gone, when enforced)."""
        if self.limits.idle_eviction_ms is None:
            return 0
        idle = self._idle_sessions()
        if self.limits.idle_eviction_mode == "enforce":
            for session in idle:
                self.evict(session, "idle")
        return len(idle)

    def usage(self) -> Usage:
        return Usage(
            bytes=self._bytes,
            items=len(self._sessions),
            limit_bytes=self._allowed_bytes,
            limit_items=self.limits.max_sessions,
        )

    def relieve(self, level: Level, target_bytes: int) -> int:
        """Evict the least recently updated until `target_bytes` are free."""
        freed = 0
        while level >= Level.HIGH and freed < target_bytes and self._sessions:
            freed += self.evict(next(iter(self._sessions)), "memory_pressure")
        return freed

    def resize(self, share_pct: int) -> int:
        """Allow a share of the budget until told otherwise; how many bytes left for that."""
        self._allowed_bytes = self.limits.budget_bytes * share_pct // WHOLE_PCT
        return self._evict_down_to(self._allowed_bytes)

    def seal_tails(self, max_bytes: int) -> tuple[int, int]:
        """Compress open tails, the least recent first, about `max_bytes` of them.

        How many tails that were, and how many bytes it gave back.
        """
        sealed, worked, before = 0, 0, self._bytes
        for entry in self._sessions.values():
            arena, tail_bytes = entry.arena, entry.arena.tail_bytes
            if worked >= max_bytes:
                break
            if tail_bytes >= TAIL_WORTH_SEALING_BYTES:
                bytes_before = arena.resident_bytes
                arena.seal_tail()
                self._adjust(arena, bytes_before, arena.events)
                worked += tail_bytes
                sealed += 1
        return sealed, before - self._bytes

    def status(self) -> StoreStatus:
        limits = self.limits
        idle_set = limits.idle_eviction_ms is not None
        return StoreStatus(
            accounted_bytes=self._bytes,
            budget_bytes=limits.budget_bytes,
            allowed_bytes=self._allowed_bytes,
            peak_bytes=self._peak_bytes,
            over_budget=self._bytes > limits.budget_bytes,
            resident_sessions=len(self._sessions),
            max_sessions=limits.max_sessions,
            resident_events=self._events,
            dropped_events=self._dropped_events,
            spilled_events=self._spilled_events,
            evictions={reason: self._evictions[reason] for reason in REASONS},
            bytes_reclaimed={reason: self._reclaimed[reason] for reason in REASONS},
            idle_eviction=IdleStatus(
                idle_ms=limits.idle_eviction_ms,
                mode=limits.idle_eviction_mode,
                active=idle_set and limits.idle_eviction_mode == "enforce",
                would_evict=len(self._idle_sessions()) if idle_set else 0,
            ),
        )

    def close(self) -> None:
        """Give everything back; not an eviction, nothing is logged."""
        for entry in self._sessions.values():
            entry.arena.close()
        self._sessions.clear()
        self._bytes = self._events = 0

    def _entry(self, session: str, first_seq: int) -> _Session:
        entry = self._sessions.get(session)
        if entry is None:
            retained_from = max(0, first_seq - self.limits.max_events_per_session)
            entry = _Session(Arena(first_seq, self.limits.block_bytes), retained_from)
            self._sessions[session] = entry
            self._bytes += entry.arena.resident_bytes
        elif entry.arena.next_seq != first_seq:
            raise AssertionError(
                f"events {first_seq}.. after {entry.arena.next_seq} of {session}: report it"
            )
        return entry

    def _change(self, session: str, first_seq: int, append: Callable[[Arena], None]) -> None:
        """Memory that the system refuses costs the session its place, never the ingestion."""
        try:
            entry = self._entry(session, first_seq)
            self._grow(entry, append)
        except (MemoryError, OSError):
            if session in self._sessions:
                self.evict(session, "memory_pressure")
            return
        entry.updated_s = self._clock_s()
        self._sessions.move_to_end(session)
        self._make_room(session, entry)
        self._peak_bytes = max(self._peak_bytes, self._bytes)

    def _grow(self, entry: _Session, append: Callable[[Arena], None]) -> None:
        arena = entry.arena
        bytes_before, events_before = arena.resident_bytes, arena.events
        try:
            append(arena)
            self._retain(entry)
            if arena.resident_bytes > self.limits.budget_bytes:
                arena.seal_tail()
        finally:
            self._adjust(arena, bytes_before, events_before)

    def _retain(self, entry: _Session) -> None:
        """Keep the newest `max_events_per_session`, to the event (K1)."""
        self._drop(entry, entry.arena.next_seq - self.limits.max_events_per_session)

    def _drop(self, entry: _Session, before: int) -> None:
        """These events are no longer part of the view, wherever they were."""
        if before > entry.retained_from:
            self._dropped_events += before - entry.retained_from
            entry.retained_from = before
            entry.arena.drop_before(before)

    def _adjust(self, arena: Arena, bytes_before: int, events_before: int) -> None:
        self._bytes += arena.resident_bytes - bytes_before
        self._events += arena.events - events_before

    def _make_room(self, session: str, entry: _Session) -> None:
        if entry.arena.resident_bytes > self.limits.budget_bytes:
            self._shrink_oversized(session, entry)
        while len(self._sessions) > self.limits.max_sessions:
            self.evict(next(iter(self._sessions)), "max_sessions")
        self._evict_down_to(self._allowed_bytes)

    def _evict_down_to(self, allowed_bytes: int) -> int:
        whole = allowed_bytes == self.limits.budget_bytes
        freed = 0
        while self._bytes > allowed_bytes and self._sessions:
            session = next(iter(self._sessions))
            freed += self.evict(session, "memory_budget" if whole else "memory_pressure")
        return freed

    def _shrink_oversized(self, session: str, entry: _Session) -> None:
        arena, policy, budget = entry.arena, self.limits.oversized, self.limits.budget_bytes
        if policy == "fail":
            raise OversizedSession(
                f"session {session} takes {arena.resident_bytes:,} bytes, more than the whole "
                f"snapshot budget of {budget:,}, and snapshots.oversized is "
                '"fail": raise snapshots.max_memory_mb, or set snapshots.oversized to "spill"'
            )
        bytes_before, events_before = arena.resident_bytes, arena.events
        while arena.resident_bytes > budget // OVERSIZED_SHARE and arena.events:
            arena.drop_oldest()
        self._adjust(arena, bytes_before, events_before)
        gone = events_before - arena.events
        if not gone:
            return
        if policy == "truncate":
            self._drop(entry, arena.first_seq)
        else:
            self._spilled_events += gone
        self._record(session, "oversized", gone, bytes_before - arena.resident_bytes)

    def _record(self, session: str, reason: Reason, events: int, freed: int) -> None:
        self._evictions[reason] += 1
        self._reclaimed[reason] += freed
        self._on_evicted(Eviction(session, reason, events, freed, self._bytes))

    def _idle_sessions(self) -> list[str]:
        idle_ms = self.limits.idle_eviction_ms
        assert idle_ms is not None
        horizon_s = self._clock_s() - idle_ms / 1000
        idle = []
        for session, entry in self._sessions.items():
            if entry.updated_s > horizon_s:
                break
            idle.append(session)
        return idle
