"""Sessions that are written anew as a whole, through the real daemon."""

from __future__ import annotations

import json
import os
from typing import Any, Final

import pytest

from holdfast.events import Kind, session_id
from tests.support.cline import TASK, assistant, task
from tests.support.gemini import SESSION, document, gemini, head, lines, tokens, tool, user
from tests.support.home import Home, RunningDaemon, talk
from tests.support.waiting import until

NAME: Final = f"{SESSION}.json"
ID: Final = session_id("gemini", SESSION)
ASKED: Final = user("m1", "Where is the harbour?")


def exported(home: Home) -> list[dict[str, Any]]:
    out = home.ok("export", ID, "-f", "jsonl").out
    return [json.loads(line) for line in out.splitlines()]


def found(home: Home, words: str) -> list[int]:
    hits = home.ok("search", words, "--json").json
    return [hit["seq"] for hit in hits if hit["exact"]]


def wait_until_read(home: Home, daemon: RunningDaemon, path: str) -> None:
    """Until the ledger knows the file as it is, and nothing waits for the index."""

    def is_read() -> bool:
        with home.reader() as reader:
            cursor = reader.cursor("gemini", path)
        size = os.path.getsize(path)
        is_known = cursor is not None and (cursor.size, cursor.ledger.consumed) == (size, size)
        return is_known and not daemon.status()["journal"]["index_lag_events"]

    until(is_read, f"{path} is read", detail=lambda: daemon.status()["problems"])


def test_a_session_that_changes_in_place_is_followed(home: Home) -> None:
    with home.daemon() as daemon:
        path = home.write_session(NAME, document(ASKED, gemini("m2", "I loo")))
        daemon.wait_for(SESSION, 2)
        home.write_session(
            NAME, document(ASKED, gemini("m2", "I look at lighthouses.", toolCalls=[tool("t1")]))
        )
        daemon.wait_for(SESSION, 4)
        home.write_session(
            NAME,
            document(
                ASKED,
                gemini(
                    "m2",
                    "I look at lighthouses.",
                    toolCalls=[tool("t1", "There it is.")],
                    tokens=tokens(10, 2),
                ),
            ),
        )
        daemon.wait_for(SESSION, 6)
        wait_until_read(home, daemon, path)
        assert found(home, "loo") == []
        assert found(home, "lighthouses") == [2]
        events = exported(home)
        shown = home.ok("show", ID).text
    assert [(each["kind"], each.get("supersedes")) for each in events] == [
        (Kind.USER, None),
        (Kind.ASSISTANT, None),
        (Kind.ASSISTANT, 1),
        (Kind.TOOL_CALL, None),
        (Kind.TOOL_RESULT, None),
        (Kind.PROVIDER_INFO, None),
    ]
    assert {each["turn"] for each in events} == {1}
    assert "(a later version of event 1)" in shown
    assert home.sessions()[SESSION]["usage"] == {"input": 10, "output": 2}


def test_a_file_that_is_replaced_by_renaming_is_followed(home: Home) -> None:
    with home.daemon() as daemon:
        path = home.write_session(NAME, document(ASKED))
        daemon.wait_for(SESSION, 1)
        for number in range(2, 8):
            messages = [gemini(f"m{each}", f"answer {each}") for each in range(2, number + 1)]
            home.write_session(f"{NAME}.tmp", document(ASKED, *messages))
            os.replace(home.session_path(f"{NAME}.tmp"), path)
            daemon.wait_for(SESSION, number)
        wait_until_read(home, daemon, path)
    assert len(exported(home)) == 7


def test_what_is_deleted_stays_and_what_comes_back_otherwise_supersedes(home: Home) -> None:
    with home.daemon() as daemon:
        path = home.write_session(NAME, document(ASKED, gemini("m2", "At the coast.")))
        daemon.wait_for(SESSION, 2)
        os.unlink(path)
        until(lambda: _is_gone(home, path), "it is known to be gone")
        assert len(exported(home)) == 2
        home.write_session(NAME, document(ASKED, gemini("m2", "At the river.")))
        daemon.wait_for(SESSION, 3)
        until(lambda: not _is_gone(home, path), "it is known to be back")
        until(lambda: found(home, "river") == [2], "what is new is found")
        assert found(home, "coast") == []
    assert exported(home)[2]["supersedes"] == 1


