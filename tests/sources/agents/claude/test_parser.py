"""Every kind of record that Claude Code writes, and every trap that is known of them."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any

import pytest

from holdfast.demo import lines
from holdfast.events import Event, Kind, Usage, session_id
from holdfast.journal.model import TitleRank
from holdfast.sources import telling
from holdfast.sources.agents.claude import parser as parser_module
from holdfast.sources.agents.claude.records import Content, Record
from holdfast.sources.base import Log
from tests.support.claude import LOG, Session, data

PNG = base64.b64encode(Random(1).randbytes(6_000)).decode()
SMALL = base64.b64encode(b"small picture").decode()


@pytest.fixture
def session() -> Session:
    return Session()


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def user(content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "user", "message": {"role": "user", "content": content}, **fields}


def assistant(*content: Any, **message: Any) -> dict[str, Any]:
    return {"type": "assistant", "message": {"role": "assistant", "content": content, **message}}


# What people say.


def test_a_prompt(session: Session) -> None:
    event = session.one(lines.user_line("why is the tide late?", uuid="u1", parent="u0"))
    assert (event.kind, event.actor, event.text) == (Kind.USER, "user", "why is the tide late?")
    assert (event.turn, event.at) == (1, lines.AT)
    assert (event.cwd, event.branch, event.sidechain) == (lines.CWD, "main", False)
    assert event.session == session_id("claude", LOG.agent_session_id)
    assert event.source is not None
    assert (event.source.agent, event.source.file) == ("claude", LOG.relative)
    assert (event.source.offset, event.source.uuid, event.source.parent) == (0, "u1", "u0")
    assert bytes(event.data) == b"null"
    facts = session.parser.facts
    assert (facts.project, facts.cwd, facts.branch) == (lines.CWD, lines.CWD, "main")
    assert (facts.agent_version, facts.first_uuid) == (lines.VERSION, "u1")
    assert facts.started_at == facts.updated_at == lines.AT


def test_a_prompt_in_parts_keeps_its_pictures_beside_the_journal(session: Session) -> None:
    said, picture = session.read(lines.image_line("look at this", PNG))
    assert (said.kind, said.text) == (Kind.USER, "look at this")
    assert (picture.kind, picture.text) == (Kind.USER, "[image: image/png, 6,000 bytes]")
    about = data(picture)
    assert (about["type"], about["media_type"], about["bytes"]) == ("image", "image/png", 6_000)
    assert session.blobs.stored == {about["blob"]: base64.b64decode(PNG)}


def test_a_small_picture_stays_with_its_event(session: Session) -> None:
    _, picture = session.read(lines.image_line("look", SMALL))
    assert data(picture)["base64"] == SMALL
    assert session.blobs.stored == {}


@pytest.mark.parametrize(
    ("source", "about", "stored"),
    [
        (
            {"type": "url", "url": "https://x.invalid/a.png"},
            {"url": "https://x.invalid/a.png"},
            b"",
        ),
        ({"type": "text", "data": "plain"}, {"bytes": 5, "text": "plain"}, b""),
        ({"type": "text", "data": "plain" * 999}, {"bytes": 4_995}, b"plain" * 999),
        ({"type": "base64", "data": "not base64!"}, {"bytes": 11, "base64": "not base64!"}, b""),
        ({"type": "base64", "data": "é" * 3_000}, {"bytes": 6_000}, ("é" * 3_000).encode()),
        ({"type": "base64", "data": PNG + "\n"}, {"bytes": 8_001}, (PNG + "\n").encode()),
    ],
)
def test_documents_come_back_as_they_were_whatever_they_hold(
    session: Session, source: dict[str, Any], about: dict[str, Any], stored: bytes
) -> None:
    event = session.one(user([{"type": "document", "source": source}]))
    assert about.items() <= data(event).items()
    assert list(session.blobs.stored.values()) == ([stored] if stored else [])


def test_wrappers_are_not_the_users_words(session: Session) -> None:
    content = (
        "<system-reminder>be nice</system-reminder>\n<ide_opened_file>a.py</ide_opened_file>"
        "fix it<ide_selection>x = 1</ide_selection>"
    )
    event = session.one(lines.user_line(content))
    assert (event.kind, event.text) == (Kind.USER, "fix it")
    assert data(event) == {"original": content}
    assert session.parser.facts.title == "fix it"


def test_a_message_of_wrappers_only_is_the_programs(session: Session) -> None:
    content = "<local-command-stdout>ok</local-command-stdout>"
    event = session.one(lines.user_line(content))
    assert (event.kind, event.actor, event.text) == (Kind.SYSTEM, "system", content)
    assert event.turn == 0
    assert session.parser.facts.title == ""


def test_a_meta_message_is_the_programs(session: Session) -> None:
    event = session.one(lines.user_line("Caveat: whatever", extra={"isMeta": True}))
    assert (event.kind, event.turn) == (Kind.SYSTEM, 0)


def test_a_slash_command_is_what_was_typed_and_no_title(session: Session) -> None:
    content = (
        "<command-message>review is running…</command-message>\n"
        "<command-name>/review</command-name>\n<command-args>the last commit</command-args>"
    )
    event = session.one(lines.user_line(content))
    assert (event.kind, event.text, event.turn) == (Kind.USER, "/review the last commit", 1)
    assert session.parser.facts.title == ""
    session.one(lines.user_line("::capture notes.md"))
    assert session.parser.facts.title == ""
    session.one(lines.user_line("and then?"))
    assert session.parser.facts.title == "and then?"


def test_a_compaction_is_a_boundary_and_a_summary_and_no_words_of_the_user(
    session: Session,
) -> None:
    boundary, summary = session.read(*lines.compaction_lines("They talked about tides."))
    assert (boundary.kind, boundary.text) == (Kind.SESSION_COMPACTED, "Conversation compacted")
    assert data(boundary)["compactMetadata"]["preTokens"] == 155_000
    assert (summary.kind, summary.text) == (Kind.SESSION_SUMMARIZED, "They talked about tides.")
    assert summary.turn == 0
    assert session.parser.facts.title == ""


def test_what_is_typed_while_the_agent_works_is_a_prompt(session: Session) -> None:
    attachment = {"type": "queued_command", "prompt": "also the docs", "commandMode": "prompt"}
    event = session.one({"type": "attachment", "attachment": attachment, "timestamp": lines.AT})
    assert (event.kind, event.actor, event.text) == (Kind.USER, "user", "also the docs")
    assert event.turn == 1
    assert data(event) == attachment
    assert session.parser.facts.title == "also the docs"


def test_what_is_queued_with_a_picture_keeps_it_beside_the_journal(session: Session) -> None:
    prompt = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "text", "text": "like this"},
    ]
    attachment = {"type": "queued_command", "prompt": prompt}
    said, picture = session.read({"type": "attachment", "attachment": attachment})
    assert (said.kind, said.text) == (Kind.USER, "like this")
    (digest,) = session.blobs.stored
    assert data(picture)["blob"] == digest
    assert data(said)["prompt"][0]["source"]["data"] == f"blob:{digest}"


@pytest.mark.parametrize(
    "attachment",
    [
        {"type": "queued_command", "prompt": "ls", "commandMode": "bash"},
        {"type": "queued_command", "prompt": "<system-reminder>x</system-reminder>"},
        {"type": "queued_command", "prompt": 7},
        {"type": "todo_reminder", "content": []},
        {"type": "what-comes-next"},
    ],
)
def test_other_attachments_are_kept_as_information(
    session: Session, attachment: dict[str, Any]
) -> None:
    event = session.one({"type": "attachment", "attachment": attachment})
    assert (event.kind, event.actor) == (Kind.PROVIDER_INFO, "system")
    assert event.text in (attachment["type"], "attachment")
    assert data(event) == attachment


def test_an_attachment_without_one_is_kept_too(session: Session) -> None:
    assert session.one({"type": "attachment"}).kind == Kind.PROVIDER_INFO
    assert session.one({"type": "attachment", "attachment": None}).kind == Kind.PROVIDER_INFO
    assert session.verdicts == ["parsed", "parsed"]


# What the agent says and does.


def test_a_reply(session: Session) -> None:
    event = session.one(lines.assistant_line("Because of the moon.", output=20))
    assert (event.kind, event.actor, event.text) == (
        Kind.ASSISTANT,
        "assistant",
        "Because of the moon.",
    )
    assert event.model == session.parser.facts.model == "claude-opus-4-6"
    assert event.usage == Usage(input=4, output=20, cache_read=20_000, cache_write=1_000)


def test_a_reply_as_plain_text(session: Session) -> None:
    event = session.one({"type": "assistant", "message": {"content": "Yes.", "model": "m"}})
    assert (event.kind, event.text, event.model) == (Kind.ASSISTANT, "Yes.", "m")


def test_a_thought_without_its_signature(session: Session) -> None:
    event = session.one(lines.thinking_line("hmm, the moon", signature="S" * 500))
    assert (event.kind, event.actor, event.text) == (Kind.THINKING, "assistant", "hmm, the moon")
    assert bytes(event.data) == b"null"


def test_a_redacted_thought_says_so(session: Session) -> None:
    event = session.one(assistant({"type": "redacted_thinking", "data": "xyz"}))
    assert (event.kind, event.text, data(event)) == (Kind.THINKING, "", {"redacted": True})


@pytest.mark.parametrize("kind", ["tool_use", "server_tool_use", "mcp_tool_use"])
def test_a_tool_call_says_what_was_asked(session: Session, kind: str) -> None:
    given = {"command": "ls -la", "description": "List"}
    event = session.one(assistant({"type": kind, "id": "t1", "name": "Bash", "input": given}))
    assert (event.kind, event.actor, event.text) == (Kind.TOOL_CALL, "assistant", "Bash: ls -la")
    assert data(event) == {"tool_use_id": "t1", "name": "Bash", "input": given}


def test_a_tool_call_of_nothing(session: Session) -> None:
    event = session.one(assistant({"type": "tool_use"}))
    assert (event.kind, event.text) == (Kind.TOOL_CALL, "tool")
    assert data(event) == {"tool_use_id": "", "name": "tool", "input": None}


def test_the_model_of_made_up_replies_is_not_the_sessions(session: Session) -> None:
    session.read(lines.assistant_line("Yes."), lines.assistant_line("Error", model="<synthetic>"))
    assert session.parser.facts.model == "claude-opus-4-6"


def test_a_reply_of_several_parts_carries_its_tokens_once(session: Session) -> None:
    usage = {"input_tokens": 3, "output_tokens": 9}
    parts = [{"type": "thinking", "thinking": "a"}, {"type": "text", "text": "b"}]
    first, second = session.read(assistant(*parts, id="m", usage=usage))
    assert first.usage == Usage(input=3, output=9)
    assert second.usage is None


def test_the_tokens_of_an_empty_reply_are_counted(session: Session) -> None:
    event = session.one(assistant(id="m", usage={"output_tokens": 9}))
    assert (event.kind, event.usage) == (Kind.PROVIDER_INFO, Usage(output=9))


def spent(events: list[Event]) -> Usage:
    used = [event.usage for event in events if event.usage]
    return Usage(
        sum(each.input for each in used),
        sum(each.output for each in used),
        sum(each.cache_read for each in used),
        sum(each.cache_write for each in used),
    )


def test_a_reply_in_several_lines_is_counted_once_at_its_largest(session: Session) -> None:
    """Each line repeats the request's running figures."""
    session.read(
        lines.thinking_line("hm", output=1, message="m1", request="r1"),
        lines.assistant_line("So", output=8, message="m1", request="r1"),
        lines.tool_use_line(output=120, message="m1", request="r1"),
        lines.assistant_line("an older figure", output=8, message="m1", request="r1"),
    )
    assert spent(session.events) == Usage(input=4, output=120, cache_read=20_000, cache_write=1_000)


