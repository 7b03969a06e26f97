"""Sources of items do what all such sources must do; and the kit can tell when one does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any, ClassVar, Final

import apsw
import msgspec
import pytest

from holdfast.conformance import Nonconformant, name
from holdfast.conformance.__main__ import main
from holdfast.conformance.in_place import STORE_REQUIREMENTS, StoreRequirement, StoreSample
from holdfast.conformance.in_place.fuzzing import fuzz_stores
from holdfast.conformance.in_place.samples import NAMES, samples_of
from holdfast.events import Event, Kind, Usage
from holdfast.journal.model import Facts
from holdfast.sources import agents
from holdfast.sources.base import ItemReader, Log, Means, Read, Stamp

SAMPLES: Final = [(agent, sample) for agent in NAMES for sample in samples_of(agent)]


def wrong(agent: str) -> StoreSample:
    return samples_of(agent)[0]


DOCUMENT: Final = wrong("gemini")
DATABASE: Final = wrong("opencode")


def named(given: object) -> str:
    if isinstance(given, tuple):
        return f"{given[0]} {given[1].name}"
    if isinstance(given, StoreSample):
        return given.name
    if isinstance(given, dict):
        return " and ".join(given)  # its functions have an address, another in each process
    if isinstance(given, str):
        return given[:40]
    return name(given)  # type: ignore[arg-type]  # a requirement, or a class


@pytest.mark.parametrize("store", SAMPLES, ids=named)
@pytest.mark.parametrize("requirement", STORE_REQUIREMENTS, ids=named)
def test_conformance(
    requirement: StoreRequirement, store: tuple[str, StoreSample], tmp_path: Path
) -> None:
    requirement(store[1], tmp_path)


def test_each_requirement_has_a_name_of_its_own() -> None:
    names = [named(requirement) for requirement in STORE_REQUIREMENTS]
    assert all(names)
    assert len(set(names)) == len(names)


def test_samples_are_of_agents_that_there_are() -> None:
    assert set(NAMES) <= set(agents.NAMES)


@pytest.mark.parametrize("agent", NAMES)
def test_damaged_stores_are_read_without_a_finding(agent: str, tmp_path: Path) -> None:
    """A moment of what runs for a minute from the command line."""
    found = fuzz_stores(samples_of(agent), tmp_path, seconds=1.0, seed=11, clock=process_time)
    assert found.executions > 3
    assert found.problems == []


def test_the_command_line_says_what_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "cursor"]) == 0
    told = capsys.readouterr().out
    asked = len(STORE_REQUIREMENTS)
    assert "cursor (lines): " in told
    assert f"cursor (chat): {asked} of {asked} requirements kept" in told
    assert main(["fuzz", "goose", "--seconds", "0.2"]) == 0
    assert "damaged stores" in capsys.readouterr().out


# Sources with one part that is wrong.


class Spoiled:
    """A reader that does one thing otherwise."""

    def __init__(self, inner: ItemReader, log: Log) -> None:
        self.inner = inner
        self.log = log
        self.starts_over = inner.starts_over

    @property
    def facts(self) -> Facts:
        return self.inner.facts

    @property
    def unknown(self) -> dict[str, tuple[int, int]]:
        return self.inner.unknown

    @property
    def stamp(self) -> Stamp:
        return self.inner.stamp

    def read(self) -> Iterator[Read]:
        for read in self.inner.read():
            self.change(read)
            yield read

    def change(self, read: Read) -> None:
        """What is wrong with it."""

    def state(self) -> bytes:
        return self.inner.state()

    def close(self) -> None:
        self.inner.close()


def rename(event: Event, uuid: str) -> None:
    assert event.source is not None
    event.source = msgspec.structs.replace(event.source, uuid=uuid)


class NamesByPlace(Spoiled):
    """Takes the number of an event for its name."""

    number = 0

    def change(self, read: Read) -> None:
        for event in read.events:
            self.number += 1
            rename(event, str(self.number))


class NamesByContent(Spoiled):
    def change(self, read: Read) -> None:
        for event in read.events:
            rename(event, f"{event.kind}{event.text}{bytes(event.data)!r}")


class GivesNoNames(Spoiled):
    def change(self, read: Read) -> None:
        for event in read.events:
            rename(event, "")


class WeighsNothing(Spoiled):
    def change(self, read: Read) -> None:
        read.size = 0


class DropsTheUnknown(Spoiled):
    def change(self, read: Read) -> None:
        read.events = [event for event in read.events if event.kind != Kind.PROVIDER_RAW]


class CountsNoUnknown(Spoiled):
    def change(self, read: Read) -> None:
        self.inner.unknown.clear()


class TellsWhatIsAdded(Spoiled):
    """Has a later version of tokens say what it said before, and that again."""

    counts: ClassVar[dict[str, int]] = {}

    def change(self, read: Read) -> None:
        for event in read.events:
            if event.usage is not None:
                times = self.counts[self.log.key] = self.counts.get(self.log.key, 0) + 1
                event.usage = Usage(event.usage.input * times, event.usage.output)


class StopsAtTheFirstUnknown(Spoiled):
    def read(self) -> Iterator[Read]:
        for read in self.inner.read():
            yield read
            if any(event.kind == Kind.PROVIDER_RAW for event in read.events):
                return


class KnowsTheEndAtOnce(Spoiled):
    """Says of a reading that was broken off where it would have ended."""

    def read(self) -> Iterator[Read]:
        yield from list(self.inner.read())[:-2]


class SeesNoChange(Spoiled):
    @property
    def stamp(self) -> Stamp:
        return Stamp(self.inner.stamp.size - 1, 1)


class LeavesItOpen(Spoiled):
    left: ClassVar[list[int]] = []

    def close(self) -> None:
        self.left.append(os.open(self.log.path, os.O_RDONLY))
        self.inner.close()


class WritesBeside(Spoiled):
    def close(self) -> None:
        Path(f"{self.log.path}.seen").touch()
        self.inner.close()


class HoldsTheDatabase(Spoiled):
    """Reads all of it from one snapshot."""

    def read(self) -> Iterator[Read]:
        connection = apsw.Connection(self.log.path)
        connection.execute("BEGIN; SELECT count(*) FROM session").fetchall()
        try:
            yield from self.inner.read()
        finally:
            connection.close()


class RaisesOnDrift(Spoiled):
    def change(self, read: Read) -> None:
        for event in read.events:
            if event.kind == Kind.PROVIDER_RAW and b"unfamiliar" in repr(self.unknown).encode():
                raise ValueError(event.text)


class ReadsWholeItems(Spoiled):
    """Holds whatever there is."""

    def read(self) -> Iterator[Read]:
        content = Path(self.log.path).read_bytes() * 2
        yield from self.inner.read()
        del content


class CountsNoTurns(Spoiled):
    def change(self, read: Read) -> None:
        for event in read.events:
            event.sidechain = True


class LosesTime(Spoiled):
    def change(self, read: Read) -> None:
        for event in read.events:
            event.at = event.at.replace("T", " ")


class TakesUnknownFieldsSerious(Spoiled):
    def change(self, read: Read) -> None:
        for event in read.events:
            if b"of_tomorrow" in Path(self.log.path).read_bytes():
                event.text += "!"


def spoiled(sample: StoreSample, part: type[Spoiled]) -> StoreSample:
    class Source(sample.source):  # type: ignore[misc,name-defined]  # a class is what makes it
        def reader(self, log: Log, state: bytes, means: Means) -> Spoiled:
            return part(super().reader(log, state, means), log)

    return replace(sample, source=Source)


@pytest.mark.parametrize(
    ("sample", "part", "caught_by"),
    [
        (DOCUMENT, NamesByPlace, "an item that arrives late in the middle is not lost"),
        (DATABASE, NamesByPlace, "reading what is new resumes too"),
        (DOCUMENT, NamesByContent, "an item that changes becomes one superseding event"),
        (DATABASE, NamesByContent, "an item that changes becomes one superseding event"),
        (DOCUMENT, GivesNoNames, "events are whole and named"),
        (DOCUMENT, WeighsNothing, "every byte is accounted for"),
        (DATABASE, WeighsNothing, "every byte is accounted for"),
        (DOCUMENT, DropsTheUnknown, "unknown items are kept raw and counted"),
        (DATABASE, CountsNoUnknown, "unknown items are kept raw and counted"),
        (DOCUMENT, TellsWhatIsAdded, "tokens are counted once"),
        (DOCUMENT, StopsAtTheFirstUnknown, "a drifted item costs itself at most"),
        (DATABASE, KnowsTheEndAtOnce, "each item becomes what it should"),
        (DOCUMENT, SeesNoChange, "reading again adds nothing"),
        (DOCUMENT, LeavesItOpen, "a reading that is given up leaves nothing open"),
        (DOCUMENT, WritesBeside, "nothing is written where the agent keeps its logs"),
        (DATABASE, HoldsTheDatabase, "the agent can write while it is read"),
        (DOCUMENT, ReadsWholeItems, "an item over the cap is kept beside the journal"),
        (DOCUMENT, CountsNoTurns, "what people ask counts as turns"),
        (DATABASE, LosesTime, "events are whole and named"),
        (DOCUMENT, TakesUnknownFieldsSerious, "unknown fields change nothing"),
    ],
    ids=named,
)
def test_the_kit_refuses_a_source_with_one_part_that_is_wrong(
    sample: StoreSample, part: type[Spoiled], caught_by: str, tmp_path: Path
) -> None:
    TellsWhatIsAdded.counts.clear()
    (requirement,) = [each for each in STORE_REQUIREMENTS if named(each) == caught_by]
    try:
        with pytest.raises(Nonconformant):
            requirement(spoiled(sample, part), tmp_path)
    finally:
        while LeavesItOpen.left:
            os.close(LeavesItOpen.left.pop())


def test_the_kit_refuses_a_reader_that_raises(tmp_path: Path) -> None:
    found = fuzz_stores(
        [spoiled(DOCUMENT, RaisesOnDrift)], tmp_path, seconds=3.0, clock=process_time
    )
    assert any("ValueError" in problem for problem in found.problems)


def misplaced(sample: StoreSample, **methods: Any) -> StoreSample:
    return replace(sample, source=type("Source", (sample.source,), methods))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sample", "methods", "caught_by"),
    [
        (
            DOCUMENT,
            {"enters": lambda _self, _folder: False},
            "every log is found and nothing else",
        ),
        (
            DATABASE,
            {"store_of": lambda _self, path: path if path.endswith(".db") else None},
            "a change of any of its files leads to the log",
        ),
        (
            DOCUMENT,
            {"logs": lambda _self, _store, _since_ns=0: iter(())},
            "every log is found and nothing else",
        ),
        (
            DOCUMENT,
            {"store_of": lambda _self, path: path},
            "a path outside the roots is no log",
        ),
    ],
    ids=named,
)
def test_the_kit_refuses_a_source_that_finds_wrongly(
    sample: StoreSample, methods: dict[str, Any], caught_by: str, tmp_path: Path
) -> None:
    (requirement,) = [each for each in STORE_REQUIREMENTS if named(each) == caught_by]
    with pytest.raises(Nonconformant):
        requirement(misplaced(sample, **methods), tmp_path)


@pytest.mark.parametrize(
    ("wrong_part", "caught_by"),
    [
        ({"session": "another"}, "every log is found and nothing else"),
        ({"usage": Usage(7)}, "tokens are counted once"),
        ({"begins": ()}, "each item becomes what it should"),
        ({"facets": wrong("goose").facets}, "what is known of the session is learned"),
        ({"keeps_names": False}, "an item that changes becomes one superseding event"),
        ({"logs": {}}, "every log is found and nothing else"),
    ],
)
def test_the_kit_holds_a_source_to_its_sample(
    wrong_part: dict[str, Any], caught_by: str, tmp_path: Path
) -> None:
    (requirement,) = [each for each in STORE_REQUIREMENTS if named(each) == caught_by]
    with pytest.raises(Nonconformant):
        requirement(replace(DOCUMENT, **wrong_part), tmp_path)
