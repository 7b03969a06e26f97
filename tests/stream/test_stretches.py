"""Reading back: everything in order, in bounded pieces, and each block once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from holdfast.blocks import DamagedBlock
from holdfast.events import decode_lines, stream_id
from holdfast.journal.conformance import Trial, known
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.protocol import JournalReader
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.streams import Append, NewEvent
from holdfast.journal.writer import SqliteWriter
from holdfast.stream import stretches as module
from holdfast.stream.frames import Wanted
from holdfast.stream.patterns import pattern
from holdfast.stream.stretches import PART_BYTES, AtHand, Stretch, Stretches
from tests.journal.subjects import MemorySubject
from tests.support.damage import turn_a_bit

BLOCK_BYTES = 4_096


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "journal.db")


@pytest.fixture
def journal(path: str) -> Iterator[JournalService]:
    journal = JournalService(
        partial(SqliteWriter, path, block_bytes=BLOCK_BYTES), partial(SqliteReader, path)
    )
    yield journal
    journal.close()


def append(journal: JournalService, stream: str, *texts: str) -> None:
    events = [NewEvent(kind="thing.happened", text=text) for text in texts]
    journal.append([Append(stream, events)]).result()


def wanted(streams: str = "*") -> Wanted:
    return Wanted(pattern("*"), pattern(streams))


def no_damage(_session: str, error: DamagedBlock) -> None:
    raise error


def counted_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often lines of each session are asked for."""
    asked: Counter[str] = Counter()
    read = SqliteReader.read

    def counted(self: SqliteReader, session: str, *where: int, **how: Any) -> Any:
        asked[session] += 1
        return read(self, session, *where, **how)

    monkeypatch.setattr(SqliteReader, "read", counted)
    return asked


class Walk:
    """From the beginning to the end, a stretch after the other."""

    def __init__(
        self,
        reader: JournalReader,
        end: int,
        *,
        bytes_max: int,
        streams: str = "*",
        on_damage: Any = no_damage,
        at_hand: AtHand | None = None,
    ) -> None:
        self.stretches: list[Stretch] = []
        stretches, position = Stretches(on_damage), 1
        while stretch := stretches.read(
            reader, position, wanted(streams), bytes_max=bytes_max, end=end, at_hand=at_hand
        ):
            assert stretch.start == position < stretch.end
            assert all(run.position + run.count <= stretch.end for run in stretch.runs)
            self.stretches.append(stretch)
            position = stretch.end
        assert position == end

    @property
    def texts(self) -> list[str]:
        lines = b"".join(run.lines for stretch in self.stretches for run in stretch.runs)
        return [event.text for event in decode_lines(lines)]

    @property
    def places(self) -> list[int]:
        return [
            place
            for stretch in self.stretches
            for run in stretch.runs
            for place in range(run.position, run.position + run.count)
        ]


