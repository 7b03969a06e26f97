"""Which commands act, and when two readings are the same one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.events import Event, Kind, Origin, encode
from holdfast.journal.model import SessionRow
from holdfast.recording.turns import PARTS_MAX, commands_in, instant_of, may_hold_commands
from tests.support.recordings import event

FIRST_RUN = "2026-11-20T09:00:00.000Z"


def said(text: str = "::record", **fields: Any) -> Event:
    return msgspec.structs.replace(event(7, text), **fields)


def lines_of(*events: Event) -> bytes:
    return b"".join(encode(each) + b"\n" for each in events)


def nothing(_session: str, _first: int, _stop: int) -> bytes:
    return b""


def keys(*events: Event, first_run: str = FIRST_RUN) -> list[str]:
    return [given.key for given in commands_in(lines_of(*events), first_run, nothing)]


def parts(*texts: str) -> list[Event]:
    """One message, kept as an agent does that takes text and pictures in turns."""
    first = event(0, "")
    return [
        msgspec.structs.replace(
            first, id=f"{first.id.rpartition('.')[0]}.{number}", seq=number, text=text
        )
        for number, text in enumerate(texts)
    ]


def acting(events: list[Event]) -> list[str]:
    """The commands that are found when each event comes by itself."""

    def read(_session: str, first: int, stop: int) -> bytes:
        return lines_of(*events[first:stop])

    found = [commands_in(lines_of(each), FIRST_RUN, read) for each in events]
    return [given.found.text for each in found for given in each]


def test_a_command_of_the_user_acts() -> None:
    (given,) = commands_in(lines_of(said("please\n::capture a.md")), FIRST_RUN, nothing)
    assert (given.seq, given.cwd, given.found.text) == (7, "/nowhere", "::capture a.md")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": Kind.ASSISTANT},
        {"kind": Kind.SYSTEM},
        {"kind": Kind.TOOL_RESULT},
        {"kind": Kind.SESSION_SUMMARIZED},
        {"actor": "assistant"},
        {"sidechain": True},
        {"at": "2026-11-20T08:59:59.999Z"},
        {"at": ""},
    ],
)
def test_what_never_acts(fields: dict[str, Any]) -> None:
    assert keys(said(**fields)) == []


def test_the_very_moment_of_the_first_run_is_not_before_it() -> None:
    assert len(keys(said(at=FIRST_RUN))) == 1


def test_a_text_that_only_speaks_of_kinds_is_no_message() -> None:
    assert keys(said('"message.user" ::record', kind=Kind.ASSISTANT)) == []


@pytest.mark.parametrize(
    ("texts", "act"),
    [
        (["::stop", "::record"], ["::stop", "::record"]),
        (["::export a.md", "```\n::export b.md", "::export c.md"], ["::export a.md"]),
        (["```", "::export a.md", "```\n::export b.md"], ["::export b.md"]),
        (["<!-- ", "::stop", "-->\n::record"], ["::record"]),
        (["an `open span", "::stop", "closed` here"], ["::stop"]),
        (["> quoted", "::stop"], ["::stop"]),
    ],
)
def test_a_message_in_parts_is_one_text(texts: list[str], act: list[str]) -> None:
    """A paragraph, and a code span in it, ends with its part, as in the recording."""
    assert acting(parts(*texts)) == act


def test_a_message_is_not_quoted_by_the_one_before_it() -> None:
    first, second = parts("```", "::stop")
    assert second.source is not None
    other = msgspec.structs.replace(second.source, uuid="another")
    assert acting([first, msgspec.structs.replace(second, source=other)]) == ["::stop"]


def test_a_later_version_of_a_message_is_no_part_of_it() -> None:
    first, second = parts("```", "::stop")
    assert acting([first, msgspec.structs.replace(second, supersedes=0)]) == ["::stop"]


def test_of_a_message_of_very_many_parts_some_are_read_again() -> None:
    asked: list[int] = []

    def read(_session: str, first: int, stop: int) -> bytes:
        asked.append(stop - first)
        return b""

    last = parts(*["::stop"] * 1_000)[-1]
    assert len(list(commands_in(lines_of(last), FIRST_RUN, read))) == 1
    assert asked == [PARTS_MAX]


def moved(original: Event) -> Event:
    """The same record, read again from a rewritten log."""
    source = original.source
    assert source is not None
    return msgspec.structs.replace(
        original,
        id=original.id.replace(".0.", ".3.", 1).replace("2bc", "999"),
        seq=99,
        source=Origin(source.agent, "q/s.jsonl", 5, source.uuid),
    )


def test_the_same_record_elsewhere_is_the_same_command() -> None:
    assert keys(said()) == keys(moved(said()))


def test_a_fork_that_repeats_the_record_is_the_same_command() -> None:
    assert keys(said()) == keys(said(session="another"))


def later_version(text: str, version: int) -> Event:
    first = said()
    identity = f"{first.id.rpartition('.')[0]}.{version}"
    return said(text, id=identity, seq=90 + version, supersedes=first.seq)


def test_a_later_version_of_a_message_repeats_no_command() -> None:
    assert said().id.endswith(".0")
    for version in (1, 2, 13):
        assert keys(later_version("dear all\n\n::record", version)) == keys(said())


def test_a_command_that_is_new_in_a_later_version_acts_once() -> None:
    (added,) = set(keys(later_version("::record\n::stop", 1))) - set(keys(said()))
    assert keys(later_version("::stop", 2)) == [added]


@pytest.mark.parametrize(
    "other",
    [
        said(at="2026-11-20T10:00:08.000Z"),
        said(id="x.0.2bc.1"),
        said(source=Origin("claude", "p/s.jsonl", 700, "another")),
        said(source=Origin("codex", "p/s.jsonl", 700, "uuid-7")),
        said("::stop"),
    ],
)
def test_what_differs_is_another_command(other: Event) -> None:
    assert keys(said()) != keys(other)
    assert len(keys(other)) == 1


def test_without_an_id_of_the_agents_the_session_tells_them_apart() -> None:
    nameless = said(source=Origin("claude", "p/s.jsonl", 700))
    assert keys(nameless) == keys(msgspec.structs.replace(nameless, seq=4))
    assert keys(nameless) != keys(msgspec.structs.replace(nameless, session="another"))


def test_equal_lines_of_a_message_are_two_commands() -> None:
    assert len(set(keys(said("::record\n::stop\n::record")))) == 3


def row(**fields: Any) -> SessionRow:
    about = {"id": "s", "agent": "claude", "agent_session_id": "s", "updated_at": FIRST_RUN}
    return SessionRow(**{**about, **fields})


def test_sessions_that_are_not_worth_looking_at() -> None:
    assert may_hold_commands(row(), FIRST_RUN)
    assert not may_hold_commands(row(parent="p"), FIRST_RUN)
    assert not may_hold_commands(row(updated_at="2026-11-19T10:00:00.000Z"), FIRST_RUN)


def test_times_compare_as_events_write_them() -> None:
    assert instant_of(1_795_165_200_007) == "2026-11-20T09:00:00.007Z"
