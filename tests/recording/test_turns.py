"""Which commands act, and when two readings are the same one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.events import Event, Kind, Origin, encode
from holdfast.journal.model import SessionRow
from holdfast.recording.turns import commands_in, instant_of, may_hold_commands
from tests.support.recordings import event

FIRST_RUN = "2026-11-20T09:00:00.000Z"


def said(text: str = "::record", **fields: Any) -> Event:
    return msgspec.structs.replace(event(7, text), **fields)


def keys(*events: Event, first_run: str = FIRST_RUN) -> list[str]:
    lines = b"".join(encode(each) + b"\n" for each in events)
    return [given.key for given in commands_in(lines, first_run)]


def test_a_command_of_the_user_acts() -> None:
    lines = encode(said("please\n::capture a.md")) + b"\n"
    (given,) = commands_in(lines, FIRST_RUN)
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
