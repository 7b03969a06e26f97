"""Chats of Cursor's command line: what is JSON in them becomes events, the rest is counted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import apsw
import pytest

from holdfast.events import Kind
from holdfast.sources.agents.cursor import chats
from holdfast.sources.base import ItemReader, Log, Means
from holdfast.sources.folders import FolderSource
from tests.support.rows import MAX_ITEM_BYTES, Kept

CHAT: Final = "ac437fdf-3e7e-4a54-98a4-7bb04fd3efc6"
NAME: Final = f"chats/{CHAT}"


class Chats(FolderSource):
    """As much of a source as chats need."""

    agent = "cursor"
    name = "Cursor"
    endings: ClassVar[tuple[str, ...]] = (".db",)

    def log_at(self, root: str, path: str) -> Log | None:
        return chats.log_at(root, path)

    def store_of(self, path: str) -> str | None:
        return chats.store_of(self.roots()[0], path)

    def logs(self, store: str, since_ns: int = 0) -> Iterator[tuple[Log, Any]]:
        return chats.logs(store, self.roots()[0])

    def reader(self, log: Log, state: bytes, means: Means) -> ItemReader:
        return chats.ChatReader(log, state, means)


class World:
    def __init__(self, folder: Path) -> None:
        root = folder / "cursor"
        self.store = root / "chats" / "e4e90b7b" / CHAT / "store.db"
        self.store.parent.mkdir(parents=True)
        self.theirs = apsw.Connection(str(self.store))
        self.theirs.execute("PRAGMA journal_mode = WAL").fetchall()
        self.theirs.execute("CREATE TABLE blobs (id TEXT PRIMARY KEY, data BLOB)").fetchall()
        self.theirs.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)").fetchall()
        self.meta("New Agent")
        self.source = Chats([str(root)])
        self.kept = Kept(self.source, folder)

    def meta(self, name: str) -> None:
        about = {
            "agentId": CHAT,
            "name": name,
            "createdAt": 1_772_000_000_000,
            "lastUsedModel": "tide-4",
        }
        row = (json.dumps(about).encode().hex(),)
        self.theirs.execute("INSERT OR REPLACE INTO meta VALUES ('0', ?)", row)

    def blob(self, content: Any) -> bytes:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        digest = hashlib.sha256(data).digest()
        query = "INSERT OR IGNORE INTO blobs VALUES (?, ?)"
        self.theirs.execute(query, (digest.hex(), data))
        return digest

    def catch_up(self) -> list[str]:
        return self.kept.catch_up(str(self.store))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.theirs.close()


def asked(words: str) -> dict[str, Any]:
    around = f"<user_info>Linux</user_info>\n<user_query>\n{words}\n</user_query>"
    return {"role": "user", "content": [{"type": "text", "text": around}]}


ANSWER: Final = {
    "id": "1",
    "role": "assistant",
    "content": [
        {"type": "reasoning", "text": "Hm.", "signature": "x"},
        {"type": "text", "text": "It is low"},
        {"type": "tool-call", "toolCallId": "t1", "toolName": "Shell", "args": {"command": "ls"}},
    ],
}
RESULT: Final = {
    "role": "tool",
    "id": "t1",
    "content": [{"type": "tool-result", "toolName": "Shell", "toolCallId": "t1", "result": "a b"}],
}


def test_messages_become_events_and_the_tree_around_them_is_skipped(world: World) -> None:
    names = world.blob({"role": "system", "content": "You are an assistant"})
    names = b"\n\x20" + names + b"\n\x20" + world.blob(asked("Where is the tide?"))
    world.blob(names)
    world.blob(ANSWER)
    world.blob(RESULT)
    assert world.catch_up() == [NAME]
    assert world.kept.said(NAME) == [
        (Kind.SYSTEM, "You are an assistant"),
        (Kind.USER, "Where is the tide?"),
        (Kind.THINKING, "Hm."),
        (Kind.ASSISTANT, "It is low"),
        (Kind.TOOL_CALL, "Shell: ls"),
        (Kind.TOOL_RESULT, "a b"),
    ]
    ledger = world.kept.ledger(str(world.store))
    assert ledger.skipped == len(names)
    assert ledger.unknown == ledger.bad == 0
    facts = world.kept.facts[NAME]
    assert (facts.title, facts.model) == ("Where is the tide?", "tide-4")
    assert facts.started_at == "2026-02-25T06:13:20.000Z"


def test_what_nobody_has_described_is_kept_and_counted(world: World) -> None:
    content = b"\x12\x07strange\x18\x01"
    world.blob(content)
    world.catch_up()
    [event] = world.kept.events(NAME)
    about = json.loads(bytes(event.data))
    assert b"".join(world.kept.blobs.get(about["blob"])) == content
    assert world.kept.unknown == {chats.UNKNOWN: 1}
    assert world.kept.ledger(str(world.store)).unknown == len(content)


def test_what_is_added_is_read_and_nothing_is_repeated(world: World) -> None:
    world.blob(asked("one"))
    world.catch_up()
    world.blob(asked("two"))
    world.blob(asked("one"))  # the same content is the same blob
    assert world.catch_up() == [NAME]
    assert world.catch_up() == []
    assert [event.text for event in world.kept.events(NAME)] == ["one", "two"]


def test_rows_that_were_removed_make_no_difference(world: World) -> None:
    for words in ("one", "two", "three"):
        world.blob(asked(words))
    world.catch_up()
    world.theirs.execute("DELETE FROM blobs WHERE rowid < 3")
    world.theirs.execute("VACUUM")
    world.blob(asked("four"))
    world.catch_up()
    assert [event.text for event in world.kept.events(NAME)] == ["one", "two", "three", "four"]


def test_the_name_of_a_chat_is_its_title(world: World) -> None:
    world.meta("Tides at noon")
    world.blob(asked("one"))
    world.catch_up()
    assert world.kept.facts[NAME].title == "Tides at noon"


def test_a_blob_over_the_cap_goes_to_a_payload_unread(world: World) -> None:
    world.blob(asked("x" * MAX_ITEM_BYTES))
    world.catch_up()
    about = json.loads(bytes(world.kept.events(NAME)[0].data))
    assert json.loads(b"".join(world.kept.blobs.get(about["blob"]))) == asked("x" * MAX_ITEM_BYTES)


@pytest.mark.parametrize("content", [b"{", b"", b"{}", b'{"role":7}', b'{"role":"user"}'])
def test_a_blob_that_is_not_as_it_should_be_costs_itself_only(world: World, content: bytes) -> None:
    world.blob(asked("before"))
    world.blob(content)
    world.blob(asked("behind"))
    world.catch_up()
    texts = [event.text for event in world.kept.events(NAME)]
    assert (texts[0], texts[-1]) == ("before", "behind")


def test_another_programs_database_is_told(world: World) -> None:
    world.theirs.execute("ALTER TABLE blobs RENAME TO things")
    with pytest.raises(OSError, match="no chat of Cursor"):
        world.catch_up()


def test_half_a_character_in_an_unfamiliar_shape_is_mended(world: World) -> None:
    world.blob(b'{"role":[7],"content":"\\ud83d"}')
    world.catch_up()
    [event] = world.kept.events(NAME)
    assert json.loads(bytes(event.data)) == {"role": [7], "content": "\ufffd"}


def test_a_description_that_is_no_utf8_costs_itself(world: World) -> None:
    world.theirs.execute("UPDATE meta SET value = CAST(x'eda0bd' AS TEXT)")
    world.blob(asked("one"))
    world.catch_up()
    assert [event.text for event in world.kept.events(NAME)] == ["one"]


def test_rows_out_of_order_are_not_read_for_ever(world: World) -> None:
    for words in ("one", "two"):
        world.blob(asked(words))
    world.theirs.execute(
        "ALTER TABLE blobs RENAME TO kept;"
        "CREATE VIEW blobs AS SELECT 5 AS rowid, id, data FROM kept"
    ).fetchall()
    with pytest.raises(OSError, match="damaged"):
        world.catch_up()
