"""The property list, and what launchctl is asked; a fake one stands in on other systems."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path
from typing import Final

import pytest

from holdfast.errors import HoldfastError
from holdfast.paths import Paths
from holdfast.service import Plan, install, make_plan, manager_for, status, uninstall
from holdfast.service.launchd import LABEL, Launchd, render
from holdfast.service.operating import ByHand
from holdfast.service.systemd import Systemd
from holdfast.settings import Settings

NOBODY: Final = ByHand(lambda: None, lambda: False)
SERVICE: Final = f"gui/{os.getuid()}/{LABEL}"

# Knows whether the agent is loaded, and records what it is asked to change.
LAUNCHCTL: Final = """\
#!/bin/sh
cd "$(dirname "$0")"
case "$1 $2" in
    "print gui/"*"/"*) [ -e loaded ] || exit 113; printf '\\tstate = running\\n\\tpid = 4711\\n' ;;
    "print "*) [ ! -e down ] || { echo "Could not find domain" >&2; exit 112; } ;;
    *) echo "$*" >> calls ;;
esac
case "$1" in
    bootstrap) touch loaded ;;
    bootout) rm -f loaded ;;
esac
"""


class Mac:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "launchctl"
        program.write_text(LAUNCHCTL)
        program.chmod(0o755)
        self.environ = {"HOME": str(folder / "Hana"), "PATH": f"{folder}:/usr/bin:/bin"}
        self.manager = Launchd(self.environ)
        self.list = folder / "Hana" / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    def plan(self, settings: Settings | None = None) -> Plan:
        return make_plan(
            settings or Settings(),
            Paths.from_env(self.environ),
            self.environ,
            python="/opt/python",
            folders=[],
        )

    def calls(self) -> list[str]:
        recorded = self.folder / "calls"
        lines = recorded.read_text().splitlines() if recorded.exists() else []
        recorded.unlink(missing_ok=True)
        return lines


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    return Mac(tmp_path)


def test_the_list_is_one_that_a_mac_can_read(mac: Mac) -> None:
    told = plistlib.loads(render(mac.plan()).encode())
    assert told["Label"] == LABEL
    assert told["ProgramArguments"] == ["/opt/python", "-I", "-m", "holdfast.daemon"]
    assert told["KeepAlive"] == {"SuccessfulExit": False}
    assert told["SoftResourceLimits"]["NumberOfFiles"] == 8_192
    assert told["SoftResourceLimits"]["ResidentSetSize"] == 300 << 20
    assert told["ExitTimeOut"] == 15
    assert told["EnvironmentVariables"]["MALLOC_ARENA_MAX"] == "1"
    assert "PATH" not in told["EnvironmentVariables"]


def test_install_loads_it_and_again_does_nothing(mac: Mac) -> None:
    done = install(mac.manager, mac.plan(), NOBODY, force=False)
    assert mac.calls() == [f"enable {SERVICE}", f"bootstrap gui/{os.getuid()} {mac.list}"]
    assert done.active
    assert not install(mac.manager, mac.plan(), NOBODY, force=False).changed
    assert mac.calls() == []
    told = status(mac.manager, mac.plan(), NOBODY)
    assert (told.installed, told.up_to_date, told.active, told.pid) == (True, True, True, 4711)


def test_a_changed_list_is_unloaded_first_and_loaded_anew(mac: Mac) -> None:
    install(mac.manager, mac.plan(), NOBODY, force=False)
    mac.calls()
    mac.environ["HOLDFAST_HOME"] = "/srv/hf"
    install(mac.manager, mac.plan(), NOBODY, force=False)
    assert mac.calls() == [
        f"bootout {SERVICE}",
        f"enable {SERVICE}",
        f"bootstrap gui/{os.getuid()} {mac.list}",
    ]


def test_uninstall_unloads_and_removes(mac: Mac) -> None:
    install(mac.manager, mac.plan(), NOBODY, force=False)
    mac.calls()
    uninstall(mac.manager, force=False)
    assert mac.calls() == [f"bootout {SERVICE}"]
    assert not mac.list.exists()


def test_an_edited_list_is_left_alone(mac: Mac) -> None:
    install(mac.manager, mac.plan(), NOBODY, force=False)
    mac.list.write_text(mac.list.read_text().replace("Background", "Interactive"))
    with pytest.raises(HoldfastError, match="was edited"):
        uninstall(mac.manager, force=False)
    with pytest.raises(HoldfastError, match="was edited"):
        install(mac.manager, mac.plan(), NOBODY, force=False)


def test_without_a_session_of_the_user_the_list_is_written_and_that_is_said(mac: Mac) -> None:
    (mac.folder / "down").touch()
    done = install(mac.manager, mac.plan(), NOBODY, force=False)
    assert mac.list.exists()
    assert not done.active
    assert "Could not find domain" in done.notes[0]


def test_each_system_gets_its_own_manager() -> None:
    assert isinstance(manager_for({"HOME": "/x"}, "darwin"), Launchd)
    assert isinstance(manager_for({"HOME": "/x"}, "linux"), Systemd)
