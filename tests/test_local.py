"""Durable streams inside a program."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from holdfast import LocalStreams, NewEvent
from holdfast.journal.sqlite import JournalError
from holdfast.lock import AlreadyRunning
from holdfast.stream import Streams
from holdfast.stream import streams as streams_module
from holdfast.work.queue import Limits as WorkLimits
from holdfast.work.queue import WorkQueue


def happened(text: str) -> NewEvent:
    return NewEvent(kind="thing.happened", text=text)


def test_what_is_appended_is_there_at_the_next_start(tmp_path: Path) -> None:
    folder = str(tmp_path / "events")

    async def first() -> None:
        async with LocalStreams(folder) as streams:
            await streams.append("orders", happened("one"), happened("two"))

    async def second() -> list[str]:
        async with LocalStreams(folder) as streams:
            await streams.append("orders", happened("three"), expected_seq=2)
            asked = await streams.query(stream="orders", limit=2)
            followed = []
            async for told in streams.follow(streams="orders", after=0):
                followed.append(told.event.text)
                if len(followed) == 3:
                    break
            assert [each.event.text for each in asked] == followed[:2]
            return followed

    asyncio.run(first())
    assert asyncio.run(second()) == ["one", "two", "three"]


def test_a_folder_is_one_programs_at_a_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with LocalStreams(str(tmp_path)):
            with pytest.raises(AlreadyRunning):
                await LocalStreams(str(tmp_path)).__aenter__()
        async with LocalStreams(str(tmp_path)):
            pass

    asyncio.run(main())


@pytest.mark.parametrize("part", [Streams, WorkQueue], ids=["streams", "queue"])
def test_one_that_does_not_start_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: type[Streams | WorkQueue]
) -> None:
    async def main() -> None:
        before = threading.active_count()
        with monkeypatch.context() as patched:
            patched.setattr(part, "start", _broken)
            local = LocalStreams(str(tmp_path))
            with pytest.raises(JournalError, match="the disk went away"):
                await local.__aenter__()
        with pytest.raises(JournalError):
            await local.append("a", happened("late"))
        async with LocalStreams(str(tmp_path)) as again:
            await again.append("a", happened("one"))
        await asyncio.get_running_loop().shutdown_default_executor()
        assert threading.active_count() == before

    asyncio.run(main())


def _broken(_part: object) -> None:
    raise JournalError("the disk went away")


def test_whoever_follows_hears_all_and_then_the_end(tmp_path: Path) -> None:
    async def main() -> list[str]:
        async with LocalStreams(str(tmp_path)) as streams:
            following = asyncio.ensure_future(_all(streams))
            for number in range(5):
                await streams.append("a", happened(str(number)))
            assert await streams.shutdown_all() == []
            return await asyncio.wait_for(following, 30)

    async def _all(streams: LocalStreams) -> list[str]:
        return [told.event.text async for told in streams.follow(after=0)]

    assert asyncio.run(main()) == ["0", "1", "2", "3", "4"]


def test_what_a_query_asks_for_is_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "QUERY_READ_BYTES_MAX", 1)

    async def main() -> None:
        async with LocalStreams(str(tmp_path)) as local:
            for number in range(10):
                await local.append(f"s/{number % 3}", happened(str(number)))
            found = await local.query(stream="s/2,s/0")
            assert [each.event.text for each in found] == ["0", "2", "3", "5", "6", "8", "9"]
            some = await local.query(stream="s/2,s/0", limit=3)
            assert [each.event.text for each in some] == ["0", "2", "3"]

    asyncio.run(main())


def test_work_is_queued_in_the_same_journal(tmp_path: Path) -> None:
    folder = str(tmp_path / "work")

    async def first() -> None:
        async with LocalStreams(folder) as local:
            await local.queue.add("index", {"n": 1})
            await local.queue.add("index", {"n": 2})
            async for item in local.queue.work("index"):
                async with item:
                    assert item.value == {"n": 1}
                break

    async def second() -> None:
        async with LocalStreams(folder, work=WorkLimits(pending_max=1)) as local:
            async with local.queue.claim("index", count=9) as items:
                assert [item.value for item in items] == [{"n": 2}]
            assert await local.queue.queues() == []

    asyncio.run(first())
    asyncio.run(second())
