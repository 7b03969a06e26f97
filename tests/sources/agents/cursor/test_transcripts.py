"""What each line of a Cursor transcript becomes, by example."""

from __future__ import annotations

import pytest

from holdfast.conformance.samples.cursor import PROJECT, WHEN, call, line, text, typed
from holdfast.events import Kind
from holdfast.sources.agents.cursor import Agent
from tests.support.parsing import Parsed, data

FOLDER = f"/logs/projects/{PROJECT}/agent-transcripts"


@pytest.fixture
def log() -> Parsed:
    return Parsed(Agent(["/logs"]), f"{FOLDER}/s1/s1.jsonl")


def test_what_was_typed_is_told_apart_from_what_was_sent(log: Parsed) -> None:
    event = log.one(line("user", typed("why?")))
    assert (event.kind, event.text, event.turn) == (Kind.USER, "why?", 1)
    assert data(event) is None
    assert log.parser.facts.title == "why?"


def test_what_was_sent_along_is_kept_with_the_words(log: Parsed) -> None:
    sent = "<attached_files>a.py</attached_files>\n<user_query>\nwhy?\n</user_query>"
    event = log.one(line("user", text(sent)))
    assert event.text == "why?"
    assert data(event) == {"original": sent}


def test_a_query_may_hold_what_looks_like_its_end(log: Parsed) -> None:
    words = "what does </user_query> mean?"
    assert log.one(line("user", typed(words))).text == words


def test_what_programs_say_is_no_turn(log: Parsed) -> None:
    note = "<system_notification>The task has finished</system_notification>"
    event = log.one(line("user", text(f"<timestamp>{WHEN}</timestamp>\n{note}")))
    assert (event.kind, event.turn) == (Kind.SYSTEM, 0)


@pytest.mark.parametrize(
    ("when", "at"),
    [
        ("Monday, Jan 5, 2026, 11:00 AM (UTC+2)", "2026-01-05T09:00:00.000Z"),
        ("Thursday, Jul 30, 2026, 6:23 PM (UTC+5:30)", "2026-07-30T12:53:00.000Z"),
        ("Saturday, Jun 13, 2026, 12:50 AM (UTC-7)", "2026-06-13T07:50:00.000Z"),
        ("Thursday, September 10, 2026, 12:00 PM (UTC)", "2026-09-10T12:00:00.000Z"),
        ("Thursday, Sep 04, 2026, 10:00 AM", "2026-09-04T10:00:00.000Z"),
        ("Thursday, 1 January 2026, 12:00 PM", ""),
        ("Monday, Anf 5, 2026, 11:00 AM (UTC+2)", ""),
        ("Monday, Feb 31, 2026, 11:00 AM (UTC+2)", ""),
        ("Monday, Feb 3, 2026, 11:00 AM (UTC+99)", ""),
        ("Monday, Feb 3, 0000, 11:00 AM (UTC+2)", ""),
        ("Monday, Jan 1, 0001, 1:00 AM (UTC+14)", ""),
    ],
)
def test_the_time_before_a_prompt(log: Parsed, when: str, at: str) -> None:
    assert log.one(line("user", typed("why?", when))).at == at


def test_what_follows_takes_the_time_of_the_prompt(log: Parsed) -> None:
    log.read(line("user", typed("why?")))
    assert log.one(line("assistant", text("So."))).at == "2026-01-05T09:00:00.000Z"


def test_a_reply_is_words_and_calls(log: Parsed) -> None:
    words, asked = log.read(line("assistant", text("I look."), call("Read", path="a.py")))
    assert (words.kind, words.text) == (Kind.ASSISTANT, "I look.")
    assert (asked.kind, asked.text) == (Kind.TOOL_CALL, "Read: a.py")


def test_a_turn_that_ended_well_says_nothing(log: Parsed) -> None:
    assert log.read({"type": "turn_ended", "status": "success"}) == []
    event = log.one({"type": "turn_ended", "status": "error", "error": "User aborted request"})
    assert (event.kind, event.text) == (Kind.PROVIDER_INFO, "User aborted request")
    assert log.verdicts == ["skipped", "parsed"]


def test_the_project_is_known_by_its_folders_name(log: Parsed) -> None:
    log.read(line("user", text("why?")))
    assert (log.parser.facts.project, log.parser.facts.cwd) == (PROJECT, "")


def test_unknown_records_and_parts_are_counted_by_name(log: Parsed) -> None:
    log.read({"type": "novelty"}, line("narrator", text("x")), line("assistant", {"type": "new"}))
    assert set(log.parser.unknown) == {"novelty", "narrator", "assistant/new"}


@pytest.mark.parametrize(
    ("path", "session", "parent"),
    [
        ("s1/s1.jsonl", "s1", ""),
        ("s1.jsonl", "s1", ""),
        ("s1/subagents/s2.jsonl", "s1/s2", "s1"),
        ("s1.txt", None, ""),
    ],
)
def test_whose_log_it_is(path: str, session: str | None, parent: str) -> None:
    found = Agent(["/logs"]).identify(f"{FOLDER}/{path}")
    assert (found.agent_session_id if found else None) == session
    assert (found.parent if found else "") == parent


def test_what_else_lies_in_a_project_is_no_transcript() -> None:
    assert Agent(["/logs"]).identify(f"/logs/projects/{PROJECT}/terminals/s1.jsonl") is None


@pytest.mark.parametrize(
    ("folder", "enters"),
    [
        ("p", True),
        ("p/agent-transcripts", True),
        ("p/agent-transcripts/s1/subagents", True),
        ("p/terminals", False),
        ("p/mcps/x", False),
    ],
)
def test_of_a_project_only_the_transcripts_are_looked_at(folder: str, enters: bool) -> None:
    assert Agent(["/logs"]).enters(f"/logs/projects/{folder}") is enters
