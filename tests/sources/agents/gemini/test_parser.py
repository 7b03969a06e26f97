"""What each message of Gemini CLI becomes, by example."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from holdfast.events import Event, Kind, Usage, session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.journal.model import SearchQuery, SessionRow, TitleRank
from holdfast.sources.agents.gemini import Agent
from holdfast.sources.wholefiles import OVERSIZED_TYPE
from tests.support.gemini import (
    AT,
    PROJECT,
    SESSION,
    SESSION_ID,
    document,
    gemini,
    head,
    lines,
    tokens,
    tool,
    user,
)
from tests.support.items import ItemShelf

PICTURE: Final = base64.b64encode(b"picture" * 800).decode()


class Gemini(ItemShelf):
    """A root of Gemini CLI's, and what is read of it."""

    def __init__(self, folder: Path) -> None:
        limits = ReadingLimits(block_bytes=65_536, max_line_bytes=65_536)
        super().__init__(folder, Agent, limits)

    def path(self, name: str) -> Path:
        path = self.root / "tmp" / PROJECT / "chats" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def read(self, content: bytes, name: str = f"{SESSION}.json") -> list[Event]:
        """The events that reading this adds."""
        path = self.path(name)
        session = self._session_of(path)
        before = len(self.events(session))
        path.write_bytes(content)
        self.catch_up()
        ledger = self.cursor(path).ledger
        assert ledger.consumed == len(content)
        return self.events(session)[before:]

    def _session_of(self, path: Path) -> str:
        log = self.source.identify(str(path))
        assert log is not None
        found: str = log.agent_session_id
        return found

    def row(self, name: str = SESSION) -> SessionRow:
        row = self.reader.session(session_id("gemini", name))
        assert row is not None
        return row


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Gemini]:
    made = Gemini(tmp_path)
    yield made
    made.close()


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.kind, event.text) for event in events]


def data(event: Event) -> Any:
    return msgspec.json.decode(event.data)


def name(event: Event) -> str:
    assert event.source is not None
    return event.source.uuid


# What is said.


def test_a_small_conversation_becomes_these_events(shelf: Gemini) -> None:
    events = shelf.read(
        document(
            user("m1", [{"text": "What is here?"}]),
            gemini(
                "m2",
                "Two files.",
                thoughts=[{"subject": "Looking", "description": "around", "timestamp": AT}],
                toolCalls=[tool("t1", "a.py\nb.py")],
                tokens=tokens(100, 10, cached=40, thoughts=5, tool=3),
                model="gemini-3-flash",
            ),
        )
    )
    assert [(event.kind, event.text, name(event)) for event in events] == [
        (Kind.USER, "What is here?", "m1"),
        (Kind.THINKING, "Looking\naround", "m2/thought/0"),
        (Kind.ASSISTANT, "Two files.", "m2"),
        (Kind.TOOL_CALL, "run_shell_command: ls t1", "t1/call"),
        (Kind.TOOL_RESULT, "a.py\nb.py", "t1/result"),
        (Kind.PROVIDER_INFO, "tokens", "m2/tokens"),
    ]
    assert data(events[3]) == {
        "tool_use_id": "t1",
        "name": "run_shell_command",
        "input": {"command": "ls t1"},
    }
    assert data(events[4]) == {"tool_use_id": "t1", "name": "run_shell_command"}
    assert {event.turn for event in events} == {1}
    row = shelf.row()
    assert (row.title, row.model, row.started_at) == ("What is here?", "gemini-3-flash", AT)
    assert row.usage == Usage(input=103, output=15, cache_read=40)


def test_what_the_person_typed_is_what_was_displayed(shelf: Gemini) -> None:
    whole = [{"text": "look at @a.py"}, {"text": "--- a.py ---\nprint()"}]
    (event,) = shelf.read(document(user("m1", whole, displayContent=[{"text": "look at @a.py"}])))
    assert event.text == "look at @a.py"
    assert data(event) == {"original": "look at @a.py\n--- a.py ---\nprint()"}


def test_context_and_summaries_are_not_the_persons_words(shelf: Gemini) -> None:
    events = shelf.read(
        document(
            user("m0", [{"text": "<session_context>\nToday is Monday."}]),
            user("m1", "<state_snapshot>we did x</state_snapshot>"),
            user("m2", "go on"),
        )
    )
    assert [event.kind for event in events] == [Kind.SYSTEM, Kind.SESSION_SUMMARIZED, Kind.USER]
    assert shelf.row().title == "go on"