def test_a_reply_is_counted_once_also_when_others_come_between_and_reading_stops(
    session: Session,
) -> None:
    events = session.read(
        lines.assistant_line("a", output=1, message="m1", request="r1"),
        lines.assistant_line("b", output=5, message="m2", request="r2"),
    )
    resumed = Session(state=session.parser.state())
    events += resumed.read(
        lines.assistant_line("c", output=50, message="m1", request="r1"),
        lines.assistant_line("d", output=5, message="m2", request="r2"),
    )
    assert spent(events) == Usage(input=8, output=55, cache_read=40_000, cache_write=2_000)


def test_equal_figures_of_different_requests_are_different_tokens(session: Session) -> None:
    session.read(
        lines.assistant_line("a", message="m", request="r1", output=5),
        lines.assistant_line("b", message="m", request="r2", output=5),
    )
    assert spent(session.events).output == 10


def test_tokens_without_any_id_are_counted_each_time(session: Session) -> None:
    session.read(*[assistant({"type": "text", "text": "x"}, usage={"output_tokens": 5})] * 3)
    assert spent(session.events).output == 15


def test_what_is_remembered_of_requests_and_tools_is_bounded(session: Session) -> None:
    for number in range(500):
        session.read(
            lines.assistant_line("x", message=f"m{number}", request=f"r{number}"),
            lines.tool_use_line("Task", {"prompt": "p"}, use=f"toolu_{number}"),
        )
    session.read(lines.assistant_line("x", message="m" * 100_000, request="r"))
    assert len(session.parser.memory.requests) <= telling.REMEMBERED_REQUESTS
    assert len(session.parser.memory.awaited) <= telling.REMEMBERED_TOOLS
    assert len(session.parser.state()) < 8_000


