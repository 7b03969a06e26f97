"""systemd's manager of the user's own services: the unit file, and the commands.

What is left out of the hardening, and why: `ProtectSystem`, `PrivateTmp` and their kin need a mount
namespace, which a user's manager may not make on every system, and a unit that asks for one does
not start there. `MemoryDenyWriteExecute` keeps `ctypes` from calling `malloc_trim`.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from holdfast.errors import Exit
from holdfast.service import limits
from holdfast.service.managers import Answer, State, ask, must
from holdfast.service.plan import Plan
from holdfast.written import stamped

UNIT: Final = "holdfast.service"
_WANTED_BY: Final = "default.target"
# A second start would end the same way: a person has to do something first.
HOPELESS: Final = (Exit.USAGE, Exit.CONFIG, Exit.ALREADY_RUNNING, Exit.OVERSIZED)

_UNIT: Final = """\
# Written by `holdfast service install`. What you change here is kept, and the command then refuses
# to replace the file; changes of your own go better into `systemctl --user edit holdfast`.
# {digest}

[Unit]
Description=holdfast: keeps the conversations of AI coding agents
# Whoever ends again and again is not started for ever.
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
{environment}
WorkingDirectory=/
Restart=on-failure
RestartSec=5
RestartForceExitStatus={restart_wanted}
SuccessExitStatus={restart_wanted}
RestartPreventExitStatus={hopeless}
TimeoutStartSec={start_s}
TimeoutStopSec={stop_s}
WatchdogSec={watchdog_s}
KillMode=mixed

# The budget is daemon.max_memory_mb; these stand around it (docs/service.md says how).
MemoryHigh={memory_high_mb}M
MemoryMax={memory_max_mb}M
OOMScoreAdjust={oom_score_adjust}
LimitNOFILE={descriptors}
# A core file would hold conversations.
LimitCORE=0

UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK

[Install]
WantedBy={wanted_by}
"""


def render(plan: Plan) -> str:
    def unit(digest: str) -> str:
        return _UNIT.format(
            digest=digest,
            command=" ".join(map(_quoted_argument, plan.command)),
            environment="\n".join(
                f"Environment={_quoted(f'{name}={value}')}" for name, value in plan.environ.items()
            ),
            restart_wanted=int(Exit.RESTART_WANTED),
            hopeless=" ".join(str(int(code)) for code in HOPELESS),
            start_s=limits.START_TIMEOUT_S,
            stop_s=plan.limits.stop_s,
            watchdog_s=limits.WATCHDOG_S,
            memory_high_mb=plan.limits.memory_high_mb,
            memory_max_mb=plan.limits.memory_max_mb,
            oom_score_adjust=limits.OOM_SCORE_ADJUST,
            descriptors=limits.DESCRIPTORS,
            wanted_by=_WANTED_BY,
        )

    return stamped(unit)


def _quoted(text: str) -> str:
    """One word for systemd, whatever is in it: it knows quotes, backslashes and % signs."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'


def _quoted_argument(text: str) -> str:
    """In a command, unlike in a variable, `$` begins the name of one."""
    return _quoted(text).replace("$", "$$")


class Systemd:
    name: Final = "systemd"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        base = environ.get("XDG_CONFIG_HOME", "")
        if not os.path.isabs(base):
            home = environ.get("HOME") or os.path.expanduser("~")
            base = os.path.join(home, ".config")
        self._folder = os.path.join(base, "systemd", "user")

    @property
    def path(self) -> str:
        return os.path.join(self._folder, UNIT)

    def render(self, plan: Plan) -> str:
        return render(plan)

    def missing(self) -> str | None:
        answer = self._ask("show-environment")
        if answer.code == 0:
            return None
        return (
            f"no systemd of this user answers ({answer.said or 'it said nothing'}), as in a "
            "container or a session without a login. Where one runs: `holdfast service install` "
            "again. Here: `holdfast start`, or in a container `python -m holdfast.daemon` as its "
            "program"
        )

    def reload(self) -> None:
        must(self._environ, "systemctl", "--user", "daemon-reload")

    def enable_and_start(self) -> None:
        must(self._environ, "systemctl", "--user", "enable", UNIT)
        must(self._environ, "systemctl", "--user", "start", UNIT)

    def restart(self) -> None:
        must(self._environ, "systemctl", "--user", "restart", UNIT)

    def disable_and_stop(self) -> None:
        must(self._environ, "systemctl", "--user", "disable", "--now", UNIT)

    def forget(self) -> list[str]:
        """The link that `enable` made, where no systemd runs that would remove it."""
        link = os.path.join(self._folder, f"{_WANTED_BY}.wants", UNIT)
        with suppress(OSError):
            if os.path.realpath(os.readlink(link)) == os.path.realpath(self.path):
                os.unlink(link)
                return [link]
        return []

    def state(self) -> State:
        answer = self._ask(
            "show", UNIT, "--property=UnitFileState,ActiveState,SubState,Result,MainPID"
        )
        told = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
        active = told.get("ActiveState", "")
        pid = told.get("MainPID", "")
        words = [active, told.get("SubState", ""), told.get("Result", "")]
        return State(
            enabled=told.get("UnitFileState") in ("enabled", "enabled-runtime", "linked"),
            active=active in ("active", "activating", "reloading"),
            pid=int(pid) if pid.isdecimal() and int(pid) else None,
            said=", ".join(word for word in words if word) if answer.code == 0 else answer.said,
        )

    def more_variables(self) -> str:
        return (
            "name a file that holds them with EnvironmentFile= in `systemctl --user edit "
            f"{UNIT.removesuffix('.service')}`, then `holdfast restart`"
        )

    def hints(self) -> list[str]:
        """Services of a user end with their last session, unless they may linger."""
        answer = ask(self._environ, "loginctl", "show-user", _user(), "--property=Linger")
        if answer.out.strip() == "Linger=yes":
            return []
        allow = f"loginctl enable-linger {_user()}"
        return [f"it runs while you are logged in; to have it run from boot on: `{allow}`"]

    def _ask(self, *command: str) -> Answer:
        return ask(self._environ, "systemctl", "--user", *command)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in containers
        return str(os.getuid())
