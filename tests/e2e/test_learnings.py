"""Learnings and the ledger of the running daemon."""

from __future__ import annotations

import json
import os

import pytest

from holdfast import Holdfast, NewEvent
from holdfast.client import Refused
from holdfast.demo import lines
from tests.support.home import Home, sid
from tests.support.waiting import until

SOON = {"HOLDFAST_LEARNINGS__DEBOUNCE_MS": "100", "HOLDFAST_LEDGER__DEBOUNCE_MS": "100"}


def texts(home: Home, *options: str) -> list[str]:
    return [each["text"] for each in home.ok("learnings", "--json", *options).json]


def test_what_is_said_is_learnt_listed_and_shown(home: Home) -> None:
    page = os.path.join(home.folder, "notes", "LEDGER.md")
    with home.daemon({**SOON, "HOLDFAST_LEDGER__PATH": page}), Holdfast(home.env) as holdfast:
        home.write_log("one", lines.user_line("Always run the linter first.", session="one"))
        until(lambda: texts(home), "the learning is found")
        home.write_log("two", lines.user_line("ok, let's go with SQLite", session="two"))
        until(lambda: len(texts(home)) == 2, "the other one is found")
        created = NewEvent(kind="task.created", text="Write the index", correlation="t")
        holdfast.append("work", created)
        until(lambda: os.path.exists(page) and "Write the index" in read(page), "it is on the page")
        assert "Always run the linter first." in read(page)
        client = home.client
        assert [*client.get("/v1/ledger")["tasks"]] == ["t"]
        shown = b"".join(client.stream("GET", "/v1/ledger", format="markdown")).decode()
        assert shown == home.ok("ledger").text
        (only,) = client.get("/v1/learnings", type="decision", session=sid("two"), limit=5)
        assert only["text"] == "ok, let's go with SQLite"
        assert client.get("/v1/learnings", since="2100-01-01") == []
        for wrong in ({"type": "dream"}, {"since": "soon"}, {"limit": "many"}):
            with pytest.raises(Refused):
                client.get("/v1/learnings", **wrong)
    assert texts(home, "--type", "preference") == ["Always run the linter first."]
    assert texts(home, "--session", sid("two")) == ["ok, let's go with SQLite"]
    assert texts(home, "--since", "2100-01-01") == []
    shown = home.ok("learnings").text
    assert "Always run the linter first." in shown
    assert home.ok("ledger").text == read(page)
    assert [*home.ok("ledger", "--json").json["tasks"]] == ["t"]


def test_killed_while_a_learning_waits_it_is_found_by_the_next_run_and_once(home: Home) -> None:
    with home.daemon({"HOLDFAST_LEARNINGS__DEBOUNCE_MS": "3600000"}) as daemon:
        home.write_log("one", lines.user_line("Always run the linter first.", session="one"))
        daemon.wait_for("one", 1)
        daemon.kill()
    assert texts(home) == []
    for _ in range(2):
        with home.daemon(SOON):
            until(lambda: texts(home), "the learning is found")
    (found,) = home.ok("learnings", "--json").json
    assert (found["times"], found["sources"][0]["session"]) == (1, sid("one"))


def test_what_waits_is_looked_at_when_the_daemon_stops(home: Home) -> None:
    with home.daemon({"HOLDFAST_LEARNINGS__DEBOUNCE_MS": "3600000"}) as daemon:
        home.write_log("one", lines.user_line("Always run the linter first.", session="one"))
        daemon.wait_for("one", 1)
        assert texts(home) == []
    assert texts(home) == ["Always run the linter first."]


def test_switched_off_nothing_is_looked_for(home: Home) -> None:
    off = {"HOLDFAST_LEARNINGS__ENABLED": "false"}
    with home.daemon(off) as daemon:
        home.write_log("one", lines.user_line("Always run the linter first.", session="one"))
        daemon.wait_for("one", 1)
    assert texts(home) == []


def test_a_ledger_replaces_ledgers_and_nothing_else(home: Home) -> None:
    home.ok("import", "--quiet")
    target = os.path.join(home.folder, "mine.md")
    home.ok("ledger", "-o", target)
    home.ok("ledger", "-o", target)
    with open(target, "w", encoding="utf-8") as file:
        file.write("# My own notes\n")
    refused = home.run("ledger", "-o", target)
    assert refused.code == 9
    assert "no ledger of holdfast" in refused.err
    assert read(target) == "# My own notes\n"
    home.ok("ledger", "-o", target, "--force")
    assert read(target).startswith("# Ledger\n")
    assert home.run("ledger", "-o", "/nowhere/LEDGER.md").code == 9
    assert home.run("ledger", "-o", home.paths.journal).code == 9


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("which", [["--all"], [sid("one")]])
def test_what_is_redacted_is_redacted_in_learnings_too(home: Home, which: list[str]) -> None:
    path = os.path.join(home.folder, "notes", "LEDGER.md")
    with home.daemon({**SOON, "HOLDFAST_LEDGER__PATH": path}), Holdfast(home.env) as holdfast:
        said = lines.user_line("Always begin with zanzibar as the word.", session="one")
        home.write_log("one", said)
        until(lambda: texts(home), "the learning is found")
        holdfast.append("work", NewEvent(kind="task.created", text="Tell zanzibar of it"))
        until(lambda: os.path.exists(path) and "Tell zanzibar" in read(path), "it is on the page")
        assert "begin with zanzibar" in read(path)
        home.ok("redact", *which, "--pattern", "zanzibar")
        until(lambda: "begin with zanzibar" not in read(path), "the page is made anew")
        (found,) = home.ok("learnings", "--json").json
        assert "zanzibar" not in json.dumps(found)
        assert found["text"].startswith("Always begin with")
        assert ("zanzibar" in home.ok("ledger").text) == (which != ["--all"])
