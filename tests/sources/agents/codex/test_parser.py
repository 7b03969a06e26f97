"""Every kind of record that Codex CLI writes, and every trap that is known of them."""

from __future__ import annotations

import base64
import itertools
import json
from random import Random
from typing import Any, Final

import pytest

from holdfast.events import Event, Kind, Usage, session_id
from holdfast.journal.model import TitleRank
from holdfast.sources.agents.codex import parser as parser_module
from holdfast.sources.agents.codex.records import Record
from holdfast.sources.agents.codex.twins import REMEMBERED_TEXTS
from tests.support.claude import data
from tests.support.codex import (
    AT,
    LOG,
    PARENT,
    THREAD,
    Session,
    assistant,
    call,
    completed,
    event,
    item,
    line,
    meta,
    output,
    tokens,
    user,
)

PNG: Final = base64.b64encode(Random(1).randbytes(6_000)).decode()
URL: Final = f"data:image/png;base64,{PNG}"
LATER: Final = "2026-01-05T10:00:00.000Z"


@pytest.fixture
def session() -> Session:
    return Session()


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def texts(events: list[Event], kind: str) -> list[str]:
    return [event.text for event in events if event.kind == kind]


# What a session says of itself.


def test_a_session_begins(session: Session) -> None:
    git = {"branch": "main", "commit_hash": "0"}
    (begun,) = session.read(meta(git=git, source="cli", base_instructions={"text": "Be brief."}))
    assert (begun.kind, begun.text, begun.at) == (Kind.SESSION_STARTED, "Codex 0.146.0", AT)
    assert data(begun)["payload"]["base_instructions"]["text"] == "Be brief."
    assert (begun.cwd, begun.branch) == ("/home/hana/src/tidepool", "main")
    facts = session.parser.facts
    assert facts.id == session_id("codex", THREAD)
    assert (facts.cwd, facts.project) == ("/home/hana/src/tidepool",) * 2
    assert (facts.branch, facts.agent_version, facts.started_at) == ("main", "0.146.0", AT)


def test_a_first_line_of_any_length_is_read(session: Session) -> None:
    (begun,) = session.read(meta(base_instructions={"text": "word " * 100_000}))
    assert begun.kind == Kind.SESSION_STARTED
    assert session.parser.facts.cwd == "/home/hana/src/tidepool"


def test_each_event_has_the_time_of_its_own_line(session: Session) -> None:
    events = session.read(meta(), user("a"), assistant("b", at=LATER))
    assert [event.at for event in events] == [AT, AT, LATER]
    assert session.parser.facts.started_at == AT
    assert session.parser.facts.updated_at == LATER


def test_a_fork_is_not_the_session_that_it_repeats(session: Session) -> None:
    older = "2025-12-01T09:00:00.000Z"
    session.read(
        meta(forked_from_id=PARENT, cwd="/new"),
        meta(PARENT, at=older, cwd="/old", cli_version="0.1.0", git={"branch": "old"}),
        line("turn_context", {"cwd": "/old", "model": "gpt-5-old"}, older),
        user("what was asked first", at=older),
    )
    facts = session.parser.facts
    assert facts.id == session_id("codex", THREAD)
    assert facts.forked_from == session_id("codex", PARENT)
    assert (facts.cwd, facts.project, facts.started_at) == ("/new", "/new", AT)
    assert (facts.agent_version, facts.branch, facts.parent) == ("0.146.0", "", "")
    started, repeated, *_rest, first = session.events
    assert (started.kind, repeated.kind) == (Kind.SESSION_STARTED, Kind.PROVIDER_INFO)
    assert first.cwd == "/old"
    again = Session(state=session.parser.state())
    again.read(meta(PARENT, at=older, cwd="/old"), user("more", at=older))
    assert (again.parser.facts.cwd, again.parser.facts.started_at) == ("/new", AT)


@pytest.mark.parametrize(
    "fields",
    [
        {"parent_thread_id": PARENT},
        {"source": {"subagent": {"thread_spawn": {"parent_thread_id": PARENT, "depth": 1}}}},
    ],
)
def test_a_subagent_names_its_parent(session: Session, fields: dict[str, Any]) -> None:
    session.read(meta(session_id=PARENT, **fields), user("look"))
    assert session.parser.facts.parent == session_id("codex", PARENT)
    assert session.parser.facts.id == session_id("codex", THREAD)
    assert session.events[-1].sidechain
    assert session.events[-1].turn == 1


