"""Every way in which a real daemon ends is told by the next one, the status and the doctor."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest

from tests.support import cgroups, failing
from tests.support.home import Home, RunningDaemon
from tests.support.waiting import until

FAILING = (sys.executable, failing.__file__)


def last_run(home: Home) -> dict[str, Any]:
    found: dict[str, Any] = home.ok("status", "--json").json["daemon"]["last_run"]
    return found


def told_by_all(home: Home, ending: str) -> dict[str, Any]:
    """Without a daemon, by the doctor, and by the daemon that comes next."""
    before = last_run(home)
    assert before["ending"] == ending, before
    checks = {each["id"]: each for each in home.run("doctor", "--json").json["checks"]}
    assert checks["last-run"]["evidence"]["ending"] == ending
    with home.daemon() as daemon:
        after = daemon.status()["daemon"]["last_run"]
        asked = {each["id"]: each for each in home.run("doctor", "--json").json["checks"]}
        assert asked["last-run"]["evidence"]["ending"] == ending
    assert (after["ending"], after["pid"]) == (ending, before["pid"])
    return before


def end(daemon: RunningDaemon, number: int) -> int:
    daemon.process.send_signal(number)
    return daemon.process.wait(60)


def test_sigterm_is_an_orderly_stop(home: Home) -> None:
    with home.daemon() as daemon:
        assert end(daemon, signal.SIGTERM) == 0
    assert told_by_all(home, "stopped")["detail"] == "SIGTERM"
    assert not os.path.exists(home.paths.crash_file)


def test_sigkill_leaves_nothing_and_that_is_said(home: Home) -> None:
    with home.daemon() as daemon:
        assert end(daemon, signal.SIGKILL) == -signal.SIGKILL
    assert "kill -9" in told_by_all(home, "killed")["detail"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGSEGV, "Segmentation fault"), (signal.SIGABRT, "Aborted")],
)
def test_a_fault_leaves_the_place_where_it_was(home: Home, number: int, words: str) -> None:
    with home.daemon() as daemon:
        assert end(daemon, number) == -number
    told = told_by_all(home, "crashed")
    assert words in told["detail"]
    with open(f"{home.paths.crash_file}.last", encoding="utf-8") as file:
        trace = file.read()
    assert trace.startswith("Fatal Python error")
    assert "daemon.py" in trace


def test_a_fault_in_native_code_of_a_thread_does_too(home: Home) -> None:
    daemon = home.start(program=(*FAILING, "fault"), wait=False)
    assert daemon.process.wait(60) == -signal.SIGSEGV
    daemon.kill()
    told_by_all(home, "crashed")
    with open(f"{home.paths.crash_file}.last", encoding="utf-8") as file:
        assert "_fault" in file.read()


def test_an_error_inside_ends_it_in_an_orderly_way_and_leaves_its_trace(home: Home) -> None:
    daemon = home.start(program=(*FAILING, "task"), wait=False)
    assert daemon.process.wait(60) == 1
    daemon.kill()
    told = told_by_all(home, "failed")
    assert "please report" in told["detail"]
    assert told["evidence"][0] == "ZeroDivisionError: nobody caught this"
    with open(f"{home.paths.crash_file}.last", encoding="utf-8") as file:
        assert "_fail" in file.read()


def test_a_stop_that_is_cut_short_is_told_with_its_reason(home: Home) -> None:
    hanging = (sys.executable, "-m", "tests.support.hanging")
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    env = {"PYTHONPATH": root, "HOLDFAST_DAEMON__STOP_DEADLINE_MS": "60000"}
    with home.daemon(env, program=hanging) as daemon:
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: '"stopping":"SIGTERM"' in _text(home.paths.run_file), "it begins to stop")
        assert end(daemon, signal.SIGKILL) == -signal.SIGKILL
    assert "it was stopping (SIGTERM)" in told_by_all(home, "killed")["detail"]


@pytest.mark.slow
def test_a_daemon_that_the_kernel_kills_for_want_of_memory_is_told(home: Home) -> None:
    with cgroups.made(limit_bytes=96 << 20) as group:
        daemon = home.start(preexec_fn=group.enter, program=(*FAILING, "memory"), wait=False)
        assert daemon.process.wait(60) == -signal.SIGKILL
        daemon.kill()
        assert group.kills == 1
        told = told_by_all(home, "out of memory")
        evidence = " ".join(told["evidence"])
        assert "Killed process" in evidence or group.path in evidence
        assert "memory at the last heartbeat" in evidence


@pytest.mark.slow
def test_a_group_that_ends_before_the_ceiling_is_told_while_the_daemon_runs(home: Home) -> None:
    with (
        cgroups.made(limit_bytes=128 << 20) as group,
        home.daemon(preexec_fn=group.enter) as daemon,
    ):
        (problem,) = (each for each in daemon.status()["problems"] if "control group" in each)
        assert problem.startswith("the control group ends at 128.0 MiB")
        assert "daemon.max_memory_mb = 96" in problem
        done = home.run("doctor")
        assert done.code == 12
        assert "the control group ends at 128.0 MiB" in done.text


def test_a_daemon_that_hangs_is_told_and_not_waited_for(home: Home) -> None:
    with home.daemon() as daemon:
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            done = home.run("doctor")
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        assert done.code == 12
        assert f"a daemon holds the journal (pid {daemon.pid}) and does not answer" in done.text
        assert home.ok("doctor").code == 0


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
