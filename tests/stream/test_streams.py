"""Appending, reading, asking and following, over the twin of the journal and over the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.events import decode_lines
from holdfast.journal.conformance import Trial
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalError
from holdfast.journal.writer import SqliteWriter
from holdfast.stream import (
    Appended,
    BadAppend,
    Frame,
    Lagged,
    Limits,
    NewEvent,
    OnLag,
    OwnStream,
    Query,
    Streams,
    Subscription,
    TooManyAppends,
    WrongSequence,
    id_of,
    subscribe,
)
from holdfast.stream import streams as streams_module
from holdfast.stream import stretches as stretches_module
from holdfast.stream.stretches import AtHand
from tests.journal.subjects import MemorySubject

SOON_S = 30  # generous: whoever waits so long has failed


class Bench:
    """Streams on a journal, and conversations beside them."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind
        self.memory = MemoryJournal()
        self.trial: Trial | None = None
        self.limits = Limits()
        self.open()

    def open(self) -> None:
        if self._kind == "twin":
            self.trial = Trial(MemorySubject(self._folder, self.memory))
            self.journal = JournalService(self.memory.writer, self.memory.reader)
        else:
            path = str(self._folder / "journal.db")
            self.journal = JournalService(
                partial(SqliteWriter, path, block_bytes=4_096), partial(SqliteReader, path)
            )

    def reopen(self) -> None:
        self.journal.close()
        self.open()

    def run(self, work: Callable[[Streams], Awaitable[object]], limits: Limits = Limits()) -> None:  # noqa: B008  # frozen
        async def main() -> None:
            streams = Streams(self.journal, limits=limits)
            streams.start()
            try:
                await asyncio.wait_for(work(streams), SOON_S)
            finally:
                await streams.close()

        asyncio.run(main())


@pytest.fixture(params=["twin", "sqlite"])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(tmp_path, request.param)
    yield bench
    bench.journal.close()


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, "twin")
    yield bench
    bench.journal.close()


def new(text: str = "", kind: str = "thing.happened", **about: Any) -> NewEvent:
    return NewEvent(kind=kind, text=text, **about)


def numbered(count: int) -> list[NewEvent]:
    return [new(f"number {number} {'.' * 60}") for number in range(count)]


async def taken(log: Streams, count: int, **how: Any) -> list[Frame]:
    """So many frames of a subscription."""
    frames: list[Frame] = []
    async with subscribe(log, **how) as events:
        async for frame in events:
            frames.append(frame)
            if len(frames) == count:
                break
    return frames


async def listening(streams: Streams) -> None:
    """Until somebody listens."""
    while not streams.ring.listeners:  # noqa: ASYNC110  # there is nothing to be told by
        await asyncio.sleep(0)


def texts(frames: Sequence[Frame]) -> list[str]:
    return [event.text for frame in frames for event in decode_lines(frame.line)]


def test_what_is_appended_is_stored_when_it_returns(bench: Bench) -> None:
    async def work(streams: Streams) -> None:
        first = await streams.append("orders", [new("a", key="k"), new("b")])
        again = await streams.append("orders", [new("a", key="k")], expected_seq=0)
        assert (list(first.seqs), list(first.positions)) == ([0, 1], [1, 2])
        assert (list(again.seqs), again.repeated) == ([0], 1)
        with bench.journal.reader() as reader:
            stored = list(reader.events(first.session))
        assert [event.id for event in stored] == [id_of(first, 0), id_of(first, 1)]
        assert streams.appended == 2
        assert streams.end == 3

    bench.run(work)


def test_any_number_append_to_one_stream_and_each_is_stored_once(bench: Bench) -> None:
    async def work(streams: Streams) -> None:
        async def one(number: int) -> list[int]:
            seqs: list[int] = []
            for turn in range(10):
                seqs += (await streams.append("busy", [new(f"{number}.{turn}")])).seqs
            return seqs

        each = await asyncio.gather(*map(one, range(20)))
        assert sorted(seq for seqs in each for seq in seqs) == list(range(200))
        assert all(seqs == sorted(seqs) for seqs in each)

    bench.run(work)


