"""`up`, `start`, `stop` and `restart` as a person runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from holdfast.demo.lines import user_line
from holdfast.errors import Exit
from holdfast.lock import holder
from tests.support.home import Home, talk


@contextmanager
def stopping(home: Home, **how: object) -> Iterator[None]:
    try:
        yield
    finally:
        home.run("stop", **how)  # type: ignore[arg-type]  # the same arguments as `run`


def test_up_sets_up_starts_imports_and_says_what_to_try(home: Home) -> None:
    home.write_log("alpha", *talk(3, session="alpha"))
    with stopping(home):
        said = home.ok("up")
        assert not said.out
        for told in (
            "Wrote",
            "holdfast started (pid",
            "1 session, 3 events from 1 file",
            "Try next:",
        ):
            assert told in said.err
        assert os.path.exists(home.paths.config_file)
        again = home.ok("up").err
        assert "running already" in again
        assert "nothing left to read" in again


def test_up_without_any_logs_says_where_it_looked_and_points_to_the_demo(home: Home) -> None:
    with stopping(home):
        said = home.ok("up").err
    assert f"Claude Code: {home.projects} ($CLAUDE_CONFIG_DIR)" in said
    assert "holdfast demo" in said


def test_the_daemon_answers_when_start_returns_and_is_gone_when_stop_does(home: Home) -> None:
    with stopping(home):
        started = home.ok("start").err
        held = holder(home.paths.lock)
        assert held is not None
        assert f"(pid {held[1]})" in started
        assert home.ok("status", "--json").json["daemon"]["pid"] == held[1]
        assert home.run("start").code == Exit.ALREADY_RUNNING
        home.ok("stop")
        assert holder(home.paths.lock) is None
        assert home.run("stop").code == Exit.NOT_RUNNING


def test_restart_starts_anew_and_starts_what_does_not_run(home: Home) -> None:
    with stopping(home):
        assert "stopped" not in home.ok("restart").err
        before = holder(home.paths.lock)
        assert "holdfast stopped." in home.ok("restart").err
        assert holder(home.paths.lock) != before


def test_a_wrong_config_does_not_take_a_running_daemon_down(home: Home) -> None:
    with stopping(home):
        home.ok("start")
        home.config("[daemon]\nmax_memory_mb = 0\n")
        before = holder(home.paths.lock)
        assert before is not None
        refused = home.run("restart")
        assert refused.code == Exit.CONFIG
        assert f"(pid {before[1]}) goes on with the settings it was started with" in refused.err
        assert holder(home.paths.lock) == before
        assert home.ok("stop").err == "holdfast stopped.\n"
        assert "goes on" not in home.run("restart").err


def test_folders_may_be_named_relative_to_where_the_command_runs(home: Home) -> None:
    """The daemon runs in `/`: a relative name must not become another folder there."""
    home.write_log("alpha", *talk(2, session="alpha"))
    env = {"HOLDFAST_HOME": "home", "CLAUDE_CONFIG_DIR": "claude"}
    with stopping(home, env=env):
        home.ok("up", env=env)
        assert holder(home.paths.lock) is not None
    assert home.export("alpha").count(b"\n") == 2


def test_a_session_over_the_budget_ends_the_daemon_with_a_code_of_its_own_if_that_is_set(
    home: Home,
) -> None:
    lines = [  # 60,000 characters each that compress to half
        user_line(Random(number).randbytes(30_000).hex(), session="giant") for number in range(60)
    ]
    daemon = home.start(
        {"HOLDFAST_SNAPSHOTS__OVERSIZED": "fail", "HOLDFAST_SNAPSHOTS__MAX_MEMORY_MB": "1"}
    )
    try:
        home.write_log("giant", *lines)
        assert daemon.process.wait(60) == Exit.OVERSIZED
    finally:
        daemon.stop()
    last = home.ok("status", "--json").json["daemon"]["last_run"]
    assert last["ending"] == "failed"
    assert "snapshots.oversized" in last["detail"]
    assert home.export("giant").count(b"\n") == len(lines)
