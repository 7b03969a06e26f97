"""Projects of which nothing is kept: how they are told, and that nothing is."""

from __future__ import annotations

import os
import shutil
from typing import Final

import pytest

from holdfast.demo import lines as demo
from holdfast.ingest.exclusion import excluded_projects, is_excluded
from holdfast.settings import load
from holdfast.sources.agents.claude import Agent as ClaudeSource
from holdfast.sources.base import first_text, folded
from tests.support.home import Home, talk
from tests.support.kept import where
from tests.support.waiting import until

SECRET: Final = "/home/hana/src/secret"
WORD: Final = "quicksilver"
EXCLUDE: Final = {"HOLDFAST_SOURCES__CLAUDE__EXCLUDE_PROJECTS": SECRET}


@pytest.mark.parametrize(
    ("pattern", "project", "fits"),
    [
        ("/a/b", "/a/b", True),
        ("/a/b", "/a/b/c", True),
        ("/a/b/", "/a/b", True),
        ("/a/b", "/a/bc", False),
        ("/a/*", "/a/b", True),
        ("/a/*", "/a", False),
        ("/a/*/c", "/a/b/c", True),
        ("/a/*/c", "/a/b/b/c", False),
        ("/a/**/c", "/a/b/b/c", True),
        ("/a/**/c", "/a/c", True),
        ("/a/**", "/a", True),
        ("/a/**", "/a/b/c", True),
        ("/a/**", "/ab", False),
        ("**/secret", "/x/y/secret/z", True),
        ("**/secret*", "/x/secrets", True),
        ("/a/?", "/a/b", True),
        ("/a/?", "/a/bc", False),
        ("/a.b", "/axb", False),
        # The names of folders that paths were made into.
        ("/a/b", "-a-b", True),
        ("/a/b", "-a-b-c", True),
        ("/a/b", "-a-bc", False),
        ("/home/hana/my project", "-home-hana-my-project", True),
        ("/a/**/c", "-a-b-b-c", True),
    ],
)
def test_which_projects_a_pattern_means(
    pattern: str, project: str, fits: bool
) -> None:  # a parameter of the test
    assert is_excluded(project, [pattern]) is fits


def test_home_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert is_excluded("/home/somebody/x/y", ["~/x"])
    assert not is_excluded("/home/other/x", ["~/x"])


def test_each_agent_has_its_own_patterns() -> None:
    settings = load(None, {"HOLDFAST_SOURCES__CLAUDE__EXCLUDE_PROJECTS": "/a"}).settings
    assert excluded_projects(settings)["claude"] == ("/a",)
    assert excluded_projects(settings)["codex"] == ()


def test_the_project_stands_in_the_first_record_that_names_one() -> None:
    head = b'{"type":"summary"}\nbroken "cwd"\n{"cwd":5}\n{"cwd":"/a"}\n{"cwd":"/b"}\n{"cw'
    assert first_text(head, "cwd") == "/a"
    assert first_text(b"", "cwd") == ""
    assert folded("/home/h\u00e4na/x.y") == "-home-h-na-x-y"


def test_a_folder_that_says_something_else_than_its_records_counts_too() -> None:
    source = ClaudeSource(["/l"])
    log = source.identify("/l/projects/-a-b/s.jsonl")
    assert log is not None
    assert source.projects_of(log, b'{"cwd":"/a/b"}\n') == ["/a/b"]
    assert source.projects_of(log, b'{"cwd":"/tmp/tree"}\n') == ["/tmp/tree", "-a-b"]
    assert source.projects_of(log, b"") == ["-a-b"]


def secret_lines(count: int = 3, start: int = 0) -> list[bytes]:
    return [
        demo.summary_line(f"a title with {WORD}"),
        *(
            demo.user_line(f"{WORD} {number}", cwd=SECRET, at=f"2026-01-01T00:00:0{number}.000Z")
            for number in range(start, start + count)
        ),
    ]


def assert_nothing_of(home: Home, word: str) -> None:
    assert where(home, word) == []


