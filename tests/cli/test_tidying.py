"""`clean` removes what is not needed, and conversations only when that is said twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.errors import Exit
from tests.support.home import Home, talk


@pytest.fixture
def kept(home: Home) -> Home:
    home.write_log("alpha", *talk(3, session="alpha"))
    home.ok("import", "--quiet")
    return home


def leave(*paths: str) -> list[Path]:
    left = [Path(path) for path in paths]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left behind")
    return left


def test_there_is_nothing_to_clean_after_an_orderly_stop(kept: Home) -> None:
    with kept.daemon():
        pass
    cleaned = kept.ok("clean")
    assert not cleaned.text
    assert cleaned.err == "Nothing to clean.\n"


def test_what_a_crash_or_a_migration_left_is_removed(kept: Home) -> None:
    paths = kept.paths
    left = leave(
        f"{paths.journal}.schema-1.backup",
        f"{paths.journal}.schema-1.backup.partial",
        f"{paths.blobs}/.partial-abc",
        f"{paths.state_dir}/status.json.partial",
        paths.socket,
    )
    looked = kept.ok("clean", "--dry-run", "--json").json
    assert looked["removed"] is False
    assert set(looked["paths"]) == {str(path) for path in left}
    assert looked["bytes"] == len(left) * len(b"left behind")
    assert all(path.exists() for path in left)
    kept.ok("clean")
    assert not any(path.exists() for path in left)
    assert kept.export("alpha").count(b"\n") == 3


def test_rotated_logs_go_only_when_asked_for(kept: Home) -> None:
    logs = kept.paths.logs
    rotated, current = leave(f"{logs}/holdfast.log.1.jsonl", f"{logs}/holdfast.log.jsonl")
    kept.ok("clean")
    assert rotated.exists()
    kept.ok("clean", "--logs")
    assert not rotated.exists()
    assert current.exists()


def test_what_a_running_daemon_may_be_writing_stays(kept: Home) -> None:
    with kept.daemon() as daemon:
        writing, backup = leave(
            f"{kept.paths.blobs}/.partial-now", f"{kept.paths.journal}.schema-1.backup"
        )
        kept.ok("clean")
        assert writing.exists()
        assert not backup.exists()
        assert daemon.answers()


def test_everything_goes_only_when_that_is_said_twice(kept: Home) -> None:
    kept.ok("config", "init")
    refused = kept.run("clean", "--all")
    assert refused.code == Exit.USAGE
    assert "--all --yes" in refused.err
    assert kept.paths.data_dir in kept.ok("clean", "--all", "--dry-run").text
    assert os.path.exists(kept.paths.journal)
    kept.ok("clean", "--all", "--yes")
    assert os.listdir(kept.home) == ["config.toml"]
    assert os.path.exists(kept.log_path("alpha"))  # the agent's own log is not ours to touch


def test_nothing_is_deleted_under_a_running_daemon(kept: Home) -> None:
    with kept.daemon():
        refused = kept.run("clean", "--all", "--yes")
        assert refused.code == Exit.ALREADY_RUNNING
        assert "holdfast stop" in refused.err
    assert kept.export("alpha").count(b"\n") == 3