def groups_of(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many appends are stored together, from now on."""
    sizes: list[int] = []
    append = bench.journal.append

    def counted(appends: Sequence[Any], *, wait: bool = True) -> Any:
        sizes.append(len(appends))
        return append(appends, wait=wait)

    monkeypatch.setattr(bench.journal, "append", counted)
    return sizes


def test_a_group_waits_a_moment_for_those_who_were_in_the_last(
    twin: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was answered first is no group by itself, for whose commit all others would wait."""
    monkeypatch.setattr(streams_module, "GATHER_S", 0.5)
    sizes = groups_of(twin, monkeypatch)

    async def work(streams: Streams) -> None:
        async def write(number: int) -> None:
            for _ in range(4):
                await streams.append("s", [new()])
                for _turn in range(3 * number):  # they come back one after the other
                    await asyncio.sleep(0)

        await asyncio.gather(*map(write, range(8)))

    twin.run(work)
    assert sizes[0] == 8
    assert min(sizes[1:4]) >= 7
    assert sum(sizes) == 32


def test_nobody_waits_long_for_those_who_do_not_come_back(
    twin: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = groups_of(twin, monkeypatch)

    async def work(streams: Streams) -> None:
        await asyncio.gather(*(streams.append("s", [new()]) for _ in range(8)))
        for _ in range(3):
            await streams.append("s", [new()])

    twin.run(work)
    assert sizes == [8, 1, 1, 1]


def test_of_writers_that_expect_the_same_number_one_wins(bench: Bench) -> None:
    async def work(streams: Streams) -> None:
        outcomes = await asyncio.gather(
            *(streams.append("a", [new(str(each))], expected_seq=0) for each in range(8)),
            return_exceptions=True,
        )
        assert sum(isinstance(each, Appended) for each in outcomes) == 1
        assert sum(isinstance(each, WrongSequence) for each in outcomes) == 7

    bench.run(work)


@pytest.mark.parametrize(
    ("stream", "event", "why"),
    [
        ("", new(), "name of a stream"),
        ("@orders", new(), "name of a stream"),
        ("a,b", new(), "name of a stream"),
        ("a*", new(), "name of a stream"),
        ("a\nb", new(), "name of a stream"),
        ("x" * 201, new(), "name of a stream"),
        ("a", new(kind=""), "cannot be a kind"),
        ("a", new(kind="two words"), "cannot be a kind"),
        ("a", new(kind="line\nbreak"), "cannot be a kind"),
        ("a", new(kind="x" * 101), "cannot be a kind"),
        ("a", new("x" * 2_000), "stream.max_event_bytes"),
    ],
)
def test_what_cannot_be_appended_is_refused(
    twin: Bench, stream: str, event: NewEvent, why: str
) -> None:
    async def work(streams: Streams) -> None:
        with pytest.raises(BadAppend, match=why):
            await streams.append(stream, [event])
        with pytest.raises(BadAppend, match="no event"):
            await streams.append("a", [])

    twin.run(work, Limits(event_bytes=1_024))


def test_only_holdfast_appends_to_its_own_streams(twin: Bench) -> None:
    async def work(streams: Streams) -> None:
        with pytest.raises(OwnStream, match="choose a name"):
            await streams.append("holdfast/tasks", [new()])
        assert (await streams.append("holdfast/tasks", [new()], own=True)).seqs

    twin.run(work)


def test_what_must_not_be_kept_is_taken_out_before(twin: Bench) -> None:
    def clean(events: Sequence[NewEvent]) -> Sequence[NewEvent]:
        return [msgspec.structs.replace(each, text="[gone]") for each in events]

    async def main() -> None:
        streams = Streams(twin.journal, clean=clean)
        streams.start()
        await streams.append("a", [new("secret")])
        assert texts(await taken(streams, 1, after=0)) == ["[gone]"]
        await streams.close()

    asyncio.run(main())


def test_what_waits_is_bounded_by_bytes(twin: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "WAITING_BYTES_MAX", 1_000)

    async def work(streams: Streams) -> None:
        most = 0
        appends = [asyncio.ensure_future(streams.append("a", [new("x" * 400)])) for _ in range(50)]
        while not all(each.done() for each in appends):
            most = max(most, streams.waiting_bytes)
            await asyncio.sleep(0)
        assert 0 < most <= 1_400  # one more than the bound may have come in
        assert streams.waiting_bytes == 0
        assert streams.end == 51

    twin.run(work)


@pytest.mark.parametrize("most", ["ROOM_APPENDS_MAX", "ROOM_BYTES_MAX"])
def test_who_waits_for_room_is_bounded_too_and_others_are_told_to_come_again(
    twin: Bench, monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    monkeypatch.setattr(streams_module, "WAITING_BYTES_MAX", 1)
    monkeypatch.setattr(streams_module, most, 2 if most == "ROOM_APPENDS_MAX" else 1_500)

    def append(streams: Streams, name: str = "a") -> asyncio.Future[Appended]:
        return asyncio.ensure_future(
            streams.append(name, [new("x" * 400)], own=name.startswith("holdfast/"))
        )

    async def work(streams: Streams) -> None:
        at_once = [append(streams) for _ in range(5)]
        ours = append(streams, "holdfast/tasks")
        outcomes = await asyncio.gather(*at_once, return_exceptions=True)
        assert [type(each) for each in outcomes] == [Appended] * 3 + [TooManyAppends] * 2
        await ours  # what is holdfast's own is not put off
        gone = [append(streams) for _ in range(3)]
        await asyncio.sleep(0)
        for each in gone[1:]:
            each.cancel()
        await asyncio.wait(gone)
        later = [append(streams) for _ in range(3)]
        assert [len((await each).seqs) for each in later] == [1, 1, 1]
        assert streams.waiting_bytes == 0

    twin.run(work)


def test_one_that_is_large_may_wait_alone(twin: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "WAITING_BYTES_MAX", 1)
    monkeypatch.setattr(streams_module, "ROOM_BYTES_MAX", 1)

    async def work(streams: Streams) -> None:
        appends = [asyncio.ensure_future(streams.append("a", numbered(9))) for _ in range(2)]
        assert [len((await each).seqs) for each in appends] == [9, 9]

    twin.run(work)


def test_who_stops_waiting_leaves_the_others_alone(twin: Bench) -> None:
    async def work(streams: Streams) -> None:
        gone = asyncio.ensure_future(streams.append("a", [new("gone")]))
        stays = asyncio.ensure_future(streams.append("a", [new("stays")]))
        await asyncio.sleep(0)
        gone.cancel()
        assert list((await stays).seqs) == [1]

    twin.run(work)


def test_a_journal_that_fails_tells_each_and_is_asked_again(twin: Bench) -> None:
    async def work(streams: Streams) -> None:
        twin.journal.close()
        outcomes = await asyncio.gather(
            streams.append("a", [new()]), streams.append("b", [new()]), return_exceptions=True
        )
        assert all(isinstance(each, JournalError) for each in outcomes)
        assert streams.waiting_bytes == 0

    twin.run(work)


def test_following_goes_from_the_journal_over_memory_to_what_comes(bench: Bench) -> None:
    async def before(streams: Streams) -> None:
        for event in numbered(100):
            await streams.append("long", [event])

    async def work(streams: Streams) -> None:
        await streams.append("long", numbered(5))
        following = asyncio.ensure_future(taken(streams, 115, after=0))
        await listening(streams)
        for event in numbered(10):
            await streams.append("long", [event])
        frames = await following
        assert [frame.position for frame in frames] == list(range(1, 116))
        assert texts(frames[:100]) == [each.text for each in numbered(100)]
        assert streams.ring.listeners == 0

    bench.run(before)
    bench.reopen()
    bench.run(work)


@pytest.mark.parametrize("after", [0, 1, 37, 99, 100, 5_000])
def test_any_position_can_be_resumed_from(bench: Bench, after: int) -> None:
    async def work(streams: Streams) -> None:
        for start in range(0, 100, 4):
            await streams.append("a" if start % 8 else "b", numbered(4))
        following = asyncio.ensure_future(taken(streams, max(101 - after, 1), after=after))
        await listening(streams)
        await streams.append("a", [new("last")])
        frames = await following
        assert [frame.position for frame in frames] == list(range(min(after, 100) + 1, 102))
        assert texts(frames)[-1] == "last"

    bench.run(work, Limits(history_events=30))


def test_a_follower_gets_what_it_wants_and_no_more(bench: Bench) -> None:
    async def work(streams: Streams) -> None:
        for number in range(40):
            await streams.append(
                f"s/{number % 4}",
                [new(str(number), kind=f"k.{number % 3}", actor="ab"[number % 2])],
            )
        wanted = [each for each in range(40) if each % 4 == 2 and each % 3 == 1]
        frames = await taken(streams, len(wanted), kinds="k.1", streams="s/2", after=0)
        assert texts(frames) == [str(each) for each in wanted]
        actors = [each for each in range(40) if each % 2]
        assert texts(await taken(streams, len(actors), actor="b", after=0)) == list(
            map(str, actors)
        )

    bench.run(work)


def test_who_goes_through_memory_leaves_turns_to_others(twin: Bench) -> None:
    async def work(streams: Streams) -> None:
        for _ in range(10):
            await streams.append("a", numbered(1_000))
        others = 0

        async def other() -> None:
            nonlocal others
            while True:
                await asyncio.sleep(0)
                others += 1

        ticking = asyncio.create_task(other())
        turns = 0
        async with subscribe(streams, after=0, kinds="never") as events:
            async for _batch in events.batches():
                turns += 1
                if events.position == streams.end:
                    break
        ticking.cancel()
        assert 10 < turns <= others + 1

    twin.run(work)


@pytest.mark.parametrize(("late", "most"), [(1, 1_000_000), (9, 200_000), (1_000, 131_072)])
def test_a_stretch_from_the_journal_is_long_where_few_are_late(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, late: int, most: int
) -> None:
    """A short one unpacks blocks for a few lines; of the room for all, each has its part."""
    asked: list[int] = []

    async def work(streams: Streams) -> None:
        await streams.append("s", [new("x" * 1_000) for _ in range(300)])
        streams.history.clear()
        read = streams._stretches.read

        def counted(*what: Any, bytes_max: int, **how: Any) -> Any:
            asked.append(bytes_max)
            return read(*what, bytes_max=bytes_max, **how)

        monkeypatch.setattr(streams._stretches, "read", counted)
        streams.late += late - 1
        async with subscribe(streams, after=0) as events:
            async for batch in events.batches():
                assert batch
                break
        assert streams.late == late - 1

    bench.run(work)
    assert asked[0] == most


def test_a_stretch_that_was_rewritten_while_it_was_read_is_not_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(streams: Streams) -> None:
        await streams.append("s", numbered(20))
        streams.history.clear()
        read = streams._stretches.read

        def rewritten(*what: Any, **how: Any) -> Any:
            found = read(*what, **how)
            streams.cache.clear()
            return found

        with monkeypatch.context() as patched:
            patched.setattr(streams._stretches, "read", rewritten)
            assert len(await taken(streams, 20, after=0)) == 20
        assert streams.cache.usage().items == 0
        assert len(await taken(streams, 20, after=0)) == 20
        assert streams.cache.usage().items == 20

    bench.run(work)


def test_a_replay_is_of_what_is_stored_now(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks at hand are of what was stored: when that was rewritten they go."""
    monkeypatch.setattr(streams_module, "REPLAY_BYTES", 1_000)
    made: list[AtHand] = []

    class Counted(AtHand):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(streams_module, "AtHand", Counted)

    async def work(streams: Streams) -> None:
        for number in range(90):
            await streams.append(f"s/{number % 40}", numbered(1))
        seen = 0
        async for run in streams.replay():
            seen += run.count
            if len(made) == 1 and seen > 30:
                streams.forget()
        assert seen == 90
        assert len(made) == 2
        assert streams.cache.usage().bytes == 0

    bench.run(work)


def test_many_who_resume_from_the_same_place_have_it_read_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(streams: Streams) -> None:
        for number in range(200):
            await streams.append(f"s/{number % 7}", [new(f"{number} {'.' * 100}")])
        streams.history.clear()
        read: list[int] = []
        stretches = streams._stretches.read

        def counted(reader: Any, position: int, *what: Any, **how: Any) -> Any:
            read.append(position)
            return stretches(reader, position, *what, **how)

        monkeypatch.setattr(streams._stretches, "read", counted)
        found = await asyncio.gather(*(taken(streams, 200, after=0) for _ in range(20)))
        expected = [f"{number} {'.' * 100}" for number in range(200)]
        assert all(texts(frames) == expected for frames in found)
        assert read == [1]

    bench.run(work)


def test_without_a_position_only_what_comes_is_told(twin: Bench) -> None:
    async def work(streams: Streams) -> None:
        await streams.append("a", [new("before")])
        async with subscribe(streams) as events:
            assert events.position == 2
            await streams.append("a", [new("after")])
            async for frame in events:
                assert texts([frame]) == ["after"]
                break

    twin.run(work)


async def lags(streams: Streams, on_lag: OnLag) -> tuple[list[Lagged], list[str]]:
    """One who listens, then takes nothing while more comes than the ring holds."""
    told: list[Lagged] = []
    frames: list[Frame] = []
    async with subscribe(streams, on_lag=on_lag) as events:
        batches = events.batches()
        await streams.append("a", [new("first")])
        first = await anext(batches)
        assert not isinstance(first, Lagged)
        frames += first
        for number in range(20):
            await streams.append("a", [new(str(number))])
        await streams.close()
        async for batch in batches:
            if isinstance(batch, Lagged):
                told.append(batch)
            else:
                frames += batch
    return told, texts(frames)


@pytest.mark.parametrize(
    ("on_lag", "then"),
    [
        ("catch_up", ["first", *map(str, range(20))]),
        ("skip", ["first", *map(str, range(15, 20))]),
        ("disconnect", ["first"]),
    ],
)
def test_one_that_is_too_slow_is_told_what_it_missed(
    bench: Bench, on_lag: OnLag, then: list[str]
) -> None:
    async def work(streams: Streams) -> None:
        told, seen = await lags(streams, on_lag)
        assert [(each.first, each.last, each.policy) for each in told] == [(2, 16, on_lag)]
        assert seen == then

    bench.run(work, Limits(ring_events=5))


def test_an_import_beside_makes_nobody_late(twin: Bench) -> None:
    async def work(streams: Streams) -> None:
        assert twin.trial is not None
        async with subscribe(streams, on_lag="disconnect") as events:
            batches = events.batches()
            await streams.append("a", [new("first")])
            await anext(batches)
            sealed = twin.trial.batch("talk", "said", "more", sealed=True)
            await asyncio.wrap_future(twin.journal.submit(sealed))
            await streams.append("a", [new("last")])
            seen: list[Frame] = []
            while len(seen) < 3:
                batch = await anext(batches)
                assert not isinstance(batch, Lagged)
                seen += batch
            assert [each.stream for each in seen] == ["claude/talk", "claude/talk", "a"]

    twin.run(work)


def test_the_end_is_told_when_all_was_taken(twin: Bench) -> None:
    async def work(streams: Streams) -> None:
        async with subscribe(streams, after=0) as events:
            await streams.append("a", numbered(3))
            await streams.close()
            assert [frame.position async for frame in events] == [1, 2, 3]

    twin.run(work)


def test_a_thousand_who_listen_hold_no_more_than_the_ring(twin: Bench) -> None:
    async def work(streams: Streams) -> None:
        crowd = [subscribe(streams) for _ in range(1_000)]
        for each in crowd:
            await each.__aenter__()
        for event in numbered(200):
            await streams.append("a", [event])
        assert streams.ring.usage().items == 50
        [first, last] = [
            [frame.sse() async for frame in _some(crowd[place], 200)] for place in (0, 999)
        ]
        assert first == last
        assert len(first) == 200
        for each in crowd:
            await each.__aexit__(None, None, None)
        assert streams.ring.listeners == 0

    twin.run(work, Limits(ring_events=50))


async def _some(events: Subscription, count: int) -> AsyncIterator[Frame]:
    number = 0
    async for frame in events:
        yield frame
        number += 1
        if number == count:
            return


def test_a_query_finds_by_stream_kind_actor_and_time(bench: Bench) -> None:
    async def work(streams: Streams) -> None:
        for number in range(60):
            event = new(str(number), kind=f"k.{number % 3}", actor="ab"[number % 2])
            await streams.append(f"s/{number % 4}", [event])
        found = await streams.query(Query(stream="s/1", kind="k.*", limit=5))
        assert texts(found.frames) == ["1", "5", "9", "13", "17"]
        assert not found.complete
        more = await streams.query(Query(stream="s/1", kind="k.*", after=found.next_after))
        assert texts(more.frames) == [str(each) for each in range(21, 60, 4)]
        assert more.complete
        both = await streams.query(Query(stream="s/1,s/2", kind="k.0", actor="a"))
        assert texts(both.frames) == [
            str(each) for each in range(60) if each % 4 in (1, 2) and not each % 3 and not each % 2
        ]
        last = (await streams.query(Query(after=59))).frames[0]
        assert texts((await streams.query(Query(since=last.at))).frames)[-1] == "59"
        assert not (await streams.query(Query(until="2000-01-01"))).frames
        assert not (await streams.query(Query(stream="nobody"))).frames

    bench.run(work)


def test_a_query_is_bounded_by_bytes(twin: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "QUERY_BYTES_MAX", 2_000)

    async def work(streams: Streams) -> None:
        await streams.append("a", [new("x" * 500) for _ in range(20)])
        seen, after, complete = 0, 0, False
        while not complete:
            found = await streams.query(Query(after=after))
            assert 0 < len(found.frames) < 5 or found.complete
            seen, after, complete = seen + len(found.frames), found.next_after, found.complete
        assert seen == 20

    twin.run(work)


async def pages(streams: Streams, asked: Query) -> tuple[list[str], int]:
    """All that is found, and how many answers that took."""
    seen, answers = [], 0
    while True:
        found = await streams.query(asked)
        seen += texts(found.frames)
        answers += 1
        if found.complete:
            return seen, answers
        assert found.next_after > asked.after
        asked = msgspec.structs.replace(asked, after=found.next_after)


def test_a_query_that_finds_little_leaves_the_reader_to_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers with nothing and a place to go on from, and has all in the end."""
    monkeypatch.setattr(streams_module, "QUERY_READ_BYTES_MAX", 2_000)

    async def work(streams: Streams) -> None:
        for number in range(40):
            await streams.append(f"s/{number % 2}", numbered(5))
        await streams.append("s/0", [new("found", kind="rare")])
        await streams.append("s/1", numbered(5))
        first = await streams.query(Query(kind="rare"))
        assert (first.frames, first.complete) == ([], False)
        for stream in ("*", "s/0"):
            seen, answers = await pages(streams, Query(kind="rare", stream=stream))
            assert seen == ["found"]
            assert answers > 5

    bench.run(work)


def test_a_query_that_passes_most_over_leaves_the_reader_to_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "QUERY_READ_RUNS_MAX", 8)
    monkeypatch.setattr(stretches_module, "RUNS_PAGE", 4)
    monkeypatch.setattr(stretches_module, "RUNS_MAX", 8)

    async def work(streams: Streams) -> None:
        for number in range(60):
            await streams.append(f"s/{number % 2}", [new()])
        await streams.append("rare", [new("found")])
        seen, answers = await pages(streams, Query(stream="rare,nobody"))
        assert seen == ["found"]
        assert answers > 5

    bench.run(work)


def test_a_replay_gives_every_line_in_order(bench: Bench) -> None:
    async def work(streams: Streams) -> None:
        for start in range(0, 100, 10):
            await streams.append("a" if start % 20 else "b", numbered(10))
        runs = [run async for run in streams.replay(after=25)]
        assert [run.position for run in runs] == sorted(run.position for run in runs)
        assert runs[0].position == 26
        lines = b"".join(run.lines for run in runs)
        assert len(decode_lines(lines)) == 75

    bench.run(work, Limits(history_events=20))


def test_what_others_store_is_told_too(twin: Bench) -> None:
    async def work(streams: Streams) -> None:
        assert twin.trial is not None
        following = asyncio.ensure_future(taken(streams, 2))
        await listening(streams)
        batch = twin.trial.batch("talk", "hello", "again")
        await asyncio.wrap_future(twin.journal.submit(batch))
        frames = await following
        assert [(each.stream, each.kind) for each in frames] == [
            ("claude/talk", "message.user")
        ] * 2

    twin.run(work)


def test_one_in_the_background_gets_its_own_and_makes_no_frames_of_the_rest(bench: Bench) -> None:
    async def work(streams: Streams) -> None:
        seen: list[str] = []

        async def listen() -> None:
            async with subscribe(streams, streams="wanted", after=0, background=True) as events:
                async for frame in events:
                    seen.extend(texts([frame]))
                    if len(seen) == 3:
                        return

        listening = asyncio.ensure_future(listen())
        for number in range(3):
            await streams.append("others", numbered(20))
            await streams.append("wanted", [new(str(number))])
        await listening
        assert seen == ["0", "1", "2"]
        assert (streams.ring.published, streams.ring.listeners) == (0, 0)

    bench.run(work, Limits(history_events=25))
