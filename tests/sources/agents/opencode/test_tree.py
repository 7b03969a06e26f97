"""The tree of JSON files that OpenCode kept before it had a database."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.demo.opencode import OpenCode
from holdfast.events import Kind
from holdfast.sources.agents.opencode import Agent
from holdfast.sources.agents.opencode import tree as opencode_tree
from tests.support.rows import MAX_ITEM_BYTES, Kept

A: Final = "ses_a"
LOGS: Final = Path(__file__).parents[5] / "shared" / "logs" / "opencode"


class Tree:
    """A root with a tree below it, and what is kept of its sessions."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "opencode"
        self.storage = self.root / "storage"
        self.source = Agent([str(self.root)])
        self.source.now_ms = lambda: 9e15  # all of it is quiet
        self.kept = Kept(self.source, folder)

    def write(self, path: str, content: Any) -> str:
        file = self.storage / f"{path}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8")
        return str(file)

    def session(self, name: str = A, **more: Any) -> str:
        about = {"id": name, "title": "Tides", "directory": "/home/hana", "version": "1.0.0"}
        return self.write(f"session/proj/{name}", {**about, **more})

    def message(self, name: str, session: str = A, **more: Any) -> str:
        about = {"id": name, "sessionID": session, "time": {"created": 1_000, "completed": 2_000}}
        return self.write(f"message/{session}/{name}", {**about, **more})

    def part(self, name: str, message: str, **more: Any) -> str:
        about = {"id": name, "sessionID": A, "messageID": message}
        return self.write(f"part/{message}/{name}", {**about, **more})


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def talk(tree: Tree) -> str:
    store = tree.session()
    tree.message("msg_1", role="user")
    tree.part("prt_1", "msg_1", type="text", text="Where is the tide?")
    tree.message("msg_2", role="assistant", modelID="tide-4")
    tree.part("prt_2", "msg_2", type="text", text="It is low")
    return store


def test_a_session_becomes_its_events_in_order(tree: Tree) -> None:
    store = talk(tree)
    assert tree.kept.catch_up(store) == [A]
    assert tree.kept.said(A) == [
        (Kind.SESSION_TITLED, "Tides"),
        (Kind.USER, "Where is the tide?"),
        (Kind.ASSISTANT, "It is low"),
    ]
    assert tree.kept.catch_up(store) == []


def test_the_ledger_is_the_size_of_all_its_files(tree: Tree) -> None:
    store = talk(tree)
    tree.kept.catch_up(store)
    size = sum(os.path.getsize(file) for file in tree.storage.rglob("*.json"))
    assert tree.kept.ledger(store).consumed == size


def test_a_file_that_changes_supersedes_what_was_kept_of_it(tree: Tree) -> None:
    store = talk(tree)
    tree.kept.catch_up(store)
    tree.part("prt_2", "msg_2", type="text", text="It is high")
    assert tree.kept.catch_up(store) == [A]
    assert tree.kept.said(A)[-1] == (Kind.ASSISTANT, "It is high")
    assert len(tree.kept.events(A)) == 4


def test_a_session_that_moved_into_the_database_repeats_nothing(tree: Tree) -> None:
    """What OpenCode does at its first start with a database: rows without the three ids."""
    state = {
        "status": "completed",
        "input": {"command": "ls  -l", "deep": [1, 2]},
        "output": "a b",
        "title": "ls",
        "metadata": {},
        "time": {"start": 1_000, "end": 1_005},
    }
    parts: list[tuple[str, dict[str, Any]]] = [
        ("prt_1", {"type": "text", "text": "Where is the tide? 🌊"}),
        ("prt_2", {"type": "reasoning", "text": "Hm.", "time": {"start": 1_000, "end": 1_002}}),
        ("prt_3", {"type": "tool", "callID": "c", "tool": "bash", "state": state}),
        ("prt_4", {"type": "mood", "value": {"calm": True}}),
        ("prt_5", {"type": "patch", "hash": "a3", "files": ["tide.py"]}),
    ]
    store = tree.session()
    tree.message("msg_1", role="assistant")
    for name, data in parts:
        tree.part(name, "msg_1", **data)
    tree.kept.catch_up(store)
    before = tree.kept.said(A)
    assert len(before) == 7
    database = str(tree.root / "opencode.db")
    with OpenCode(database) as opencode:
        opencode.session(A, title="Tides", directory="/home/hana")
        frame = {"role": "assistant", "time": {"created": 1_000, "completed": 2_000}}
        run = opencode.connection.execute
        row = ("msg_1", A, 1_000, 2_000, json.dumps(frame, separators=(",", ":")))
        run("INSERT INTO message VALUES (?, ?, ?, ?, ?)", row)
        for name, data in parts:
            text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
            run("INSERT INTO part VALUES (?, 'msg_1', ?, 1000, 2000, ?)", (name, A, text))
        assert tree.kept.catch_up(database) == [A]
    assert tree.kept.said(A) == before
    assert len(tree.kept.events(A)) == len(before)


