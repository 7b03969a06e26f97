"""`holdfast service` against a systemd that records what it is asked, and really runs the unit."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import Exit
from holdfast.lock import holder
from tests.support import fake_systemctl, processes
from tests.support.home import Home, Result
from tests.support.waiting import until


class Systemd:
    """A home in which `systemctl` and `loginctl` are ours."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self.folder = folder
        self.unit = Path(home.folder, ".config/systemd/user/holdfast.service")
        self._program("systemctl", f'exec {sys.executable} {fake_systemctl.__file__} {folder} "$@"')
        self._program("loginctl", "echo Linger=no")
        self.env = {"PATH": f"{folder}:{os.environ['PATH']}"}

    def _program(self, name: str, does: str) -> None:
        script = self.folder / name
        script.write_text(f"#!/bin/sh\n{does}\n")
        script.chmod(0o755)

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> Result:
        return self.home.run("service", *arguments, env={**self.env, **(env or {})})

    def ok(self, *arguments: str, env: dict[str, str] | None = None) -> Result:
        result = self.run(*arguments, env=env)
        assert result.code == 0, result
        return result

    def status(self) -> Any:
        return self.run("status", "--json").json

    def calls(self) -> list[str]:
        """What systemctl was asked to change since the last look."""
        recorded = self.folder / "calls"
        lines = recorded.read_text().splitlines() if recorded.exists() else []
        recorded.unlink(missing_ok=True)
        return [
            line.removeprefix("--user ")
            for line in lines
            if not line.startswith(("--user show", "--user show-environment"))
        ]

    def mark(self, name: str) -> Path:
        path = self.folder / name
        path.touch()
        return path

    def close(self) -> None:
        pid = (
            json.loads(state.read_text())["pid"]
            if (state := self.folder / "state.json").exists()
            else 0
        )
        if pid:
            processes.kill(pid)
            until(lambda: not processes.is_alive(pid), "the service's daemon ends")