# What tools say.


def test_a_tools_answer_without_its_second_copy(session: Session) -> None:
    event = session.one(lines.tool_result_line("total 0", use="t1"))
    assert (event.kind, event.actor, event.text) == (Kind.TOOL_RESULT, "tool", "total 0")
    assert data(event) == {"tool_use_id": "t1"}
    assert event.turn == 0


def test_a_tools_failure(session: Session) -> None:
    event = session.one(lines.tool_result_line("no such file", use="t1", error=True))
    assert data(event) == {"tool_use_id": "t1", "is_error": True}


def test_a_tools_answer_in_parts(session: Session) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    other = {"type": "tool_reference", "tool_name": "Grep", "deep": [{"text": "kept"}]}
    content = [
        {"type": "text", "text": "one"},
        {"type": "image", "source": source},
        other,
        {"type": "text", "text": "two"},
    ]
    event = session.one(user([{"type": "tool_result", "tool_use_id": "t", "content": content}]))
    (digest,) = session.blobs.stored
    assert event.text == "one\ntwo"
    about = data(event)
    assert about["images"] == [{"media_type": "image/png", "bytes": 6_000, "blob": digest}]
    assert about["others"] == [other]


def test_the_answer_of_a_subagent_names_it(session: Session) -> None:
    _, event = session.read(
        lines.tool_use_line("Task", {"prompt": "look"}, use="t1"),
        lines.tool_result_line("found", use="t1", result={"agentId": "a7", "status": "completed"}),
    )
    assert data(event) == {"tool_use_id": "t1", "name": "Task", "agent": "a7"}