@pytest.mark.parametrize("seed", range(20))
def test_everything_that_is_wanted_comes_once_and_in_order(
    journal: JournalService, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    throw = random.Random(seed)
    monkeypatch.setattr(module, "RUNS_PAGE", throw.choice((1, 7, 256)))
    monkeypatch.setattr(module, "RUNS_MAX", throw.choice((7, 50, 2_048)))
    told: list[tuple[str, str]] = []
    for number in range(200):
        stream = f"s/{throw.randrange(throw.choice((1, 2, 12)))}"
        texts = [
            f"{number}.{part} {'.' * throw.choice((5, 50, 3_000))}"
            for part in range(throw.choice((1, 1, 1, 20)))
        ]
        append(journal, stream, *texts)
        told += [(stream, text) for text in texts]
    end = len(told) + 1
    bytes_max = throw.choice((1, 1_000, 30_000, 10_000_000))
    for streams in ("*", "s/0", "s/1,s/2", "nobody", "@conversations"):
        at_hand = throw.choice((None, AtHand(), AtHand(3 * BLOCK_BYTES)))
        with journal.reader() as reader:
            walk = Walk(reader, end, bytes_max=bytes_max, streams=streams, at_hand=at_hand)
        matches = wanted(streams).streams.matches
        assert walk.texts == [text for stream, text in told if matches(stream)]
        assert walk.places == [
            place for place, (stream, _text) in enumerate(told, 1) if matches(stream)
        ]
        for stretch in walk.stretches:
            assert sum(len(run.lines) for run in stretch.runs) <= max(PART_BYTES, bytes_max)


def test_a_block_is_unpacked_once_for_all_that_lies_in_a_stretch(
    journal: JournalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(400):
        append(journal, f"s/{number % 40}", "." * 200)
    asked = counted_reads(monkeypatch)
    with journal.reader() as reader:
        walk = Walk(reader, 401, bytes_max=10_000_000)
    assert len(walk.texts) == 400
    assert set(asked.values()) == {1}
    assert len(asked) == 40


def test_what_is_too_much_is_cut_off_the_end_and_soon_not_read_at_all(
    journal: JournalService,
) -> None:
    for number in range(2_000):
        append(journal, f"s/{number % 10}", "." * 20)
    with journal.reader() as reader:
        walk = Walk(reader, 2_001, bytes_max=20_000)
    sizes = [sum(len(run.lines) for run in stretch.runs) for stretch in walk.stretches]
    assert max(sizes) <= 20_000
    assert min(sizes[1:-1]) > 16_000  # whole lines, and runs enough for all but the first
    assert max(stretch.looked for stretch in walk.stretches[1:]) <= 512


def test_a_single_line_is_given_however_large_it_is(journal: JournalService) -> None:
    append(journal, "s", "small")
    append(journal, "t", "x" * 900_000)
    append(journal, "s", "behind it")
    with journal.reader() as reader:
        walk = Walk(reader, 4, bytes_max=1_000)
    assert [len(text) for text in walk.texts] == [5, 900_000, 9]
    assert [stretch.end for stretch in walk.stretches] == [2, 3, 4]


def test_a_stretch_may_end_in_the_middle_of_what_was_written_at_once(
    journal: JournalService,
) -> None:
    append(journal, "s", *(f"{number}" for number in range(500)))
    append(journal, "t", "behind it")
    with journal.reader() as reader:
        walk = Walk(reader, 502, bytes_max=30_000)
    assert walk.texts == [*map(str, range(500)), "behind it"]
    assert walk.places == list(range(1, 502))
    assert len(walk.stretches) > 2


def test_a_turn_takes_whole_lines_and_the_next_goes_on_behind_them(
    journal: JournalService,
) -> None:
    for number in range(30):
        append(journal, f"s/{number % 3}", *(f"{number}.{part}" for part in range(4)))
    append(journal, "others", "not wanted")
    with journal.reader() as reader:
        stretch = Stretches(no_damage).read(reader, 1, wanted("s/*"), bytes_max=1_000_000, end=122)
    assert stretch is not None
    position, lines, turns = 1, b"", 0
    while position < stretch.end:
        runs, position = stretch.behind(position, 300)
        lines += b"".join(run.lines for run in runs)
        turns += 1
    assert position == 122  # what nobody wants at its end is passed over with the rest
    assert turns > 30
    assert [event.text for event in decode_lines(lines)] == [
        f"{number}.{part}" for number in range(30) for part in range(4)
    ]
    runs, _end = stretch.behind(50, 1_000_000)
    assert runs[0].position == 50


def test_a_damaged_block_costs_itself_and_is_told(journal: JournalService, path: str) -> None:
    for number in range(300):
        append(journal, f"s/{number % 2}", f"{number} {'.' * 100}")
    turn_a_bit(path)
    told: list[str] = []
    with journal.reader() as reader:
        walk = Walk(
            reader, 301, bytes_max=5_000, on_damage=lambda session, _error: told.append(session)
        )
    assert set(told) == {stream_id("s/0")}
    assert walk.places == list(range(1, 301))
    numbers = [int(text.split()[0]) for text in walk.texts]
    assert 0 < 300 - len(numbers) < 20  # of a block
    assert [number for number in numbers if number % 2] == [*range(1, 300, 2)]


def test_what_is_stored_is_given_whether_or_not_anybody_was_told_of_it(
    journal: JournalService,
) -> None:
    append(journal, "s", "told")
    append(journal, "s", "not told")
    with journal.reader() as reader:
        stretch = Stretches(no_damage).read(reader, 1, wanted(), bytes_max=1_000, end=2)
    assert stretch is not None
    assert stretch.end == 3
    assert [run.count for run in stretch.runs] == [2]


def test_a_run_that_grows_between_two_pages_comes_once(
    journal: JournalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RUNS_PAGE", 1)
    append(journal, "a", "1", "2")
    append(journal, "b", "3", "4")
    runs = SqliteReader.runs

    def grows(self: SqliteReader, *what: Any, **how: Any) -> Any:
        found = runs(self, *what, **how)
        if found and found[0].name == "b" and found[0].count == 2:
            append(journal, "b", "5")
        return found

    monkeypatch.setattr(SqliteReader, "runs", grows)
    with journal.reader() as reader:
        walk = Walk(reader, 6, bytes_max=1_000_000)
    assert walk.texts == ["1", "2", "3", "4", "5"]
    assert walk.places == [1, 2, 3, 4, 5]


def test_blocks_at_hand_are_unpacked_once_however_short_the_stretches_are(
    journal: JournalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVENTS_MIN", 1)
    for number in range(400):
        append(journal, f"s/{number % 8}", "." * 200)
    asked = counted_reads(monkeypatch)
    with journal.reader() as reader:
        assert len(Walk(reader, 401, bytes_max=5_000, at_hand=AtHand()).texts) == 400
        at_once = asked.total()
        assert len(Walk(reader, 401, bytes_max=5_000).texts) == 400
    blocks = sum(-(-count * 400 // BLOCK_BYTES) for count in [50] * 8)
    assert at_once <= blocks + 8
    assert asked.total() - at_once > 2 * at_once


def test_blocks_at_hand_are_bounded_by_bytes(journal: JournalService) -> None:
    for number in range(400):
        append(journal, f"s/{number % 40}", "." * 400)
    at_hand = AtHand(4 * BLOCK_BYTES)
    with journal.reader() as reader:
        walk = Walk(reader, 401, bytes_max=20_000, at_hand=at_hand)
    assert len(walk.texts) == 400
    assert 0 < at_hand.bytes <= 4 * BLOCK_BYTES


def test_a_conversation_is_known_by_its_name_too(tmp_path: Path) -> None:
    memory = MemoryJournal()
    trial = Trial(MemorySubject(tmp_path, memory))
    trial.write(trial.batch("talk", "hello", "again"), trial.batch("other", "no"))
    name = f"{known('talk').agent}/{known('talk').agent_session_id}"
    walk = Walk(memory.reader(), 4, bytes_max=1_000_000, streams=name)
    assert walk.texts == ["hello", "again"]
    assert [stretch.looked for stretch in walk.stretches] == [1]  # nothing was passed over
