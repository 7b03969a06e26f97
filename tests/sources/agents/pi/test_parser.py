"""What each entry of Pi becomes, by example."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.conformance.samples._talk import CWD
from holdfast.conformance.samples.pi import (
    MODEL,
    ORIGIN,
    PICTURE,
    assistant,
    call,
    entry,
    header,
    message,
    spent,
    text,
)
from holdfast.events import Kind, Usage, session_id
from holdfast.journal.model import TitleRank
from holdfast.sources.agents.pi import Agent
from tests.support.parsing import Parsed, data

PATH = "/logs/sessions/--home-hana--/2026-01-05T09-00-00-000Z_s1.jsonl"


@pytest.fixture
def log() -> Parsed:
    return Parsed(Agent(["/logs"]), PATH)


def test_the_header_says_where(log: Parsed) -> None:
    event = log.one(header())
    assert (event.kind, event.cwd) == (Kind.SESSION_STARTED, CWD)
    assert log.parser.facts.project == CWD


@pytest.mark.parametrize("name", ["parentSession", "branchedFrom"])
def test_a_fork_names_the_file_that_it_comes_from(log: Parsed, name: str) -> None:
    log.read(header(**{name: f"/home/hana/.pi/agent/sessions/p/2026_{ORIGIN}.jsonl"}))
    assert log.parser.facts.forked_from == session_id("pi", ORIGIN)


def test_older_headers_name_the_model(log: Parsed) -> None:
    log.read(header(provider="anthropic", modelId=MODEL))
    assert log.parser.facts.model == MODEL


def test_each_event_names_its_entry_and_the_one_before(log: Parsed) -> None:
    made = message("user", "hi")
    source = log.one(made).source
    assert source is not None
    assert (source.uuid, source.parent) == (made["id"], made["parentId"])


def test_what_people_say_is_a_turn(log: Parsed) -> None:
    first = log.one(message("user", "why?"))
    second = log.one(message("user", [text("and this?")]))
    assert [first.turn, second.turn] == [1, 2]
    assert log.parser.facts.title == "why?"


def test_a_reply_is_thought_words_and_calls(log: Parsed) -> None:
    thought, words, asked = log.read(
        assistant({"type": "thinking", "thinking": "hm"}, text("I look."), call("t1"))
    )
    assert (thought.kind, thought.text) == (Kind.THINKING, "hm")
    assert (words.kind, words.model) == (Kind.ASSISTANT, MODEL)
    assert (asked.text, data(asked)["tool_use_id"]) == ("bash: ls", "t1")


def test_a_result_names_its_tool(log: Parsed) -> None:
    event = log.one(
        message("toolResult", [text("a.py")], toolCallId="t1", toolName="bash", isError=True)
    )
    assert (event.kind, event.text) == (Kind.TOOL_RESULT, "a.py")
    assert data(event) == {"tool_use_id": "t1", "name": "bash", "is_error": True}


def test_pictures_go_beside_the_journal(log: Parsed) -> None:
    image = {"type": "image", "data": PICTURE, "mimeType": "image/png"}
    _words, shown = log.read(message("user", [text("look"), image]))
    result = log.one(message("toolResult", [image], toolCallId="t1", toolName="read"))
    assert data(shown)["blob"] == data(result)["images"][0]["blob"]
    assert len(log.blobs.stored) == 1


@pytest.mark.parametrize(
    ("more", "failed"),
    [({"exitCode": 0}, False), ({"exitCode": 1}, True), ({"cancelled": True}, True), ({}, False)],
)
def test_a_command_of_the_persons_own_is_asked_and_answered(
    log: Parsed, more: Any, failed: bool
) -> None:
    asked, answer = log.read(message("bashExecution", command="ls", output="a.py", **more))
    assert (asked.kind, asked.text, asked.turn) == (Kind.USER, "! ls", 1)
    assert (answer.kind, answer.text) == (Kind.TOOL_RESULT, "a.py")
    assert data(answer).get("is_error", False) is failed


def test_what_was_spent(log: Parsed) -> None:
    reply = assistant(text("So."), usage=spent(200, 30, 800, 100))
    log.read(reply, reply)
    assert log.usage == Usage(200, 30, 800, 100)


def test_a_reply_that_failed_says_why(log: Parsed) -> None:
    event = log.one(assistant(stopReason="error", errorMessage="Overloaded"))
    assert (event.kind, event.text) == (Kind.PROVIDER_INFO, "Overloaded")


@pytest.mark.parametrize(
    "made",
    [
        message("custom", "remember", customType="notes"),
        message("hookMessage", "remember", customType="notes"),
        entry("custom_message", content="remember", customType="notes"),
        entry("custom_message", content=[text("remember")], customType="notes"),
    ],
)
def test_what_extensions_say_is_nobodys_turn(log: Parsed, made: Any) -> None:
    event = log.one(made)
    assert (event.kind, event.text, event.turn) == (Kind.SYSTEM, "remember", 0)
    assert data(event) == {"custom_type": "notes"}


@pytest.mark.parametrize(
    "made",
    [
        entry("branch_summary", summary="tried A"),
        message("branchSummary", summary="tried A"),
        message("compactionSummary", summary="tried A"),
    ],
)
def test_summaries(log: Parsed, made: Any) -> None:
    event = log.one(made)
    assert (event.kind, event.text) == (Kind.SESSION_SUMMARIZED, "tried A")


def test_a_compaction_is_a_boundary_and_a_summary(log: Parsed) -> None:
    boundary, summary = log.read(entry("compaction", summary="what was", tokensBefore=9))
    assert data(boundary)["tokensBefore"] == 9
    assert "summary" not in data(boundary)
    assert (summary.kind, summary.text) == (Kind.SESSION_SUMMARIZED, "what was")


def test_the_name_that_a_person_gave_is_the_title(log: Parsed) -> None:
    log.read(message("user", "why?"), entry("session_info", name="Tides"))
    assert (log.parser.facts.title, log.parser.facts.title_rank) == ("Tides", TitleRank.PERSON)


def test_another_model_is_the_sessions_from_then_on(log: Parsed) -> None:
    log.read(entry("model_change", provider="openai", modelId="gpt-5"))
    assert log.parser.facts.model == "gpt-5"


def test_an_entry_without_a_time_takes_its_messages(log: Parsed) -> None:
    made = message("user", "hi", timestamp=1_767_603_600_123)
    del made["timestamp"]
    assert log.one(made).at == "2026-01-05T09:00:00.123Z"


def test_unknown_types_roles_and_parts_are_counted_by_name(log: Parsed) -> None:
    log.read(entry("novelty"), message("narrator", "x"), assistant({"type": "novelty"}))
    assert set(log.parser.unknown) == {"novelty", "message/narrator", "assistant/novelty"}


@pytest.mark.parametrize(
    ("path", "session"),
    [
        ("--p--/2026-01-05T09-00-00-000Z_s1.jsonl", "s1"),
        ("2026_s1.jsonl", "s1"),
        ("--p--/2026_s1/run-0/session.jsonl", "--p--/2026_s1/run-0/session"),
        ("--p--/2026_.jsonl", "--p--/2026_"),
    ],
)
def test_whose_log_it_is(path: str, session: str) -> None:
    found = Agent(["/logs"]).identify(f"/logs/sessions/{path}")
    assert found is not None
    assert found.agent_session_id == session


def test_where_its_logs_are() -> None:
    assert Agent.default_place({}).roots == ["~/.pi/agent"]
    assert Agent.default_place({"PI_CODING_AGENT_DIR": "/a"}).origin == "$PI_CODING_AGENT_DIR"
