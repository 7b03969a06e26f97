"""macOS's launchd: the property list, and the commands.

launchd holds no program to an amount of memory (it reads `ResidentSetSize`, and the kernel does not
enforce it), has no word for readiness and no watchdog. There the governor alone keeps the ceiling.
"""

from __future__ import annotations

import os
import plistlib
import re
import time
from collections.abc import Mapping
from typing import Final

from holdfast.service import limits
from holdfast.service.managers import Answer, State, ask, must
from holdfast.service.plan import Plan
from holdfast.written import stamped

LABEL: Final = "holdfast.daemon"
GONE_TIMEOUT_S: Final = 30.0
GONE_POLL_S: Final = 0.1
_MIB: Final = 1 << 20
_PID: Final = re.compile(r"^\s*pid = (\d+)$", re.MULTILINE)
_STATE: Final = re.compile(r"^\s*state = (.+)$", re.MULTILINE)


def render(plan: Plan) -> str:
    told = {
        "Label": LABEL,
        "ProgramArguments": list(plan.command),
        "EnvironmentVariables": plan.environ,
        "WorkingDirectory": "/",
        "RunAtLoad": True,
        # Any end with a code but 0 is followed by a start: a crash, and code 75.
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": plan.limits.stop_s,
        "ProcessType": "Background",
        "Umask": 0o077,
        "SoftResourceLimits": {
            "NumberOfFiles": limits.DESCRIPTORS,
            "ResidentSetSize": plan.limits.memory_max_mb * _MIB,
            "Core": 0,
        },
        "StandardErrorPath": os.path.join(plan.state_dir, "daemon.stderr"),
    }
    head, _, rest = plistlib.dumps(told, sort_keys=False).decode().partition("<plist")

    def with_digest(digest: str) -> str:
        return f"{head}<!-- Written by `holdfast service install`. {digest} -->\n<plist{rest}"

    return stamped(with_digest)


class Launchd:
    name: Final = "launchd"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        home = environ.get("HOME") or os.path.expanduser("~")
        self._path = os.path.join(home, "Library", "LaunchAgents", f"{LABEL}.plist")
        self._domain = f"gui/{os.getuid()}"
        self._service = f"{self._domain}/{LABEL}"

    @property
    def path(self) -> str:
        return self._path

    def render(self, plan: Plan) -> str:
        return render(plan)

    def missing(self) -> str | None:
        answer = self._ask("print", self._domain)
        if answer.code == 0:
            return None
        return (
            f"launchd has no session of this user ({answer.said or 'it said nothing'}), as over "
            "ssh. At the Mac itself: `holdfast service install` again. Here: `holdfast start`"
        )

    def reload(self) -> None:
        """A list that is loaded is read again only after it was unloaded."""
        self.disable_and_stop()

    def enable_and_start(self) -> None:
        must(self._environ, "launchctl", "enable", self._service)
        if self._ask("print", self._service).code:
            must(self._environ, "launchctl", "bootstrap", self._domain, self._path)
        else:
            must(self._environ, "launchctl", "kickstart", self._service)

    def restart(self) -> None:
        self.enable_and_start()

    def disable_and_stop(self) -> None:
        """`bootout` returns before the program is gone, and what is not gone cannot be loaded."""
        if self._ask("print", self._service).code:
            return
        must(self._environ, "launchctl", "bootout", self._service)
        deadline_s = time.monotonic() + GONE_TIMEOUT_S
        while self._ask("print", self._service).code == 0 and time.monotonic() < deadline_s:
            time.sleep(GONE_POLL_S)

    def forget(self) -> list[str]:
        return []

    def state(self) -> State:
        answer = self._ask("print", self._service)
        pid, state = _PID.search(answer.out), _STATE.search(answer.out)
        loaded = answer.code == 0
        return State(
            enabled=loaded,
            active=pid is not None,
            pid=int(pid[1]) if pid else None,
            said=(state[1] if state else "loaded") if loaded else "not loaded",
        )

    def more_variables(self) -> str:
        return "set them with `launchctl setenv NAME VALUE` at each login, then `holdfast restart`"

    def hints(self) -> list[str]:
        return ["it runs while you are logged in: launchd starts agents of a user at login"]

    def _ask(self, *command: str) -> Answer:
        return ask(self._environ, "launchctl", *command)