def test_a_question_is_a_decision_proposed_and_its_answer_one_accepted(session: Session) -> None:
    options = [{"label": "Blue", "description": "calm"}, {"label": "Red"}]
    asked = {"questions": [{"question": "Which colour?", "options": options}]}
    answers = {"Which colour?": "Blue", "Which shapes?": ["round", "flat"]}
    proposed, accepted = session.read(
        lines.tool_use_line("AskUserQuestion", asked, use="q1"),
        lines.tool_result_line("User has answered", use="q1", result={**asked, "answers": answers}),
    )
    assert (proposed.kind, proposed.actor) == (Kind.DECISION_PROPOSED, "assistant")
    assert proposed.text == "Which colour?\n- Blue\n- Red"
    assert data(proposed)["input"] == asked
    assert (accepted.kind, accepted.actor) == (Kind.DECISION_ACCEPTED, "user")
    assert accepted.text == "Which colour? -> Blue\nWhich shapes? -> round, flat"
    assert data(accepted)["answers"] == answers


def test_an_answer_that_comes_after_reading_stopped_is_still_one(session: Session) -> None:
    asked = {"questions": [{"question": "Which?", "options": []}]}
    session.read(lines.tool_use_line("AskUserQuestion", asked, use="q1"))
    resumed = Session(state=session.parser.state())
    event = resumed.one(lines.tool_result_line("x", use="q1", result={"answers": {"Which?": "A"}}))
    assert (event.kind, event.text) == (Kind.DECISION_ACCEPTED, "Which? -> A")


def test_a_refused_question_decides_nothing(session: Session) -> None:
    _, event = session.read(
        lines.tool_use_line("AskUserQuestion", {"questions": []}, use="q1"),
        lines.tool_result_line("The user doesn't want to", use="q1", error=True, result="Error"),
    )
    assert (event.kind, event.actor) == (Kind.TOOL_RESULT, "tool")


def test_a_plan_is_a_decision_proposed_and_its_approval_one_accepted(session: Session) -> None:
    proposed, accepted = session.read(
        lines.tool_use_line("ExitPlanMode", {"plan": "1. Wait for the moon"}, use="p1"),
        lines.tool_result_line("User has approved", use="p1", result={"plan": "1. Wait"}),
    )
    assert (proposed.kind, proposed.text) == (Kind.DECISION_PROPOSED, "1. Wait for the moon")
    assert (accepted.kind, accepted.text) == (Kind.DECISION_ACCEPTED, "User has approved")


