"""OpenCode's database: what changed in it is found, kept once, and superseded when it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.demo.opencode import MODEL, OpenCode, tool_part
from holdfast.events import Kind, Usage, session_id
from holdfast.sources.agents.opencode import Agent, tables
from holdfast.sources.agents.opencode.telling import QUIET_MS
from holdfast.sources.base import ItemSource
from tests.support.rows import MAX_ITEM_BYTES, Kept

A: Final = "ses_a"
ASSISTANT: Final = {"role": "assistant", **MODEL}


class World:
    """A person with OpenCode, and what is kept of their sessions."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "opencode"
        self.root.mkdir()
        self.store = str(self.root / "opencode.db")
        self.theirs = OpenCode(self.store)
        self.source = Agent([str(self.root)])
        self.source.now_ms = lambda: self.theirs.now_ms + 1.0
        self.kept = Kept(self.source, folder)

    def catch_up(self, since_ns: int = 0) -> list[str]:
        return self.kept.catch_up(self.store, since_ns)

    def texts(self, name: str = A) -> list[str]:
        return [event.text for event in self.kept.events(name)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.theirs.close()


def text(words: str, *, start: int, end: int | None = None) -> dict[str, Any]:
    over = {"start": start} | ({"end": end} if end else {})
    return {"type": "text", "text": words, "time": over}


def test_it_is_a_source_of_items() -> None:
    assert isinstance(Agent([]), ItemSource)


def test_a_conversation_becomes_its_events_in_order(world: World) -> None:
    world.theirs.session(A)
    world.theirs.asks(A, "Where is the tide?")
    world.theirs.answers(A, "It is low", tool="bash")
    assert world.catch_up() == [A]
    assert world.kept.said(A) == [
        (Kind.USER, "Where is the tide?"),
        (Kind.THINKING, "Hm. It is low"),
        (Kind.TOOL_CALL, "bash: bash --deep"),
        (Kind.TOOL_RESULT, "It is low from bash"),
        (Kind.ASSISTANT, "It is low"),
        (Kind.PROVIDER_INFO, "step finished: stop"),
    ]
    facts = world.kept.facts[A]
    assert (facts.title, facts.project, facts.model) == (
        "Where is the tide?",
        "/home/hana/src/tidepool",
        "claude-tide-4",
    )
    assert [event.turn for event in world.kept.events(A)] == [1] * 6


def test_every_byte_of_the_rows_is_accounted_for(world: World) -> None:
    world.theirs.session(A)
    world.theirs.asks(A, "Where is the tide?")
    world.theirs.answers(A, "It is low", tool="bash")
    world.catch_up()
    query = (
        "SELECT (SELECT sum(length(CAST(data AS BLOB))) FROM part) + "
        "(SELECT sum(length(CAST(data AS BLOB))) FROM message)"
    )
    [(weight,)] = world.theirs.connection.execute(query).fetchall()
    ledger = world.kept.ledger(f"{world.store}#{A}")
    assert ledger.consumed == weight
    assert ledger.skipped > 0  # the names of snapshots


def test_what_did_not_change_is_not_read_again(world: World) -> None:
    for name in (A, "ses_b"):
        world.theirs.session(name)
        world.theirs.asks(name, "Where is the tide?")
    assert world.catch_up() == [A, "ses_b"]
    assert world.catch_up() == []
    world.theirs.asks("ses_b", "And now?")
    assert world.catch_up() == ["ses_b"]
    assert world.texts("ses_b") == ["Where is the tide?", "And now?"]


def test_a_part_that_changes_supersedes_what_was_kept_of_it(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    message = theirs.message(A, ASSISTANT)
    part = theirs.part(A, message, text("low", start=5, end=6))
    world.catch_up()
    theirs.change("part", part, text("high", start=5, end=6))
    world.catch_up()
    assert world.texts() == ["low", "high"]
    assert world.kept.events(A)[1].supersedes == 0
    assert world.kept.said(A) == [(Kind.ASSISTANT, "high")]


def test_a_text_that_is_being_written_is_kept_when_it_is_finished(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    message = theirs.message(A, ASSISTANT)
    part = theirs.part(A, message, text("", start=5))
    for length in range(200):
        theirs.change("part", part, text("l" * length, start=5))
        world.catch_up()
    assert world.texts() == []
    theirs.change("part", part, text("low", start=5, end=6))
    world.catch_up()
    assert world.texts() == ["low"]
    assert world.catch_up() == []


def test_a_text_that_its_agent_died_in_is_kept_when_nothing_more_comes(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    theirs.part(A, theirs.message(A, ASSISTANT), text("the tide is", start=5))
    world.catch_up()
    assert world.texts() == []
    assert world.catch_up() == [A]  # it is looked at again as long as it may grow
    theirs.now_ms += QUIET_MS
    world.catch_up()
    assert world.texts() == ["the tide is"]
    assert world.catch_up() == []


def test_a_tool_is_told_when_it_starts_and_when_it_ends(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    message = theirs.message(A, ASSISTANT)
    part = theirs.part(A, message, tool_part("bash", "", 7, "pending"))
    world.catch_up()
    assert world.texts() == []
    theirs.change("part", part, tool_part("bash", "", 7, "running"))
    world.catch_up()
    assert world.texts() == ["bash: bash --deep"]
    theirs.change("part", part, tool_part("bash", "no such tide", 7, "error"))
    world.catch_up()
    assert world.kept.said(A) == [
        (Kind.TOOL_CALL, "bash: bash --deep"),
        (Kind.TOOL_RESULT, "no such tide"),
    ]


def test_a_row_that_arrives_late_with_an_old_time_is_not_lost(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    message = theirs.message(A, ASSISTANT)
    theirs.part(A, message, text("second", start=5, end=6))
    theirs.now_ms += 100_000
    theirs.asks(A, "later")
    world.catch_up()
    theirs.part(A, message, text("first", start=5, end=6), at_ms=1_000)
    world.catch_up()
    assert sorted(world.texts()) == ["first", "later", "second"]


def test_rows_under_reused_numbers_are_not_lost(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    theirs.asks(A, "one")
    theirs.asks(A, "two")
    world.catch_up()
    run = theirs.connection.execute
    run("DELETE FROM part WHERE data LIKE '%two%'")
    theirs.part(A, theirs.message(A, {"role": "user"}), text("three", start=1), at_ms=1_000)
    theirs.part(A, theirs.message(A, {"role": "user"}), text("four", start=1), at_ms=1_000)
    run("DELETE FROM part WHERE data LIKE '%one%'")
    run("VACUUM")
    world.catch_up()
    assert sorted(world.texts()) == ["four", "one", "three", "two"]


def test_between_walks_only_sessions_that_are_written_are_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_LIVE", {"message": 3, "part": 3, "session_message": 3})
    for number in range(20):
        world.theirs.session(f"ses_{number:02}")
        world.theirs.asks(f"ses_{number:02}", "Where is the tide?")
    world.catch_up()
    found = [log.agent_session_id for log, _stamp in world.source.logs(world.store, 1)]
    assert sorted(found) == ["ses_17", "ses_18", "ses_19"]
    world.theirs.asks("ses_03", "And here?")
    assert world.catch_up(since_ns=1) == ["ses_03"]


def test_many_sessions_are_listed_page_by_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LISTED_AT_ONCE", 7)
    names = [f"ses_{number:02}" for number in range(21)]
    for name in names:
        world.theirs.session(name)
    assert [log.agent_session_id for log, _stamp in world.source.logs(world.store)] == names


@pytest.mark.parametrize("page_bytes", [1, 100, 3_000])
def test_pages_of_any_size_give_the_same_events_once(
    world: World, monkeypatch: pytest.MonkeyPatch, page_bytes: int
) -> None:
    monkeypatch.setattr(tables, "PAGE_BYTES", page_bytes)
    monkeypatch.setattr(tables, "PAGE_MESSAGES", 3)
    world.theirs.session(A)
    for number in range(8):
        world.theirs.asks(A, f"question {number}")
        world.theirs.answers(A, f"answer {number}", tool="bash")
    world.catch_up()
    wanted = [
        each
        for number in range(8)
        for each in (
            f"question {number}",
            f"Hm. answer {number}",
            "bash: bash --deep",
            f"answer {number} from bash",
            f"answer {number}",
            "step finished: stop",
        )
    ]
    assert world.texts() == wanted
    ledger = world.kept.ledger(f"{world.store}#{A}")
    query = (
        "SELECT sum(length(data)) FROM (SELECT data FROM part UNION ALL SELECT data FROM message)"
    )
    assert world.theirs.connection.execute(query).fetchall() == [(ledger.consumed,)]


@pytest.mark.parametrize("batches", range(6))
def test_a_reading_that_was_killed_repeats_and_loses_nothing(world: World, batches: int) -> None:
    world.theirs.session(A)
    for number in range(30):
        world.theirs.asks(A, f"question {number} " + "x" * 900)
    [(log, _stamp)] = world.source.logs(world.store)
    world.kept.read(log, stop_after=lambda stored: stored >= batches)
    assert 0 < len(world.texts()) < 30
    world.catch_up()
    assert [each.split()[1] for each in world.texts()] == [str(number) for number in range(30)]
    assert world.catch_up() == []


def test_tokens_are_counted_once_for_each_step(world: World) -> None:
    world.theirs.session(A)
    world.theirs.answers(A, "one", tokens=100)
    world.catch_up()
    world.theirs.answers(A, "two", tokens=200)
    world.catch_up()
    assert world.kept.usage[A] == Usage(300, 30, 1_500, 75)


def test_tokens_of_a_message_without_steps_are_counted_once(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    tokens = {"input": 10, "output": 2, "reasoning": 3, "cache": {"read": 5, "write": 1}}
    running = {**ASSISTANT, "tokens": tokens}
    message = theirs.message(A, running)
    world.catch_up()
    assert A not in world.kept.usage or world.kept.usage[A] == Usage()
    for _ in range(3):
        theirs.change("message", message, {**running, "time": {"created": 1, "completed": 2}})
        world.catch_up()
    assert world.kept.usage[A] == Usage(10, 2, 5, 1)


def test_reasoning_counts_as_output_where_the_total_says_it_stands_apart(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    tokens = {
        "total": 21,
        "input": 10,
        "output": 2,
        "reasoning": 3,
        "cache": {"read": 5, "write": 1},
    }
    step = {"type": "step-finish", "reason": "stop", "tokens": tokens}
    theirs.part(A, theirs.message(A, ASSISTANT), step)
    world.catch_up()
    assert world.kept.usage[A] == Usage(10, 5, 5, 1)


def test_the_title_is_where_opencode_keeps_it(world: World) -> None:
    world.theirs.session(A)
    world.theirs.asks(A, "Where is the tide?")
    world.catch_up()
    assert world.kept.facts[A].title == "Where is the tide?"
    world.theirs.asks(A, "And now?")
    world.catch_up()
    assert world.kept.facts[A].title == "Where is the tide?"
    world.theirs.rename(A, "Tides at noon")
    world.catch_up()
    assert world.kept.facts[A].title == "Tides at noon"
    assert world.kept.events(A)[-1].kind == Kind.SESSION_TITLED
    assert not world.kept.facts[A].first_uuid.startswith("title")


def test_a_subagent_is_linked_to_the_session_that_started_it(world: World) -> None:
    world.theirs.session(A)
    world.theirs.session("ses_b", parent=A, title="Look for kelp (@explore subagent)")
    world.catch_up()
    assert world.kept.facts["ses_b"].parent == session_id("opencode", A)


def test_words_that_programs_put_in_are_not_the_persons(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    message = theirs.message(A, {"role": "user"})
    theirs.part(A, message, {"type": "text", "text": "Called the Read tool", "synthetic": True})
    theirs.part(A, message, {"type": "text", "text": "What is this?"})
    world.catch_up()
    assert world.kept.said(A) == [
        (Kind.SYSTEM, "Called the Read tool"),
        (Kind.USER, "What is this?"),
    ]


def test_other_parts_become_what_they_are(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    asked = theirs.message(A, {"role": "user"})
    picture = "data:image/png;base64," + "iVBORw0KGgo" * 400
    theirs.part(
        A, asked, {"type": "file", "mime": "image/png", "filename": "a.png", "url": picture}
    )
    theirs.part(A, asked, {"type": "subtask", "prompt": "look", "description": "d", "agent": "x"})
    theirs.part(A, asked, {"type": "compaction", "auto": True})
    said = theirs.message(A, {**ASSISTANT, "summary": True, "time": {"completed": 9}})
    theirs.part(A, said, text("what was before", start=1, end=2))
    theirs.part(A, said, {"type": "patch", "hash": "a3", "files": ["tide.py"]})
    theirs.part(A, said, {"type": "mood", "value": "calm"})
    failed = theirs.message(
        A, {**ASSISTANT, "error": {"name": "APIError", "data": {"message": "too many"}}}
    )
    world.catch_up()
    assert world.kept.said(A) == [
        (Kind.USER, "[image: a.png]"),
        (Kind.PROVIDER_INFO, "subtask: look"),
        (Kind.SESSION_COMPACTED, ""),
        (Kind.SESSION_SUMMARIZED, "what was before"),
        (Kind.PROVIDER_INFO, "patch: tide.py"),
        (Kind.PROVIDER_RAW, ""),
        (Kind.PROVIDER_INFO, "error: APIError: too many"),
    ]
    assert failed
    assert world.kept.unknown == {"part/mood": 1}


def test_a_row_over_the_cap_goes_to_a_payload_unread(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    part = theirs.part(A, theirs.message(A, {"role": "user"}), text("x" * MAX_ITEM_BYTES, start=1))
    world.catch_up()
    [event] = world.kept.events(A)
    about = json.loads(bytes(event.data))
    assert about["bytes"] > MAX_ITEM_BYTES
    assert about["preview"].startswith('{"type":"text"')
    stored = b"".join(world.kept.blobs.get(about["blob"]))
    query = "SELECT CAST(data AS BLOB) FROM part WHERE id = ?"
    assert [(stored,)] == theirs.connection.execute(query, (part,)).fetchall()


@pytest.mark.parametrize(
    "data",
    ['{"type":"text","text":', "[]", "null", '"words"', "", '{"type":"text","text":"\\ud83d"}'],
)
def test_a_row_that_is_not_as_it_should_be_costs_itself_only(world: World, data: str) -> None:
    theirs = world.theirs
    theirs.session(A)
    message = theirs.asks(A, "before")
    part = theirs.part(A, message, {})
    theirs.connection.execute("UPDATE part SET data = ? WHERE id = ?", (data, part))
    theirs.asks(A, "behind")
    world.catch_up()
    assert world.texts()[0] == "before"
    assert world.texts()[-1] == "behind"


def test_columns_that_are_missing_or_new_are_no_matter(world: World) -> None:
    run = world.theirs.connection.execute
    world.theirs.session(A, parent="ses_p")
    world.theirs.asks(A, "Where is the tide?")
    run("DROP INDEX session_parent_idx")
    run("ALTER TABLE session DROP COLUMN parent_id")
    run("ALTER TABLE session DROP COLUMN version")
    run("ALTER TABLE part ADD COLUMN mood text")
    run("DROP TABLE session_message")
    world.catch_up()
    assert world.texts() == ["Where is the tide?"]
    assert world.kept.facts[A].parent == ""


def test_a_schema_without_what_is_needed_is_told(world: World) -> None:
    world.theirs.connection.execute("ALTER TABLE session RENAME TO conversation")
    with pytest.raises(OSError, match="no sessions of OpenCode"):
        world.catch_up()


def test_a_session_that_was_deleted_is_told_as_gone(world: World) -> None:
    world.theirs.session(A)
    world.theirs.asks(A, "Where is the tide?")
    [(log, _stamp)] = world.source.logs(world.store)
    world.catch_up()
    world.theirs.delete(A)
    assert list(world.source.logs(world.store)) == []
    with pytest.raises(FileNotFoundError, match="no longer in the database"):
        world.kept.read(log)
    assert world.texts() == ["Where is the tide?"]


# Version 2.


def test_a_message_of_version_2_becomes_its_events(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    theirs.second(A, "user", {"text": "Where is the tide?", "files": [{"uri": "file:///a.txt"}]})
    tokens = {"input": 10, "output": 2, "reasoning": 0, "cache": {"read": 5, "write": 1}}
    state = {"status": "completed", "input": {"command": "ls"}, "content": [{"text": "a b"}]}
    content: list[dict[str, Any]] = [
        {"type": "reasoning", "id": "r1", "text": "Hm."},
        {"type": "tool", "id": "call_1", "name": "bash", "state": state},
        {"type": "text", "text": "It is l"},
    ]
    answer = theirs.second(A, "assistant", {"model": {"id": "tide-4"}, "content": content})
    world.catch_up()
    assert world.texts()[-1] == "a b"  # the text is still being written
    content[-1]["text"] = "It is low"
    done = {
        "model": {"id": "tide-4"},
        "content": content,
        "tokens": tokens,
        "time": {"created": 1, "completed": 2},
    }
    theirs.change("session_message", answer, done)
    theirs.second(A, "compaction", {"summary": "tides", "reason": "auto", "recent": ""})
    theirs.second(A, "agent-switched", {"agent": "plan"})
    theirs.second(A, "mood", {"value": "calm"})
    world.catch_up()
    assert world.kept.said(A) == [
        (Kind.USER, "Where is the tide?"),
        (Kind.USER, "[document: unknown type, 0 bytes]"),
        (Kind.THINKING, "Hm."),
        (Kind.TOOL_CALL, "bash: ls"),
        (Kind.TOOL_RESULT, "a b"),
        (Kind.ASSISTANT, "It is low"),
        (Kind.PROVIDER_INFO, "tokens"),
        (Kind.SESSION_COMPACTED, ""),
        (Kind.SESSION_SUMMARIZED, "tides"),
        (Kind.PROVIDER_INFO, "agent-switched"),
        (Kind.PROVIDER_RAW, ""),
    ]
    assert world.kept.usage[A] == Usage(10, 2, 5, 1)
    assert world.kept.facts[A].model == "tide-4"


def test_a_session_with_rows_of_both_versions_is_told_once(world: World) -> None:
    world.theirs.session(A)
    world.theirs.asks(A, "Where is the tide?")
    world.theirs.second(A, "user", {"text": "Where is the tide?"})
    world.catch_up()
    assert world.texts() == ["Where is the tide?"]


# Where things are.


def test_files_beside_the_database_lead_to_it(world: World) -> None:
    source, store = world.source, world.store
    assert source.store_of(store) == store
    assert source.store_of(f"{store}-wal") == store
    assert source.store_of(f"{store}-journal") == store
    assert source.store_of(f"{store}-shm") is None
    assert source.store_of(f"{world.root}/auth.json") is None
    assert source.store_of("/elsewhere/opencode.db") is None


def test_a_key_names_its_log_without_a_look(world: World) -> None:
    log = world.source.identify(f"{world.store}#{A}")
    assert log is not None
    assert (log.key, log.agent_session_id, log.in_place) == (f"{world.store}#{A}", A, True)
    assert world.source.identify(world.store) is None


@pytest.mark.parametrize(
    ("folder", "entered"),
    [
        ("storage", True),
        ("storage/session/proj", True),
        ("storage/message/ses_a", True),
        ("storage/part", False),
        ("snapshot", False),
        ("bin", False),
        ("log", False),
        ("tool-output", False),
        ("worktree/a/node_modules", False),
    ],
)
def test_folders_without_sessions_are_not_entered(
    world: World, folder: str, *, entered: bool
) -> None:
    assert world.source.enters(f"{world.root}/{folder}") is entered


def test_the_place_is_where_the_variable_says(tmp_path: Path) -> None:
    place = Agent.default_place({"XDG_DATA_HOME": str(tmp_path)})
    assert place.roots == [str(tmp_path / "opencode")]
    assert Agent.default_place({}).roots == ["~/.local/share/opencode"]


@pytest.mark.parametrize("odd", ["'soon'", "9e999", "x'fffe'", "-1"])
def test_a_time_that_is_none_costs_nothing(world: World, odd: str) -> None:
    world.theirs.session(A)
    world.theirs.asks(A, "Where is the tide?")
    for table in ("session", "message", "part"):
        world.theirs.connection.execute(f"UPDATE {table} SET time_updated = {odd}")
    world.theirs.connection.execute(f"UPDATE message SET time_created = {odd}")
    world.catch_up()
    assert world.texts() == ["Where is the tide?"]


def test_a_session_that_stands_there_twice_is_one(world: World) -> None:
    world.theirs.session(A)
    world.theirs.asks(A, "Where is the tide?")
    world.theirs.connection.execute(
        "CREATE TABLE copy AS SELECT * FROM session UNION ALL SELECT * FROM session;"
        "DROP TABLE session; ALTER TABLE copy RENAME TO session"
    ).fetchall()
    assert world.catch_up() == [A]
    assert world.catch_up() == []
    assert world.texts() == ["Where is the tide?"]


def test_parts_that_come_before_their_message_are_not_lost(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    theirs.part(A, "msg_late", text("low", start=5, end=6))
    world.catch_up()
    theirs.now_ms += 100_000
    theirs.connection.execute(
        "INSERT INTO message VALUES ('msg_late', ?, 1000, 1000, '{\"role\":\"assistant\"}')", (A,)
    )
    world.catch_up()
    assert world.texts() == ["low"]


def test_half_a_character_behind_a_field_of_another_shape_is_mended(world: World) -> None:
    theirs = world.theirs
    theirs.session(A)
    part = theirs.part(A, theirs.message(A, ASSISTANT), text("low", start=5, end=6))
    odd = '{"type":"text","text":[1],"more":"\\ud83d"}'
    theirs.connection.execute("UPDATE part SET data = ? WHERE id = ?", (odd, part))
    world.catch_up()
    assert [event.kind for event in world.kept.events(A)] == [Kind.PROVIDER_RAW]


def test_text_that_is_no_utf8_is_named(world: World) -> None:
    world.theirs.session(A)
    world.theirs.asks(A, "Where is the tide?")
    world.theirs.connection.execute("UPDATE session SET title = CAST(x'eda0bd' AS TEXT)")
    with pytest.raises(OSError, match="not UTF-8"):
        world.catch_up()
