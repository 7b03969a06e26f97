"""What each record of Copilot CLI becomes, by example; and the traps in its logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.conformance.samples._talk import CWD
from holdfast.conformance.samples.copilot import (
    MODEL,
    PICTURE,
    message,
    record,
    request,
    shutdown,
    start,
    tool_end,
    tool_start,
)
from holdfast.events import Kind, Usage
from holdfast.sources.agents.copilot import Agent
from tests.support.parsing import Parsed, data

REAL: Final = Path(__file__).parents[5] / "shared" / "logs" / "copilot" / "record-kinds.jsonl"


@pytest.fixture
def log() -> Parsed:
    return Parsed(Agent(["/logs"]), "/logs/session-state/s1/events.jsonl")


def test_a_session_begins_with_where_and_with_what(log: Parsed) -> None:
    event = log.one(start())
    assert (event.kind, event.cwd, event.branch) == (Kind.SESSION_STARTED, CWD, "main")
    facts = log.parser.facts
    assert (facts.model, facts.agent_version) == (MODEL, "1.0.77")
    assert facts.project == facts.cwd == CWD


def test_each_event_names_its_record_and_the_one_before(log: Parsed) -> None:
    made = record("user.message", {"content": "hi"})
    event = log.one(made)
    assert event.source is not None
    assert (event.source.uuid, event.source.parent) == (made["id"], made["parentId"])


def test_a_message_is_thought_words_and_calls(log: Parsed) -> None:
    asked = [request("t1", "shell", {"command": "ls"}), request("t2", "edit", {"path": "a.py"})]
    thought, words, first, second = log.read(
        message("I look.", reasoningText="hm", toolRequests=asked)
    )
    assert (thought.kind, thought.text) == (Kind.THINKING, "hm")
    assert (words.kind, words.text, words.model) == (Kind.ASSISTANT, "I look.", MODEL)
    assert (first.text, second.text) == ("shell: ls", "edit: a.py")
    assert data(first) == {"tool_use_id": "t1", "name": "shell", "input": {"command": "ls"}}


def test_arguments_that_are_a_text_of_json_are_unwrapped(log: Parsed) -> None:
    (call,) = log.read(message("", toolRequests=[request("t1", "shell", '{"command":"ls -l"}')]))
    assert call.text == "shell: ls -l"
    assert data(call)["input"] == {"command": "ls -l"}


def test_arguments_that_are_a_text_of_something_else_stay_one(log: Parsed) -> None:
    (call,) = log.read(message("", toolRequests=[request("t1", "apply", "{not json")]))
    assert data(call)["input"] == "{not json"


def test_a_call_is_told_once(log: Parsed) -> None:
    log.read(message("", toolRequests=[request("t1")]))
    assert log.read(tool_start("t1")) == []
    assert log.verdicts[-1] == "skipped"


def test_a_call_that_no_message_asked_for_is_told_where_it_starts(log: Parsed) -> None:
    event = log.one(tool_start("t1", "view"))
    assert (event.kind, event.text, event.actor) == (Kind.TOOL_CALL, "view: ls", "assistant")
    asked = record("tool.user_requested", {"toolCallId": "t2", "toolName": "shell"})
    assert log.one(asked).actor == "user"


def test_a_result_knows_its_tool(log: Parsed) -> None:
    log.read(message("", toolRequests=[request("t1", "shell")]))
    event = log.one(tool_end("t1", "a.py"))
    assert (event.kind, event.text, event.actor) == (Kind.TOOL_RESULT, "a.py", "tool")
    assert data(event) == {"tool_use_id": "t1", "name": "shell"}


def test_a_failed_tool_says_why(log: Parsed) -> None:
    event = log.one(tool_end("t1", "", success=False, error={"message": "no such file"}))
    assert event.text == "no such file"
    assert data(event)["is_error"] is True


def test_what_only_people_see_of_a_result_is_kept_beside_what_the_model_got(log: Parsed) -> None:
    made = tool_end("t1", "updated")
    made["data"]["result"]["detailedContent"] = "-a\n+b"
    event = log.one(made)
    assert event.text == "updated"
    assert data(event)["others"] == [{"type": "detailed", "text": "-a\n+b"}]


def test_pictures_in_results_go_beside_the_journal(log: Parsed) -> None:
    made = tool_end("t1", "one picture")
    made["data"]["result"]["contents"] = [
        {"type": "text", "text": "one picture"},
        {"type": "image", "data": PICTURE, "mimeType": "image/png"},
    ]
    (image,) = data(log.one(made))["images"]
    assert image["media_type"] == "image/png"
    assert image["blob"] in log.blobs.stored


def test_thought_that_came_as_a_record_of_its_own_is_not_repeated(log: Parsed) -> None:
    log.read(record("assistant.reasoning", {"content": "hm"}))
    assert [each.kind for each in log.read(message("So.", reasoningText="hm"))] == [Kind.ASSISTANT]
    again = log.read(message("So.", call="m2", reasoningText="hm"))
    assert [each.kind for each in again] == [Kind.THINKING, Kind.ASSISTANT]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (None, Kind.USER),
        ("user", Kind.USER),
        ("command-plan", Kind.USER),
        ("system", Kind.SYSTEM),
        ("skill-review", Kind.SYSTEM),
        ("schedule-1", Kind.SYSTEM),
    ],
)
def test_who_sent_a_prompt(log: Parsed, source: str | None, kind: str) -> None:
    event = log.one(record("user.message", {"content": "go on", "source": source}))
    assert event.kind == kind
    assert event.turn == (kind == Kind.USER)


def test_what_a_subagent_does_is_a_side_chain_and_no_turn(log: Parsed) -> None:
    log.read(record("user.message", {"content": "look"}))
    now = log.one(record("user.message", {"content": "explore"}, agentId="a1"))
    before = log.one(record("assistant.message", {"content": "in", "parentToolCallId": "t1"}))
    assert now.sidechain
    assert before.sidechain
    assert now.turn == before.turn == 1
    assert log.parser.facts.title == "look"


def test_the_model_of_a_subagent_is_not_the_sessions(log: Parsed) -> None:
    log.read(start(), message("in", model="small", parentToolCallId="t1"))
    assert log.parser.facts.model == MODEL


# Tokens.


def test_messages_tell_output_once_whatever_pieces_they_come_in(log: Parsed) -> None:
    log.read(message("a", output=12, chunkIndex=0), message("b", output=12, chunkIndex=1))
    assert log.usage == Usage(0, 12)


def test_the_end_of_a_run_adds_what_no_message_told(log: Parsed) -> None:
    """Its input counts what came from the cache too, and its output all that messages told."""
    log.read(message("a", output=12), shutdown(1_000, 20, 800, 100))
    assert log.usage == Usage(100, 20, 800, 100)


def test_each_run_is_told_by_its_own_end(log: Parsed) -> None:
    log.read(message("a", output=12), shutdown(100, 12, 0, 0))
    log.read(message("b", call="m2", output=5), shutdown(50, 6, 0, 0))
    assert log.usage == Usage(150, 18)


def test_the_same_end_told_again_adds_nothing(log: Parsed) -> None:
    end = shutdown(100, 12, 0, 0)
    log.read(end, end)
    assert log.usage == Usage(100, 12)


def test_older_ends_tell_tokens_by_sort(log: Parsed) -> None:
    """There the input is without what came from the cache."""
    details = {"input": 100, "output": 15, "cache_read": 5, "cache_write": 0}
    told = {name: {"tokenCount": count} for name, count in details.items()}
    metrics = {MODEL: {"requests": 2}}
    log.read(
        message("a", output=12),
        record("session.shutdown", {"modelMetrics": metrics, "tokenDetails": told}),
    )
    assert log.usage == Usage(100, 15, 5)


def test_reading_on_in_another_process_counts_the_same() -> None:
    path = "/logs/session-state/s1/events.jsonl"
    first = Parsed(Agent(["/logs"]), path)
    first.read(message("a", output=12))
    second = Parsed(Agent(["/logs"]), path, first.parser.state())
    second.read(shutdown(100, 20, 0, 0))
    assert second.usage == Usage(100, 8)


# The rest.


def test_a_compaction_is_a_boundary_and_a_summary(log: Parsed) -> None:
    told = {"success": True, "preCompactionTokens": 9, "summaryContent": "what was"}
    boundary, summary = log.read(record("session.compaction_complete", told))
    assert data(boundary) == {"success": True, "preCompactionTokens": 9}
    assert (summary.kind, summary.text) == (Kind.SESSION_SUMMARIZED, "what was")


def test_a_question_and_its_answer_are_decisions(log: Parsed) -> None:
    asked = {"requestId": "r1", "question": "Which?", "choices": ["A", "B"]}
    proposed = log.one(record("user_input.requested", asked))
    accepted = log.one(record("user_input.completed", {"requestId": "r1", "answer": "A"}))
    assert (proposed.kind, proposed.text) == (Kind.DECISION_PROPOSED, "Which?\n- A\n- B")
    assert (accepted.kind, accepted.text, accepted.actor) == (Kind.DECISION_ACCEPTED, "A", "user")


@pytest.mark.parametrize(
    ("kind", "told", "text"),
    [
        ("session.error", {"message": "429"}, "429"),
        ("abort", {"reason": "user initiated"}, "user initiated"),
        ("subagent.started", {"agentDisplayName": "Explorer"}, "Explorer"),
        ("session.task_complete", {"summary": "done"}, "done"),
        ("hook.end", {"hookType": "preToolUse"}, "hook.end"),
    ],
)
def test_notes_say_what_they_are_about(log: Parsed, kind: str, told: Any, text: str) -> None:
    event = log.one(record(kind, told))
    assert (event.kind, event.text) == (Kind.PROVIDER_INFO, text)
    assert data(event)["data"] == told


def test_unknown_types_are_counted_by_name(log: Parsed) -> None:
    event = log.one(record("session.of_tomorrow", {"a": 1}))
    assert event.kind == Kind.PROVIDER_RAW
    assert list(log.parser.unknown) == ["session.of_tomorrow"]


def test_a_record_with_one_odd_field_keeps_the_others(log: Parsed) -> None:
    """The shape is counted as unfamiliar, and the whole record stands beside what was read."""
    words, raw = log.read(record("user.message", {"content": "hi", "attachments": "none"}))
    assert (words.kind, words.text) == (Kind.USER, "hi")
    assert raw.kind == Kind.PROVIDER_RAW
    assert list(log.parser.unknown) == ["user.message (unfamiliar shape)"]


@pytest.mark.skipif(not REAL.exists(), reason="no logs of others here")
def test_logs_that_copilot_wrote_hold_nothing_unknown(log: Parsed) -> None:
    for line in REAL.read_bytes().splitlines():
        log.read(line)
    assert log.parser.unknown == {}
    assert set(log.verdicts) == {"parsed", "skipped"}
    said = [event.text for event in log.events if event.kind in (Kind.USER, Kind.ASSISTANT)]
    assert said[:3] == ["List the files", "Listing the files.", "Done"]
    assert log.usage == Usage(100, 15, 5)


@pytest.mark.parametrize(
    ("path", "session"),
    [
        ("s1/events.jsonl", "s1"),
        ("s1.jsonl", "s1"),
        ("s1/other.jsonl", None),
        ("s1/files/events.jsonl", None),
    ],
)
def test_whose_log_it_is(path: str, session: str | None) -> None:
    found = Agent(["/logs"]).identify(f"/logs/session-state/{path}")
    assert (found.agent_session_id if found else None) == session


def test_where_its_logs_are() -> None:
    assert Agent.default_place({}).roots == ["~/.copilot"]
    place = Agent.default_place({"COPILOT_HOME": "/elsewhere"})
    assert (place.roots, place.origin) == (["/elsewhere"], "$COPILOT_HOME")
