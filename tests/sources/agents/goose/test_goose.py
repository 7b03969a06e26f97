"""Goose's database: rows are kept once, however often Goose writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from holdfast.events import Kind, Usage
from holdfast.journal.model import TitleRank
from holdfast.sources.agents.goose import Agent, tables
from holdfast.sources.base import ItemSource
from tests.support.rows import MAX_ITEM_BYTES, Kept

A: Final = "20260225_1"
SCHEMA: Final = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, name TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '',
    user_set_name BOOLEAN DEFAULT FALSE, session_type TEXT NOT NULL DEFAULT 'user',
    working_dir TEXT NOT NULL, created_at TIMESTAMP DEFAULT '2026-02-25 06:13:20',
    updated_at TIMESTAMP DEFAULT '2026-02-25 06:13:20',
    accumulated_input_tokens INTEGER, accumulated_output_tokens INTEGER, model_config_json TEXT
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, role TEXT NOT NULL,
    content_json TEXT NOT NULL, created_timestamp INTEGER NOT NULL,
    timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP, tokens INTEGER, metadata_json TEXT
);
"""
Part = dict[str, Any]


class World:
    def __init__(self, folder: Path) -> None:
        (folder / "goose" / "sessions").mkdir(parents=True)
        self.store = str(folder / "goose" / "sessions" / "sessions.db")
        self.theirs = apsw.Connection(self.store)
        self.theirs.execute("PRAGMA journal_mode = WAL").fetchall()
        self.theirs.execute(SCHEMA).fetchall()
        self.source = Agent([str(folder / "goose")])
        self.kept = Kept(self.source, folder)

    def session(self, name: str = A, title: str = "") -> None:
        query = "INSERT INTO sessions (id, name, working_dir) VALUES (?, ?, '/home/hana')"
        self.theirs.execute(query, (name, title))

    def says(self, role: str, *parts: Part, at: int = 1_772_000_000, hidden: bool = False) -> None:
        query = (
            "INSERT INTO messages (session_id, role, content_json, created_timestamp, "
            "metadata_json) VALUES (?, ?, ?, ?, ?)"
        )
        about = json.dumps({"userVisible": not hidden, "agentVisible": True})
        self.theirs.execute(query, (A, role, json.dumps(parts), at, about))

    def catch_up(self) -> list[str]:
        return self.kept.catch_up(self.store)


def text(words: str) -> Part:
    return {"type": "text", "text": words}


def request(name: str) -> Part:
    call = {"status": "success", "value": {"name": name, "arguments": {"command": "ls"}}}
    return {"type": "toolRequest", "id": "call_1", "toolCall": call}


def response(value: Any, status: str = "success") -> Part:
    key = "value" if status == "success" else "error"
    return {"type": "toolResponse", "id": "call_1", "toolResult": {"status": status, key: value}}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.theirs.close()


def test_it_is_a_source_of_items() -> None:
    assert isinstance(Agent([]), ItemSource)


def test_a_conversation_becomes_its_events(world: World) -> None:
    world.session(title="Tides")
    world.says("user", text("Where is the tide?"))
    world.says("assistant", {"type": "thinking", "thinking": "Hm."}, text("Let me see"))
    world.says("assistant", request("developer__shell"))
    world.says("user", response({"content": [text("a b")], "isError": False}))
    world.says("assistant", {"type": "systemNotification", "msg": "slow"}, {"type": "mood"})
    world.says("user", text("a summary"), hidden=True)
    assert world.catch_up() == [A]
    assert world.kept.said(A) == [
        (Kind.SESSION_TITLED, "Tides"),
        (Kind.USER, "Where is the tide?"),
        (Kind.THINKING, "Hm."),
        (Kind.ASSISTANT, "Let me see"),
        (Kind.TOOL_CALL, "developer__shell: ls"),
        (Kind.TOOL_RESULT, "a b"),
        (Kind.PROVIDER_INFO, "systemNotification: slow"),
        (Kind.PROVIDER_RAW, ""),
        (Kind.SYSTEM, "a summary"),
    ]
    facts = world.kept.facts[A]
    assert (facts.title, facts.title_rank, facts.cwd) == ("Tides", TitleRank.AGENT, "/home/hana")
    assert world.kept.unknown == {"assistant/mood": 1}


