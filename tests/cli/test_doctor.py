"""`holdfast doctor` as a person runs it."""

from __future__ import annotations

import json
import os
import resource

import jsonschema
import pytest

from holdfast.doctor import report_schema
from tests.support import damage
from tests.support.home import Home, talk
from tests.support.waiting import until


@pytest.fixture
def kept(home: Home) -> Home:
    home.write_log("alpha", *talk(300, words="barnacle " + "reef " * 40))
    home.ok("import", "--quiet", env={"HOLDFAST_SNAPSHOTS__BLOCK_BYTES": "16384"})
    return home


def test_without_a_daemon_it_says_so_and_looks_at_the_rest(kept: Home) -> None:
    done = kept.ok("doctor")
    lines = done.text.splitlines()
    assert lines[0] == "Process"
    assert lines[-1].endswith("0 problems (no daemon was asked: none answers)")
    assert "no damage: the database and" in done.text
    assert "descriptors:" not in done.text, "evidence is for -v"
    assert not done.err


def test_a_daemon_is_asked_for_what_only_it_knows(kept: Home) -> None:
    with kept.daemon() as daemon:
        told = kept.ok("doctor", "--json").json
        jsonschema.validate(told, report_schema())
        checks = {each["id"]: each for each in told["checks"]}
        assert told["daemon"]
        assert checks["work"]["evidence"]["pid"] == daemon.pid
        assert checks["footprint"]["evidence"]["tree_bytes"] > 10 << 20
        assert checks["footprint"]["evidence"]["budget_bytes"] == 200 << 20
        assert checks["connections"]["evidence"]["readers_max"] == 2
        assert checks["watches"]["evidence"]["folders"] > 0
        assert checks["daemon"]["evidence"]["pid"] == daemon.pid
        status = daemon.status()["memory"]
        assert checks["footprint"]["evidence"]["level"] == status["level"]
        assert kept.ok("doctor").text.splitlines()[-1].endswith("0 problems")


def test_a_daemon_that_is_short_of_memory_is_asked_all_the_same(kept: Home) -> None:
    """What it puts off is looked up, and nothing is said of it that holds of a dead one."""
    short = {
        "HOLDFAST_DAEMON__MAX_MEMORY_MB": "20",
        "HOLDFAST_RESOURCES__CRITICAL_EXIT_SECS": "3600",
    }
    with kept.daemon(short) as daemon:
        until(
            lambda: daemon.status()["memory"]["pressure"]["own_level"] == "critical",
            "it is critical",
        )
        told = kept.run("doctor", "--json").json
        pid = daemon.pid
    checks = {each["id"]: each for each in told["checks"]}
    assert told["daemon"]
    assert (checks["daemon"]["verdict"], checks["daemon"]["evidence"]["pid"]) == ("ok", pid)
    assert checks["footprint"]["verdict"] == "problem"
    assert checks["footprint"]["evidence"]["level"] == "critical"
    assert checks["work"]["evidence"]["pid"] == pid
    assert checks["source-claude"]["evidence"]["events"] == 300
    assert "last-run" not in checks


def test_a_problem_ends_with_12_and_is_told_with_its_remedy(kept: Home) -> None:
    damage.turn_a_bit(kept.paths.journal)
    done = kept.run("doctor")
    assert done.code == 12
    lines = done.text.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("  problem"))
    assert "the journal is damaged" in lines[at]
    assert "position" in lines[at + 1]
    assert lines[at + 2].strip().startswith("→ stop holdfast")
    assert "1 problem" in lines[-1]
    assert kept.run("doctor", "--json").code == 12


def test_verbose_shows_what_every_verdict_rests_on(kept: Home) -> None:
    text = kept.ok("doctor", "-v", "--full").text
    assert "disk: free_bytes " in text
    assert "versions: holdfast " in text


def test_it_changes_nothing(kept: Home) -> None:
    def all_files() -> dict[str, tuple[int, int]]:
        return {
            os.path.join(folder, name): (found.st_size, found.st_mtime_ns)
            for folder, _folders, names in os.walk(kept.home)
            for name in names
            if not name.endswith(("-shm", "-wal"))  # reading makes them, empty
            for found in [os.stat(os.path.join(folder, name))]
        }

    before = all_files()
    kept.ok("doctor", "--full")
    assert all_files() == before


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (900, 1_000))


def test_a_limit_that_is_too_low_is_told_at_the_start_in_the_status_and_by_the_doctor(
    kept: Home,
) -> None:
    with kept.daemon(preexec_fn=few_files) as daemon:
        (problem,) = (each for each in daemon.status()["problems"] if "files" in each)
        assert problem.startswith("only 1,000 files may be open")
        assert "ulimit -Hn 4096" in problem
        assert problem in kept.ok("status").text
        done = kept.run("doctor")
        assert done.code == 0, "a warning is no problem"
        assert "warning  only 1,000 files may be open" in done.text
        limits = daemon.status()["memory"]["machine"]["descriptors"]
        assert limits["soft_limit"] == 1_000, "raised by itself, as far as it may be"
    with open(os.path.join(kept.paths.logs, "holdfast.log.jsonl"), "rb") as file:
        records = [json.loads(line) for line in file]
    raised = next(each for each in records if each["event"] == "limits.raised")
    assert (raised["before"], raised["after"]) == (900, 1_000)
    low = next(each for each in records if each["event"] == "limits.low")
    assert (low["limit"], low["verdict"]) == ("descriptors", "warning")


def test_a_change_of_the_configuration_that_does_not_hold_yet_is_told(kept: Home) -> None:
    kept.config("[daemon]\nmax_memory_mb = 150\n")
    with kept.daemon():
        assert "the config file is right" in kept.ok("doctor").text
        path = kept.config("[daemon]\nmax_memory_mb = 160\n")
        ahead = os.stat(path).st_mtime + 60
        os.utime(path, (ahead, ahead))
        assert "changed after the daemon started" in kept.ok("doctor").text