@pytest.mark.parametrize("source", ["cli", {"subagent": "review"}, {"subagent": {"other": "x"}}, 7])
def test_a_source_without_a_parent(session: Session, source: object) -> None:
    session.read(meta(source=source))
    assert session.parser.facts.parent == ""
    assert session.parser.unknown == {}


def test_settings_of_a_turn_are_told_when_they_change(session: Session) -> None:
    first = {"turn_id": "1", "cwd": "/a", "model": "gpt-5", "approval_policy": "never"}
    again = {**first, "turn_id": "2", "user_instructions": "the same again"}
    session.read(line("turn_context", first), line("turn_context", again))
    assert session.verdicts == ["parsed", "skipped"]
    (told,) = session.read(line("turn_context", {**again, "model": "gpt-6", "cwd": "/b"}))
    assert (told.kind, told.cwd) == (Kind.PROVIDER_INFO, "/b")
    assert session.parser.facts.model == "gpt-6"
    assert session.parser.facts.cwd == "/a"
    assert session.one(assistant("so")).model == "gpt-6"


def test_titles(session: Session) -> None:
    session.read(user("<environment_context>x</environment_context>"), user("  why is it late? "))
    assert session.parser.facts.title == "why is it late?"
    (named,) = session.read(event("thread_name_updated", thread_name="Tides"))
    assert (named.kind, named.text) == (Kind.SESSION_TITLED, "Tides")
    assert session.parser.facts.title == "Tides"
    assert session.parser.facts.title_rank == TitleRank.PERSON


# Whose words.


def test_a_prompt(session: Session) -> None:
    prompt = session.one(user("why?"))
    assert (prompt.kind, prompt.actor, prompt.text, prompt.turn) == (Kind.USER, "user", "why?", 1)
    assert bytes(prompt.data) == b"null"
    assert prompt.source is not None
    assert (prompt.source.agent, prompt.source.file) == ("codex", LOG.relative)


@pytest.mark.parametrize(
    "wrapper",
    [
        "<environment_context>\n  <cwd>/a</cwd>\n</environment_context>",
        "<user_instructions>\n\nbe brief\n\n</user_instructions>",
        "# AGENTS.md instructions for /a\n\n<INSTRUCTIONS>\nbe brief\n</INSTRUCTIONS>",
        "<skill>\n<name>x</name>\n</skill>",
        "<turn_aborted>\nthe user interrupted\n</turn_aborted>",
        "<user_shell_command>\n<command>\nls\n</command>\n</user_shell_command>",
        '<hook_prompt hook_run_id="1">go on</hook_prompt>',
    ],
)
def test_what_programs_put_into_prompts_is_not_the_persons(session: Session, wrapper: str) -> None:
    (told,) = session.read(user(wrapper))
    assert (told.kind, told.text, told.turn) == (Kind.SYSTEM, wrapper, 0)
    around, own = session.read(user(wrapper, "why?"))
    assert (around.kind, own.kind, own.text) == (Kind.SYSTEM, Kind.USER, "why?")
    (mixed,) = session.read(user(f"{wrapper}\n\nwhy not?"))
    assert (mixed.kind, mixed.text) == (Kind.USER, "why not?")
    assert data(mixed)["original"] == f"{wrapper}\n\nwhy not?"


@pytest.mark.parametrize(
    "text",
    [
        "what does <environment_context> mean?",
        "<environment_context> is never closed",
        "# A heading of mine",
        "<b>bold</b>",
    ],
)
def test_what_a_person_says_about_wrappers_is_theirs(session: Session, text: str) -> None:
    assert (session.one(user(text)).kind, session.events[-1].text) == (Kind.USER, text)


def test_a_request_is_taken_out_of_what_the_editor_says(session: Session) -> None:
    whole = (
        "# Context from my IDE setup:\n\n## Active file: a.py\n\n"
        "## My request for Codex:\nfix it\nplease\n"
    )
    prompt = session.one(event("user_message", message=whole))
    assert (prompt.kind, prompt.text) == (Kind.USER, "fix it\nplease")
    assert data(prompt)["original"].startswith("# Context from my IDE")
    assert session.parser.facts.title == "fix it please"
    assert session.read(user(whole)) == []


