"""Where Claude Code's logs are, and whose each of them is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.settings import Settings
from holdfast.settings.loading import load
from holdfast.sources.agents.claude import Agent as ClaudeSource
from holdfast.sources.base import Log
from holdfast.sources.registry import enabled_sources, source_by_agent

ROOT = "/logs/projects"


@pytest.fixture
def source() -> ClaudeSource:
    return ClaudeSource(["/logs"])


@pytest.mark.parametrize(
    ("path", "name", "parent"),
    [
        ("-home-hana/s1.jsonl", "s1", ""),
        ("s1.jsonl", "s1", ""),
        ("-home-hana/s1/subagents/agent-a7.jsonl", "s1/agent-a7", "s1"),
        ("-home-hana/s1/subagents/workflows/w2/agent-a7.jsonl", "s1/workflows/w2/agent-a7", "s1"),
        ("-home-hana/s1/subagents/workflows/w2/journal.jsonl", "s1/workflows/w2/journal", "s1"),
        ("-home-hana/s1/agent-a7.jsonl", "s1/agent-a7", "s1"),
    ],
)
def test_whose_log_it_is(source: ClaudeSource, path: str, name: str, parent: str) -> None:
    log = source.identify(f"{ROOT}/{path}")
    assert log == Log("claude", f"{ROOT}/{path}", ROOT, name, parent)
    assert log.relative == path


@pytest.mark.parametrize(
    "path",
    [
        f"{ROOT}/-home-hana/s1/subagents/agent-a7.meta.json",
        f"{ROOT}/-home-hana/s1.jsonl.tmp",
        f"{ROOT}x/-home-hana/s1.jsonl",
        "/logs/history.jsonl",
        "/elsewhere/s1.jsonl",
        f"{ROOT}/-home-hana/\udcff.jsonl",
    ],
)
def test_what_is_none_of_its_logs(source: ClaudeSource, path: str) -> None:
    assert source.identify(path) is None


def test_the_folder_is_the_one_that_the_agent_uses(tmp_path: Path) -> None:
    environ = {"CLAUDE_CONFIG_DIR": str(tmp_path / "mine")}
    assert ClaudeSource.from_environment([], environ).roots() == [f"{tmp_path}/mine/projects"]
    assert ClaudeSource.from_environment(["/a", "/b"], environ).roots() == [
        "/a/projects",
        "/b/projects",
    ]
    home = os.path.realpath(os.path.expanduser("~"))
    for nothing in ({}, {"CLAUDE_CONFIG_DIR": ""}):
        assert ClaudeSource.from_environment([], nothing).roots() == [f"{home}/.claude/projects"]


def test_a_linked_folder_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    source = ClaudeSource([str(tmp_path / "link")])
    assert source.roots() == [f"{os.path.realpath(tmp_path)}/real/projects"]


def test_a_source_that_is_off_is_not_there() -> None:
    on = enabled_sources(Settings().source, {"CLAUDE_CONFIG_DIR": "/c"})
    assert on["claude"].roots() == ["/c/projects"]
    off = load(None, {"HOLDFAST_SOURCES__CLAUDE__ENABLED": "false"}).settings
    assert "claude" not in enabled_sources(off.source, {})


def test_a_source_is_known_by_its_agent() -> None:
    assert source_by_agent("claude").suffixes() == (".jsonl",)
    with pytest.raises(KeyError):
        source_by_agent("nobody")
