"""The store and the governor as somebody else's service uses them."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast
from holdfast import Governor, SessionStore
from holdfast.governor import Assessment, Change, Level, Thresholds
from holdfast.snapshots import Eviction

MIB: Final = 1 << 20
TEXT: Final = Random(7).randbytes(1_000).hex()
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def talk(number: int) -> list[str]:
    """Text that does not get smaller."""
    throw = Random(number)
    return [throw.randbytes(1_000).hex() for _ in range(20)]


@given(st.lists(st.lists(JSON, max_size=4), max_size=6))
def test_what_was_added_comes_back_in_order(batches: list[list[Any]]) -> None:
    with SessionStore(1) as store:
        said: list[Any] = []
        for batch in batches:
            said += batch
            assert store.add("s", *batch) == len(said)
        assert list(store.events("s")) == said
        assert store.last("s", 2) == said[-2:]
        assert list(store.events("s", 1, 3)) == said[1:3]


def test_the_budget_is_never_exceeded_and_the_least_recent_leave_first() -> None:
    gone: list[Eviction] = []
    with SessionStore(1, on_evicted=gone.append) as store:
        for number in range(60):
            store.add(f"s{number}", *talk(number))
            assert store.accounted_bytes <= MIB
        assert [each.session for each in gone] == [f"s{number}" for number in range(len(gone))]
        assert 0 < len(gone) < 60
        assert {each.reason for each in gone} == {"memory_budget"}
        assert list(store.events("s59")) == talk(59)
        assert "s0" not in store
        assert list(store.events("s0")) == store.last("s0", 3) == []


def test_a_session_that_left_begins_anew() -> None:
    with SessionStore(1) as store:
        assert store.add("s", 1, 2) == 2
        assert store.drop("s")
        assert not store.drop("s")
        assert store.add("s", 3) == 1
        assert list(store.events("s")) == [3]


def test_who_drops_a_session_is_not_told_that_it_left() -> None:
    gone: list[Eviction] = []
    with SessionStore(1, on_evicted=gone.append, max_sessions=1) as store:
        store.add("a", 1)
        store.drop("a")
        assert gone == []
        store.add("b", 1)
        store.add("c", 1)
    assert [(each.session, each.reason) for each in gone] == [("b", "max_sessions")]


def test_the_newest_events_of_a_session_stay() -> None:
    with SessionStore(1, max_events_per_session=5) as store:
        assert store.add("s", *range(12)) == 12
        assert list(store.events("s")) == [7, 8, 9, 10, 11]
        assert store.last("s", 100) == [7, 8, 9, 10, 11]


@pytest.mark.parametrize("wrong", ["budget_mb", "max_sessions", "max_events_per_session"])
def test_a_limit_of_nothing_is_refused_by_name(wrong: str) -> None:
    asked: dict[str, Any] = {"budget_mb": 1, wrong: 0}
    with pytest.raises(ValueError, match=wrong):
        SessionStore(**asked)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="budget_mb"):
        Governor.for_process(0)


def test_under_pressure_the_store_lets_go(caplog: pytest.LogCaptureFixture) -> None:
    changes: list[Change] = []
    with SessionStore(64) as store:
        for number in range(50):
            store.add(f"s{number}", TEXT)
        governor = Governor.for_process(1, store, on_change=changes.append)
        assert governor.step().own == Level.CRITICAL == governor.own_level == governor.level
        assert len(store) == 0
        assert [(each.own, each.previous_own) for each in changes] == [
            (Level.CRITICAL, Level.NORMAL)
        ]
        assert store.status().evictions["memory_pressure"] == 50
    assert "governor.level_changed" in caplog.text


def test_the_lines_of_a_snapshot_add_up() -> None:
    with SessionStore(64, name="chats") as store:
        governor = Governor.for_process(4_000, store)
        store.add("s", TEXT)
        taken = governor.snapshot()
        (chats,) = taken.components
        assert (chats.name, chats.bytes, chats.items) == ("chats", store.accounted_bytes, 1)
        lines = taken.baseline_bytes + chats.bytes + taken.unaccounted_bytes
        assert lines == taken.footprint_bytes
        assert governor.budget_bytes == 4_000 * MIB


def test_it_watches_while_the_block_lasts_and_no_longer() -> None:
    async def service() -> set[asyncio.Task[Any]]:
        governor = Governor.for_process(4_000, thresholds=Thresholds(70, 80, 90))
        async with governor.watching() as watched:
            assert watched is governor
            assert governor.snapshot().last is not None, "it has looked when the block begins"
            assert len(asyncio.all_tasks()) == 2
        return asyncio.all_tasks()

    assert len(asyncio.run(service())) == 1


def test_it_looks_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.embedded.next_delay_s", lambda *_level, **_how: 0.001)

    async def service() -> None:
        governor = Governor.for_process(4_000)
        looked, looks, step = asyncio.Event(), 0, governor._inner.step

        def counting() -> Assessment:
            nonlocal looks
            looks += 1
            if looks == 3:
                looked.set()
            return step()

        monkeypatch.setattr(governor._inner, "step", counting)
        async with governor.watching(), asyncio.timeout(60):
            await looked.wait()

    asyncio.run(service())


def test_the_watch_goes_on_when_one_look_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("holdfast.embedded.next_delay_s", lambda *_levels, active: 0.0)

    async def service() -> None:
        governor, looks, went_on = Governor.for_process(10_000), 0, asyncio.Event()
        step = governor._inner.step

        def failing() -> Assessment:
            nonlocal looks
            looks += 1
            if looks in {2, 3}:
                raise OSError("too many open files")
            if looks > 3:
                went_on.set()
            return step()

        monkeypatch.setattr(governor._inner, "step", failing)
        async with governor.watching(), asyncio.timeout(60):
            await went_on.wait()

    asyncio.run(service())
    told = [each.getMessage() for each in caplog.records if "watch_failed" in each.getMessage()]
    assert told == ["governor.watch_failed error=OSError('too many open files')"]


def test_a_governor_that_is_gone_keeps_no_file_open() -> None:
    def opened() -> int:
        gc.collect()
        return len(os.listdir("/dev/fd"))

    before = opened()
    for _ in range(10):
        Governor.for_process(100).step()
    assert opened() == before


def test_fast_growth_is_looked_at_at_once() -> None:
    governor = Governor.for_process(100)
    governor.step()
    assert not governor.look_soon()
    grown = bytearray(b"x") * (20 * MIB)
    assert governor.look_soon()
    assert len(grown) == 20 * MIB


def test_naming_them_is_what_loads_them() -> None:
    asked = (
        "import sys, holdfast; before = set(sys.modules); holdfast.SessionStore; "
        "print('holdfast.embedded' in before, 'msgspec' in before, "
        "'holdfast.embedded' in sys.modules, 'holdfast.journal' in sys.modules, "
        "'apsw' in sys.modules, 'starlette' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", asked], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False", "True", "False", "False", "False"]


def test_other_names_are_refused_as_in_any_module() -> None:
    with pytest.raises(AttributeError, match="Gouvernor"):
        _ = holdfast.Gouvernor
