"""`holdfast sources` through the real program, with a daemon and without."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

from holdfast.cli.output import width
from holdfast.cli.sources import expiring_lines
from holdfast.conformance.samples import NAMES, sample_of
from holdfast.demo import lines
from holdfast.sources import agents
from tests.support.home import Home
from tests.support.waiting import until

DAY_S = 86_400
FOLDERS = {
    "codex": ".codex",
    "copilot": ".copilot",
    "cursor": ".cursor",
    "pi": ".pi/agent",
    "qwen": ".qwen",
}


def write(home: Home, agent: str, content: bytes = b"") -> str:
    """The sample's log, where the agent keeps it by default."""
    sample = sample_of(agent)
    root = home.claude if agent == "claude" else os.path.join(home.folder, FOLDERS[agent])
    path = os.path.join(root, sample.path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content or sample.content)
    return path


def reports(home: Home) -> dict[str, Any]:
    return {each["agent"]: each for each in home.ok("sources", "--json").json}


def test_every_agent_is_told_of_before_anything_is_there(home: Home) -> None:
    told = home.ok("sources").text
    assert set(reports(home)) == set(agents.NAMES)
    assert os.path.join(home.folder, ".copilot", "session-state") in told


@pytest.mark.parametrize("running", [False, True])
def test_each_agent_has_its_own_ledger(home: Home, running: bool) -> None:
    for agent in NAMES:
        write(home, agent)
    home.ok("import")
    if running:
        home.ok("start")
    found = reports(home)
    for agent in NAMES:
        report, size = found[agent], len(sample_of(agent).content)
        counts = report["bytes"]
        assert (report["files"], report["sessions"], counts["seen"]) == (1, 1, size), agent
        assert counts["seen"] == sum(
            counts[name] for name in ("parsed", "skipped", "unknown", "bad")
        )
        assert (report["lag_bytes"], report["unread_files"]) == (0, 0)
        assert report["events"] == sum(len(step.kinds) for step in sample_of(agent).steps)
    assert found["claude"]["origin"] == "$CLAUDE_CONFIG_DIR"
    assert found["copilot"]["origin"] == "the agent's default"


def test_what_waits_to_be_read_is_told(home: Home) -> None:
    path = write(home, "pi")
    home.ok("import")
    more = sample_of("pi").lines[3] + b"\n"
    with open(path, "ab") as file:
        file.write(more)
    write(home, "copilot")
    found = reports(home)
    assert (found["pi"]["unread_files"], found["pi"]["lag_bytes"]) == (1, len(more))
    assert found["copilot"]["lag_bytes"] == len(sample_of("copilot").content)
    assert "not read yet" in home.ok("sources", "--agent", "pi").text


def test_unknown_types_and_errors_are_told_with_their_place(home: Home) -> None:
    write(home, "qwen", sample_of("qwen").content + sample_of("qwen").unknown[0] + b"\n")
    home.ok("import")
    told = home.ok("sources").text
    assert "unknown type novelty: 1 record" in told
    told = home.ok("sources", "-v").text
    assert "kept raw" in told
    assert "Qwen Code" in told


def test_an_agent_that_is_off_says_by_which_setting(home: Home) -> None:
    home.config("[sources.pi]\nenabled = false\n")
    write(home, "pi")
    home.ok("import")
    found = reports(home)["pi"]
    assert (found["enabled"], found["files"]) == (False, 0)
    assert "sources.pi.enabled is false" in home.ok("sources", "--agent", "pi").text


def test_a_setting_is_named_as_what_says_where(home: Home) -> None:
    elsewhere = os.path.join(home.folder, "elsewhere")
    home.config(f'[sources.pi]\nroots = ["{elsewhere}"]\n')
    report = reports(home)["pi"]
    assert report["origin"] == "sources.pi.roots"
    root = os.path.join(elsewhere, "sessions")
    assert report["roots"] == [{"path": root, "exists": False}]


def test_an_agent_that_nobody_knows_is_refused_with_the_names(home: Home) -> None:
    result = home.run("sources", "--agent", "parrot")
    assert result.code == 2
    assert "claude" in result.err