@pytest.mark.parametrize("second", [None, "text", [1], {"answers": "odd"}, {"answers": {"q": 7}}])
def test_an_odd_second_copy_costs_nothing_but_itself(session: Session, second: Any) -> None:
    record = json.loads(lines.tool_result_line("the first copy", use="q1"))
    record["toolUseResult"] = second
    _, event = session.read(
        lines.tool_use_line("AskUserQuestion", {"questions": 3}, use="q1"), record
    )
    assert (event.kind, event.text) == (Kind.DECISION_ACCEPTED, "the first copy")
    assert session.verdicts == ["parsed", "parsed"]


# Subagents, forks and side chains.


def test_a_subagent_is_a_session_of_its_own_with_a_parent() -> None:
    """Its records carry the session id of the parent."""
    log = Log("claude", "/r/p/s1/subagents/agent-a7.jsonl", "/r", "s1/agent-a7", "s1")
    session = Session(log)
    event = session.one(lines.user_line("look for tides", session="s1", agent="a7"))
    assert event.session == session_id("claude", "s1/agent-a7") != session_id("claude", "s1")
    assert session.parser.facts.parent == session_id("claude", "s1")
    assert (event.sidechain, event.turn) == (True, 1)


def test_a_side_chain_within_a_session_is_no_turn_of_the_user(session: Session) -> None:
    first, second = session.read(
        lines.user_line("do it"), lines.user_line("look", extra={"isSidechain": True})
    )
    assert (first.turn, second.turn) == (1, 1)
    assert second.sidechain


def test_a_fork_has_the_first_uuid_of_what_it_repeats() -> None:
    replayed = [lines.user_line("a", uuid="u1"), lines.assistant_line("b", uuid="u2")]
    original, fork = Session(), Session(Log("claude", "/r/p/s2.jsonl", "/r", "s2"))
    assert kinds(original.read(*replayed)) == kinds(fork.read(*replayed))
    assert original.parser.facts.first_uuid == fork.parser.facts.first_uuid == "u1"
    assert original.parser.facts.id != fork.parser.facts.id
    assert original.events[0].source != fork.events[0].source


# What the program around the conversation says.


@pytest.mark.parametrize("subtype", sorted(parser_module.INFO_SUBTYPES))
def test_news_of_the_program_are_information(session: Session, subtype: str) -> None:
    event = session.one(lines.system_line(subtype, {"durationMs": 5, "content": "it says"}))
    assert (event.kind, event.text) == (Kind.PROVIDER_INFO, "it says")
    assert data(event)["durationMs"] == 5
    silent = session.one(lines.system_line(subtype))
    assert silent.text == subtype


@pytest.mark.parametrize("subtype", ["compact_boundary", "microcompact_boundary"])
def test_boundaries_are_compactions(session: Session, subtype: str) -> None:
    assert session.one(lines.system_line(subtype)).kind == Kind.SESSION_COMPACTED


def test_a_start_is_a_start(session: Session) -> None:
    assert session.one(lines.system_line("session_start")).kind == Kind.SESSION_STARTED


def test_a_message_of_the_program_without_a_subtype(session: Session) -> None:
    event = session.one({"type": "system", "content": "Login expired"})
    assert (event.kind, event.text) == (Kind.SYSTEM, "Login expired")


@pytest.mark.parametrize("kind", sorted(parser_module.INFO_TYPES))
def test_records_about_the_session_are_kept_whole(session: Session, kind: str) -> None:
    record = {"type": kind, "sessionId": "s", "detail": {"deep": [1, 2]}}
    event = session.one(record)
    assert (event.kind, event.text, data(event)) == (Kind.PROVIDER_INFO, kind, record)
    assert session.verdicts == ["parsed"]


