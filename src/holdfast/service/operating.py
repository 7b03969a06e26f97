"""`install`, `uninstall`, `status`: each may be run again at any time, and says what it did."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable

import msgspec

from holdfast.service.managers import Manager, ManagerFailed, State
from holdfast.service.plan import Plan
from holdfast.written import Found, look, remove, write

NOTHING_TOLD = State(enabled=False, active=False, pid=None, said="")


class ByHand(msgspec.Struct, frozen=True):
    """A daemon that somebody started without the service manager."""

    pid: Callable[[], int | None]  # of whichever daemon runs now
    stop: Callable[[], bool]


class Done(msgspec.Struct, kw_only=True):
    """What was done, in the order in which it was, and what is left to say."""

    path: str
    changed: bool = False
    active: bool = False
    steps: list[str] = []
    notes: list[str] = []


class Status(msgspec.Struct, frozen=True, kw_only=True):
    manager: str
    path: str
    installed: bool
    up_to_date: bool  # the file is what `install` would write now
    edited: bool  # by a person, after it was written
    differences: list[str]  # lines of the file and of what would be written, as a diff has them
    enabled: bool
    active: bool
    pid: int | None
    by_hand_pid: int | None  # of a daemon that runs without the service
    said: str
    problem: str | None  # why the manager cannot be asked


def install(manager: Manager, plan: Plan, by_hand: ByHand, *, force: bool) -> Done:
    wanted = manager.render(plan)
    done = Done(path=manager.path)
    wrote = write(manager.path, wanted, force=force)
    done.changed = wrote
    done.steps.append(f"Wrote {manager.path}" if wrote else f"{manager.path} is as it should be")
    if plan.exports:
        done.notes.append(
            "headers and certificates for telemetry.otlp_endpoint (OTEL_… variables) are not taken "
            f"over from this shell: {manager.more_variables()}"
        )
    missing = manager.missing()
    if missing is not None:
        done.notes.append(f"It is not started: {missing}")
        return done
    before = manager.state()
    if wrote:
        manager.reload()
    _take_over(before, by_hand, done)
    if before.active and wrote:
        manager.restart()
        done.steps.append("Restarted with the new settings")
    if not (before.active and before.enabled):
        _start(manager)
        done.changed = True
        done.steps.append("Started; it starts by itself from now on")
    done.active = manager.state().active
    done.notes += manager.hints()
    return done


def _take_over(state: State, by_hand: ByHand, done: Done) -> None:
    """One daemon at a time writes a journal: one that was started by hand makes room."""
    pid = by_hand.pid()
    if pid is not None and pid != state.pid and by_hand.stop():
        done.changed = True
        done.steps.append(f"Stopped the daemon that was started by hand (pid {pid})")


def _start(manager: Manager) -> None:
    try:
        manager.enable_and_start()
    except ManagerFailed as error:
        raise ManagerFailed(
            f"{error}\nNo daemon runs now: `holdfast start` runs it without the service"
        ) from error


def is_for(manager: Manager, plan: Plan) -> bool:
    """Whether the file is what `install` would write: then it is about this very daemon."""
    return look(manager.path, manager.render(plan)) is Found.CURRENT


def start(manager: Manager) -> bool:
    """Whether there is a manager that starts it, and has it start by itself."""
    if manager.missing() is not None or not manager.state().enabled:
        return False
    _start(manager)
    return True


def uninstall(manager: Manager, *, force: bool) -> Done:
    """Removes what `install` made, and nothing else."""
    done = Done(path=manager.path)
    found = look(manager.path, "")
    if found is Found.NOTHING:
        done.steps.append(f"There is no {manager.path}: nothing to remove")
        return done
    if found is Found.EDITED and not force:
        remove(manager.path, "", force=False)  # refuses, before anything is stopped
    reachable = manager.missing() is None
    if reachable:
        manager.disable_and_stop()
        done.steps.append("Stopped; it does not start by itself any more")
    remove(manager.path, "", force=force)
    done.changed = True
    done.steps.append(f"Removed {manager.path}")
    done.steps += [f"Removed {path}" for path in manager.forget()]
    if reachable:
        manager.reload()
    beside = f"{manager.path}.d"
    if os.path.isdir(beside):
        done.notes.append(f"{beside} holds settings of yours and stays")
    return done


def status(manager: Manager, plan: Plan, by_hand: ByHand) -> Status:
    wanted = manager.render(plan)
    found = look(manager.path, wanted)
    missing = manager.missing()
    state = manager.state() if missing is None else NOTHING_TOLD
    running = by_hand.pid()
    return Status(
        manager=manager.name,
        path=manager.path,
        installed=found is not Found.NOTHING,
        up_to_date=found is Found.CURRENT,
        edited=found is Found.EDITED,
        differences=differences(manager.path, wanted) if found is not Found.NOTHING else [],
        enabled=state.enabled,
        active=state.active,
        pid=state.pid,
        by_hand_pid=running if running != state.pid else None,
        said=state.said,
        problem=missing,
    )


def differences(path: str, wanted: str) -> list[str]:
    """What `install` would change: lines that go (-) and lines that come (+)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            there = file.read()
    except OSError:
        there = ""
    compared = difflib.unified_diff(there.splitlines(), wanted.splitlines(), n=0, lineterm="")
    return list(_changes(compared))


def _changes(lines: Iterable[str]) -> Iterable[str]:
    for number, line in enumerate(lines):
        if number > 1 and not line.startswith("@@") and "holdfast-digest" not in line:
            yield line
