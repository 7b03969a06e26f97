"""The daemon, its last run, versions and the clock."""

from __future__ import annotations

import socket

import pytest

from holdfast.demo import lines
from holdfast.lock import JournalLock
from holdfast.status import LastRun
from tests.support import doctors
from tests.support.home import Home, talk
from tests.support.waiting import until


def test_a_daemon_that_holds_the_journal_and_does_not_answer_is_a_problem(home: Home) -> None:
    home.ok("import", "--quiet")
    with JournalLock(home.paths.lock).acquire("daemon"):
        found = doctors.look(home)["daemon"]
        assert found.verdict == "problem"
        assert "kill -9" in found.remedies[0]
        other = doctors.look(home, answers=True)["daemon"]
        assert (other.verdict, other.remedies[0].split("`")[1]) == ("warning", "holdfast restart")
        short = doctors.look(home, answers=True, put_off=True)["daemon"]
        assert (short.verdict, "short of memory" in short.said) == ("warning", True)
    with JournalLock(home.paths.lock).acquire("import"):
        assert doctors.look(home)["daemon"].verdict == "ok"
    assert "not running" in doctors.look(home)["daemon"].said


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [
        ("stopped", "ok"),
        ("machine restarted", "ok"),
        ("killed", "warning"),
        ("crashed", "warning"),
        ("out of memory", "warning"),
        ("failed", "warning"),
        ("restart wanted", "warning"),
    ],
)
def test_how_the_last_run_ended_is_told(home: Home, ending: str, verdict: str) -> None:
    last = LastRun(5, "1.0", "a", "b", ending, "SIGTERM of /secret", ["/secret trace"])
    found = doctors.look(home, last_run=last)["last-run"]
    assert found.verdict == verdict
    assert ending in found.said
    assert "secret" not in found.said
    assert any("/secret" in each for each in found.particulars)


def test_the_run_file_of_a_daemon_that_runs_is_not_explained_as_the_end_of_one(home: Home) -> None:
    with home.daemon() as daemon:
        daemon.kill()
    assert doctors.look(home)["last-run"].verdict == "warning"
    with JournalLock(home.paths.lock).acquire("daemon"):
        assert "last-run" not in doctors.look(home)


def test_an_orderly_stop_by_sigterm_is_said_to_be_what_others_call_143(home: Home) -> None:
    last = LastRun(5, "1.0", "a", "b", "stopped", "SIGTERM")
    assert "143" in doctors.look(home, last_run=last)["last-run"].particulars[0]


def test_events_in_the_future_are_told(home: Home) -> None:
    home.write_log("now", *talk(1))
    home.ok("import", "--quiet")
    assert doctors.look(home)["clock"].verdict == "ok"
    home.write_log("then", lines.user_line("x", at="2126-01-01T00:00:00.000Z", session="then"))
    home.ok("import", "--quiet")
    found = doctors.look(home)["clock"]
    assert found.verdict == "warning"
    assert "in the future" in found.said


def test_versions_are_evidence(home: Home) -> None:
    found = doctors.look(home)["versions"]
    assert found.verdict == "ok"
    assert {"holdfast", "python", "sqlite", "system"} <= set(found.evidence)


def test_what_the_daemon_tells_of_is_told_here_once(home: Home) -> None:
    """A port that is taken, an alert that fires; what another check says is not said again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        home.config(
            f"[server]\nloopback_port = {port}\n[daemon]\nheartbeat_ms = 200\n"
            "[alerts]\n"
            'rules = [{name = "busy", condition = "threads > 0", severity = "critical"}]\n'
        )
        with home.daemon() as daemon:
            until(
                lambda: daemon.status()["alerts"]["rules"][0]["state"] == "firing",
                "the alert fires",
            )
            found = doctors.look(home)
    assert found["alerts"].verdict == "problem"
    assert found["alerts"].said == "1 alert of 1 firing"
    assert "alert busy (critical)" in found["alerts"].particulars[0]
    told = found["problems"]
    assert told.verdict == "warning"
    assert [str(port) in each for each in told.particulars if "127.0.0.1" in each] == [True]
    assert not any(each.startswith("alert ") for each in told.particulars)
    sentences = {check.sentence for check in found.values() if check.id != "problems"}
    assert sentences.isdisjoint(told.particulars)


def test_a_daemon_that_is_well_tells_of_nothing(home: Home) -> None:
    with home.daemon():
        found = doctors.look(home)
    assert (found["alerts"].verdict, found["problems"].verdict) == ("ok", "ok")
    assert "alerts" not in doctors.look(home), "nobody watches"