@pytest.mark.parametrize(
    ("value", "status", "told", "failed"),
    [
        ([text("a"), text("b")], "success", "a\nb", False),  # of older versions
        ({"content": [text("no")], "isError": True}, "success", "no", True),
        ("not allowed", "error", "not allowed", True),
    ],
)
def test_results_of_all_spellings_are_read(
    world: World, value: Any, status: str, told: str, *, failed: bool
) -> None:
    world.session()
    world.says("user", response(value, status))
    world.catch_up()
    [event] = world.kept.events(A)
    assert event.text == told
    assert json.loads(bytes(event.data)).get("is_error", False) is failed


def test_new_rows_are_read_and_no_others(world: World) -> None:
    world.session()
    world.says("user", text("one"))
    world.catch_up()
    assert world.catch_up() == []
    world.says("user", text("two"))
    assert world.catch_up() == [A]
    query = "SELECT sum(length(content_json)) FROM messages"
    weight = world.kept.ledger(f"{world.store}#{A}").consumed
    assert world.theirs.execute(query).fetchall() == [(weight,)]
    assert [event.text for event in world.kept.events(A)] == ["one", "two"]


def test_a_conversation_that_goose_writes_anew_repeats_nothing(world: World) -> None:
    world.session()
    for number in range(5):
        world.says("user", text(f"question {number}"))
    world.catch_up()
    world.theirs.execute("DELETE FROM messages")
    world.says("user", text("what was before"), hidden=True)
    world.says("user", text("question 4"))
    world.says("user", text("question 5"))
    world.catch_up()
    assert [event.text for event in world.kept.events(A)] == [
        *[f"question {number}" for number in range(5)],
        "what was before",
        "question 5",
    ]


def test_the_same_words_twice_in_a_second_are_two_messages(world: World) -> None:
    world.session()
    world.says("user", text("go on"))
    world.catch_up()
    world.says("user", text("go on"))
    world.says("user", text("go on"), at=1_772_000_001)
    world.catch_up()
    assert [event.text for event in world.kept.events(A)] == ["go on"] * 3


def test_tokens_are_what_the_session_says_it_took(world: World) -> None:
    world.session()
    world.says("user", text("one"))
    spend = (
        "UPDATE sessions SET accumulated_input_tokens = ?, accumulated_output_tokens = ?, "
        "updated_at = '2026-02-25 06:13:21'"
    )
    for spent in ((100, 10), (250, 30)):
        world.theirs.execute(spend, spent)
        world.catch_up()
    assert world.kept.usage[A] == Usage(250, 30)


def test_a_row_over_the_cap_goes_to_a_payload_unread(world: World) -> None:
    world.session()
    world.says("user", text("x" * MAX_ITEM_BYTES))
    world.catch_up()
    about = json.loads(bytes(world.kept.events(A)[0].data))
    stored = b"".join(world.kept.blobs.get(about["blob"]))
    assert json.loads(stored) == [text("x" * MAX_ITEM_BYTES)]


@pytest.mark.parametrize("content", ["[", "{}", "null", "[7]", ""])
def test_a_row_that_is_not_as_it_should_be_costs_itself_only(world: World, content: str) -> None:
    world.session()
    world.says("user", text("before"))
    world.says("user")
    world.theirs.execute("UPDATE messages SET content_json = ? WHERE id = 2", (content,))
    world.says("user", text("behind"))
    world.catch_up()
    texts = [event.text for event in world.kept.events(A)]
    assert (texts[0], texts[-1]) == ("before", "behind")


