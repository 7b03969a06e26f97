"""Every source does what every source must do; and the kit can tell when one does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.conformance import REQUIREMENTS, Nonconformant, Requirement, Sample, Step, name
from holdfast.conformance.__main__ import main
from holdfast.conformance.desk import OneLog
from holdfast.conformance.mutation import fuzz
from holdfast.conformance.samples import NAMES, sample_of
from holdfast.events import Event, Kind
from holdfast.journal.model import Facts, Verdict
from holdfast.sources import agents
from holdfast.sources.base import BlobSink, Log, Parser
from holdfast.sources.mending import mended

WRONG: Final = "copilot"  # whose source is spoiled, one part at a time


@pytest.mark.parametrize("agent", NAMES)
@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=name)
def test_conformance(requirement: Requirement, agent: str, tmp_path: Path) -> None:
    requirement(sample_of(agent), tmp_path)


def test_each_requirement_has_a_name_of_its_own() -> None:
    names = [name(requirement) for requirement in REQUIREMENTS]
    assert all(names)
    assert len(set(names)) == len(names)


def test_samples_are_of_agents_that_there_are() -> None:
    assert set(NAMES) <= set(agents.NAMES)


@pytest.mark.parametrize("agent", NAMES)
def test_long_conversations_are_understood_in_full(agent: str, tmp_path: Path) -> None:
    sample = sample_of(agent)
    assert sample.conversation is not None
    log = OneLog(sample, tmp_path)
    log.read(b"".join(line + b"\n" for line in sample.conversation(20)))
    assert log.unknown == {}
    assert log.cursor.ledger.bad == log.cursor.torn == 0
    asked = [event for event in log.events if event.kind == Kind.USER]
    assert len(asked) == 20
    assert [event.turn for event in asked] == list(range(1, 21))


# Anything at all.


@pytest.mark.parametrize("agent", NAMES)
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.lists(st.binary(max_size=80), max_size=6).map(b"\n".join))
def test_any_bytes(agent: str, content: bytes, tmp_path: Path) -> None:
    log = OneLog(sample_of(agent), tmp_path)
    log.read(content)
    assert log.cursor.ledger.consumed + log.cursor.torn == len(content)


@pytest.mark.parametrize("agent", NAMES)
def test_damaged_logs_are_read_without_a_finding(agent: str, tmp_path: Path) -> None:
    """A moment of what runs for a minute from the command line."""
    found = fuzz(sample_of(agent), tmp_path, seconds=1.0, seed=11, clock=process_time)
    assert found.executions > 10
    assert found.problems == []


def test_the_command_line_says_what_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "pi"]) == 0
    assert (
        f"{len(REQUIREMENTS)} of {len(REQUIREMENTS)} requirements kept" in capsys.readouterr().out
    )
    assert main(["fuzz", "pi", "--seconds", "0.2"]) == 0
    assert "damaged logs" in capsys.readouterr().out


# Sources with one part that is wrong.


class Spoiled:
    """A parser that does one thing otherwise."""

    def __init__(self, log: Log, state: bytes, blobs: BlobSink) -> None:
        source = sample_of(WRONG).source([])
        self.inner: Parser = source.parser(log, state, blobs)

    @property
    def facts(self) -> Facts:
        return self.inner.facts

    @property
    def unknown(self) -> dict[str, tuple[int, int]]:
        return self.inner.unknown

    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        return self.inner.parse(offset, line)

    def state(self) -> bytes:
        return self.inner.state()


class ForgetsEverything(Spoiled):
    def state(self) -> bytes:
        return b""


class CountsEachTime(Spoiled):
    """Takes the figures of a message for what it adds."""

    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        verdict, events = self.inner.parse(offset, line)
        self.inner.memory.requests.clear()  # type: ignore[attr-defined]  # of this parser
        return verdict, events


class DropsTheUnknown(Spoiled):
    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        verdict, events = self.inner.parse(offset, line)
        return ("skipped", []) if verdict == "unknown" else (verdict, events)


class CountsNoUnknown(Spoiled):
    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        found = self.inner.parse(offset, line)
        self.inner.unknown.clear()
        return found


class GivesUpOnDrift(Spoiled):
    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        try:
            self.inner.read(line)  # type: ignore[attr-defined]  # of this parser
        except msgspec.ValidationError:
            return "bad", []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        return self.inner.parse(offset, line)


class RepeatsTheRecord(Spoiled):
    """Puts the whole record beside each part of it."""

    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        verdict, events = self.inner.parse(offset, line)
        for event in events:
            if len(events) > 1:
                event.data = msgspec.Raw(msgspec.json.encode(mended(line).decode()))
        return verdict, events


class LosesTime(Spoiled):
    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        verdict, events = self.inner.parse(offset, line)
        for event in events:
            event.at = event.at.replace("T", " ")
        return verdict, events


class SkipsWhatPeopleSay(Spoiled):
    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        if b'"user.message"' in line:
            return "skipped", []
        return self.inner.parse(offset, line)


class TakesUnknownFieldsSerious(Spoiled):
    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        verdict, events = self.inner.parse(offset, line)
        if b"of_tomorrow" in line and events:
            events[0].text += "!"
        return verdict, events


class CountsNoTurns(Spoiled):
    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        verdict, events = self.inner.parse(offset, line)
        for event in events:
            event.turn = 0
        return verdict, events


class WritesHalfCharacters(Spoiled):
    """Decodes bytes that are no text by itself."""

    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        line.decode()
        return self.inner.parse(offset, line)


class DependsOnHowItIsCut(Spoiled):
    """Tells a record differently when it is the first that a process reads."""

    def __init__(self, log: Log, state: bytes, blobs: BlobSink) -> None:
        super().__init__(log, state, blobs)
        self._first = bool(state)

    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        verdict, events = self.inner.parse(offset, line)
        for event in events:
            event.text += "*" if self._first else ""
        self._first = False
        return verdict, events


def spoiled(parser: type[Spoiled]) -> Sample:
    sample = sample_of(WRONG)

    class Source(sample.source):  # type: ignore[misc,name-defined]  # a class is what makes it
        def parser(self, log: Log, state: bytes, blobs: BlobSink) -> Spoiled:
            return parser(log, state, blobs)

    return replace(sample, source=Source)


def misplaced(**methods: Callable[..., Any]) -> Sample:
    sample = sample_of(WRONG)
    return replace(sample, source=type("Source", (sample.source,), methods))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "caught_by"),
    [
        (ForgetsEverything, "reading goes on after any record"),
        (ForgetsEverything, "tokens are counted once across processes"),
        (CountsEachTime, "figures that are told again add nothing"),
        (DropsTheUnknown, "unknown records are kept raw and counted"),
        (CountsNoUnknown, "unknown records are kept raw and counted"),
        (GivesUpOnDrift, "a drifted record is understood in part or kept raw"),
        (RepeatsTheRecord, "a record of many parts stays in proportion"),
        (LosesTime, "events are whole and in order"),
        (SkipsWhatPeopleSay, "each line becomes what it should"),
        (TakesUnknownFieldsSerious, "unknown fields change nothing"),
        (CountsNoTurns, "what people ask counts as turns"),
        (DependsOnHowItIsCut, "a log torn at any byte reads the same"),
    ],
)
def test_the_kit_refuses_a_parser_with_one_part_that_is_wrong(
    part: type[Spoiled], caught_by: str, tmp_path: Path
) -> None:
    (requirement,) = [each for each in REQUIREMENTS if name(each) == caught_by]
    with pytest.raises(Nonconformant):
        requirement(spoiled(part), tmp_path)


def test_the_kit_refuses_a_parser_that_raises(tmp_path: Path) -> None:
    found = fuzz(spoiled(WritesHalfCharacters), tmp_path, seconds=0.5, clock=process_time)
    assert found.problems
    assert "UnicodeDecodeError" in found.problems[0]


@pytest.mark.parametrize(
    ("methods", "caught_by"),
    [
        ({"enters": lambda _self, _folder: False}, "every log is found and nothing else"),
        ({"suffixes": lambda _self: (".json",)}, "every log is found and nothing else"),
        (
            {"log_at": lambda _self, root, path: Log(WRONG, path, root, "one")},
            "odd names are told apart",
        ),
        (
            {"log_at": lambda _self, root, path: Log(WRONG, path, root, path)},
            "every log is found and nothing else",
        ),
        (
            {"identify": lambda self, key: self.log_at(self.roots()[0], key)},
            "a path outside the roots is no log",
        ),
    ],
)
def test_the_kit_refuses_a_source_that_finds_wrongly(
    methods: dict[str, Callable[..., Any]], caught_by: str, tmp_path: Path
) -> None:
    (requirement,) = [each for each in REQUIREMENTS if name(each) == caught_by]
    with pytest.raises(Nonconformant):
        requirement(misplaced(**methods), tmp_path)


@pytest.mark.parametrize(
    ("wrong", "caught_by"),
    [
        ({"session": "another"}, "every log is found and nothing else"),
        ({"usage": sample_of("pi").usage}, "tokens are counted once"),
        ({"facets": sample_of("pi").facets}, "what is known of the session is learned"),
        ({"steps": [Step(b"{}", (Kind.USER,))]}, "each line becomes what it should"),
    ],
)
def test_the_kit_holds_a_source_to_its_sample(
    wrong: dict[str, Any], caught_by: str, tmp_path: Path
) -> None:
    (requirement,) = [each for each in REQUIREMENTS if name(each) == caught_by]
    with pytest.raises(Nonconformant):
        requirement(replace(sample_of(WRONG), **wrong), tmp_path)