def test_titles_rank_by_who_gave_them(session: Session) -> None:
    facts = session.parser.facts
    given: list[tuple[bytes, str, TitleRank]] = [
        (lines.user_line("  fix\n the   tide " + "x" * 200), "fix the tide", TitleRank.PROMPT),
        (lines.summary_line("Tides"), "Tides", TitleRank.SUMMARY),
        (lines.user_line("more"), "Tides", TitleRank.SUMMARY),
        (lines.title_line("The Moon"), "The Moon", TitleRank.AGENT),
        (lines.summary_line("Tides again"), "The Moon", TitleRank.AGENT),
        (lines.title_line("Mine", custom=True), "Mine", TitleRank.PERSON),
        (lines.title_line("Theirs"), "Mine", TitleRank.PERSON),
        (lines.title_line("", custom=True), "Mine", TitleRank.PERSON),
    ]
    for line, title, rank in given:
        event = session.one(line)
        assert facts.title.startswith(title)
        assert len(facts.title) <= telling.TITLE_CHARS
        assert facts.title_rank == rank
        if b"user" not in line:
            assert event.kind == Kind.SESSION_TITLED


@pytest.mark.parametrize(
    "record",
    [
        lines.snapshot_line(),
        {"type": "last-prompt", "lastPrompt": "again"},
        *[
            {"type": "progress", "data": {"type": t}}
            for t in sorted(parser_module.SKIPPED_PROGRESS)
        ],
        b"",
        b"   \t\r",
    ],
)
def test_what_is_worth_nothing_later_is_skipped(session: Session, record: Any) -> None:
    assert session.read(record) == []
    assert session.verdicts == ["skipped"]


def test_the_messages_of_a_working_subagent_are_kept_without_their_pictures(
    session: Session,
) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    message = {"content": [{"type": "image", "source": source}], "note": "base64"}
    told = {"type": "agent_progress", "message": message, "normalizedMessages": [message]}
    event = session.one({"type": "progress", "data": told})
    (digest,) = session.blobs.stored
    assert event.kind == Kind.PROVIDER_INFO
    assert data(event)["message"]["content"][0]["source"]["data"] == f"blob:{digest}"
    assert len(bytes(event.data)) < 700
    assert session.blobs.stored[digest] == base64.b64decode(PNG)


def test_what_only_looks_like_a_picture_stays_as_it_is(session: Session) -> None:
    odd = {"base64": True, "run": "A" * 4_097, "A" * 5_000: 1}
    event = session.one({"type": "frame-link", "odd": odd})
    assert data(event)["odd"] == odd
    assert session.blobs.stored == {}


# What nobody knows yet.


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"type": "novelty", "text": "?"}, "novelty"),
        ({"text": "?"}, "(no type)"),
        ({"type": None}, "(no type)"),
        ({"type": "system", "subtype": "new_thing"}, "system/new_thing"),
        ({"type": "system"}, "system/"),
        ({"type": "progress", "data": {"type": "new_progress"}}, "progress/new_progress"),
        ({"type": "progress"}, "progress/"),
        ({"type": "user"}, "user"),
        ({"type": "x" * 5_000}, "x" * 256),
    ],
)
def test_unknown_records_are_kept_raw_and_counted(
    session: Session, record: dict[str, Any], name: str
) -> None:
    event, again = session.read(record, record)
    assert session.verdicts == ["unknown", "unknown"]
    assert (event.kind, again.kind) == (Kind.PROVIDER_RAW, Kind.PROVIDER_RAW)
    assert data(event) == record
    assert session.parser.unknown == {name: (2, 2 * len(json.dumps(record)))}


def test_an_unknown_part_of_a_message_is_kept_as_it_stands_and_counted(session: Session) -> None:
    new = {"type": "telepathy", "thought": [1, {"a": None}], "input": {}}
    text, part = session.read(assistant({"type": "text", "text": "a"}, new))
    assert (text.kind, text.text) == (Kind.ASSISTANT, "a")
    assert (part.kind, data(part)) == (Kind.PROVIDER_RAW, new)
    assert session.verdicts == ["parsed"]
    assert session.parser.unknown == {"assistant/telepathy": (1, 0)}


def test_many_unknown_parts_do_not_each_keep_the_whole_record(session: Session) -> None:
    """A line must not become its own square."""
    parts = [{"type": "new", "number": number} for number in range(2_000)]
    events = session.read({**user(parts), "cwd": "/deep" * 2_000, "gitBranch": "b" * 5_000})
    assert [data(event)["number"] for event in events] == list(range(2_000))
    assert sum(len(bytes(event.data)) for event in events) < 2 * len(json.dumps(parts))
    assert max(len(event.cwd) + len(event.branch) for event in events) <= 4_096 + 256


def test_a_message_of_more_parts_than_any_has_is_kept_raw(session: Session) -> None:
    parts = [{"type": "text", "text": "x"}] * (telling.PARTS_MAX + 1)
    event = session.one(user(parts))
    assert event.kind == Kind.PROVIDER_RAW
    assert list(session.parser.unknown) == ["user (too many parts)"]


