"""The unit file: what stands in it, and that systemd itself understands all of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from holdfast.errors import Exit
from holdfast.paths import Paths
from holdfast.service import Plan, limits_for, make_plan
from holdfast.service.systemd import HOPELESS, render
from holdfast.settings import Daemon, Settings

PYTHON = "/home/hana/hold fast/100%/$x/python"


def a_plan(environ: dict[str, str] | None = None, *, max_memory_mb: int = 200) -> Plan:
    environ = {"HOME": "/home/hana", **(environ or {})}
    settings = Settings(daemon=Daemon(max_memory_mb=max_memory_mb, stop_deadline_ms=10_500))
    return make_plan(
        settings, Paths.from_env(environ), environ, python=PYTHON, folders=["CLAUDE_CONFIG_DIR"]
    )


def values(text: str) -> dict[str, str]:
    lines = [line.partition("=") for line in text.splitlines() if not line.startswith("#")]
    return {key: value for key, _, value in lines if value}


def test_the_unit_holds_what_the_settings_ask_for() -> None:
    unit = values(render(a_plan()))
    wanted = {
        "Type": "notify",
        "MemoryHigh": "250M",
        "MemoryMax": "300M",
        "OOMScoreAdjust": "500",
        "Restart": "on-failure",
        "RestartForceExitStatus": str(int(Exit.RESTART_WANTED)),
        "SuccessExitStatus": str(int(Exit.RESTART_WANTED)),
        "TimeoutStopSec": "16",  # a started second is a second, and five for the rest
        "LimitNOFILE": "8192",
        "KillMode": "mixed",
        "WantedBy": "default.target",
    }
    assert {key: unit[key] for key in wanted} == wanted
    assert int(unit["WatchdogSec"]) > 0


def test_what_starting_again_cannot_mend_is_not_started_again() -> None:
    unit = values(render(a_plan()))
    codes = {int(code) for code in unit["RestartPreventExitStatus"].split()}
    assert codes == set(map(int, HOPELESS))
    assert int(Exit.RESTART_WANTED) not in codes
    assert int(Exit.JOURNAL) not in codes, "a full disk may have room again"


@pytest.mark.parametrize("budget_mb", [1, 48, 64, 128, 200, 256, 1_000, 16_384])
def test_the_groups_lines_lie_above_those_of_the_budget(budget_mb: int) -> None:
    """Else a control group would speak before the settings do: 60 % and 80 % of it against ours."""
    limits = limits_for(budget_mb, 10_000)
    assert budget_mb < limits.memory_high_mb < limits.memory_max_mb
    assert 0.60 * limits.memory_max_mb > 0.85 * budget_mb - 1
    assert 0.80 * limits.memory_max_mb > 0.95 * budget_mb


def test_only_what_decides_over_folders_and_settings_goes_into_the_unit() -> None:
    plan = a_plan(
        {
            "HOLDFAST_HOME": "~/hf",
            "HOLDFAST_DAEMON__MAX_MEMORY_MB": "300",
            "CLAUDE_CONFIG_DIR": "/srv/claude",
            "XDG_DATA_HOME": "/srv/data",
            "XDG_STATE_HOME": "not/absolute",
            "ANTHROPIC_API_KEY": "sk-ant-secret",
            "PATH": "/usr/bin",
            "PYTHONPATH": "/srv/python",
            "MALLOC_ARENA_MAX": "8",
        }
    )
    assert plan.environ == {
        "CLAUDE_CONFIG_DIR": "/srv/claude",
        "HOLDFAST_DAEMON__MAX_MEMORY_MB": "300",
        "HOLDFAST_HOME": os.path.expanduser("~/hf"),
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "XDG_DATA_HOME": "/srv/data",
    }
    assert "secret" not in render(plan)


def test_signs_that_mean_something_to_systemd_are_escaped() -> None:
    unit = render(a_plan({"HOLDFAST_RECORDING__DEFAULT_FOLDER": '/a "b"\\c %h $d\ne'}))
    line = 'Environment="HOLDFAST_RECORDING__DEFAULT_FOLDER=/a \\"b\\"\\\\c %%h $d\\ne"'
    assert line in unit.splitlines()
    assert 'ExecStart="/home/hana/hold fast/100%%/$$x/python" "-I"' in unit


@pytest.mark.parametrize("budget_mb", [200, 4_096])
def test_systemd_understands_every_line(budget_mb: int, tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd-analyze here")
    folder = tmp_path / "with space 100%"
    folder.mkdir()
    (folder / "python").symlink_to("/bin/true")
    plan = a_plan({"HOLDFAST_HOME": "/srv/a %h"}, max_memory_mb=budget_mb)
    text = render(plan).replace(PYTHON.replace("%", "%%").replace("$", "$$"), _unit_path(folder))

    def complaints(unit: str) -> str:
        path = tmp_path / "holdfast.service"
        path.write_text(unit)
        done = subprocess.run(
            [verify, "--user", "verify", str(path)],
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    assert complaints(text) == ""
    assert "sometimes" in complaints(text.replace("WatchdogSec=60", "WatchdogSec=sometimes"))


def _unit_path(folder: Path) -> str:
    return str(folder / "python").replace("%", "%%")
