"""A state that follows from streams: after any restart it is as if it had seen every event once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from holdfast.events import Event, stream_id
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.streams import Append, Appended, NewEvent
from holdfast.journal.streams import Projection as Kept
from holdfast.journal.writer import SqliteWriter
from holdfast.work.projection import Projector

BLOCK_BYTES = 1_000  # a few events


class Words:
    """Remembers the text of each event, in order."""

    name = "words"

    def __init__(self, *streams: str, version: int = 1) -> None:
        self.streams = streams or ("first",)
        self.version = version
        self.words: list[str] = []

    def apply(self, event: Event) -> None:
        self.words.append(event.text)

    def dump(self) -> bytes:
        return msgspec.json.encode(self.words)

    def load(self, state: bytes) -> None:
        self.words = ["half loaded"]
        self.words = msgspec.json.decode(state, type=list[str])

    def clear(self) -> None:
        self.words = []


class Bench:
    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "journal.db")
        self.problems: list[str] = []
        self.journal = self.opened()

    def opened(self) -> JournalService:
        return JournalService(
            lambda: SqliteWriter(self.path, block_bytes=BLOCK_BYTES),
            lambda: SqliteReader(self.path),
        )

    @contextmanager
    def damaging(self) -> Iterator[sqlite3.Connection]:
        """The file itself, while nobody has it open."""
        self.journal.close()
        with closing(sqlite3.connect(self.path)) as database, database:
            yield database
        self.journal = self.opened()

    def say(self, *words: str, stream: str = "first") -> Appended:
        events = [NewEvent(kind="said", text=word) for word in words]
        (appended,) = self.journal.append([Append(stream, events)]).result()
        assert isinstance(appended, Appended)
        return appended

    def projector(self, *streams: str, every: int = 1_000, version: int = 1) -> Projector:
        words = Words(*streams, version=version)
        return Projector(
            words, self.journal, save_every_events=every, on_problem=self.problems.append
        )

    def resumed(self, *streams: str, version: int = 1) -> list[str]:
        projector = self.projector(*streams, version=version)
        projector.resume()
        return words_of(projector)


def words_of(projector: Projector) -> list[str]:
    assert isinstance(projector.projection, Words)
    return projector.projection.words


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.journal.close()


def test_without_a_snapshot_all_is_read(bench: Bench) -> None:
    bench.say("a", "b")
    bench.say("not ours", stream="other")
    bench.say("c")
    projector = bench.projector()
    resumed = projector.resume()
    assert words_of(projector) == ["a", "b", "c"]
    assert (resumed.snapshot, resumed.events, resumed.damaged) == (False, 3, 0)
    assert projector.next_seq("first") == 3


def test_behind_a_snapshot_only_what_came_since_is_read(bench: Bench) -> None:
    bench.say("a", "b")
    before = bench.projector()
    before.resume()
    before.save().result()
    bench.say("c")
    after = bench.projector()
    resumed = after.resume()
    assert words_of(after) == ["a", "b", "c"]
    assert (resumed.snapshot, resumed.events) == (True, 1)


def test_what_is_applied_as_it_is_stored_is_not_applied_again(bench: Bench) -> None:
    projector = bench.projector()
    projector.resume()
    appended = bench.say("a", "b")
    with bench.journal.reader() as reader:
        events = list(reader.events(stream_id("first")))
    assert all(
        projector.apply(event, position)
        for event, position in zip(events, appended.positions, strict=True)
    )
    assert projector.apply(events[0], appended.positions[0])
    assert projector.catch_up() == 0
    assert words_of(projector) == ["a", "b"]


def test_an_event_behind_others_that_were_not_seen_is_not_applied(bench: Bench) -> None:
    projector = bench.projector()
    projector.resume()
    appended = bench.say("a", "b")
    with bench.journal.reader() as reader:
        last = list(reader.events(stream_id("first")))[-1]
    assert not projector.apply(last, appended.positions[-1])
    assert projector.catch_up() == 2
    assert words_of(projector) == ["a", "b"]


@pytest.mark.parametrize("streams", [("first",), ("first", "second")])
def test_what_was_read_on_a_thread_changes_nothing_before_it_is_applied(
    bench: Bench, streams: tuple[str, ...]
) -> None:
    projector = bench.projector(*streams, every=5)
    projector.resume()
    bench.say("a", "b")
    bench.say("x", stream="second")
    bench.say("c")
    apply = projector.unread()
    assert (words_of(projector), projector.next_seq("first")) == ([], 0)
    apply()
    both = ["a", "b", "x", "c"]
    assert words_of(projector) == (both if len(streams) > 1 else ["a", "b", "c"])
    assert projector.next_seq("first") == 3
    bench.say("d", "e")
    projector.unread()()
    assert projector.catch_up() == 0
    bench.journal.settle()
    with bench.journal.reader() as reader:  # enough has come
        assert reader.projection("words") is not None


def test_a_snapshot_is_kept_when_enough_has_come(bench: Bench) -> None:
    projector = bench.projector(every=3)
    bench.say("a", "b")
    projector.resume()
    bench.journal.settle()
    with bench.journal.reader() as reader:
        assert reader.projection("words") is None
    bench.say("c")
    projector.catch_up()
    bench.journal.settle()
    with bench.journal.reader() as reader:
        assert reader.projection("words") is not None


def keep(bench: Bench, kept: Kept) -> None:
    bench.journal.transact(lambda writer: writer.save_projection("words", kept)).result()


def test_a_snapshot_with_any_byte_changed_is_thrown_away(bench: Bench) -> None:
    bench.say("a", "b")
    projector = bench.projector()
    projector.resume()
    projector.save().result()
    with bench.journal.reader() as reader:
        kept = reader.projection("words")
    assert kept is not None
    for place in range(len(kept.state)):
        damaged = bytearray(kept.state)
        damaged[place] ^= 0x55
        keep(bench, Kept(kept.position, bytes(damaged)))
        assert bench.resumed() == ["a", "b"], place
    assert len(bench.problems) == len(kept.state)


def test_of_a_snapshot_that_was_loaded_by_half_nothing_stays(bench: Bench) -> None:
    bench.say("a", "b")
    projector = bench.projector()
    projector.resume()
    projector.projection.dump = lambda: b"no JSON"  # type: ignore[method-assign]  # whole, and of no use
    projector.save().result()
    assert bench.resumed() == ["a", "b"]
    assert "cannot be read" in bench.problems[0]


def test_a_snapshot_of_another_version_or_of_other_streams_is_thrown_away(bench: Bench) -> None:
    bench.say("a", "b")
    projector = bench.projector()
    projector.resume()
    projector.projection.load(b'["of version 1"]')
    projector.save().result()
    assert bench.resumed() == ["of version 1"]
    assert bench.resumed(version=2) == ["a", "b"]
    assert bench.resumed("first", "second") == ["a", "b"]
    assert "version 1, not 2" in bench.problems[0]
    assert "other streams" in bench.problems[1]


def test_a_snapshot_that_knows_more_than_the_journal_is_thrown_away(
    bench: Bench, tmp_path: Path
) -> None:
    bench.say("a", "b")
    projector = bench.projector()
    projector.resume()
    projector.save().result()
    with bench.journal.reader() as reader:
        kept = reader.projection("words")
    assert kept is not None
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other")
    other.say("alone")
    keep(other, kept)
    assert other.resumed() == ["alone"]
    other.journal.close()


def test_of_several_streams_events_come_in_the_order_in_which_they_were_stored(
    bench: Bench,
) -> None:
    said = [(f"{number}", ("first", "second", "other")[number * 7 % 3]) for number in range(90)]
    ours = [word for word, stream in said if stream != "other"]
    for place, (word, stream) in enumerate(said):
        bench.say(word, stream=stream)
        if place == 40:
            projector = bench.projector("first", "second")
            projector.resume()
            projector.save().result()
    assert bench.resumed("first", "second") == ours


def damage_a_block(database: sqlite3.Connection) -> int:
    """Flip a byte in the first block; how many events it held."""
    position, count, data = database.execute(
        "SELECT pos, count, data FROM blocks ORDER BY pos LIMIT 1"
    ).fetchone()
    damaged = data[:-1] + bytes([data[-1] ^ 0xFF])
    database.execute("UPDATE blocks SET data = ? WHERE pos = ?", (damaged, position))
    return int(count)


@pytest.mark.parametrize("streams", [("first",), ("first", "second")])
def test_a_damaged_block_costs_only_itself(bench: Bench, streams: tuple[str, ...]) -> None:
    words = [f"word {number}" for number in range(60)]
    for word in words:
        bench.say(word)
        bench.say("between", stream="second")
    with bench.damaging() as database:
        lost = damage_a_block(database)
    assert 0 < lost < 60
    projector = bench.projector(*streams)
    resumed = projector.resume()
    assert [word for word in words_of(projector) if word != "between"] == words[lost:]
    assert resumed.damaged == lost
    assert projector.next_seq("first") == 60
    assert projector.catch_up() == 0


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_torn_event_costs_only_itself(bench: Bench, place: int) -> None:
    for word in ("a", "b", "c"):
        bench.say(word)
    with bench.damaging() as database:
        database.execute(
            "UPDATE tail SET lines = CAST(replace(lines, 'seq', 's\x01q') AS BLOB) "
            "WHERE first_seq = ?",
            (place,),
        )
    left = [word for number, word in enumerate("abc") if number != place]
    projector = bench.projector()
    assert projector.resume().damaged == 1
    assert words_of(projector) == left
    assert projector.next_seq("first") == 3
    bench.say("d")
    projector.catch_up()
    assert words_of(projector) == [*left, "d"]


def test_what_was_rewritten_is_read_anew_while_the_old_state_is_asked(bench: Bench) -> None:
    bench.say("a", "b")
    projector = bench.projector()
    projector.resume()
    projector.save().result()
    words_of(projector)[0] = "what must not be kept"
    put = projector.rebuild()
    assert words_of(projector) == ["what must not be kept", "b"]
    put()
    assert words_of(projector) == ["a", "b"]
    assert projector.next_seq("first") == 2