def test_a_file_over_the_cap_goes_to_a_payload_unread(tree: Tree) -> None:
    store = tree.session()
    tree.message("msg_1", role="user")
    path = tree.part("prt_1", "msg_1", type="text", text="x" * MAX_ITEM_BYTES)
    tree.kept.catch_up(store)
    about = json.loads(bytes(tree.kept.events(A)[-1].data))
    assert b"".join(tree.kept.blobs.get(about["blob"])) == Path(path).read_bytes()


def test_a_file_that_is_half_written_costs_itself_only(tree: Tree) -> None:
    store = talk(tree)
    (tree.storage / "part" / "msg_1" / "prt_1.json").write_text('{"type":"te')
    tree.kept.catch_up(store)
    assert tree.kept.said(A)[1:] == [(Kind.ASSISTANT, "It is low")]
    assert tree.kept.ledger(store).bad == len('{"type":"te')


def test_a_message_leads_to_the_file_of_its_session(tree: Tree) -> None:
    store = talk(tree)
    assert tree.source.store_of(store) == store
    assert tree.source.store_of(f"{tree.storage}/message/{A}/msg_1.json") == store
    assert tree.source.store_of(f"{tree.storage}/message/ses_x/msg_1.json") is None
    assert tree.source.store_of(f"{tree.storage}/project/proj.json") is None


def test_a_session_whose_file_is_gone_is_told_as_gone(tree: Tree) -> None:
    store = talk(tree)
    [(log, _stamp)] = tree.source.logs(store)
    os.unlink(store)
    with pytest.raises(FileNotFoundError):
        tree.kept.read(log)


