"""What each file of Cline's becomes, by example."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from holdfast.events import Event, Kind, Usage, session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.journal.model import SessionRow
from holdfast.sources.agents.cline import Agent
from tests.support.cline import (
    SESSION,
    TASK,
    assistant,
    environment,
    request,
    result,
    session,
    shown,
    task,
    use,
    user,
)
from tests.support.items import ItemShelf

AT: Final = "2026-01-05T09:00:00.000Z"
PICTURE: Final = {
    "type": "image",
    "source": {
        "type": "base64",
        "media_type": "image/png",
        "data": base64.b64encode(b"picture" * 800).decode(),
    },
}
READ: Final = "I look.\n\n<read_file>\n<path>a.py</path>\n</read_file>"


class Cline(ItemShelf):
    """A root of Cline's, and what is read of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Agent, ReadingLimits(block_bytes=65_536, max_line_bytes=262_144))

    def read(self, path: str, content: bytes | list[Any]) -> list[Event]:
        """The events that reading this adds to its session."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        log = self.source.identify(str(file))
        assert log is not None
        before = len(self.events(log.agent_session_id))
        whole = content if isinstance(content, bytes) else json.dumps(content).encode()
        file.write_bytes(whole)
        self.catch_up()
        assert self.cursor(file).ledger.consumed == len(whole)
        return self.events(log.agent_session_id)[before:]

    def history(self, *messages: Any) -> list[Event]:
        return self.read(f"tasks/{TASK}/api_conversation_history.json", list(messages))

    def shown(self, *messages: Any) -> list[Event]:
        return self.read(f"tasks/{TASK}/ui_messages.json", list(messages))

    def session(self, *messages: Any, **more: Any) -> list[Event]:
        return self.read(f"sessions/{SESSION}/{SESSION}.messages.json", session(*messages, **more))

    def row(self, name: str = TASK) -> SessionRow:
        row = self.reader.session(session_id("cline", name))
        assert row is not None
        return row


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Cline]:
    made = Cline(tmp_path)
    yield made
    made.close()


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.kind, event.text) for event in events]


def data(event: Event) -> Any:
    return msgspec.json.decode(event.data)


# Tasks of the editors.


def test_a_task_whose_tools_are_asked_in_the_text_becomes_these_events(shelf: Cline) -> None:
    events = shelf.history(
        task("What is here?"),
        assistant(READ),
        user("[read_file for 'a.py'] Result:", "print()", environment(10)),
        assistant(
            "<thinking>done</thinking>\n<attempt_completion><result>One file.</result>"
            "</attempt_completion>"
        ),
    )
    assert told(events) == [
        (Kind.USER, "What is here?"),
        (Kind.SYSTEM, environment()),
        (Kind.ASSISTANT, "I look."),
        (Kind.TOOL_CALL, "read_file: a.py"),
        (Kind.TOOL_RESULT, "print()"),
        (Kind.SYSTEM, environment(10)),
        (Kind.ASSISTANT, "done"),
        (Kind.ASSISTANT, "One file."),
    ]
    assert data(events[3])["input"] == {"path": "a.py"}
    assert data(events[4])["name"] == "read_file"
    row = shelf.row()
    assert (row.title, row.project) == ("What is here?", "/home/hana/src/tidepool")
    assert row.started_at == AT
    assert {event.cwd for event in events[2:]} == {row.project}


def test_a_task_with_tools_of_the_api_becomes_these_events(shelf: Cline) -> None:
    events = shelf.history(
        task("Look"),
        assistant(
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            "I look.",
            use("t1", path="a.py"),
            use("t2", "ask_followup_question", question="Which?", options='["A","B"]'),
        ),
        user(
            result("t1", [{"type": "text", "text": "print()"}, PICTURE]),
            result("t2", "<answer>A</answer>", is_error=True),
            PICTURE,
        ),
    )
    assert told(events)[2:] == [
        (Kind.THINKING, "hm"),
        (Kind.ASSISTANT, "I look."),
        (Kind.TOOL_CALL, "read_file: a.py"),
        (Kind.DECISION_PROPOSED, "Which?\n- A\n- B"),
        (Kind.TOOL_RESULT, "print()"),
        (Kind.TOOL_RESULT, "<answer>A</answer>"),
        (Kind.USER, "[image: image/png, 5,600 bytes]"),
    ]
    assert data(events[6])["images"][0]["blob"] == data(events[8])["blob"]
    assert data(events[7])["is_error"] is True


@pytest.mark.parametrize(
    ("block", "kind", "words"),
    [
        ("<feedback>\nno, b.py\n</feedback>", Kind.USER, "no, b.py"),
        ('<user_input mode="act"><mode_notice>x</mode_notice>go</user_input>', Kind.USER, "go"),
        ("plain words", Kind.USER, "plain words"),
        ("if a <task> b", Kind.USER, "if a <task> b"),
        ("[ERROR] You did not use a tool", Kind.SYSTEM, "[ERROR] You did not use a tool"),
        ("[TASK RESUMPTION] This task", Kind.SYSTEM, "[TASK RESUMPTION] This task"),
        ("[read_file for 'a'] Result:\nbody", Kind.TOOL_RESULT, "body"),
    ],
)
def test_whose_words_are_whose(shelf: Cline, block: str, kind: str, words: str) -> None:
    (event,) = shelf.history(user(block))
    assert (event.kind, event.text) == (kind, words)


def test_a_file_that_holds_tags_is_one_parameter(shelf: Cline) -> None:
    (event,) = shelf.history(
        assistant(
            "<write_to_file><path>x.html</path><content>\n<p><path>y</path></content>\n"
            "</content><line_count>2</line_count></write_to_file>"
        )
    )
    assert data(event)["input"] == {
        "path": "x.html",
        "content": "<p><path>y</path></content>",
        "line_count": "2",
    }


def test_a_tool_that_was_cut_off_has_what_there_is(shelf: Cline) -> None:
    (event,) = shelf.history(assistant("<execute_command><command>ls -l /ho"))
    assert (event.text, data(event)["input"]) == (
        "execute_command: ls -l /ho",
        {"command": "ls -l /ho"},
    )


def test_what_the_editor_shows_adds_tokens_times_and_errors_only(shelf: Cline) -> None:
    shelf.shown(
        {**shown(1767603601000, "task", "What?"), "conversationHistoryIndex": -1},
        {
            **request(
                1767603602000, tokensIn=10, tokensOut=2, cacheReads=5, cacheWrites=1, cost=0.1
            ),
            "conversationHistoryIndex": 0,
            "modelInfo": {"modelId": "sonnet", "providerId": "x"},
        },
        shown(1767603603000, "text", "I look."),
        shown(1767603603500, "text", "half", partial=True),
        shown(1767603604000, "error", "It broke."),
        {"ts": 1767603605000, "type": "ask", "ask": "api_req_failed", "text": "429"},
        {"ts": 1767603606000, "type": "ask", "ask": "completion_result", "text": ""},
    )
    assert told(shelf.events(TASK)) == [
        (Kind.PROVIDER_INFO, "api_req_started"),
        (Kind.PROVIDER_INFO, "It broke."),
        (Kind.PROVIDER_INFO, "429"),
    ]
    assert "request" not in data(shelf.events(TASK)[0])
    assert shelf.row().usage == Usage(input=10, output=2, cache_read=5, cache_write=1)
    assert shelf.row().model == "sonnet"
    events = shelf.history(task("What?"), assistant("I look."))
    assert [event.at for event in events] == [
        "2026-01-05T09:00:01.000Z",
        "2026-01-05T09:00:01.000Z",
        "2026-01-05T09:00:02.000Z",
    ]


def test_the_tokens_of_a_request_that_ends_later_are_counted_once(shelf: Cline) -> None:
    shelf.shown(request(1767603602000))
    (event,) = shelf.shown(request(1767603602000, tokensIn=10, tokensOut=2))
    assert event.supersedes == 0
    assert shelf.shown(request(1767603602000, tokensIn=10, tokensOut=2)) == []
    assert shelf.row().usage == Usage(input=10, output=2)


def test_thoughts_that_both_files_tell_are_told_once(shelf: Cline) -> None:
    shelf.shown(shown(1767603603000, "reasoning", "deep thought\n"))
    events = shelf.history(assistant({"type": "thinking", "thinking": "deep thought"}))
    assert events == []
    assert told(shelf.events(TASK)) == [(Kind.THINKING, "deep thought")]


# What is known again.


def test_a_history_that_grows_adds_what_is_new(shelf: Cline) -> None:
    first = (task("What?"), assistant(READ))
    shelf.history(*first)
    events = shelf.history(*first, user("[read_file for 'a.py'] Result:", "print()"))
    assert told(events) == [(Kind.TOOL_RESULT, "print()")]


def test_messages_taken_from_the_middle_repeat_nothing(shelf: Cline) -> None:
    whole = [
        task("What?"),
        assistant("one"),
        user("<feedback>\na\n</feedback>", environment(10)),
        assistant("two"),
        user("<feedback>\nb\n</feedback>", environment(11)),
        assistant("three"),
    ]
    shelf.history(*whole)
    assert shelf.history(*whole[:2], *whole[4:]) == []
    events = shelf.history(*whole[:2], *whole[4:], user("<feedback>\nc\n</feedback>"))
    assert told(events) == [(Kind.USER, "c")]


def test_a_part_added_to_a_message_is_the_only_new_one(shelf: Cline) -> None:
    shelf.history(task("What?"), assistant("one"), user("<feedback>\na\n</feedback>"))
    events = shelf.history(
        task("What?"),
        assistant("one"),
        user("[TASK RESUMPTION] It was stopped.", "<feedback>\na\n</feedback>"),
    )
    assert told(events) == [(Kind.SYSTEM, "[TASK RESUMPTION] It was stopped.")]


def test_the_same_words_said_again_are_said_again_even_behind_a_cut(shelf: Cline) -> None:
    go = user("<feedback>\ngo on\n</feedback>")
    whole = [task("What?"), assistant("0"), go, assistant("1"), go, assistant("2"), go]
    shelf.history(*whole)
    assert [event.text for event in shelf.events(TASK)].count("go on") == 3
    cut = [*whole[:2], *whole[4:]]
    assert shelf.history(*cut) == []
    assert told(shelf.history(*cut, assistant("3"), go)) == [
        (Kind.ASSISTANT, "3"),
        (Kind.USER, "go on"),
    ]


# Sessions of the command line.


def test_a_session_becomes_these_events(shelf: Cline) -> None:
    manifest = {
        "version": 1,
        "session_id": SESSION,
        "started_at": AT,
        "cwd": "/home/hana/src/tidepool",
        "model": "sonnet",
        "pid": 7,
        "metadata": {"title": "Tides", "totalCost": 1},
        "novelty": 1,
    }
    shelf.read(f"sessions/{SESSION}/{SESSION}.json", json.dumps(manifest).encode())
    events = shelf.session(
        user('<user_input mode="act">Look</user_input>', id="m1"),
        assistant(
            {"type": "thinking", "thinking": "hm"},
            use("t1", "read_files", path="a.py"),
            id="m2",
            ts=1767603601000,
            modelInfo={"id": "claude-sonnet", "provider": "anthropic"},
        ),
        user(result("t1", {"lines": 3}), id="m3"),
        assistant(
            "Three lines.",
            id="m4",
            ts=1767603602000,
            metrics={
                "inputTokens": 21,
                "outputTokens": 8,
                "cacheReadTokens": 3,
                "cacheWriteTokens": 1,
                "cost": 0.13,
            },
        ),
        system_prompt="You are.",
    )
    assert told(events) == [
        (Kind.USER, "Look"),
        (Kind.THINKING, "hm"),
        (Kind.TOOL_CALL, "read_files: a.py"),
        (Kind.TOOL_RESULT, '{"lines":3}'),
        (Kind.ASSISTANT, "Three lines."),
        (Kind.PROVIDER_INFO, "tokens"),
        (Kind.PROVIDER_INFO, "system_prompt"),
    ]
    row = shelf.row(SESSION)
    assert [event.at for event in events[:2]] == [AT, "2026-01-05T09:00:01.000Z"]
    assert row.usage == Usage(input=17, output=8, cache_read=3, cache_write=1)
    assert (row.title, row.project, row.model) == ("Tides", manifest["cwd"], "claude-sonnet")
    assert row.started_at == AT
    assert [each.type for each in shelf.reader.unknown_types()] == ["novelty (member)"]


def test_a_message_with_an_id_that_grows_supersedes(shelf: Cline) -> None:
    shelf.session(user("Look", id="m1"), assistant("harb", id="m2"))
    (event,) = shelf.session(user("Look", id="m1"), assistant("harbour", id="m2"))
    assert (event.text, event.supersedes) == ("harbour", 1)


@pytest.mark.parametrize("path", ["explorer.messages.json", "explorer/x1.messages.json"])
def test_a_subagent_is_linked_to_its_parent(shelf: Cline, path: str) -> None:
    shelf.read(f"sessions/{SESSION}/{path}", session(user("Look", id="m1")))
    name = path.removesuffix(".messages.json")
    assert shelf.row(f"{SESSION}/{name}").parent == session_id("cline", SESSION)


# Odd ones.


@pytest.mark.parametrize(
    ("message", "unknown"),
    [
        ({"role": "oracle", "content": []}, "oracle"),
        (assistant({"type": "novelty"}), "assistant/novelty"),
        (user(*["x"] * 5_000), "user (too many parts)"),
        ({"content": "x"}, "(no type)"),
    ],
)
def test_what_nobody_knows_is_kept_raw_and_counted(
    shelf: Cline, message: Any, unknown: str
) -> None:
    events = shelf.history(message)
    assert [event.kind for event in events] == [Kind.PROVIDER_RAW]
    assert [each.type for each in shelf.reader.unknown_types()] == [unknown]
    assert shelf.history(message) == []


@pytest.mark.parametrize(
    ("path", "session_", "parent"),
    [
        (f"tasks/{TASK}/api_conversation_history.json", TASK, ""),
        (f"tasks/{TASK}/ui_messages.json", TASK, ""),
        (f"tasks/{TASK}/task_metadata.json", None, ""),
        (f"tasks/{TASK}/x/ui_messages.json", None, ""),
        (f"sessions/{SESSION}/{SESSION}.json", SESSION, ""),
        (f"sessions/{SESSION}/{SESSION}.messages.json", SESSION, ""),
        (f"sessions/{SESSION}/{SESSION}.compaction.json", None, ""),
        (f"sessions/{SESSION}/a.messages.json", f"{SESSION}/a", SESSION),
        ("settings/x.json", None, ""),
    ],
)
def test_files_are_told_apart_by_their_places(path: str, session_: str | None, parent: str) -> None:
    log = Agent(["/c"]).identify(f"/c/{path}")
    assert (log.agent_session_id if log else None) == session_
    assert (log.parent if log else "") == parent


def test_checkpoints_are_not_entered() -> None:
    source = Agent(["/c"])
    assert [
        source.enters(f"/c/{folder}")
        for folder in (
            "tasks/1",
            "tasks/1/checkpoints",
            "sessions/s",
            "sessions/s/a",
            "sessions/s/a/b",
        )
    ] == [True, False, True, True, False]


def test_its_own_variables_say_where_it_is() -> None:
    assert Agent.default_place({"CLINE_DATA_DIR": "/x"}).roots == ["/x/"]
    assert Agent.default_place({"CLINE_DIR": "/x"}).roots == ["/x/data"]
    roots = Agent.default_place({}).roots
    assert roots[0] == "~/.cline/data"
    assert "~/.config/Code/User/globalStorage/saoudrizwan.claude-dev" in roots