@pytest.mark.parametrize("at", ["yesterday", b"\xff", float("inf"), 10**18, "1772000000"])
def test_a_time_that_is_none_costs_itself_only(world: World, at: Any) -> None:
    world.session()
    world.says("user", text("before"))
    world.says("user", text("of no time"))
    world.theirs.execute("UPDATE messages SET created_timestamp = ? WHERE id = 2", (at,))
    world.says("user", text("behind"))
    world.catch_up()
    assert [event.text for event in world.kept.events(A)] == ["before", "of no time", "behind"]


def test_columns_of_other_types_cost_themselves_only(world: World) -> None:
    world.session()
    world.says("user", text("one"))
    world.theirs.execute("UPDATE messages SET role = x'ff'")
    world.theirs.execute("UPDATE sessions SET accumulated_output_tokens = '1.5'")
    world.catch_up()
    [(_log, stamp)] = world.source.logs(world.store)
    assert type(stamp.mtime_ns) is int
    assert len(world.kept.events(A)) == 1


def test_a_database_of_the_first_version_is_read(world: World) -> None:
    world.session(title="Tides")
    world.says("user", text("one"))
    for column in ("name", "user_set_name", "accumulated_input_tokens", "model_config_json"):
        world.theirs.execute(f"ALTER TABLE sessions DROP COLUMN {column}")
    world.theirs.execute("ALTER TABLE messages DROP COLUMN metadata_json")
    world.catch_up()
    assert [event.text for event in world.kept.events(A)] == ["one"]


def test_between_walks_only_the_newest_are_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LIVE_ROWS", 2)
    for number in range(9):
        world.session(f"s{number}")
        at = f"2026-02-25 06:13:{20 + number}"
        world.theirs.execute(f"UPDATE sessions SET updated_at = '{at}' WHERE id = 's{number}'")
    found = [log.agent_session_id for log, _stamp in world.source.logs(world.store, 1)]
    assert found == ["s8", "s7"]
    assert len(list(world.source.logs(world.store))) == 9


def test_only_its_database_is_looked_into(world: World) -> None:
    source, store = world.source, world.store
    assert source.store_of(f"{store}-wal") == source.store_of(store) == store
    assert source.store_of(store.replace("sessions.db", "backups/sessions.db")) is None
    assert not source.enters(store.replace("sessions.db", "backups"))
    assert source.identify(store) is None
    log = source.identify(f"{store}#{A}")
    assert log is not None
    assert log.key == f"{store}#{A}"


def test_the_place_is_where_the_variables_say() -> None:
    assert Agent.default_place({"GOOSE_PATH_ROOT": "/g"}).roots == ["/g/data"]
    assert Agent.default_place({"XDG_DATA_HOME": "/d"}).roots == ["/d/goose"]
    assert Agent.default_place({}).roots == ["~/.local/share/goose"]


def test_a_session_that_stands_there_twice_is_one(world: World) -> None:
    world.session()
    world.says("user", text("one"))
    world.theirs.execute(
        "CREATE TABLE copy AS SELECT * FROM sessions UNION ALL SELECT * FROM sessions;"
        "DROP TABLE sessions; ALTER TABLE copy RENAME TO sessions"
    ).fetchall()
    assert world.catch_up() == [A]
    assert world.catch_up() == []
    assert [event.text for event in world.kept.events(A)] == ["one"]


def test_a_result_is_told_the_same_whenever_its_request_was_read(world: World) -> None:
    world.session()
    world.says("assistant", request("developer__shell"))
    world.catch_up()
    world.says("user", response({"content": [text("a b")]}))
    world.catch_up()
    world.theirs.execute("DELETE FROM messages WHERE id = 1")
    world.catch_up()
    assert [event.kind for event in world.kept.events(A)] == [Kind.TOOL_CALL, Kind.TOOL_RESULT]


def test_half_a_character_in_an_unfamiliar_shape_is_mended(world: World) -> None:
    world.session()
    world.says("user")
    world.theirs.execute("UPDATE messages SET content_json = ?", ('{"more":"\\ud83d"}',))
    world.catch_up()
    [event] = world.kept.events(A)
    assert json.loads(bytes(event.data)) == {"more": "\ufffd"}
