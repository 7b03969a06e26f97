"""Homes and daemons of benches leave nothing behind, whatever a bench does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.kit.homes import Home, RunningDaemon, fresh_home, running_daemon
from bench.kit.proc import footprint_bytes
from bench.kit.setting import Setting


class BenchFailed(Exception):
    pass


def test_a_daemon_and_its_home_do_not_outlive_a_bench_that_fails(tmp_path: Path) -> None:
    used: list[RunningDaemon] = []

    def fail() -> None:
        with (
            fresh_home(Setting(0.01, tmp_path), tmp_path / "claude") as home,
            running_daemon(home) as daemon,
        ):
            used.append(daemon)
            assert footprint_bytes(daemon.pid) > 0
            raise BenchFailed

    with pytest.raises(BenchFailed):
        fail()
    assert footprint_bytes(used[0].pid) == 0  # gone, or waiting for its parent to take note
    assert not used[0].home.path.exists()


def test_a_home_takes_only_its_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_DAEMON__MAX_MEMORY_MB", "77")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "/somebody/elses")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    home = Home(tmp_path / "home", tmp_path / "claude", {"snapshots.max_sessions": 3})
    shown = home.call("config", "show", "--json")
    assert shown["daemon.max_memory_mb"] == 200
    assert shown["snapshots.max_sessions"] == 3
    assert home.environ["CLAUDE_CONFIG_DIR"] == str(tmp_path / "claude")
    assert "PYTHONDONTWRITEBYTECODE" not in home.environ


def test_a_connection_is_made_anew_when_the_daemon_closed_it(tmp_path: Path) -> None:
    setting = Setting(0.01, tmp_path)
    with fresh_home(setting, tmp_path / "claude") as home, running_daemon(home) as daemon:
        daemon.status()
        sock = daemon.api._connection.sock
        assert sock is not None
        sock.shutdown(2)
        assert daemon.status()["daemon"]["pid"] == daemon.pid


def test_temporary_folders_are_below_the_work_folder_of_the_run(tmp_path: Path) -> None:
    with Setting(0.01, tmp_path).folder("name") as folder:
        assert folder.parent == tmp_path
        (folder / "file").write_text("something")
    assert os.listdir(tmp_path) == []
