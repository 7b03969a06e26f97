"""The time of day may jump; what the daemon decides by time goes by a clock that does not."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any, Final

import jsonschema
import pytest

from holdfast.status import status_schema
from tests.support import jumping_clock
from tests.support.home import Home, RunningDaemon, talk
from tests.support.waiting import until

YEAR_S: Final = 365 * 86_400
HOUR_S: Final = 3_600


class Clock:
    """The wall clock of a daemon."""

    def __init__(self, home: Home) -> None:
        self._path = os.path.join(home.folder, "clock")
        self.set(0)
        self.program = (sys.executable, "-I", str(jumping_clock.__file__), self._path)

    def set(self, offset_s: float) -> None:
        with open(f"{self._path}.new", "w", encoding="ascii") as file:
            file.write(str(offset_s))
        os.replace(f"{self._path}.new", self._path)


def heartbeat(home: Home) -> datetime:
    with open(home.paths.run_file, "rb") as file:
        return datetime.fromisoformat(json.load(file)["heartbeat_at"])


def records(home: Home) -> list[dict[str, Any]]:
    with open(os.path.join(home.paths.logs, "holdfast.log.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("jump_s", [-20 * YEAR_S, -HOUR_S, HOUR_S, 20 * YEAR_S])
def test_a_clock_that_jumps_changes_nothing_but_the_time_that_is_told(
    home: Home, jump_s: float
) -> None:
    clock = Clock(home)
    env = {
        "HOLDFAST_DAEMON__HEARTBEAT_MS": "200",
        "HOLDFAST_INGEST__RECONCILE_SECS": "1",
        "HOLDFAST_SNAPSHOTS__IDLE_EVICTION_MS": "1800000",
        "HOLDFAST_SNAPSHOTS__IDLE_EVICTION_MODE": "enforce",
    }
    home.write_log("a", *talk(3))
    with home.daemon(env, program=clock.program) as daemon:
        daemon.wait_for("a", 3)
        clock.set(jump_s)
        expected = datetime.now(UTC).timestamp() + jump_s
        until(
            lambda: abs(heartbeat(home).timestamp() - expected) < HOUR_S / 2,
            "the heart beats on under the new time",
            detail=lambda: heartbeat(home),
        )
        home.append_log("a", *talk(2, start=3))
        daemon.wait_for("a", 5)
        home.write_log("b", *talk(2))
        daemon.wait_for("b", 2)
        check_status(daemon)
        clock.set(0)
        home.append_log("a", *talk(1, start=5))
        daemon.wait_for("a", 6)
        written = len(records(home))
        check_status(daemon)
        assert daemon.terminate() == 0
        assert len(records(home)) > written, "the log goes on"
    last = home.ok("status", "--json").json["daemon"]["last_run"]
    assert last["ending"] == "stopped"


def check_status(daemon: RunningDaemon) -> None:
    status = daemon.status()
    jsonschema.validate(status, status_schema())
    assert 0 <= status["daemon"]["uptime_s"] < HOUR_S / 2
    snapshots = status["memory"]["snapshots"]
    assert snapshots["evictions"]["idle"] == 0, "an hour that did not pass makes nobody idle"
    assert snapshots["idle_eviction"]["would_evict"] == 0


@pytest.mark.parametrize("at", ["1970-01-01T00:00:00.000Z", "2999-12-31T23:59:59.999Z", "", "soon"])
def test_times_in_a_log_are_kept_and_found_whatever_they_say(home: Home, at: str) -> None:
    lines = [line.replace(b"2026-01-01T00:00:01.000Z", at.encode()) for line in talk(3)]
    home.write_log("a", *lines)
    home.write_log("b", *talk(2))
    home.ok("import", "--quiet")
    assert [hit["seq"] for hit in home.ok("search", "--json", '"word 1"', "-n", "9").json]
    assert home.export("a").count(b"\n") == 3
    assert len(home.sessions()) == 2
    assert home.ok("sessions").text
    assert home.ok("export", "a").text


def test_a_log_with_a_time_of_its_own_is_read_when_it_changes(home: Home) -> None:
    """Times of files jump with the clock too: forwards, backwards, and not at all."""
    path = home.write_log("a", *talk(2))
    os.utime(path, (0, 0))
    home.ok("import", "--quiet")
    events = 2
    for time_s in (2**33, 1, 1, 10**9):
        home.append_log("a", *talk(1, start=events))
        os.utime(path, (time_s, time_s))
        events += 1
        home.ok("import", "--quiet")
        assert home.sessions()["a"]["events"] == events