def test_the_table_fits_a_terminal(home: Home) -> None:
    for agent in NAMES:
        write(home, agent)
    home.ok("import")
    told = home.ok("sources").text.splitlines()
    table = told[: len(NAMES) + 1]
    assert {row.split()[0] for row in table[1:]} == set(NAMES)
    assert max(map(width, table)) <= 100


def test_an_import_that_finds_nothing_says_where_it_looked(home: Home) -> None:
    told = home.ok("import").err
    for root in (home.projects, os.path.join(home.folder, ".qwen", "projects")):
        assert root in told
    assert "sources.<agent>.roots" in told


def test_an_import_with_every_agent_off_says_so(home: Home) -> None:
    home.config("".join(f"[sources.{name}]\nenabled = false\n" for name in agents.NAMES))
    assert "No agent is enabled" in home.ok("import").err


# What an agent is about to delete.


def old_log(home: Home, name: str, days: float) -> str:
    path = os.path.join(home.projects, "-home-hana", f"{name}.jsonl")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(lines.user_line("hi"))
    then_s = time.time() - days * DAY_S
    os.utime(path, (then_s, then_s))
    return path


def test_what_is_about_to_be_deleted_is_told_everywhere(home: Home) -> None:
    old_log(home, "soon", 25)
    old_log(home, "late", 40)
    old_log(home, "new", 1)
    told = home.ok("up").err
    assert "Claude Code deletes 2 logs" in told
    assert "all 2 are kept here" in told
    until(
        lambda: home.client.get("/v1/status")["sources"][0]["expiring"] is not None,
        "the daemon has looked",
    )
    for command in ("status", "sources"):
        assert "deletes 2 logs" in home.ok(command).text
    home.ok("stop")
    expiring = home.ok("status", "--json").json["sources"][0]["expiring"]
    assert (expiring["files"], expiring["kept_files"]) == (2, 2)
    with open(os.path.join(home.paths.logs, "holdfast.log.jsonl"), encoding="utf-8") as file:
        logged = [json.loads(line) for line in file]
    (record,) = [each for each in logged if each["event"] == "sources.expiring"]
    assert (record["files"], record["kept_files"], record["level"]) == (2, 2, "info")


def test_what_is_not_kept_is_named(home: Home) -> None:
    old_log(home, "kept", 25)
    home.ok("import")
    path = old_log(home, "lost", 28)
    told = home.ok("sources").text
    assert "1 kept here, 1 NOT:" in told
    assert f"{path}: it was never read" in told


def test_the_days_ahead_are_a_setting(home: Home) -> None:
    old_log(home, "soon", 25)
    home.ok("import")
    home.config("[sources]\nwarn_deletion_days = 2\n")
    assert reports(home)["claude"]["expiring"] is None


def test_the_agents_own_setting_counts(home: Home) -> None:
    old_log(home, "soon", 5)
    home.ok("import")
    assert reports(home)["claude"]["expiring"] is None
    with open(os.path.join(home.claude, "settings.json"), "w", encoding="utf-8") as file:
        file.write('{"cleanupPeriodDays": 10}')
    found = reports(home)["claude"]["expiring"]
    assert found["retention"].startswith("10 days (cleanupPeriodDays in ")


def test_many_that_are_not_kept_are_cut_to_a_few() -> None:
    expiring = {
        "retention": "30 days",
        "files": 40,
        "bytes": 4_000,
        "due_files": 40,
        "earliest_at": "2020-01-01T00:00:00Z",
        "latest_at": "2020-01-03T00:00:00Z",
        "kept_files": 0,
        "not_kept_files": 40,
        "not_kept": [{"path": f"/{number}", "why": "it was never read"} for number in range(20)],
    }
    told = expiring_lines(expiring, "")
    assert "at its next start" in told[0]
    assert any("and 35 more" in line for line in told)
    assert expiring_lines(None, "") == []
    some = expiring_lines(expiring | {"due_files": 1}, "")[0]
    assert some.startswith(
        "the agent deletes 40 logs (3.9 KiB), 1 at its next start, the rest until 2020-01-03;"
    )
    none = expiring_lines(expiring | {"due_files": 0}, "")[0]
    assert none.startswith("the agent deletes 40 logs (3.9 KiB) from 2020-01-01 on;")