def test_messages_of_others(session: Session) -> None:
    developer = item("message", role="developer", content=[{"type": "input_text", "text": "rules"}])
    agent = item(
        "agent_message",
        author="/lead",
        recipient="/lead/a",
        content=[
            {"type": "input_text", "text": "done"},
            {"type": "encrypted_content", "encrypted_content": "xyz"},
        ],
    )
    told, heard = session.read(developer, agent)
    assert (told.kind, told.text, told.actor) == (Kind.SYSTEM, "rules", "system")
    assert (heard.kind, heard.text) == (Kind.SYSTEM, "done")
    assert data(heard)["author"] == "/lead"
    assert data(heard)["parts"][0]["encrypted_content"] == "xyz"


# Said once.


def said_thrice(words: str) -> list[dict[str, Any]]:
    text = [{"type": "Text", "text": words}]
    return [
        event("agent_message", message=words),
        assistant(words),
        completed("AgentMessage", id="a", content=text),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("left", [1, 2, 3])
def test_an_answer_is_told_once_whoever_says_it_first(order: tuple[int, ...], left: int) -> None:
    session = Session()
    given = said_thrice("it is late")
    session.read(*(given[number] for number in order[:left]))
    assert texts(session.events, Kind.ASSISTANT) == ["it is late"]
    assert session.verdicts == ["parsed", *["skipped"] * (left - 1)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_prompt_is_told_once_whoever_says_it_first(order: tuple[int, ...]) -> None:
    session = Session()
    parts = [{"type": "text", "text": "a b"}, {"type": "text", "text": "c"}]
    given = [
        event("user_message", message="a bc", images=[], local_images=[]),
        user("a b", "c"),
        completed("UserMessage", id="u", content=parts),
    ]
    session.read(given[order[0]], event("task_started"), *(given[n] for n in order[1:]))
    assert len(texts(session.events, Kind.USER)) == 1
    assert session.events[-1].turn == 1


@pytest.mark.parametrize("twice", list(itertools.permutations("eeii")))
def test_what_is_really_said_twice_is_told_twice(twice: tuple[str, ...]) -> None:
    session = Session()
    session.read(
        *(event("user_message", message="go on") if who == "e" else user("go on") for who in twice)
    )
    assert texts(session.events, Kind.USER) == ["go on", "go on"]


def test_a_later_turn_may_say_the_same_by_another_record(session: Session) -> None:
    session.read(user("go on"), event("task_complete"), event("user_message", message="go on"))
    assert texts(session.events, Kind.USER) == ["go on", "go on"]


def test_thoughts_are_told_once_part_by_part(session: Session) -> None:
    parts = [{"type": "summary_text", "text": text} for text in ("first", "second", "third")]
    session.read(
        event("agent_reasoning", text="first"),
        event("agent_reasoning", text="second"),
        item("reasoning", id="r", summary=parts, encrypted_content="gAAA"),
        completed("Reasoning", id="r", summary_text=["first", "second", "third"], raw_content=[]),
    )
    assert texts(session.events, Kind.THINKING) == ["first", "second", "third"]
    assert session.verdicts == ["parsed", "parsed", "parsed", "skipped"]


def test_thoughts_that_nobody_can_read(session: Session) -> None:
    thought = session.one(item("reasoning", summary=[], content=None, encrypted_content="gAAA"))
    assert (thought.kind, thought.text, data(thought)) == (Kind.THINKING, "", {"redacted": True})
    assert session.read(completed("Reasoning", id="r", summary_text=[], raw_content=[])) == []
    raw = item("reasoning", summary=[], content=[{"type": "reasoning_text", "text": "hm"}])
    assert session.one(raw).text == "hm"


def test_the_last_answer_of_a_turn_is_told_if_nothing_else_did(session: Session) -> None:
    (ended,) = session.read(
        assistant("late"), event("task_complete", last_agent_message="late", turn_id="t")
    )[1:]
    assert (ended.kind, ended.text) == (Kind.PROVIDER_INFO, "task_complete")
    assert data(ended) == {"type": "task_complete", "turn_id": "t"}
    alone, _ended = session.read(event("task_complete", last_agent_message="very late"))
    assert (alone.kind, alone.text) == (Kind.ASSISTANT, "very late")


def test_only_so_many_texts_are_remembered(session: Session) -> None:
    for number in range(10 * REMEMBERED_TEXTS):
        session.read(assistant(f"text {number}"))
    assert len(session.parser.memory.said) == REMEMBERED_TEXTS
    assert len(session.parser.state()) < 8_000


# Images.


@pytest.mark.parametrize("first", [0, 1])
def test_an_image_is_told_once_and_stored_once(session: Session, first: int) -> None:
    whole = item(
        "message",
        role="user",
        content=[
            {"type": "input_text", "text": "<image name=[Image #1]>"},
            {"type": "input_image", "image_url": URL},
            {"type": "input_text", "text": "</image>"},
            {"type": "input_text", "text": "look"},
        ],
    )
    given = [whole, event("user_message", message="look", images=[URL])]
    prompt, image = session.read(given[first], given[1 - first])
    assert (prompt.text, prompt.kind) == ("look", Kind.USER)
    assert (image.kind, data(image)["media_type"]) == (Kind.USER, "image/png")
    assert list(session.blobs.stored) == [data(image)["blob"]]
    assert session.parser.unknown == {}


def test_paths_of_images_are_kept(session: Session) -> None:
    prompt = session.one(event("user_message", message="look", local_images=["/a.png"]))
    assert data(prompt) == {"local_images": ["/a.png"]}


def test_an_image_that_was_made(session: Session) -> None:
    given = {"id": "ig_1", "status": "completed", "revised_prompt": "a tide", "result": PNG}
    asked, made = session.read(item("image_generation_call", **given))
    assert asked.text == "image_generation: a tide"
    assert data(made)["images"][0]["blob"] in session.blobs.stored
    again = {**given, "call_id": "ig_1"}
    assert session.read(event("image_generation_end", **again)) == []


# Tools.


@pytest.mark.parametrize(
    ("name", "arguments", "shown"),
    [
        ("shell", '{"command":["bash","-lc","ls -l"]}', "shell: ls -l"),
        ("shell", '{"command":["git","log","a b"]}', "shell: git log 'a b'"),
        ("exec_command", '{"cmd":"make test","workdir":"/a"}', "exec_command: make test"),
        ("view_image", '{"path":"/a.png"}', "view_image: /a.png"),
        ("odd", "not json", "odd: not json"),
        ("empty", "", "empty"),
    ],
)
def test_a_call(session: Session, name: str, arguments: str, shown: str) -> None:
    asked = session.one(call(name, arguments, "c1"))
    assert (asked.kind, asked.text, asked.actor) == (Kind.TOOL_CALL, shown, "assistant")
    given = json.loads(arguments) if arguments.startswith("{") else arguments
    assert data(asked) == {"tool_use_id": "c1", "name": name, "input": given}


def test_a_patch(session: Session) -> None:
    patch = "*** Begin Patch\n*** Update File: a.py\n@@\n-x\n+y\n*** Add File: b.py\n*** End Patch"
    asked = session.one(item("custom_tool_call", name="apply_patch", input=patch, call_id="c"))
    assert asked.text == "apply_patch: a.py, b.py"
    assert data(asked)["input"] == patch
    answer = json.dumps({"output": "Success", "metadata": {"exit_code": 0}})
    given = session.one(item("custom_tool_call_output", call_id="c", output=answer))
    assert (given.kind, given.text) == (Kind.TOOL_RESULT, "Success")
    assert data(given) == {"tool_use_id": "c", "name": "apply_patch"}
    ended: dict[str, Any] = {
        "call_id": "c",
        "success": True,
        "stdout": "Success",
        "changes": {"a.py": {}},
    }
    assert session.read(event("patch_apply_end", **ended)) == []


@pytest.mark.parametrize(
    ("what", "text", "failed"),
    [
        ("plain", "plain", False),
        ('{"output":"no","metadata":{"exit_code":2}}', "no", True),
        ('{"output":"yes","metadata":{"exit_code":0}}', "yes", False),
        (
            "Exit code: 1\nWall time: 2s\nOutput:\nno",
            "Exit code: 1\nWall time: 2s\nOutput:\nno",
            True,
        ),
        ("Wall time: 1\nProcess exited with code 0\nOutput:\nExit code: 1", None, False),
        ([{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}], "a\nb", False),
        ({"type": "input_text", "text": "a"}, "a", False),
        ({"content": "no", "success": False}, "no", True),
    ],
)
def test_a_result(session: Session, what: Any, text: str | None, failed: bool) -> None:
    session.read(call("shell", "{}", "c1"))
    given = session.one(output("c1", what))
    assert (given.kind, given.actor) == (Kind.TOOL_RESULT, "tool")
    assert given.text == (what if text is None else text)
    assert data(given).get("is_error", False) == failed
    assert data(given)["name"] == "shell"


def test_images_and_other_parts_of_a_result(session: Session) -> None:
    parts = [{"type": "input_text", "text": "here"}, {"type": "input_image", "image_url": URL}]
    given = session.one(output("c", parts))
    assert data(given)["images"][0]["blob"] in session.blobs.stored
    assert "others" not in data(given)
    odd = session.one(
        output("d", [{"type": "input_text", "text": "a"}, {"type": "novelty", "x": 1}])
    )
    assert odd.text == "a"
    assert data(odd)["others"][0][1] == {"type": "novelty", "x": 1}
    assert data(session.one(output("e", {"k": 1})))["others"] == [{"k": 1}]


def test_an_image_that_comes_later_is_told(session: Session) -> None:
    session.read(event("dynamic_tool_call_response", call_id="c", tool="draw", content_items=[]))
    (given,) = session.read(output("c", [{"type": "input_image", "image_url": URL}]))
    assert data(given)["images"][0]["blob"] in session.blobs.stored


def ended(use: str, printed: str, code: int = 0) -> dict[str, Any]:
    return event(
        "exec_command_end",
        call_id=use,
        command=["bash", "-lc", "ls"],
        cwd="/a",
        aggregated_output=printed,
        stdout=printed,
        formatted_output=printed,
        exit_code=code,
        status="completed" if code == 0 else "failed",
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_command_is_told_once_in_any_order(order: tuple[int, ...]) -> None:
    session = Session()
    given = [
        call("shell", '{"command":["bash","-lc","ls"]}', "c"),
        output("c", "Exit code: 0\nWall time: 0s\nOutput:\na.py\n"),
        ended("c", "a.py\n"),
    ]
    session.read(*(given[number] for number in order))
    assert sorted(kinds(session.events)) == [Kind.TOOL_CALL, Kind.TOOL_RESULT]


def test_a_result_is_told_again_where_it_says_more(session: Session) -> None:
    session.read(call("exec_command", "{}", "c"), output("c", "Output:\nrunning"))
    more = session.one(ended("c", "running\nand done"))
    assert more.text == "running\nand done"
    failed = session.one(ended("c", "running", code=3))
    assert data(failed)["is_error"]


def test_a_command_that_only_its_end_tells_of(session: Session) -> None:
    asked, given = session.read(ended("c", "a.py", code=1))
    assert (asked.kind, asked.text) == (Kind.TOOL_CALL, "exec_command: ls")
    assert data(asked)["input"] == {"command": "ls", "workdir": "/a"}
    assert (given.kind, given.text, data(given)["is_error"]) == (Kind.TOOL_RESULT, "a.py", True)


@pytest.mark.parametrize("group", ["event", "item"])
def test_a_tool_of_a_server(session: Session, group: str) -> None:
    result = {"content": [{"type": "text", "text": "4"}, {"type": "image", "data": PNG}]}
    if group == "event":
        given = event(
            "mcp_tool_call_end",
            call_id="c",
            invocation={"server": "sums", "tool": "add", "arguments": {"a": 2}},
            result={"Ok": result},
        )
    else:
        given = completed(
            "McpToolCall", id="c", server="sums", tool="add", arguments={"a": 2}, result=result
        )
    asked, told = session.read(given)
    assert asked.text == "sums.add"
    assert data(asked)["input"] == {"a": 2}
    assert told.text == "4"
    assert data(told)["images"][0]["blob"] in session.blobs.stored


def test_a_tool_of_a_server_that_failed(session: Session) -> None:
    invocation = {"server": "sums", "tool": "add", "arguments": {}}
    refused = event("mcp_tool_call_end", call_id="c", invocation=invocation, result={"Err": "no"})
    assert data(session.read(refused)[1])["is_error"]
    wrong = {"Ok": {"content": [], "isError": True, "structuredContent": {"why": 1}}}
    told = session.read(event("mcp_tool_call_end", call_id="d", result=wrong))[1]
    assert data(told)["is_error"]
    assert data(told)["others"] == [{"why": 1}]


def test_other_tools(session: Session) -> None:
    search = {"type": "search", "query": "tides"}
    extension: dict[str, Any] = {
        "type": "Extension",
        "kind": "web",
        "id": "e",
        "query": "q",
        "action": search,
    }
    extension["results"] = [{"title": "t"}]
    events = session.read(
        item("web_search_call", id="ws", action=search, status="completed"),
        event("web_search_end", call_id="ws", query="tides", action=search),
        item("local_shell_call", call_id="l", action={"type": "exec", "command": ["ls"]}),
        item("tool_search_call", call_id="t", arguments={"query": "x"}),
        item("tool_search_output", call_id="t", tools=[{"name": "y"}]),
        event("view_image_tool_call", call_id="v", path="/a.png"),
        event("dynamic_tool_call_request", callId="d", tool="draw", arguments={"x": 1}),
        event(
            "dynamic_tool_call_response",
            call_id="d",
            tool="draw",
            success=False,
            content_items=[{"type": "inputText", "text": "no"}],
        ),
        completed("FileChange", id="f", changes={"a.py": {"type": "add"}}, status="completed"),
        event("item_completed", item=extension),
    )
    assert [event.text for event in events if event.kind == Kind.TOOL_CALL] == [
        "web_search: tides",
        "local_shell: ls",
        "tool_search: x",
        "view_image: /a.png",
        "draw",
        "apply_patch: a.py",
        "web: q",
    ]
    assert kinds(events).count(Kind.TOOL_RESULT) == 4
    assert session.verdicts[1] == "skipped"


def test_a_call_without_a_name_is_kept_as_it_is(session: Session) -> None:
    odd = {"type": "function_call", "function": {"name": "translate"}, "arguments": {"to": "es"}}
    assert session.one(odd).kind == Kind.PROVIDER_RAW
    assert list(session.parser.unknown) == ["response_item/function_call (no name)"]


# Decisions.


def test_a_plan_is_told_once(session: Session) -> None:
    plan: dict[str, Any] = {
        "explanation": "first",
        "plan": [{"step": "look", "status": "completed"}],
    }
    proposed, _done = session.read(
        call("update_plan", json.dumps(plan), "p"),
        event("plan_update", **plan),
        output("p", "Plan updated"),
    )
    assert (proposed.kind, proposed.text) == (Kind.DECISION_PROPOSED, "first\n- [completed] look")
    assert session.verdicts == ["parsed", "skipped", "parsed"]
    assert session.one(completed("Plan", id="x", text="# Do it")).kind == Kind.DECISION_PROPOSED


def test_a_question_and_its_answer(session: Session) -> None:
    questions: dict[str, Any] = {
        "questions": [{"id": "q", "question": "Which?", "options": [{"label": "A"}]}]
    }
    answer = json.dumps({"answers": {"q": {"answers": ["A", "note"]}}})
    asked, chosen = session.read(
        call("request_user_input", json.dumps(questions), "c"),
        event("request_user_input", call_id="c", **questions),
        output("c", answer),
    )
    assert (asked.kind, asked.text) == (Kind.DECISION_PROPOSED, "Which?\n- A")
    assert (chosen.kind, chosen.text, chosen.actor) == (
        Kind.DECISION_ACCEPTED,
        "q -> A, note",
        "user",
    )
    assert data(chosen)["answers"] == {"q": ["A", "note"]}


def test_a_request_for_approval(session: Session) -> None:
    asked = session.one(
        event("exec_approval_request", call_id="c", command=["rm", "-r", "a"], reason="to clean up")
    )
    assert (asked.kind, asked.text) == (Kind.DECISION_PROPOSED, "to clean up: rm -r a")


# Tokens.


def usage(session: Session) -> Usage:
    spent = [event.usage for event in session.events if event.usage]
    return Usage(
        sum(one.input for one in spent),
        sum(one.output for one in spent),
        sum(one.cache_read for one in spent),
        sum(one.cache_write for one in spent),
    )


def test_cached_tokens_are_not_input(session: Session) -> None:
    counted = session.one(tokens(100, 60, 7))
    assert counted.usage == Usage(input=40, output=7, cache_read=60)


def test_written_tokens_are_not_input_either(session: Session) -> None:
    assert session.one(tokens(100, 60, 7, write=10)).usage == Usage(30, 7, 60, 10)


def test_a_count_that_is_told_again_counts_nothing(session: Session) -> None:
    session.read(tokens(100, 60, 7), tokens(100, 60, 7), event("token_count", info=None))
    assert usage(session) == Usage(input=40, output=7, cache_read=60)
    assert session.verdicts == ["parsed", "skipped", "skipped"]


def test_totals_add_up_where_counts_are_missing(session: Session) -> None:
    session.read(tokens(100, 60, 7), tokens(350, 260, 20, last=(150, 100, 6)))
    assert usage(session) == Usage(input=90, output=20, cache_read=260)


def test_totals_that_start_again_count_the_last_request(session: Session) -> None:
    session.read(tokens(100, 60, 7), tokens(30, 10, 2), tokens(50, 20, 5, last=(20, 10, 3)))
    assert usage(session) == Usage(input=70, output=12, cache_read=80)


def test_what_another_session_spent_is_not_counted(session: Session) -> None:
    session.read(tokens(1_000, 900, 50, last=(100, 60, 7)))
    assert usage(session) == Usage(input=40, output=7, cache_read=60)


def test_totals_are_remembered_across_readings(session: Session) -> None:
    session.read(tokens(100, 60, 7))
    again = Session(state=session.parser.state())
    again.read(tokens(100, 60, 7), tokens(150, 70, 9, last=(50, 10, 2)))
    assert usage(again) == Usage(input=40, output=2, cache_read=10)


# Compaction.


def history(number: int) -> list[dict[str, Any]]:
    return [
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": URL}]}
        for _ in range(number)
    ]


def test_a_compaction_keeps_the_summary_and_not_the_history(session: Session) -> None:
    given = {"message": "what was", "replacement_history": history(5), "window_number": 2}
    compacted, summarized = session.read(line("compacted", given))
    assert (compacted.kind, summarized.kind) == (Kind.SESSION_COMPACTED, Kind.SESSION_SUMMARIZED)
    assert summarized.text == "what was"
    about = data(compacted)
    assert (about["items"], about["window_number"]) == (5, 2)
    assert about["bytes"] == len(json.dumps(line("compacted", given)))
    assert session.blobs.stored == {}
    assert session.verdicts == ["skipped"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_compaction_is_told_once(order: tuple[int, ...]) -> None:
    session = Session()
    given = [
        line("compacted", {"message": "", "replacement_history": history(1)}),
        event("context_compacted"),
        completed("ContextCompaction", id="c"),
    ]
    session.read(*(given[number] for number in order))
    assert kinds(session.events) == [Kind.SESSION_COMPACTED]


def oversized(session: Session, record: dict[str, Any]) -> Any:
    whole = json.dumps(record, separators=(",", ":")).encode()
    return session.parser.oversized(70, whole[:65_536], len(whole))


def test_a_compaction_over_the_cap_is_told_by_its_head(session: Session) -> None:
    given = line("compacted", {"message": "what was", "replacement_history": history(400)}, LATER)
    verdict, (compacted, summarized) = oversized(session, given)
    assert verdict == "skipped"
    assert (summarized.text, summarized.at) == ("what was", LATER)
    assert data(compacted)["bytes"] > 1_000_000
    assert summarized.source is not None
    assert summarized.source.offset == 70


@pytest.mark.parametrize(
    "record",
    [
        line("compacted", {"message": "x" * 100_000, "replacement_history": history(1)}),
        line("compacted", {"replacement": history(400)}),
        line("response_item", {"replacement_history": history(400)}),
        user("x" * 100_000),
        line("compacted", {"a": {"replacement_history": history(400)}}),
        {"type": "compacted"},
        {"text": '"replacement_history":['},
    ],
)
def test_other_lines_over_the_cap_are_left_to_whoever_reads(
    session: Session, record: dict[str, Any]
) -> None:
    assert oversized(session, record) is None


# What happened around.


@pytest.mark.parametrize("kind", sorted(parser_module.INFO_EVENTS))
def test_events_that_are_kept_as_information(session: Session, kind: str) -> None:
    told = session.one(event(kind, message="so"))
    assert (told.kind, told.text, told.actor) == (Kind.PROVIDER_INFO, "so", "system")
    assert data(told)["payload"]["type"] == kind


@pytest.mark.parametrize("kind", sorted(parser_module.SKIPPED_EVENTS))
def test_events_that_are_superseded(session: Session, kind: str) -> None:
    assert session.read(event(kind, delta="x")) == []
    assert session.verdicts == ["skipped"]


def test_an_aborted_turn_says_why(session: Session) -> None:
    assert (
        session.one(event("turn_aborted", reason="interrupted")).text == "turn_aborted: interrupted"
    )


def test_records_that_are_kept_as_information(session: Session) -> None:
    for record in (
        line("world_state", {"full": True, "state": {}}),
        line("inter_agent_communication_metadata", {"trigger_turn": False}),
        item("ghost_snapshot", ghost_commit={"id": "0"}),
        item("compaction", encrypted_content="x"),
        completed("Sleep", id="s", duration_ms=5),
    ):
        assert session.one(record).kind == Kind.PROVIDER_INFO
    assert session.parser.unknown == {}


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (line("novelty", {"a": 1}), "novelty"),
        (event("novelty"), "event_msg/novelty"),
        (item("novelty"), "response_item/novelty"),
        (completed("Novelty", id="n"), "item_completed/Novelty"),
        (line("event_msg", {"message": "?"}), "event_msg/(no type)"),
        ({"role": "user", "message": "hello"}, "(no type)"),
        (item("message", role="user"), "response_item/message (no content)"),
    ],
)
def test_what_no_rule_knows_is_kept_and_counted(
    session: Session, record: dict[str, Any], name: str
) -> None:
    kept = session.one(record)
    assert kept.kind == Kind.PROVIDER_RAW
    assert data(kept) == record
    assert session.verdicts == ["unknown"]
    assert session.parser.unknown == {name: (1, len(json.dumps(record)))}


def test_a_part_that_no_rule_knows_is_kept_beside_the_rest(session: Session) -> None:
    parts = [{"type": "input_text", "text": "hear"}, {"type": "input_audio", "audio": "abc"}]
    said, kept = session.read(item("message", role="user", content=parts))
    assert (said.text, kept.kind) == ("hear", Kind.PROVIDER_RAW)
    assert data(kept) == parts[1]
    assert list(session.parser.unknown) == ["user/input_audio"]


def test_an_unfamiliar_shape_costs_itself_only(session: Session) -> None:
    parts = [{"type": "input_text", "text": "why?"}, {"type": "input_text", "text": 7}]
    said, kept = session.read(item("message", role="user", content=parts))
    assert (said.kind, said.text) == (Kind.USER, "why?")
    assert kept.kind == Kind.PROVIDER_RAW
    assert list(session.parser.unknown) == ["response_item/message (unfamiliar shape)"]


def test_too_many_images_are_not_taken_apart(session: Session) -> None:
    parts = [{"type": "input_image", "image_url": "data:x"}] * (parser_module.IMAGES_MAX + 1)
    assert session.one(item("message", role="user", content=parts)).kind == Kind.PROVIDER_RAW
    urls = ["data:x"] * (parser_module.IMAGES_MAX + 1)
    assert session.one(event("user_message", message="a", images=urls)).kind == Kind.PROVIDER_RAW
    many = output("c", parts * 20)
    assert len(data(session.one(many))["others"][0]) == len(parts) * 20


# The oldest format.


def test_the_oldest_format_has_no_envelope(session: Session) -> None:
    events = session.read(
        {"id": THREAD, "timestamp": AT, "instructions": None, "git": {"branch": "main"}},
        {"record_type": "state"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "why?"}]},
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": "ok"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "so"}],
        },
    )
    assert kinds(events) == [
        Kind.SESSION_STARTED,
        Kind.USER,
        Kind.THINKING,
        Kind.TOOL_CALL,
        Kind.TOOL_RESULT,
        Kind.ASSISTANT,
    ]
    assert {event.at for event in events} == {AT}
    assert session.parser.facts.branch == "main"
    assert session.parser.unknown == {}


def test_types_stand_anywhere_in_a_payload(session: Session) -> None:
    said = session.one(
        {"payload": {"message": "why?", "type": "user_message"}, "type": "event_msg"}
    )
    assert (said.kind, said.text) == (Kind.USER, "why?")


def test_reading_does_not_depend_on_what_is_not_read(session: Session) -> None:
    record: Record = session.parser.read(json.dumps(user("a")).encode())
    assert (record.type, record.kind) == ("response_item/message", "message")
