"""Streams with many seeds, and the mistakes that these must find."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import pytest

from holdfast.journal.memory import MemoryWriter
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.service import JournalService
from holdfast.journal.streams import Append, Appended, WrongSequence
from holdfast.simulation import check
from holdfast.simulation.journal import Disk
from holdfast.simulation.loop import Deadlock
from holdfast.stream.broadcaster import Broadcaster
from holdfast.stream.frames import Frame
from holdfast.stream.history import EventHistory
from tests.simulation.planted import found
from tests.simulation.stream import scenario

SEEDS, EACH = 500, 50


@pytest.mark.parametrize("first", range(0, SEEDS, EACH))
def test_what_is_acknowledged_is_seen_once_by_everybody_in_order(first: int) -> None:
    check(scenario, range(first, first + EACH))


def test_finds_keys_that_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    append = MemoryWriter.append

    def forgetful(
        self: MemoryWriter, appends: Sequence[Append], now_s: float
    ) -> list[Appended | WrongSequence]:
        self._state.stream_keys.clear()
        return append(self, appends, now_s)

    monkeypatch.setattr(MemoryWriter, "append", forgetful)
    assert "is stored twice" in str(found(scenario, monkeypatch))


def test_finds_an_expected_number_that_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    append = MemoryWriter.append

    def careless(
        self: MemoryWriter, appends: Sequence[Append], now_s: float
    ) -> list[Appended | WrongSequence]:
        anywhere = [Append(each.stream, each.events) for each in appends]
        return append(self, anywhere, now_s)

    monkeypatch.setattr(MemoryWriter, "append", careless)
    assert "another one came between" in str(found(scenario, monkeypatch))


def test_finds_a_commit_that_a_crash_takes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when nobody waits for the disk: what was stored last is not there after the restart."""
    open_writer = Disk.open_writer

    def forgetful(self: Disk) -> JournalWriter:
        state = self.journal.state
        if state.order:
            session, seq = state.order.pop()
            state.lines[session].pop()
            state.sessions[session].events -= 1
            keys = state.stream_keys.get(session, {})
            for key in [key for key, (at, _since) in keys.items() if at == seq]:
                del keys[key]
        return open_writer(self)

    monkeypatch.setattr(Disk, "open_writer", forgetful)
    error = str(found(scenario, monkeypatch))
    assert "is lost" in error or "comes again" in error


def test_finds_commits_that_nobody_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JournalService, "_tell_found", lambda _self: None)
    error = found(scenario, monkeypatch)
    assert isinstance(error, Deadlock) or "missed " in str(error)


def test_finds_a_ring_that_is_one_off(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = Broadcaster.behind

    def one_off(self: Broadcaster, position: int) -> Iterator[Frame] | None:
        held = behind(self, position)
        return held if held is None else islice(held, 1, None)

    monkeypatch.setattr(Broadcaster, "behind", one_off)
    error = found(scenario, monkeypatch)
    assert isinstance(error, Deadlock) or "missed " in str(error)


def test_finds_a_wake_up_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def looks_then_waits(self: Broadcaster, position: int) -> None:
        if self.end <= position:
            await asyncio.to_thread(int)  # whatever takes a turn between the two
            await self._changed.wait()

    monkeypatch.setattr(Broadcaster, "changed", looks_then_waits)
    assert isinstance(found(scenario, monkeypatch), Deadlock)


@pytest.mark.parametrize("part", [Broadcaster, EventHistory], ids=["ring", "history"])
def test_finds_what_grows_without_bound(
    part: type[Broadcaster | EventHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "_fit", _nothing)
    assert "holds too much" in str(found(scenario, monkeypatch))


_nothing: Callable[..., None] = lambda *_arguments: None  # noqa: E731  # stands in for a method
