"""The store keeps what K1 to K8 promise: counted, ordered, and within its budget whatever comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from holdfast import blocks
from holdfast.governor.protocol import Bounded, Level
from holdfast.snapshots import Eviction, OversizedSession, SessionStore, StoreLimits
from holdfast.snapshots.arena import OVERHEAD_BYTES, PAGE_BYTES, Arena
from holdfast.snapshots.store import REASONS

SESSIONS: Final = ("a", "b", "c", "d", "e", "f")
LARGE: Final = 1 << 30


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Known:
    """What the naive model knows of a resident session."""

    def __init__(self, first_seq: int, keep: int, now_s: float) -> None:
        self.first_seq = first_seq
        self.retained_from = max(0, first_seq - keep)
        self.updated_s = now_s


class StoreMachine(RuleBasedStateMachine):
    """The store against lists of lines and a list of names in the order of their last update."""

    @initialize(
        budget=st.integers(9_000, 90_000),
        sessions=st.integers(1, 5),
        events=st.integers(3, 60),
        block=st.sampled_from([300, 2_000, 8_000]),
        oversized=st.sampled_from(["spill", "truncate"]),
        idle_ms=st.none() | st.integers(1, 5_000),
        mode=st.sampled_from(["observe", "enforce"]),
    )
    def begin(self, budget: int, sessions: int, events: int, block: int, **rest: Any) -> None:
        self.limits = StoreLimits(
            budget_bytes=budget,
            max_sessions=sessions,
            max_events_per_session=events,
            block_bytes=block,
            oversized=rest["oversized"],
            idle_eviction_ms=rest["idle_ms"],
            idle_eviction_mode=rest["mode"],
        )
        self.clock = Clock()
        self.store = SessionStore(self.limits, on_evicted=self.evicted, clock_s=self.clock)
        self.journal: dict[str, list[bytes]] = {name: [] for name in SESSIONS}
        self.resident: dict[str, Known] = {}  # the least recently updated first
        self.dropped = self.spilled = 0
        self.told: Counter[str] = Counter()
        self.reclaimed: Counter[str] = Counter()
        self.reason = ""  # the reason that what happens now may evict for, beside the limits
        self.throw = Random(7)

    def evicted(self, eviction: Eviction) -> None:
        """Called in the middle of things: the order and the need of each eviction."""
        assert eviction.reason in REASONS
        self.told[eviction.reason] += 1
        self.reclaimed[eviction.reason] += eviction.bytes_reclaimed
        assert eviction.resident_bytes_after == self.store.accounted_bytes
        before = eviction.resident_bytes_after + eviction.bytes_reclaimed
        if eviction.reason == "oversized":
            assert eviction.session == list(self.resident)[-1]
            known = self.resident[eviction.session]
            known.first_seq += eviction.events
            if self.limits.oversized == "truncate":
                self.dropped += known.first_seq - known.retained_from
                known.retained_from = known.first_seq
            else:
                self.spilled += eviction.events
            return
        assert eviction.session == next(iter(self.resident)) or self.reason == "by name"
        assert eviction.events == (
            len(self.journal[eviction.session]) - self.resident[eviction.session].first_seq
        )
        if eviction.reason == "max_sessions":
            assert len(self.resident) > self.limits.max_sessions
        elif eviction.reason == "memory_budget":
            assert before > self.limits.budget_bytes
        else:
            assert self.reason in (eviction.reason, "by name")
        del self.resident[eviction.session]

    def upsert(self, name: str, count: int, size: int, put: Callable[[int, bytes], None]) -> None:
        first = len(self.journal[name])
        lines = [self.throw.randbytes(size // 2).hex().encode() + b"\n" for _ in range(count)]
        self.journal[name] += lines
        known = self.resident.pop(name, None)
        if known is None:
            known = Known(first, self.limits.max_events_per_session, self.clock.now_s)
        self.resident[name] = known
        known.updated_s = self.clock.now_s
        retained_from = len(self.journal[name]) - self.limits.max_events_per_session
        if retained_from > known.retained_from:
            self.dropped += retained_from - known.retained_from
            known.retained_from = retained_from
            known.first_seq = max(known.first_seq, retained_from)
        put(first, b"".join(lines))

    @rule(
        name=st.sampled_from(SESSIONS),
        count=st.integers(1, 12),
        size=st.sampled_from([2, 60, 700, 9_000]),
    )
    def append(self, name: str, count: int, size: int) -> None:
        self.upsert(
            name, count, size, lambda first, lines: self.store.append(name, first, lines, count)
        )
        assert self.store.accounted_bytes <= self.limits.budget_bytes
        assert len(self.store) <= self.limits.max_sessions

    @rule(
        name=st.sampled_from(SESSIONS),
        count=st.integers(1, 40),
        size=st.sampled_from([2, 60, 700, 4_000]),
    )
    def append_block(self, name: str, count: int, size: int) -> None:
        self.upsert(
            name,
            count,
            size,
            lambda first, lines: self.store.append_block(name, blocks.seal(lines, first, count)),
        )
        assert self.store.accounted_bytes <= self.limits.budget_bytes
        assert len(self.store) <= self.limits.max_sessions

    @precondition(lambda self: self.resident)
    @rule(data=st.data())
    def evict(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.resident)))
        self.reason = "by name"
        weight = self.store.resident(name)
        assert weight is not None
        assert self.store.evict(name, "idle") == weight.bytes
        self.reason = ""

    @rule(level=st.sampled_from(Level), wanted=st.integers(0, 40_000))
    def relieve(self, level: Level, wanted: int) -> None:
        before = self.store.accounted_bytes
        self.reason = "memory_pressure"
        freed = self.store.relieve(level, wanted)
        self.reason = ""
        assert before - self.store.accounted_bytes == freed
        if level < Level.HIGH:
            assert freed == 0
        else:
            assert freed >= wanted or not self.resident

    @rule(passed_ms=st.integers(0, 3_000))
    def time_passes(self, passed_ms: int) -> None:
        self.clock.now_s += passed_ms / 1_000
        idle_ms = self.limits.idle_eviction_ms
        enforced = self.limits.idle_eviction_mode == "enforce"
        idle = [
            name
            for name, known in self.resident.items()
            if idle_ms is not None and known.updated_s <= self.clock.now_s - idle_ms / 1_000
        ]
        assert self.store.status().idle_eviction.would_evict == len(idle)
        self.reason = "idle"
        assert self.store.sweep_idle() == len(idle)
        self.reason = ""
        gone = [name for name in idle if name not in self.resident]
        assert gone == (idle if enforced else [])

    @rule(
        name=st.sampled_from(SESSIONS),
        start=st.integers(0, 200),
        stop=st.none() | st.integers(0, 200),
    )
    def read(self, name: str, start: int, stop: int | None) -> None:
        known = self.resident.get(name)
        wanted = self.journal[name][max(known.first_seq, start) : stop] if known else []
        assert b"".join(self.store.read(name, start, stop)) == b"".join(wanted)

    @invariant()
    def what_is_resident_is_the_newest_and_exact(self) -> None:
        assert self.store.sessions() == list(self.resident)
        for name, known in self.resident.items():
            kept = self.store.resident(name)
            assert kept is not None
            assert (kept.first_seq, kept.next_seq) == (known.first_seq, len(self.journal[name]))
            assert kept.next_seq - kept.first_seq <= self.limits.max_events_per_session
            lines = self.journal[name][known.first_seq :]
            assert b"".join(self.store.read(name)) == b"".join(lines)

    @invariant()
    def everything_is_counted(self) -> None:
        arenas = [entry.arena for entry in self.store._sessions.values()]
        assert self.store.accounted_bytes == sum(arena.resident_bytes for arena in arenas)
        status = self.store.status()
        assert status.accounted_bytes == self.store.usage().bytes == self.store.accounted_bytes
        assert status.resident_sessions == self.store.usage().items == len(self.resident)
        assert status.resident_events == sum(arena.events for arena in arenas)
        assert status.dropped_events == self.dropped
        assert status.spilled_events == self.spilled
        assert status.evictions == {reason: self.told[reason] for reason in REASONS}
        assert status.bytes_reclaimed == {reason: self.reclaimed[reason] for reason in REASONS}
        assert status.over_budget is False
        assert self.store.accounted_bytes <= status.peak_bytes <= self.limits.budget_bytes

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            assert self.store.accounted_bytes == len(self.store) == 0


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(deadline=None, max_examples=120, stateful_step_count=30)


def limits(**changes: Any) -> StoreLimits:
    return StoreLimits(**{"budget_bytes": LARGE, **changes})


def fill(store: SessionStore, name: str, events: int, first: int = 0, size: int = 60) -> None:
    """One event at a time, as they come."""
    throw = Random(first)
    for seq in range(first, first + events):
        store.append(name, seq, b"%d %s\n" % (seq, throw.randbytes(size // 2).hex().encode()), 1)


def test_exactly_the_newest_ten_thousand_events_stay_and_the_rest_is_counted() -> None:
    """K1, with the default of the settings."""
    store = SessionStore(limits(block_bytes=16_384))
    fill(store, "s", 10_000)
    assert store.status().dropped_events == 0
    fill(store, "s", 123, first=10_000)
    resident = store.resident("s")
    assert resident is not None
    assert (resident.first_seq, resident.next_seq) == (123, 10_123)
    assert store.status().dropped_events == 123
    assert store.status().resident_events == 10_000
    lines = b"".join(store.read("s")).splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(123, 10_123))


def test_one_large_block_is_cut_to_the_event() -> None:
    store = SessionStore(limits(max_events_per_session=10))
    store.append_block("s", blocks.seal(b"".join(b"%d\n" % seq for seq in range(99)), 0, 99))
    assert b"".join(store.read("s")).split() == [b"%d" % seq for seq in range(89, 99)]
    assert store.status().dropped_events == 89


def test_the_number_of_sessions_is_bounded() -> None:
    """K2"""
    told: list[Eviction] = []
    store = SessionStore(limits(max_sessions=3), on_evicted=told.append)
    for name in ("a", "b", "c"):
        fill(store, name, 1)
    fill(store, "a", 1, first=1)  # now b is the one that waited longest
    fill(store, "d", 1)
    assert [(each.session, each.reason, each.events) for each in told] == [("b", "max_sessions", 1)]
    assert store.sessions() == ["c", "a", "d"]
    assert len(store) == 3


def test_what_goes_over_budget_makes_the_least_recently_updated_leave() -> None:
    """K5: in the same order each time, and no more of them than needed."""

    def run() -> list[str]:
        told: list[str] = []
        store = SessionStore(
            limits(budget_bytes=4 * 10_000), on_evicted=lambda each: told.append(each.session)
        )
        for name in "abc":
            fill(store, name, 40, size=240)  # three pages each
        fill(store, "b", 1, first=40)
        for name in "def":
            fill(store, name, 40, size=240)
            assert store.accounted_bytes <= 40_000
        return told

    assert run() == run() == ["a", "c", "b"]


def test_a_session_that_returns_after_its_eviction_starts_with_what_is_new() -> None:
    store = SessionStore(limits())
    fill(store, "s", 5)
    store.evict("s", "memory_budget")
    assert store.resident("s") is None
    assert list(store.read("s")) == []
    assert "s" not in store
    fill(store, "s", 2, first=5)
    resident = store.resident("s")
    assert resident is not None
    assert (resident.first_seq, resident.next_seq) == (5, 7)


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_idle_sessions_are_counted_and_leave_only_when_that_is_enforced(mode: Any) -> None:
    """K7, by moving a clock."""
    clock, told = Clock(), list[Eviction]()
    store = SessionStore(
        limits(idle_eviction_ms=60_000, idle_eviction_mode=mode),
        on_evicted=told.append,
        clock_s=clock,
    )
    fill(store, "old", 3)
    clock.now_s += 30
    fill(store, "new", 3)
    clock.now_s += 29.9
    assert store.sweep_idle() == 0
    clock.now_s += 0.2
    status = store.status().idle_eviction
    assert (status.idle_ms, status.mode, status.would_evict) == (60_000, mode, 1)
    assert status.active is (mode == "enforce")
    assert store.sweep_idle() == 1
    assert ("old" in store) is (mode == "observe")
    assert [(each.session, each.reason) for each in told] == (
        [("old", "idle")] if mode == "enforce" else []
    )
    fill(store, "new", 1, first=3)  # activity starts the time anew
    clock.now_s += 59.9
    assert store.sweep_idle() == (1 if mode == "observe" else 0)


def test_without_a_setting_nothing_is_ever_idle() -> None:
    clock = Clock()
    store = SessionStore(limits(idle_eviction_mode="enforce"), clock_s=clock)
    fill(store, "s", 1)
    clock.now_s += 10**9
    assert store.sweep_idle() == 0
    status = store.status().idle_eviction
    assert (status.idle_ms, status.active, status.would_evict) == (None, False, 0)


@pytest.mark.parametrize("policy", ["spill", "truncate"])
def test_a_session_too_big_for_the_budget_loses_its_oldest_blocks(policy: Any) -> None:
    """K8"""
    told: list[Eviction] = []
    store = SessionStore(
        limits(budget_bytes=100_000, block_bytes=4_096, oversized=policy), on_evicted=told.append
    )
    fill(store, "small", 1)
    fill(store, "giant", 600, size=500)
    resident = store.resident("giant")
    assert resident is not None
    assert resident.next_seq == 600
    assert resident.bytes <= 100_000
    lines = b"".join(store.read("giant")).splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(resident.first_seq, 600))
    oversized = [each for each in told if each.reason == "oversized"]
    assert {each.session for each in oversized} == {"giant"}
    assert sum(each.events for each in oversized) == resident.first_seq > 0
    assert min(each.bytes_reclaimed for each in oversized) > 40_000  # half: not at each append
    status = store.status()
    gone = (0, resident.first_seq) if policy == "truncate" else (resident.first_seq, 0)
    assert (status.spilled_events, status.dropped_events) == gone


def test_a_session_too_big_for_the_budget_stops_the_program_if_that_is_wanted() -> None:
    store = SessionStore(limits(budget_bytes=50_000, block_bytes=4_096, oversized="fail"))
    with pytest.raises(OversizedSession, match=r'raise snapshots\.max_memory_mb.*to "spill"') as it:
        fill(store, "giant", 600, size=500)
    assert it.value.exit == 10
    assert store.accounted_bytes == sum(e.arena.resident_bytes for e in store._sessions.values())


@pytest.mark.parametrize("policy", ["spill", "truncate", "fail"])
def test_a_tail_that_fits_once_it_is_compressed_is_not_too_big(policy: Any) -> None:
    store = SessionStore(limits(budget_bytes=30_000, block_bytes=1 << 20, oversized=policy))
    for seq in range(100):
        store.append("s", seq, b"the same words again and again " * 40 + b"\n", 1)
    resident = store.resident("s")
    assert resident is not None
    assert (resident.first_seq, resident.next_seq) == (0, 100)


def test_a_budget_smaller_than_anything_keeps_nothing_and_takes_everything() -> None:
    store = SessionStore(limits(budget_bytes=1_000))
    fill(store, "s", 50)
    fill(store, "t", 50)
    assert len(store) == store.accounted_bytes == 0
    assert store.status().over_budget is False


def test_pressure_makes_the_least_recent_leave_until_enough_is_free() -> None:
    told: list[Eviction] = []
    store: SessionStore = SessionStore(limits(), on_evicted=told.append)
    room: Bounded = store
    for name in "abc":
        fill(store, name, 10, size=1_000)
    one = store.resident("a")
    assert one is not None
    assert room.relieve(Level.MODERATE, LARGE) == 0
    assert room.relieve(Level.HIGH, one.bytes + 1) == 2 * one.bytes
    assert [(each.session, each.reason) for each in told] == [
        ("a", "memory_pressure"),
        ("b", "memory_pressure"),
    ]
    assert told[-1].resident_bytes_after == store.accounted_bytes == one.bytes
    assert room.relieve(Level.CRITICAL, LARGE) == one.bytes
    assert len(store) == 0


def test_the_limits_are_shown_with_the_usage() -> None:
    store = SessionStore(limits(budget_bytes=70_000, max_sessions=9))
    fill(store, "s", 1)
    usage = store.usage()
    assert (usage.limit_bytes, usage.limit_items, usage.items) == (70_000, 9, 1)
    assert usage.bytes == PAGE_BYTES + OVERHEAD_BYTES


def test_events_out_of_order_are_a_bug_that_asks_for_a_report() -> None:
    store = SessionStore(limits())
    fill(store, "s", 3)
    with pytest.raises(AssertionError, match="report it"):
        store.append("s", 9, b"x\n", 1)


@pytest.mark.parametrize("refused", ["__init__", "_resize"])
def test_memory_that_the_system_refuses_costs_the_session_its_place_only(
    monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """K5: ingestion never fails because of memory; the journal has the events."""
    told: list[Eviction] = []
    store = SessionStore(limits(), on_evicted=told.append)
    fill(store, "s", 3)

    def refuse(*_args: object) -> None:
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(Arena, refused, refuse)
    store.append("s" if refused == "_resize" else "t", 3, b"x" * 100_000 + b"\n", 1)
    monkeypatch.undo()
    if refused == "_resize":
        assert [(each.session, each.reason) for each in told] == [("s", "memory_pressure")]
        assert len(store) == store.accounted_bytes == 0
    else:
        assert store.sessions() == ["s"]
    fill(store, "u", 2)
    assert store.accounted_bytes == sum(e.arena.resident_bytes for e in store._sessions.values())


def test_closing_is_no_eviction() -> None:
    told: list[Eviction] = []
    store = SessionStore(limits(), on_evicted=told.append)
    fill(store, "s", 3)
    store.close()
    assert told == []
    assert len(store) == store.accounted_bytes == store.status().resident_events == 0


def test_a_smaller_share_of_the_budget_holds_until_it_is_taken_back() -> None:
    """And makes the least recent leave."""
    told: list[Eviction] = []
    store = SessionStore(limits(budget_bytes=100_000), on_evicted=told.append)
    for name in "abcdef":
        fill(store, name, 10, size=1_000)
    before = store.accounted_bytes
    assert store.resize(50) == before - store.accounted_bytes > 0
    assert store.accounted_bytes <= 50_000
    assert {each.reason for each in told} == {"memory_pressure"}
    assert told[0].session == "a"
    assert (store.status().budget_bytes, store.status().allowed_bytes) == (100_000, 50_000)
    assert store.usage().limit_bytes == 50_000
    for name in "uvwxyz":
        fill(store, name, 10, size=1_000)
    assert store.accounted_bytes <= 50_000
    assert store.resize(100) == 0
    for name in "ghijkl":
        fill(store, name, 10, size=1_000)
    assert 50_000 < store.accounted_bytes <= 100_000


def test_a_smaller_share_is_no_reason_to_stop_because_of_a_large_session() -> None:
    """`oversized` is about the budget that was set, not about one that pressure left."""
    store = SessionStore(limits(budget_bytes=100_000, oversized="fail"))
    store.resize(10)
    fill(store, "s", 40, size=1_000)
    assert store.accounted_bytes <= 10_000


def test_open_tails_are_compressed_least_recent_first_and_a_few_at_a_time() -> None:
    store = SessionStore(limits(block_bytes=1_000_000))
    for name in "abc":
        fill(store, name, 50, size=1_000)
    kept = b"".join(store.read("a"))
    before = store.accounted_bytes
    sealed, freed = store.seal_tails(1)
    assert (sealed, freed) == (1, before - store.accounted_bytes)
    assert freed > 0
    first = store.resident("a")
    last = store.resident("c")
    assert first is not None
    assert last is not None
    assert first.bytes < last.bytes
    assert store.seal_tails(LARGE)[0] == 2
    assert store.seal_tails(LARGE) == (0, 0)
    assert b"".join(store.read("a")) == kept


def test_a_tail_that_is_hardly_larger_than_its_block_stays_open() -> None:
    store = SessionStore(limits(block_bytes=1_000_000))
    fill(store, "a", 2, size=1_000)
    assert store.seal_tails(LARGE) == (0, 0)