@pytest.mark.parametrize("deleted", ["part/msg_2/prt_2", "message/ses_a/msg_2"])
def test_a_file_that_is_deleted_while_its_session_is_read_takes_only_itself_away(
    tree: Tree, deleted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = talk(tree)
    path = str(tree.storage / f"{deleted}.json")
    [(log, _stamp)] = tree.source.logs(store)
    listed = opencode_tree._listed

    def delete_behind(folder: str) -> Any:
        found = listed(folder)
        if folder == os.path.dirname(path) and len(seen) == 1:
            os.unlink(path)
        if folder == os.path.dirname(path):
            seen.append(folder)
        return found

    seen: list[str] = []
    monkeypatch.setattr(opencode_tree, "_listed", delete_behind)
    tree.kept.read(log)
    assert not os.path.exists(path)
    said = tree.kept.said(A)
    assert said[:2] == [(Kind.SESSION_TITLED, "Tides"), (Kind.USER, "Where is the tide?")]
    assert (Kind.ASSISTANT, "It is low") not in said


def loose(tree: Tree, name: str, message: str, text: str) -> str:
    about = {"id": name, "messageID": message, "type": "text", "text": text}
    return tree.write(f"part/{name}", about)


def test_parts_without_a_folder_belong_to_the_message_that_they_name(tree: Tree) -> None:
    store = tree.session()
    tree.message("msg_1", role="user")
    loose(tree, "prt_1", "msg_1", "Where is the tide?")
    tree.kept.catch_up(store)
    loose(tree, "prt_2", "msg_1", "And the moon?")
    loose(tree, "prt_1", "msg_1", "Where is the low tide?")
    tree.kept.catch_up(store)
    assert tree.kept.said(A)[1:] == [
        (Kind.USER, "Where is the low tide?"),
        (Kind.USER, "And the moon?"),
    ]
    os.unlink(tree.storage / "part" / "prt_1.json")
    [(_log, stamp)] = tree.source.logs(store)
    assert stamp.size == sum(os.path.getsize(file) for file in tree.storage.rglob("*.json"))


def test_a_loose_part_that_was_half_written_is_looked_at_again(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opencode_tree, "LOOSE_AGAIN_S", 0.0)
    store = tree.session()
    tree.message("msg_1", role="user")
    path = Path(loose(tree, "prt_1", "msg_1", "Where is the tide?"))
    whole = path.read_bytes()
    path.write_bytes(b"{")
    os.utime(path.parent, (5, 5))
    tree.kept.catch_up(store)
    path.write_bytes(whole)
    tree.kept.catch_up(store)
    assert tree.kept.said(A)[1:] == [(Kind.USER, "Where is the tide?")]


def test_what_a_look_at_all_sessions_costs_grows_with_what_there_is_and_no_faster(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All parts lie in one folder: that is listed once, not for each session."""
    sessions = [tree.session(f"ses_{number}") for number in range(20)]
    for number in range(20):
        tree.message(f"msg_{number}", f"ses_{number}")
        loose(tree, f"prt_{number}", f"msg_{number}", "Where is the tide?")
    parts = str(tree.storage / "part")
    os.utime(parts, (5, 5))
    listings: list[str] = []
    beginnings: list[str] = []
    scandir, beginning = os.scandir, opencode_tree._beginning

    def count(folder: str) -> Any:
        listings.append(folder)
        return scandir(folder)

    def read(path: str, most: int) -> bytes:
        beginnings.append(path)
        return beginning(path, most)

    monkeypatch.setattr(os, "scandir", count)
    monkeypatch.setattr(opencode_tree, "_beginning", read)
    for _look in range(3):
        assert [stamp.size > 0 for store in sessions for _log, stamp in tree.source.logs(store)]
    assert listings.count(parts) == 1
    assert len(beginnings) == 20


def test_the_session_of_a_message_is_looked_for_once_and_again_when_it_moved(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = talk(tree)
    message = f"{tree.storage}/message/{A}/msg_1.json"
    listdir, listings = os.listdir, []

    def count(folder: str) -> list[str]:
        listings.append(folder)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", count)
    assert {tree.source.store_of(message) for _ in range(5)} == {store}
    assert len(listings) == 1
    moved = f"{tree.storage}/session/other/{A}.json"
    os.mkdir(os.path.dirname(moved))
    os.rename(store, moved)
    assert tree.source.store_of(message) == moved
    os.unlink(moved)
    assert tree.source.store_of(message) is None


@pytest.mark.skipif(not LOGS.exists(), reason="logs of others are not part of a clone")
@pytest.mark.parametrize(
    ("kind", "sessions", "least"),
    [("storage_v2", {"ses_s_stage0_large", "ses_s_stage0_small"}, 8), ("storage_legacy", None, 3)],
)
def test_trees_that_opencode_made_are_read(
    tmp_path: Path, kind: str, sessions: set[str] | None, least: int
) -> None:
    root = tmp_path / "opencode"
    root.mkdir()
    (root / "storage").symlink_to(LOGS / kind)
    source = Agent([str(root)])
    kept = Kept(source, tmp_path)
    found = [str(file) for file in (root / "storage" / "session" / "proj_test").iterdir()]
    names = {name for store in found for name in kept.catch_up(store)}
    assert sessions is None or names == sessions
    told = [event for name in names for event in kept.events(name)]
    assert len(told) >= least
    assert {Kind.TOOL_CALL, Kind.TOOL_RESULT} <= {event.kind for event in told}
    assert not any(kept.ledger(store).bad for store in found)
