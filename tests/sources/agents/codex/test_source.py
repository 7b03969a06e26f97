"""Where Codex CLI's logs are, and whose each one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.sources.agents.codex import Agent
from tests.support.codex import NAME, THREAD


def test_logs_are_where_codex_keeps_them(tmp_path: Path) -> None:
    place = Agent.from_environment([], {"CODEX_HOME": str(tmp_path)})
    assert place.roots() == [f"{tmp_path}/sessions", f"{tmp_path}/archived_sessions"]
    assert place.place.origin == "$CODEX_HOME"
    assert Agent.from_environment([], {}).place.roots[0].endswith("/.codex")


@pytest.mark.parametrize(
    "place", ["sessions/2026/01/05", "archived_sessions", "archived_sessions/2026"]
)
@pytest.mark.parametrize("ending", ["", ".zst"])
def test_a_session_is_the_same_wherever_its_log_is_put(
    tmp_path: Path, place: str, ending: str
) -> None:
    log = Agent([str(tmp_path)]).identify(f"{tmp_path}/{place}/{NAME}{ending}")
    assert log is not None
    assert log.agent_session_id == THREAD


@pytest.mark.parametrize(
    "name", ["history.jsonl", "rollout-x.json", "rollout-x.jsonl.gz", "sessions.db", "x.jsonl.zst"]
)
def test_other_files_are_no_logs(tmp_path: Path, name: str) -> None:
    assert Agent([str(tmp_path)]).identify(f"{tmp_path}/sessions/{name}") is None


def test_a_name_without_an_id_is_an_id_itself(tmp_path: Path) -> None:
    log = Agent([str(tmp_path)]).identify(f"{tmp_path}/sessions/rollout-mine.jsonl")
    assert log is not None
    assert log.agent_session_id == "rollout-mine"