def test_a_tools_answer_of_more_parts_than_any_has_keeps_them_raw(session: Session) -> None:
    parts = [{"type": "new", "n": number} for number in range(telling.PARTS_MAX + 1)]
    event = session.one(user([{"type": "tool_result", "tool_use_id": "t", "content": parts}]))
    assert data(event)["others"] == [parts]


@pytest.mark.parametrize(
    ("line", "verdict", "name"),
    [
        (b'{"type":"user","x":[' + b"{}," * 200_000 + b"{}]}", "unknown", "user"),
        (b'{"type":5,"x":[' + b"{}," * 200_000 + b"{}]}", "unknown", "(no type)"),
        (b"[" + b"{}," * 200_000 + b"{}]", "bad", ""),
        (b'{"type":"user","x":[' + b"{}," * 200_000 + b"{}", "bad", ""),
    ],
)
def test_a_line_of_very_many_small_things_is_not_taken_apart(
    session: Session, line: bytes, verdict: str, name: str
) -> None:
    events = session.read(line)
    assert session.verdicts == [verdict]
    assert list(session.parser.unknown) == ([f"{name} (too many parts)"] if name else [])
    assert [bytes(event.data) for event in events] == ([line] if name else [])


# What is damaged, odd or hostile.


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"user","message":{"content":"cut off',
        b"\x7fELF\x02\x01\x01",
        b"\0" * 100,
        b"nonsense",
        b"[1,2]",
        b'"text"',
        b"17",
        b"null",
        b'{"type":"user"} trailing',
        b'{"type":"user","x":NaN}',
        b'{"type":"user","x":1e}',
        b'{"x":' + b"[" * 100_000,
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_what_is_no_record_is_bad_and_costs_only_itself(session: Session, line: bytes) -> None:
    before = session.parser.state()
    assert session.read(line) == []
    assert session.verdicts == ["bad"]
    assert session.parser.state() == before
    assert session.one(lines.user_line("go on")).text == "go on"


def test_half_a_surrogate_pair_costs_a_character_and_not_the_message(session: Session) -> None:
    """JavaScript cuts texts between the halves and writes what is left."""
    line = lines.user_line("MARK").replace(b"MARK", rb"shell \ud83d end")
    assert session.one(line).text == "shell \ufffd end"
    call = lines.tool_use_line("Bash", {"command": "MARK"}).replace(b"MARK", rb"\udc1a")
    assert data(session.one(call))["input"] == {"command": "\ufffd"}
    assert session.verdicts == ["parsed", "parsed"]


@pytest.mark.parametrize(
    "line",
    [
        lines.user_line("MARK"),
        lines.tool_use_line("Bash", {"command": "MARK"}),
        lines.tool_use_line("MARK", {"command": "x"}),
        b'{"type":"novelty","text":"MARK"}',
        b'{"type":"mode","MARK":1}',
        b'{"type":"attachment","attachment":{"type":"MARK"}}',
        b'{"type":"progress","data":{"type":"MARK"}}',
        b'{"type":"system","subtype":"error","content":"MARK"}',
        b'{"MARK":1,"type":"user","message":{"content":[{"type":"new"}]}}',
        b'{"type":"user","message":{"MARK":1,"content":[{"type":"new"}]}}',
        b'{"type":"user","message":{"content":[{"MARK":1,"type":"new"}]}}',
    ],
)
def test_bytes_that_are_no_text_never_reach_an_event(session: Session, line: bytes) -> None:
    events = session.read(line.replace(b"MARK", b"a\xff\xfeb\xe2\x82"))
    assert len(events) == 1
    json.loads(bytes(events[0].data).decode())
    assert session.verdicts[0] in ("parsed", "unknown")


def test_a_byte_order_mark_costs_nothing(session: Session) -> None:
    assert session.one(b"\xef\xbb\xbf" + lines.user_line("first")).text == "first"


def test_null_is_the_same_as_absent(session: Session) -> None:
    record = dict.fromkeys(Record.__struct_encode_fields__) | {"type": "user"}
    part = dict.fromkeys(Content.__struct_fields__) | {"type": "text"}
    usage = {"input_tokens": None, "output_tokens": None}
    message = {"id": None, "model": None, "usage": usage, "content": [part]}
    event = session.one({**record, "message": message})
    assert (event.kind, event.text) == (Kind.SYSTEM, "")
    reply = session.one({**record, "type": "assistant", "message": message})
    assert (reply.kind, reply.usage) == (Kind.ASSISTANT, None)
    source = {"type": None, "media_type": None, "data": SMALL, "url": None}
    picture = session.one(user([{"type": "image", "source": source}]))
    assert data(picture)["base64"] == SMALL


@pytest.mark.parametrize("tokens", [10**30, 2**63, -5, 1.5, 1e300, True, "7", [7]])
def test_impossible_tokens_cost_the_figure_and_not_the_reply(session: Session, tokens: Any) -> None:
    usage = {"input_tokens": tokens, "output_tokens": 5}
    reply, raw = session.read(assistant({"type": "text", "text": "Yes."}, id="m", usage=usage))
    assert (reply.kind, reply.text, reply.usage) == (Kind.ASSISTANT, "Yes.", None)
    assert raw.kind == Kind.PROVIDER_RAW
    assert session.verdicts == ["unknown"]


def test_of_a_key_given_twice_the_last_one_counts(session: Session) -> None:
    line = b'{"type":"x","type":"user","message":{"content":"a","content":[{"type":"new"}]}}'
    event = session.one(line)
    assert (event.kind, data(event)) == (Kind.PROVIDER_RAW, {"type": "new"})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"timestamp": 1_767_603_600}, "timestamp"),
        ({"isSidechain": "yes"}, "isSidechain"),
        ({"gitBranch": ["main"]}, "gitBranch"),
        ({"uuid": {"$oid": "1"}}, "uuid"),
    ],
)
def test_one_odd_field_does_not_cost_the_words(
    session: Session, change: dict[str, Any], field: str
) -> None:
    """Formats drift: what is understood is read, and the whole is kept beside it."""
    record = {**json.loads(lines.user_line("still here")), **change}
    said, raw = session.read(record)
    assert (said.kind, said.text, said.cwd) == (Kind.USER, "still here", lines.CWD)
    assert (raw.kind, data(raw)[field]) == (Kind.PROVIDER_RAW, change[field])
    assert session.verdicts == ["unknown"]
    assert list(session.parser.unknown) == ["user (unfamiliar shape)"]