def _is_gone(home: Home, path: str) -> bool:
    with home.reader() as reader:
        cursor = reader.cursor("gemini", path)
    return cursor is not None and bool(cursor.gone_at)


def test_a_torn_document_gives_what_is_whole_and_the_rest_when_it_comes(home: Home) -> None:
    whole = document(ASKED, gemini("m2", "At the coast."), user("m3", "Thanks"))
    with home.daemon() as daemon:
        home.write_session(NAME, whole[: whole.index(b"At the coast")])
        daemon.wait_for(SESSION, 1)
        path = home.write_session(NAME, whole)
        daemon.wait_for(SESSION, 3)
        wait_until_read(home, daemon, path)
        counts = daemon.status()["sources"]
    (gemini_source,) = [each for each in counts if each["agent"] == "gemini"]
    assert gemini_source["bytes"]["seen"] == len(whole)
    assert gemini_source["bytes"]["bad"] == 0


def test_a_change_that_nobody_was_told_of_is_found_by_looking(home: Home) -> None:
    home.env["HOLDFAST_INGEST__RECONCILE_SECS"] = "1"
    home.write_session(NAME, document(ASKED))
    with home.daemon() as daemon:
        daemon.wait_for(SESSION, 1)
    home.write_session(NAME, document(ASKED, gemini("m2", "At the coast.")))
    with home.daemon() as daemon:
        daemon.wait_for(SESSION, 2)
        daemon.kill()
    assert len(exported(home)) == 2


def test_lines_that_repeat_messages_are_followed(home: Home) -> None:
    records = [
        head(),
        ASKED,
        gemini("m2", toolCalls=[tool("t1")]),
        gemini("m2", toolCalls=[tool("t1", "here")]),
        gemini("m2", "Here.", toolCalls=[tool("t1", "here")], tokens=tokens(9, 1)),
        {"$rewindTo": "m2"},
    ]
    with home.daemon() as daemon:
        for end in range(1, len(records) + 1):
            path = home.write_session(f"{NAME}l", lines(*records[:end]))
            wait_until_read(home, daemon, path)
    events = exported(home)
    assert [each.get("supersedes") for each in events] == [None] * 6
    assert home.sessions()[SESSION]["usage"] == {"input": 9, "output": 1}


def test_a_task_of_an_editor_is_one_session_of_two_files(home: Home) -> None:
    store = ".config/Code/User/globalStorage/saoudrizwan.claude-dev/tasks"
    folder = os.path.join(home.folder, store, TASK)
    os.makedirs(folder)
    with home.daemon() as daemon:
        with open(os.path.join(folder, "ui_messages.json"), "w", encoding="utf-8") as file:
            json.dump([{"ts": 1, "type": "say", "say": "error", "text": "Hm."}], file)
        daemon.wait_for(TASK, 1)
        path = os.path.join(folder, "api_conversation_history.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump([task("Where is the harbour?"), assistant("At the coast.")], file)
        daemon.wait_for(TASK, 4)
    assert home.sessions()[TASK]["title"] == "Where is the harbour?"


@pytest.mark.parametrize("how", ["with a daemon", "without a daemon"])
def test_an_import_reads_what_lies_there(home: Home, how: str) -> None:
    home.write_log("aaaa-1", *talk(2))
    content = document(ASKED, gemini("m2", "At the coast."), novelty=1)
    home.write_session(NAME, content)
    if how == "with a daemon":
        with home.daemon() as daemon:
            daemon.wait_for(SESSION, 3)
            report = home.ok("import", "--json", "--quiet").json
    else:
        report = home.ok("import", "--json", "--quiet").json
    counts = report["bytes"]
    size = len(content) + os.path.getsize(home.log_path("aaaa-1"))
    assert (
        counts["seen"]
        == size
        == sum(counts[name] for name in ("parsed", "skipped", "unknown", "bad"))
    )
    assert (report["events"], report["problems"], counts["unknown"]) == (5, [], 1)
    assert home.ok("import", "--json", "--quiet").json["imported_events"] == 0