def test_nothing_of_an_excluded_project_is_kept_by_an_import(home: Home) -> None:
    folder = folded(SECRET)
    home.write_log("hidden", *secret_lines(), project=folder)
    home.write_log("seen", *talk(2))
    report = home.ok("import", "--json", env=EXCLUDE).json
    size = os.path.getsize(home.log_path("hidden", folder))
    assert (report["sessions"], report["files"], report["problems"]) == (1, 2, [])
    assert report["bytes"]["skipped"] == size
    assert report["bytes"]["bad"] == 0
    assert list(home.sessions()) == ["seen"]
    assert_nothing_of(home, WORD)
    sources = home.ok("status", "--json", env=EXCLUDE).json["sources"]
    (source,) = [each for each in sources if each["agent"] == "claude"]
    assert source["excluded_files"] == 1
    with home.reader() as reader:
        cursor = reader.cursor("claude", os.path.realpath(home.log_path("hidden", folder)))
        assert cursor is not None
        assert (cursor.excluded, cursor.offset, cursor.size) == (SECRET, 0, size)


def test_a_log_that_is_left_alone_is_not_read_again_until_it_may_be(home: Home) -> None:
    folder = folded(SECRET)
    home.write_log("hidden", *secret_lines(), project=folder)
    home.ok("import", env=EXCLUDE)
    again = home.ok("import", "--json", env=EXCLUDE).json
    assert (again["imported_events"], again["imported_bytes"]) == (0, 0)
    home.append_log("hidden", *talk(1, words=WORD), project=folder)
    home.ok("import", env=EXCLUDE)
    assert_nothing_of(home, WORD)
    report = home.ok("import", "--json").json
    assert report["imported_events"] == 5
    assert report["bytes"]["skipped"] == 0
    assert home.ok("status", "--json").json["sources"][0]["excluded_files"] == 0
    assert home.ok("search", WORD, "--json").json


def test_nothing_of_an_excluded_project_is_kept_by_a_tail(home: Home) -> None:
    folder = folded(SECRET)
    with home.daemon(env=EXCLUDE) as daemon:
        home.write_log("hidden", secret_lines()[0], project=folder)  # no record has named it yet
        home.append_log("hidden", *secret_lines()[1:], project=folder)
        home.append_log("seen", *talk(2))
        daemon.wait_for("seen", 2)
        until(lambda: daemon.status()["sources"][0]["excluded_files"] == 1, "the log is listed")
        home.append_log("hidden", *secret_lines(2, 5)[1:], project=folder)
        home.append_log("seen", *talk(2, start=2))
        daemon.wait_for("seen", 4)
        assert [each["agent_session_id"] for each in home.client.get("/v1/sessions")] == ["seen"]
        assert daemon.status()["problems"] == []
        assert_nothing_of(home, WORD)
    assert_nothing_of(home, WORD)


def test_a_subagent_elsewhere_belongs_to_the_project_it_was_started_in(home: Home) -> None:
    folder = folded(SECRET)
    home.write_log("hidden", *secret_lines(), project=folder)
    lines = [demo.user_line(WORD, cwd="/tmp/worktree", agent="a1")]
    home.write_log("hidden/subagents/agent-a1", *lines, project=folder)
    home.ok("import", env=EXCLUDE)
    assert_nothing_of(home, WORD)


def test_a_project_whose_name_only_looks_the_same_is_kept(home: Home) -> None:
    other = SECRET.replace("/src/secret", "/src-secret")
    assert folded(other) == folded(SECRET)
    home.write_log("seen", demo.user_line(WORD, cwd=other), project=folded(other))
    home.ok("import", env=EXCLUDE)
    assert list(home.sessions()) == ["seen"]


def test_an_excluded_log_that_is_deleted_is_gone(home: Home) -> None:
    folder = folded(SECRET)
    home.write_log("hidden", *secret_lines(), project=folder)
    home.ok("import", env=EXCLUDE)
    shutil.rmtree(os.path.dirname(home.log_path("hidden", folder)))
    report = home.ok("import", "--json", env=EXCLUDE).json
    assert report["problems"] == []
    assert home.ok("status", "--json", env=EXCLUDE).json["sources"][0]["gone_files"] == 1