@pytest.mark.parametrize("level", ["info", "error", "warning"])
def test_notes_are_of_the_program(shelf: Gemini, level: str) -> None:
    (event,) = shelf.read(document({"id": "m1", "type": level, "content": "Cancelled."}))
    assert (event.kind, event.text, data(event)) == (Kind.SYSTEM, "Cancelled.", {"level": level})


def test_a_message_of_the_model_with_parts_is_one_of_gemini(shelf: Gemini) -> None:
    message = {"id": "m1", "type": "model", "parts": [{"text": "O"}, {"text": "k"}]}
    (event,) = shelf.read(document(message))
    assert (event.kind, event.text) == (Kind.ASSISTANT, "Ok")


def test_parts_that_are_no_text_are_told_where_they_stand(shelf: Gemini) -> None:
    events = shelf.read(
        document(
            user(
                "m1",
                [
                    {"text": "see"},
                    {"inlineData": {"mimeType": "image/png", "data": PICTURE}},
                    {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://x/y.pdf"}},
                    {"videoMetadata": {"fps": 1}},
                ],
            ),
            gemini(
                "m2",
                [
                    {"text": "hm", "thought": True},
                    {"text": "so"},
                    {"functionCall": {"id": "f1", "name": "glob", "args": {"pattern": "*"}}},
                ],
            ),
            user("m3", [{"functionResponse": {"id": "f1", "name": "glob", "response": {"n": 1}}}]),
        )
    )
    assert told(events) == [
        (Kind.USER, "see"),
        (Kind.USER, "[image: image/png, 5,600 bytes]"),
        (Kind.USER, "[application: application/pdf, 0 bytes]"),
        (Kind.PROVIDER_RAW, ""),
        (Kind.ASSISTANT, "so"),
        (Kind.THINKING, "hm"),
        (Kind.TOOL_CALL, "glob: *"),
        (Kind.TOOL_RESULT, '{"n":1}'),
    ]
    digest = data(events[1])["blob"]
    assert digest == hashlib.blake2b(b"picture" * 800, digest_size=20).hexdigest()
    assert data(events[2])["url"] == "gs://x/y.pdf"
    assert [each.type for each in shelf.reader.unknown_types()] == ["user/part"]
    assert [name(event) for event in events[-2:]] == ["f1/call", "f1/result"]


def test_results_that_failed_say_so_and_pictures_in_them_are_named(shelf: Gemini) -> None:
    refused = tool("t1", status="cancelled", resultDisplay="Denied.")
    broken = tool("t2", status="error", agentId="explorer")
    broken["result"] = [{"functionResponse": {"id": "t2", "response": {"error": "no such file"}}}]
    seen = tool("t3", "one", status="success")
    seen["result"] += [{"inlineData": {"mimeType": "image/png", "data": PICTURE}}, {"odd": 1}]
    events = shelf.read(document(gemini("m1", toolCalls=[refused, broken, seen])))
    results = [event for event in events if event.kind == Kind.TOOL_RESULT]
    assert [event.text for event in results] == ["Denied.", "no such file", "one"]
    assert data(results[0])["is_error"] is True
    assert data(results[1]) == {
        "tool_use_id": "t2",
        "name": "run_shell_command",
        "is_error": True,
        "agent": "explorer",
    }
    assert data(results[2])["images"][0]["bytes"] == 5_600
    assert data(results[2])["others"] == [{"odd": 1}]


# What changes in place.


def test_a_result_that_comes_later_is_a_new_event_and_nothing_else_is(shelf: Gemini) -> None:
    asked = user("m1", "What is here?")
    shelf.read(document(asked, gemini("m2", toolCalls=[tool("t1")])))
    events = shelf.read(
        document(asked, gemini("m2", toolCalls=[tool("t1", "a.py")], tokens=tokens(10, 1)))
    )
    assert told(events) == [(Kind.TOOL_RESULT, "a.py"), (Kind.PROVIDER_INFO, "tokens")]
    assert [event.supersedes for event in events] == [None, None]
    assert shelf.row().usage == Usage(input=10, output=1)


def test_text_that_grows_supersedes_and_its_tokens_are_counted_once(shelf: Gemini) -> None:
    shelf.read(document(gemini("m1", "harb", tokens=tokens(10, 1))))
    thought = {"subject": "s", "description": "d"}
    events = shelf.read(document(gemini("m1", "harbour", thoughts=[thought], tokens=tokens(10, 5))))
    assert [(event.kind, event.supersedes) for event in events] == [
        (Kind.THINKING, None),
        (Kind.ASSISTANT, 0),
        (Kind.PROVIDER_INFO, 1),
    ]
    assert shelf.row().usage == Usage(input=10, output=5)
    assert [hit.seq for hit in shelf.reader.search(SearchQuery(words="harb*"))] == [3]


def test_a_document_that_is_laid_out_otherwise_is_the_same(shelf: Gemini) -> None:
    messages = (user("m1", "a"), gemini("m2", "b", toolCalls=[tool("t1", "x")]))
    shelf.read(document(*messages, indent=2))
    assert shelf.read(document(*messages, indent=None)) == []


def test_events_are_lines_however_the_document_is_laid_out(shelf: Gemini) -> None:
    shelf.read(document(gemini("m1", toolCalls=[tool("t1", "x")]), novelty={"a": [1, 2]}))
    stored = b"".join(shelf.reader.read(session_id("gemini", SESSION)))
    assert stored.count(b"\n") == len(shelf.events(SESSION)) > 2


# What is said of the session.


def test_the_summary_is_the_title_and_a_better_one_takes_its_place(shelf: Gemini) -> None:
    shelf.read(document(user("m1", "a")))
    events = shelf.read(document(user("m1", "a"), summary="Tides"))
    assert told(events) == [(Kind.SESSION_TITLED, "Tides")]
    assert (shelf.row().title, shelf.row().title_rank) == ("Tides", TitleRank.SUMMARY)
    (event,) = shelf.read(document(user("m1", "a"), summary="Tides of March"))
    assert event.supersedes == 1
    assert shelf.row().title == "Tides of March"


def test_members_that_nobody_knows_are_kept_raw_and_counted_once(shelf: Gemini) -> None:
    for text in ("a", "b"):
        shelf.read(document(user("m1", text), novelty={"x": 1}, directories=["/home/hana"]))
    kinds = [event.kind for event in shelf.events(SESSION)]
    assert kinds.count(Kind.PROVIDER_RAW) == kinds.count(Kind.PROVIDER_INFO) == 1
    assert [(each.type, each.records) for each in shelf.reader.unknown_types()] == [
        ("novelty (member)", 1)
    ]


@pytest.mark.parametrize("how", ["marker", "name", "hash", "nothing"])
def test_a_project_is_the_path_that_the_agent_wrote_down(shelf: Gemini, how: str) -> None:
    path = "/home/hana/src/tidepool"
    chats = shelf.path("x").parent
    if how == "hash":
        hashed = hashlib.sha256(path.encode()).hexdigest()
        chats.parent.rename(chats.parent.parent / hashed)
        chats = chats.parent.parent / hashed / "chats"
    if how == "marker":
        (chats.parent / ".project_root").write_text(path + "\n")
    elif how != "nothing":
        written = {"projects": {"/home/hana/other": "other", path: PROJECT}}
        (shelf.root / "projects.json").write_text(json.dumps(written))
    (chats / f"{SESSION}.json").write_bytes(document(user("m1", "a")))
    shelf.catch_up()
    assert shelf.row().project == ("" if how == "nothing" else path)
    assert {event.cwd for event in shelf.events(SESSION)} == {shelf.row().project}


def test_a_subagent_is_linked_to_its_parent(shelf: Gemini) -> None:
    shelf.read(lines(head(kind="main"), user("m1", "look")), f"{SESSION}.jsonl")
    child = shelf.read(lines(head(kind="subagent"), user("m1", "x")), f"{SESSION_ID}/a1.jsonl")
    row = shelf.row(f"{SESSION_ID}/a1")
    assert row.parent == shelf.row().id
    assert told(child) == [(Kind.USER, "x")]


def test_a_subagent_whose_parent_is_gone_names_it_all_the_same(shelf: Gemini) -> None:
    shelf.read(lines(head(), user("m1", "x")), f"{SESSION_ID}/a1.jsonl")
    assert shelf.row(f"{SESSION_ID}/a1").parent == session_id("gemini", SESSION_ID)


# Lines that change others.


def test_of_the_lines_that_repeat_a_message_the_last_one_counts(shelf: Gemini) -> None:
    content = lines(
        head(),
        user("m1", "What is here?"),
        gemini("m2", toolCalls=[tool("t1")]),
        {"$set": {"lastUpdated": AT}},
        gemini("m2", toolCalls=[tool("t1", "a.py")]),
        gemini("m2", "One.", toolCalls=[tool("t1", "a.py")], tokens=tokens(5, 2)),
    )
    events = shelf.read(content, f"{SESSION}.jsonl")
    assert [event.kind for event in events] == [
        Kind.USER,
        Kind.ASSISTANT,
        Kind.TOOL_CALL,
        Kind.TOOL_RESULT,
        Kind.PROVIDER_INFO,
    ]
    assert shelf.read(content + b"\n", f"{SESSION}.jsonl") == []


def test_lines_that_are_read_as_they_come_end_at_the_same(shelf: Gemini) -> None:
    records = [
        head(),
        user("m1", "a"),
        gemini("m2", "o"),
        gemini("m2", "ok", tokens=tokens(5, 2)),
        user("m3", "b"),
        {"$set": {"summary": "T"}},
        {"$set": {"summary": "Title"}},
    ]
    for end in range(1, len(records) + 1):
        shelf.read(lines(*records[:end]), f"{SESSION}.jsonl")
    superseded = {event.supersedes for event in shelf.events(SESSION)}
    newest = [event for event in shelf.events(SESSION) if event.seq not in superseded]
    assert sorted(told(newest)) == sorted(
        [
            (Kind.USER, "a"),
            (Kind.ASSISTANT, "ok"),
            (Kind.PROVIDER_INFO, "tokens"),
            (Kind.USER, "b"),
            (Kind.SESSION_TITLED, "Title"),
        ]
    )
    assert shelf.row().usage == Usage(input=5, output=2)


def test_what_was_rewound_is_kept_and_it_is_said_that_it_was(shelf: Gemini) -> None:
    events = shelf.read(
        lines(head(), user("m1", "a"), user("m2", "no"), {"$rewindTo": "m2"}, user("m3", "b")),
        f"{SESSION}.jsonl",
    )
    assert told(events) == [
        (Kind.USER, "a"),
        (Kind.USER, "no"),
        (Kind.PROVIDER_INFO, "rewound to before m2"),
        (Kind.USER, "b"),
    ]


def test_a_shortened_context_adds_what_is_new_in_it_and_takes_nothing_away(shelf: Gemini) -> None:
    masked = gemini("m2", toolCalls=[tool("t1", "[output cut out]")])
    records = [
        head(),
        user("m1", "a"),
        gemini("m2", toolCalls=[tool("t1", "all of it")]),
        {"$set": {"messages": [user("s1", "<state_snapshot>so far"), masked]}},
        {"$set": {"messages": [user("s1", "<state_snapshot>so far and on"), masked]}},
    ]
    events = shelf.read(lines(*records), f"{SESSION}.jsonl")
    assert told(events) == [
        (Kind.USER, "a"),
        (Kind.TOOL_CALL, "run_shell_command: ls t1"),
        (Kind.TOOL_RESULT, "all of it"),
        (Kind.SESSION_SUMMARIZED, "<state_snapshot>so far and on"),
    ]


def test_a_document_that_becomes_lines_repeats_nothing(shelf: Gemini) -> None:
    messages = (user("m1", "a"), gemini("m2", "b", tokens=tokens(5, 2)))
    shelf.read(document(*messages))
    events = shelf.read(lines(head(), *messages, user("m3", "c")), f"{SESSION}.jsonl")
    assert told(events) == [(Kind.USER, "c")]
    assert events[0].turn == 2
    assert shelf.row().usage == Usage(input=5, output=2)


def test_a_torn_line_is_bad_until_its_end_comes(shelf: Gemini) -> None:
    whole = lines(head(), user("m1", "a"), user("m2", "b"))
    assert len(shelf.read(whole[:-20], f"{SESSION}.jsonl")) == 1
    assert shelf.cursor(shelf.path(f"{SESSION}.jsonl")).ledger.bad > 0
    assert told(shelf.read(whole, f"{SESSION}.jsonl")) == [(Kind.USER, "b")]
    assert shelf.cursor(shelf.path(f"{SESSION}.jsonl")).ledger.bad == 0


# Odd ones.


def test_an_item_over_the_cap_is_streamed_to_a_payload_once(shelf: Gemini) -> None:
    giant = user("m1", "x" * 100_000)
    events = shelf.read(document(giant, user("m2", "a")))
    assert told(events)[1] == (Kind.USER, "a")
    assert events[0].kind == Kind.PROVIDER_RAW
    about = data(events[0])
    assert about["type"] == OVERSIZED_TYPE
    assert about["bytes"] > 100_000
    assert b"".join(shelf.blobs.get(about["blob"])).startswith(b'{\n      "id": "m1"')
    assert shelf.read(document(giant, user("m2", "a"), user("m3", "b")))[0].text == "b"
    (event,) = shelf.read(document(user("m1", "y" * 100_001), user("m2", "a"), user("m3", "b")))
    assert event.supersedes == 0


def test_a_message_without_an_id_is_known_by_its_content(shelf: Gemini) -> None:
    nameless = {"type": "user", "content": "a"}
    assert len(shelf.read(document(nameless, nameless))) == 2
    assert shelf.read(document(nameless, nameless, indent=None)) == []
    assert len(shelf.read(document(nameless, {"type": "user", "content": "b"}, nameless))) == 1


def test_a_giant_name_is_kept_short(shelf: Gemini) -> None:
    (one, two) = shelf.read(document(user("x" * 5_000 + "1", "a"), user("x" * 5_000 + "2", "b")))
    assert len(name(one)) < 64
    assert name(one) != name(two)


@pytest.mark.parametrize(
    "message",
    [
        {"id": "m1", "type": "novelty", "content": "?"},
        {"id": "m1"},
        {"id": "m1", "type": "gemini", "content": "", "toolCalls": [{}] * 5_000},
    ],
)
def test_what_nobody_knows_is_kept_as_it_is_and_counted(shelf: Gemini, message: Any) -> None:
    (event,) = shelf.read(document(message))
    assert (event.kind, data(event)) == (Kind.PROVIDER_RAW, message)
    assert len(shelf.reader.unknown_types()) == 1


def test_an_odd_field_costs_itself_and_not_the_message(shelf: Gemini) -> None:
    odd = gemini("m1", "so", thoughts=[7, {"subject": 1}], toolCalls={"a": 1}, tokens="many")
    events = shelf.read(document({**odd, "model": 5}))
    assert (Kind.ASSISTANT, "so") in told(events)
    assert sum(event.kind == Kind.PROVIDER_RAW for event in events) == 3
    assert shelf.row().usage == Usage()


# Whose each file is.


@pytest.mark.parametrize(
    ("path", "session"),
    [
        (f"tmp/p/chats/{SESSION}.json", SESSION),
        (f"tmp/p/chats/{SESSION}.jsonl", SESSION),
        (f"tmp/p/chats/{SESSION_ID}/a1.jsonl", f"{SESSION_ID}/a1"),
        ("tmp/p/chats/checkpoint-x.json", None),
        ("tmp/p/logs.json", None),
        ("tmp/p/checkpoints/session-1.json", None),
        ("tmp/p/chats/a/b/session-1.json", None),
        ("settings.json", None),
    ],
)
def test_sessions_are_told_from_what_else_lies_there(path: str, session: str | None) -> None:
    log = Agent(["/g"]).identify(f"/g/{path}")
    assert (log.agent_session_id if log else None) == session
    assert log is None or log.in_place


def test_only_folders_with_chats_are_entered() -> None:
    source = Agent(["/g"])
    assert [
        source.enters(f"/g/tmp/{folder}")
        for folder in ("p", "p/chats", "p/chats/x", "p/tool-outputs", "p/checkpoints/x")
    ] == [True, True, True, False, False]


def test_its_own_variable_says_where_it_is() -> None:
    assert Agent.default_place({"GEMINI_CLI_HOME": "/x"}).roots == ["/x/.gemini"]
    assert Agent.default_place({}).roots == ["~/.gemini"]