def test_one_odd_part_does_not_cost_the_others(session: Session) -> None:
    odd = {"type": "text", "text": {"rich": "text"}}
    events = session.read(
        user([{"type": "text", "text": "before"}, odd, 17, {"type": "text", "text": "after"}])
    )
    said = [event.text for event in events if event.kind == Kind.USER]
    assert said == ["before", "after"]
    assert events[-1].kind == Kind.PROVIDER_RAW
    assert data(events[-1])["message"]["content"][1] == odd


def test_an_unknown_record_with_odd_fields_is_kept_once(session: Session) -> None:
    (event,) = session.read({"type": "novelty", "uuid": 5})
    assert event.kind == Kind.PROVIDER_RAW
    assert list(session.parser.unknown) == ["novelty"]


def test_a_skipped_record_with_odd_fields_is_skipped(session: Session) -> None:
    assert session.read({"type": "file-history-snapshot", "uuid": 5}) == []
    assert session.verdicts == ["skipped"]


def test_times(session: Session) -> None:
    """A record without one has that of the record before; what is no time is none."""
    stamps = [None, "2026-01-05T09:00:02.000Z", None, "yesterday", "2026-01-05T10:00:01+01:00"]
    events = session.read(*[{"type": "mode", "timestamp": stamp} for stamp in stamps])
    assert [event.at for event in events] == [
        "",
        "2026-01-05T09:00:02.000Z",
        "2026-01-05T09:00:02.000Z",
        "2026-01-05T09:00:02.000Z",
        "2026-01-05T09:00:01.000Z",
    ]
    facts = session.parser.facts
    assert facts.started_at == "2026-01-05T09:00:01.000Z"
    assert facts.updated_at == "2026-01-05T09:00:02.000Z"


def test_what_reading_on_needs_stays_small_whatever_the_log_holds(session: Session) -> None:
    huge = "x" * 300_000
    fields = {"uuid": huge, "cwd": huge, "gitBranch": huge, "version": huge, "requestId": huge}
    reply = assistant({"type": "tool_use", "id": huge, "name": "Task"}, id=huge, model=huge)
    session.read({**user(huge), **fields}, {**reply, **fields})
    assert len(session.parser.state()) < 12_000
