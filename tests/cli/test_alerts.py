"""`holdfast alerts` through the real program."""

from __future__ import annotations

import os
from typing import Any

import pytest

from holdfast.errors import Exit
from tests.support.home import Home
from tests.support.waiting import until

FIRES = 'rules = [{name = "alive", condition = "threads > 0", severity = "critical"%s}]\n'
FAST = "[daemon]\nheartbeat_ms = 200\n"


def alerts(home: Home) -> dict[str, Any]:
    found: dict[str, Any] = home.ok("alerts", "--json").json
    return found


def test_the_default_rules_are_listed_with_their_figures(home: Home) -> None:
    with home.daemon():
        until(lambda: alerts(home)["rules"][0]["values"]["memory_usage_pct"], "looked at")
        told = home.ok("alerts").text
        found = {each["name"]: each for each in alerts(home)["rules"]}
    assert list(found) == ["memory-high", "memory-critical", "work-queue-full", "connection-leak"]
    assert found["connection-leak"]["values"] == {"connections_leaked": 0}
    assert "memory_usage_pct >= 85 for 30s" in told
    assert "go nowhere: set alerts.webhook_url or alerts.command" in told


def test_without_a_daemon_it_says_how_to_start_one(home: Home) -> None:
    answer = home.run("alerts")
    assert answer.code == Exit.NOT_RUNNING
    assert "holdfast start" in answer.err


def test_what_fires_is_in_the_status_and_tells_the_command(home: Home) -> None:
    told = os.path.join(home.folder, "told")
    home.config(
        f"{FAST}[alerts]\ncommand = ['/bin/sh', '-c', 'cat > {told}']\n"
        + FIRES % ', actions = ["page", "restart_recommended"]'
    )
    with home.daemon():
        until(lambda: alerts(home)["rules"][0]["state"] == "firing", "it fires")
        until(lambda: os.path.exists(told) and os.path.getsize(told), "somebody was told")
        problems = home.ok("status", "--json").json["problems"]
        shown = home.ok("alerts").text
    assert problems == ["alert alive (critical): threads > 0, a restart is recommended"]
    assert "A restart is recommended by alive" in shown
    with open(told, encoding="utf-8") as file:
        assert '"alert":"alive"' in file.read()


def test_a_test_tells_whom_it_reached_and_whom_not(home: Home) -> None:
    home.config("[alerts]\ncommand = ['/bin/sh', '-c', 'exit 3']\n")
    with home.daemon():
        failed = home.run("alerts", "test", "memory-critical")
        assert failed.code == Exit.FAILURE
        assert "memory-critical: nobody was told: alerts.command: /bin/sh ended with 3" in (
            failed.err
        )
        tried = home.run("alerts", "test", "--json").json
    assert [each["alert"] for each in tried] == ["memory-critical", "work-queue-full"]


def test_silence_holds_over_a_restart_until_it_is_ended(home: Home) -> None:
    with home.daemon():
        said = home.ok("alerts", "silence", "memory-high", "--for", "2h").err
        assert "Nobody is told of memory-high for 2 h" in said
    with home.daemon():
        assert 7_000 < alerts(home)["rules"][0]["silenced_s"] <= 7_200
        home.ok("alerts", "unsilence", "memory-high")
        assert alerts(home)["rules"][0]["silenced_s"] == 0


def test_a_name_that_is_no_alert_is_refused(home: Home) -> None:
    with home.daemon():
        for action in ("test", "silence", "unsilence"):
            answer = home.run("alerts", action, "memory")
            assert answer.code == Exit.NOT_FOUND
            assert "there are: memory-high, memory-critical" in answer.err


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('{name = "a", condition = "memory > 1"}', "which is no figure; did you mean"),
        ('{name = "a"}', "missing required field `condition`"),
        ('"threads > 1"', "is no rule"),
    ],
)
def test_a_wrong_rule_is_told_with_its_line(home: Home, rule: str, says: str) -> None:
    home.config(f"[alerts]\nrules = [{rule}]\n")
    answer = home.run("config", "validate")
    assert answer.code == Exit.CONFIG
    assert "config.toml:2: alerts.rules: rule 1 " in answer.err
    assert says in answer.err


def test_by_default_a_test_says_what_is_missing_and_fails(home: Home) -> None:
    with home.daemon():
        tried = home.run("alerts", "test", "memory-critical")
        assert tried.code == Exit.FAILURE
        assert "nobody was told: set alerts.webhook_url or alerts.command." in tried.err
        none = home.run("alerts", "test", "memory-high")
        assert "it has none of the actions page, webhook, command" in none.err