@pytest.fixture
def systemd(home: Home, tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(home, tmp_path)
    try:
        yield made
    finally:
        made.close()


def until_it_answers(home: Home) -> None:
    until(home.client.is_running, "the daemon answers")


def test_install_writes_enables_and_starts_and_again_does_nothing(systemd: Systemd) -> None:
    first = systemd.ok("install", "--json").json
    assert systemd.calls() == ["daemon-reload", "enable holdfast.service", "start holdfast.service"]
    assert (first["changed"], first["active"], first["path"]) == (True, True, str(systemd.unit))
    assert stat.S_IMODE(systemd.unit.stat().st_mode) == 0o600, "a variable in it may be a secret"
    until_it_answers(systemd.home)

    systemd.unit.chmod(0o644)  # as an older holdfast made it
    again = systemd.ok("install", "--json").json
    assert systemd.calls() == []
    assert (again["changed"], again["active"]) == (False, True)
    assert stat.S_IMODE(systemd.unit.stat().st_mode) == 0o600


def test_who_exports_is_told_that_its_headers_do_not_come_from_the_shell(systemd: Systemd) -> None:
    def notes(env: dict[str, str]) -> str:
        return " ".join(systemd.ok("install", "--json", env=env).json["notes"])

    assert "OTEL_" not in notes({})
    said = notes(
        {
            "HOLDFAST_TELEMETRY__OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=of-nobody-else",
        }
    )
    assert "systemctl --user edit holdfast" in said
    assert "of-nobody-else" not in systemd.unit.read_text()


def test_what_the_unit_runs_is_the_daemon_of_this_home(systemd: Systemd) -> None:
    systemd.ok("install", env={"HOLDFAST_DAEMON__MAX_MEMORY_MB": "123"})
    until_it_answers(systemd.home)
    held = holder(systemd.home.paths.lock)
    assert held is not None
    status = systemd.home.client.get("/v1/status")
    assert status["memory"]["budget_bytes"] == 123 << 20
    assert systemd.status()["pid"] == held[1]


def test_a_daemon_that_was_started_by_hand_makes_room(systemd: Systemd) -> None:
    systemd.home.ok("start")
    held = holder(systemd.home.paths.lock)
    assert held is not None
    assert systemd.status()["by_hand_pid"] == held[1]
    said = systemd.ok("install").err
    assert f"Stopped the daemon that was started by hand (pid {held[1]})" in said
    until_it_answers(systemd.home)
    after = holder(systemd.home.paths.lock)
    assert after is not None
    assert after[1] != held[1]
    told = systemd.status()
    assert (told["pid"], told["by_hand_pid"]) == (after[1], None)


def test_what_is_stopped_by_hand_is_started_by_the_service_again(systemd: Systemd) -> None:
    home = systemd.home
    systemd.ok("install")
    until_it_answers(home)
    home.ok("stop", env=systemd.env)
    assert not systemd.status()["active"]
    systemd.calls()
    assert "started by systemd" in home.ok("start", env=systemd.env).err
    assert "start holdfast.service" in systemd.calls()
    before = systemd.status()
    assert (before["active"], before["by_hand_pid"]) == (True, None)
    assert "started by systemd" in home.ok("restart", env=systemd.env).err
    after = systemd.status()
    assert after["pid"] not in (None, before["pid"])


def test_a_service_of_other_settings_is_not_taken_for_this_one(systemd: Systemd) -> None:
    home = systemd.home
    systemd.ok("install")
    until_it_answers(home)
    home.ok("stop", env=systemd.env)
    systemd.calls()
    home.config("[daemon]\nmax_memory_mb = 300\n")
    said = home.ok("start", env=systemd.env).err
    assert "service install" in said
    assert "holdfast started (pid" in said
    assert systemd.calls() == []


def test_changed_settings_are_told_and_installed(systemd: Systemd) -> None:
    systemd.ok("install")
    until_it_answers(systemd.home)
    assert systemd.status()["up_to_date"]
    systemd.calls()
    systemd.home.config("[daemon]\nmax_memory_mb = 400\n")
    told = systemd.status()
    assert (told["up_to_date"], told["edited"]) == (False, False)
    assert told["differences"] == [
        "-MemoryHigh=250M",
        "-MemoryMax=300M",
        "+MemoryHigh=500M",
        "+MemoryMax=600M",
    ]
    assert "Restarted with the new settings" in systemd.ok("install").err
    assert systemd.calls() == ["daemon-reload", "restart holdfast.service"]
    assert systemd.status()["up_to_date"]


def test_a_unit_that_somebody_edited_is_left_alone_without_force(systemd: Systemd) -> None:
    systemd.ok("install")
    edited = systemd.unit.read_text().replace("WatchdogSec=60", "WatchdogSec=90")
    systemd.unit.write_text(edited)
    systemd.calls()
    for action in ("install", "uninstall"):
        refused = systemd.run(action)
        assert refused.code == Exit.REFUSED
        assert "was edited" in refused.err
        assert "--force" in refused.err
    assert systemd.unit.read_text() == edited
    assert systemd.calls() == [], "nothing was stopped either"
    told = systemd.status()
    assert (told["edited"], told["differences"]) == (True, ["-WatchdogSec=90", "+WatchdogSec=60"])
    systemd.ok("install", "--force")
    assert "WatchdogSec=60" in systemd.unit.read_text()


def test_uninstall_removes_what_install_wrote_and_nothing_else(systemd: Systemd) -> None:
    systemd.ok("install")
    until_it_answers(systemd.home)
    theirs = systemd.unit.parent / "holdfast.service.d" / "mine.conf"
    theirs.parent.mkdir()
    theirs.write_text("[Service]\nNice=5\n")
    systemd.calls()
    said = systemd.ok("uninstall").err
    assert systemd.calls() == ["disable --now holdfast.service", "daemon-reload"]
    assert not systemd.unit.exists()
    assert theirs.exists()
    assert "stays" in said
    assert holder(systemd.home.paths.lock) is None
    assert os.path.exists(systemd.home.paths.journal)
    assert "nothing to remove" in systemd.ok("uninstall").err


def test_without_a_systemd_of_the_user_the_file_is_written_and_what_to_do_is_said(
    systemd: Systemd,
) -> None:
    down = systemd.mark("down")
    said = systemd.ok("install").err
    assert systemd.unit.exists()
    for told in ("It is not started", "No medium found", "service install", "holdfast start"):
        assert told in said
    asked = systemd.run("status", "--json")
    assert asked.code == Exit.NOT_RUNNING
    assert (asked.json["installed"], asked.json["active"]) == (True, False)
    assert "No medium found" in asked.json["problem"]

    down.unlink()
    assert "Started" in systemd.ok("install").err
    down.touch()
    link = systemd.unit.parent / "default.target.wants" / "holdfast.service"
    link.parent.mkdir()
    link.symlink_to(systemd.unit)
    assert f"Removed {link}" in systemd.ok("uninstall").err
    assert not link.is_symlink()
    assert not systemd.unit.exists()


def test_without_systemd_at_all_it_says_so(systemd: Systemd) -> None:
    nothing = systemd.folder / "nothing"
    nothing.mkdir()
    said = systemd.ok("install", env={"PATH": str(nothing)}).err
    assert "there is no systemctl here" in said


def test_a_start_that_systemd_refuses_is_told_with_its_words(systemd: Systemd) -> None:
    systemd.mark("refuses")
    failed = systemd.run("install")
    assert failed.code == Exit.FAILURE
    assert "Job for holdfast.service failed." in failed.err
    assert "holdfast start" in failed.err


def test_a_dry_run_prints_the_unit_and_changes_nothing(systemd: Systemd) -> None:
    shown = systemd.ok("install", "--dry-run")
    assert "ExecStart=" in shown.text
    assert systemd.calls() == []
    assert not systemd.unit.exists()
    systemd.ok("install")
    assert systemd.unit.read_text() == shown.text, "it shows the very file that is written"


def test_a_wrong_config_installs_nothing(systemd: Systemd) -> None:
    systemd.home.config("[daemon]\nmax_memory_mb = 0\n")
    assert systemd.run("install").code == Exit.CONFIG
    assert not systemd.unit.exists()


def test_the_status_is_told_to_people(systemd: Systemd) -> None:
    before = systemd.run("status")
    assert before.code == Exit.NOT_RUNNING
    assert "not installed" in before.text
    systemd.ok("install")
    until_it_answers(systemd.home)
    shown = systemd.ok("status").text
    for told in ("up to date with the settings", "starts by itself", "runs (pid "):
        assert told in shown


def test_lingering_is_hinted_at_until_it_is_allowed(systemd: Systemd) -> None:
    assert "loginctl enable-linger" in systemd.ok("install").err
    systemd._program("loginctl", "echo Linger=yes")
    assert "enable-linger" not in systemd.ok("install").err
