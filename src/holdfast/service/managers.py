"""The service managers of the two systems, behind one shape: systemd's of the user, and launchd."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Protocol

import msgspec

from holdfast.errors import Exit, HoldfastError
from holdfast.service.plan import Plan

COMMAND_TIMEOUT_S: Final = 60.0


class ManagerFailed(HoldfastError):
    """The service manager refused; what it said follows."""

    exit: ClassVar[Exit] = Exit.FAILURE


class State(msgspec.Struct, frozen=True):
    """What the manager says about the service."""

    enabled: bool  # starts by itself
    active: bool
    pid: int | None
    said: str  # in its own words


class Manager(Protocol):
    """Each method is one or two of the manager's own commands."""

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str:
        """Where it looks for what we write."""
        ...

    def render(self, plan: Plan) -> str: ...

    def missing(self) -> str | None:
        """Why there is none that could run anything now, and what to do instead."""
        ...

    def reload(self) -> None:
        """Read the file that was written."""
        ...

    def enable_and_start(self) -> None: ...

    def restart(self) -> None: ...

    def disable_and_stop(self) -> None: ...

    def forget(self) -> list[str]:
        """Remove what enabling left on the disk; what was removed."""
        ...

    def state(self) -> State: ...

    def more_variables(self) -> str:
        """How a person gives the daemon variables that are not ours to write down."""
        ...

    def hints(self) -> list[str]:
        """What a person may want to do for the service, that is not ours to do."""
        ...


def manager_for(environ: Mapping[str, str], platform: str = sys.platform) -> Manager:
    from holdfast.service.launchd import Launchd
    from holdfast.service.systemd import Systemd

    return Launchd(environ) if platform == "darwin" else Systemd(environ)


class Answer(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return (self.err or self.out).strip()


def ask(environ: Mapping[str, str], *command: str) -> Answer:
    """Run one of the manager's commands; a code of 127 when there is no such program."""
    program = shutil.which(command[0], path=environ.get("PATH"))
    if program is None:
        return Answer(127, "", f"there is no {command[0]} here")
    try:
        done = subprocess.run(
            [program, *command[1:]],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(124, "", f"no answer within {COMMAND_TIMEOUT_S:.0f} s")
    return Answer(
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
    )


def must(environ: Mapping[str, str], *command: str) -> str:
    answer = ask(environ, *command)
    if answer.code:
        raise ManagerFailed(f"`{_shown(command)}` failed ({answer.code}): {answer.said}")
    return answer.out


def _shown(command: Sequence[str]) -> str:
    return " ".join(command)
