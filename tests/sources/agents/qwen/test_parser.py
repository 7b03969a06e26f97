"""What each record of Qwen Code becomes, by example; and the traps in its logs."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.conformance.samples._talk import CWD
from holdfast.conformance.samples.qwen import (
    MODEL,
    PICTURE,
    assistant,
    call,
    record,
    result,
    spent,
    system,
    user,
)
from holdfast.events import Kind, Usage, session_id
from holdfast.journal.model import TitleRank
from holdfast.sources.agents.qwen import Agent
from tests.support.parsing import Parsed, data

PATH = "/logs/projects/-home-hana/chats/s1.jsonl"


@pytest.fixture
def log() -> Parsed:
    return Parsed(Agent(["/logs"]), PATH)


def test_what_was_typed_is_told_apart_from_what_was_sent(log: Parsed) -> None:
    event = log.one(
        user("file: …\nwhat is it?", systemPayload={"displayText": "@a.py what is it?"})
    )
    assert (event.kind, event.text, event.turn) == (Kind.USER, "@a.py what is it?", 1)
    assert data(event) == {"original": "file: …\nwhat is it?"}
    assert log.parser.facts.title == "@a.py what is it?"


def test_reminders_are_nobodys_words(log: Parsed) -> None:
    alone = log.one(user("<system-reminder>be kind</system-reminder>"))
    among = log.one(user("<system-reminder>be kind</system-reminder>", "why?"))
    assert (alone.kind, alone.turn) == (Kind.SYSTEM, 0)
    assert (among.kind, among.text, among.turn) == (Kind.USER, "why?", 1)


@pytest.mark.parametrize("subtype", ["notification", "cron", "goal_runtime"])
def test_what_programs_send_is_no_turn(log: Parsed, subtype: str) -> None:
    event = log.one(user("the task is done", subtype=subtype))
    assert (event.kind, event.turn) == (Kind.SYSTEM, 0)


def test_a_reply_is_thought_words_and_calls(log: Parsed) -> None:
    thought, words, asked = log.read(
        assistant({"text": "hm", "thought": True}, {"text": "I look."}, call("t1", command="ls"))
    )
    assert (thought.kind, thought.text) == (Kind.THINKING, "hm")
    assert (words.kind, words.text, words.model) == (Kind.ASSISTANT, "I look.", MODEL)
    assert (asked.kind, asked.text) == (Kind.TOOL_CALL, "run_shell_command: ls")
    assert data(asked)["input"] == {"command": "ls"}


@pytest.mark.parametrize(
    ("response", "more", "text", "failed"),
    [
        ({"output": "a.py"}, {}, "a.py", False),
        ({"error": "no"}, {}, "no", True),
        ({"output": "no"}, {"toolCallResult": {"status": "error"}}, "no", True),
    ],
)
def test_results_and_errors(log: Parsed, response: Any, more: Any, text: str, failed: bool) -> None:
    event = log.one(result("t1", response, **more))
    assert (event.kind, event.text) == (Kind.TOOL_RESULT, text)
    assert data(event).get("is_error", False) is failed
    assert data(event)["name"] == "run_shell_command"


def test_a_result_of_another_shape_is_kept(log: Parsed) -> None:
    event = log.one(result("t1", {"rows": [1, 2]}))
    assert data(event)["others"] == [{"rows": [1, 2]}]


def test_pictures_go_beside_the_journal(log: Parsed) -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": PICTURE}}
    words, image = log.read(
        record("user", message={"role": "user", "parts": [{"text": "look"}, picture]})
    )
    assert words.text == "look"
    assert (image.kind, data(image)["media_type"]) == (Kind.USER, "image/png")
    given = {"id": "t1", "name": "read", "response": {"output": "x"}, "parts": [picture]}
    (shown,) = log.read(record("tool_result", message={"parts": [{"functionResponse": given}]}))
    assert data(shown)["images"][0]["blob"] == data(image)["blob"]


# Tokens.


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (spent(1_000, 30, cached=800, thoughts=10), Usage(200, 30, 800)),
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 2,
             "totalTokenCount": 17},
            Usage(10, 7),
        ),
        ({"promptTokenCount": 10}, Usage(10)),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 9}, Usage(0, 0, 9)),
    ],
)  # fmt: skip
def test_what_a_reply_cost(log: Parsed, told: Any, usage: Usage) -> None:
    """Prompts include what came from the cache; thoughts are in the answer if the total says so."""
    log.read(assistant({"text": "So."}, usageMetadata=told))
    assert log.usage == usage


def test_a_reply_told_again_costs_nothing(log: Parsed) -> None:
    reply = assistant({"text": "So."}, usageMetadata=spent(10, 5))
    log.read(reply, reply)
    assert log.usage == Usage(10, 5)


def test_telemetry_repeats_what_is_known_unless_it_tells_an_error(log: Parsed) -> None:
    known = {"event.name": "qwen-code.api_response", "input_token_count": 9}
    assert log.read(system("ui_telemetry", uiEvent=known)) == []
    event = log.one(system("ui_telemetry", uiEvent={"event.name": "qwen-code.api_error"}))
    assert event.kind == Kind.PROVIDER_INFO
    assert log.verdicts == ["skipped", "parsed"]


# The session.


def test_titles_of_people_win_over_made_ones(log: Parsed) -> None:
    log.read(system("custom_title", customTitle="Made", titleSource="auto"))
    assert (log.parser.facts.title, log.parser.facts.title_rank) == ("Made", TitleRank.AGENT)
    log.read(system("custom_title", customTitle="Mine", titleSource="manual"))
    log.read(system("custom_title", customTitle="Made", titleSource="auto"))
    assert log.parser.facts.title == "Mine"


def test_a_title_without_a_source_is_a_persons(log: Parsed) -> None:
    log.read(system("custom_title", customTitle="Mine"))
    assert log.parser.facts.title_rank == TitleRank.PERSON


def test_a_fork_names_where_it_comes_from(log: Parsed) -> None:
    log.read(user("why?", forkedFrom={"sessionId": "s0", "messageUuid": "u"}))
    assert log.parser.facts.forked_from == session_id("qwen", "s0")


def test_a_session_that_another_one_started_knows_its_parent(log: Parsed) -> None:
    log.read(system("parent_session", parentSessionId="s0"))
    assert log.parser.facts.parent == session_id("qwen", "s0")


def test_where_and_with_what(log: Parsed) -> None:
    event = log.one(user("why?"))
    facts = log.parser.facts
    assert (event.cwd, event.branch) == (facts.cwd, facts.branch) == (CWD, "main")
    assert facts.agent_version == "0.5.0"


def test_a_compression_is_a_boundary_and_its_summary(log: Parsed) -> None:
    history = [{"role": "user", "parts": [{"text": "what was"}]}, {"parts": [{"text": "old"}]}]
    boundary, summary = log.read(
        system("chat_compression", info={"newTokenCount": 9}, compressedHistory=history)
    )
    assert data(boundary) == {"newTokenCount": 9}
    assert (summary.kind, summary.text) == (Kind.SESSION_SUMMARIZED, "what was")


@pytest.mark.parametrize(
    ("more", "kind"), [({}, Kind.USER), ({"sentToModel": True}, Kind.PROVIDER_INFO)]
)
def test_a_slash_command_is_told_once(log: Parsed, more: Any, kind: str) -> None:
    """One that goes to the model comes as a prompt too."""
    event = log.one(system("slash_command", phase="invocation", rawCommand="/about", **more))
    assert event.kind == kind
    shown = log.one(system("slash_command", phase="result", rawCommand="/about"))
    assert shown.kind == Kind.PROVIDER_INFO


def test_unknown_types_and_parts_are_counted_by_name(log: Parsed) -> None:
    log.read(record("novelty"), system("of_tomorrow"), assistant({"novelty": 1}))
    assert set(log.parser.unknown) == {"novelty", "system/of_tomorrow", "assistant/novelty"}
    assert [event.kind for event in log.events] == [Kind.PROVIDER_RAW] * 3


def test_a_message_with_an_odd_part_keeps_the_others(log: Parsed) -> None:
    words, odd, raw = log.read(assistant({"text": "So."}, {"functionCall": "ls"}))
    assert (words.kind, words.text) == (Kind.ASSISTANT, "So.")
    assert odd.kind == raw.kind == Kind.PROVIDER_RAW


@pytest.mark.parametrize(
    ("path", "session", "parent"),
    [
        ("p/chats/s1.jsonl", "s1", ""),
        ("p/chats/archive/s1.jsonl", "s1", ""),
        ("p/subagents/s1/agent-x.jsonl", "s1/agent-x", "s1"),
        ("p/subagents/agent-x.jsonl", None, ""),
        ("p/s1.jsonl", None, ""),
        ("p/tool-results/s1/x.jsonl", None, ""),
    ],
)
def test_whose_log_it_is(path: str, session: str | None, parent: str) -> None:
    found = Agent(["/logs"]).identify(f"/logs/projects/{path}")
    assert (found.agent_session_id if found else None) == session
    assert (found.parent if found else "") == parent


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        ({}, "~/.qwen"),
        ({"QWEN_HOME": "/a"}, "/a"),
        ({"QWEN_HOME": "/a", "QWEN_RUNTIME_DIR": "/b"}, "/b"),
    ],
)
def test_where_its_logs_are(environ: dict[str, str], root: str) -> None:
    assert Agent.default_place(environ).roots == [root]
