"""Limits at the door: what the system lets us have, against what we need.

Readings are gathered in one place (`read_limits`) and judged in another (`check_limits`), which
touches nothing: so each judgement can be tested, and a command without a daemon judges what a
daemon started from there would meet.

A limit that is too low does not keep the daemon from starting. Most bite later and rarely, and
what is stored is safe either way; so they are said, in the log, the status and `holdfast doctor`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from holdfast.checks import Check, Fact, Verdict, size
from holdfast.governor.machine import (
    Descriptors,
    GroupMemory,
    Machine,
    MachineReading,
    Tasks,
    existing_folder,
    group_tasks,
)

MIB: Final = 1 << 20
GROUP: Final = "limits"
DESCRIPTORS_NEEDED: Final = 4_096
DESCRIPTORS_LEAST: Final = 256  # with fewer, readers and followers are refused files
# To which we raise the limit at most. A hard one may be a thousand million, and some programs,
# which inherit it from us, close every descriptor up to it when they start.
DESCRIPTORS_WANTED: Final = 65_536
TASKS_OF_DAEMON: Final = 32  # threads, and the processes of a page or a screen
TASKS_OF_CHILD: Final = 4
HEADROOM_LEAST_BYTES: Final = 32 * MIB  # of the kernel for us: page tables, sockets, dirty pages
HEADROOM_PCT: Final = 10
# What the daemon maps and never touches: libraries, arenas, and 8 MiB of stack for each thread
# (measured at rest: 86 MiB with 4 threads).
MAPPED_BYTES: Final = 256 * MIB
DISK_LOW_BYTES: Final = 1_024 * MIB
DISK_LEAST_BYTES: Final = 128 * MIB
INODES_LOW: Final = 10_000
WATCHES_SPARE_PCT: Final = 25  # folders come with every project
STALL_WARNING_PCT: Final = 10.0

_PROC: Final = Path("/proc")
_GROUPS: Final = Path("/sys/fs/cgroup")


class Inodes(msgspec.Struct, frozen=True):
    total: int  # 0: this file system has no fixed number of them
    free: int


class LimitReadings(msgspec.Struct, frozen=True, kw_only=True):
    """What a limit of None says is "no limit"; what cannot be known is None as a whole."""

    machine: MachineReading
    raised_from: int | None = None  # descriptors, before we raised the limit ourselves
    user_tasks: Tasks | None = None  # of this user, threads included; RLIMIT_NPROC
    group_tasks: Tasks | None = None
    address_limit_bytes: int | None = None
    data_limit_bytes: int | None = None
    inodes: Inodes | None = None
    max_watches: int | None = None
    max_watchers: int | None = None


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    budget_bytes: int
    children: int
    reconcile_secs: int
    folders: int | None = None  # that are watched; None while nobody watches
    unwatched: int = 0  # folders that could not be
    blind: bool = False  # nothing is watched at all


def raise_descriptors() -> tuple[int, int] | None:
    """Take what we want and may have when the soft limit is too low; what it was and is now."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= DESCRIPTORS_NEEDED:
        return None
    unlimited = hard == resource.RLIM_INFINITY
    wanted = DESCRIPTORS_WANTED if unlimited else min(hard, DESCRIPTORS_WANTED)
    for each in (wanted, DESCRIPTORS_NEEDED):  # macOS refuses more than one process may have
        if each > soft:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (each, hard))
                return soft, each
    return None


def read_limits(
    machine: Machine,
    data_dir: str,
    *,
    raised_from: int | None = None,
    proc_root: Path = _PROC,
    groups_root: Path = _GROUPS,
) -> LimitReadings:
    import resource

    return LimitReadings(
        machine=machine.read(),
        raised_from=raised_from,
        user_tasks=_user_tasks(proc_root),
        group_tasks=group_tasks(proc_root, groups_root),
        address_limit_bytes=_soft(resource.RLIMIT_AS),
        data_limit_bytes=_soft(resource.RLIMIT_DATA),
        inodes=read_inodes(data_dir),
        max_watches=_number(proc_root / "sys/fs/inotify/max_user_watches"),
        max_watchers=_number(proc_root / "sys/fs/inotify/max_user_instances"),
    )


def check_limits(readings: LimitReadings, needs: Needs) -> list[Check]:
    """One check for each limit, the low ones and the others."""
    return [
        check_descriptors(readings.machine.descriptors, readings.raised_from),
        check_tasks(readings, needs),
        check_rlimits(readings, needs),
        check_group(readings.machine.group, needs.budget_bytes),
        check_disk(readings.machine, readings.inodes),
        check_watches(readings, needs),
    ]


def check_descriptors(descriptors: Descriptors | None, raised_from: int | None) -> Check:
    if descriptors is None:
        return _check("descriptors", "unknown", "this system does not tell of open files")
    soft = descriptors.soft_limit
    evidence: dict[str, Fact] = {
        "open": descriptors.open,
        "soft_limit": soft,
        "hard_limit": descriptors.hard_limit,
        "needed": DESCRIPTORS_NEEDED,
    }
    allowed = "no limit" if soft is None else f"{soft:,}"
    if soft is None or soft >= DESCRIPTORS_NEEDED:
        raised = f", raised from {raised_from:,}" if raised_from is not None else ""
        said = f"open files: {descriptors.open:,} of {allowed}{raised}"
        return _check("descriptors", "ok", said, evidence)
    return _check(
        "descriptors",
        "problem" if soft < DESCRIPTORS_LEAST else "warning",
        f"only {soft:,} files may be open at the same time, {DESCRIPTORS_NEEDED:,} are needed",
        evidence,
        "raise the hard limit: `ulimit -Hn 4096` before `holdfast start`, "
        "LimitNOFILE=4096 in a systemd unit, `--ulimit nofile=4096` for docker",
    )


def check_tasks(readings: LimitReadings, needs: Needs) -> Check:
    """Threads count too, and of this user all of them, whatever program they belong to."""
    needed = TASKS_OF_DAEMON + needs.children * TASKS_OF_CHILD
    evidence: dict[str, Fact] = {"needed": needed}
    low: list[str] = []
    for name, tasks in (("user", readings.user_tasks), ("group", readings.group_tasks)):
        if tasks is not None and tasks.limit is not None:
            evidence |= {f"{name}_used": tasks.used, f"{name}_limit": tasks.limit}
            if tasks.limit - tasks.used < needed:
                whose = "this user" if name == "user" else "the control group"
                low.append(f"{whose} has {tasks.used:,} of at most {tasks.limit:,}")
    if not low:
        return _check("processes", "ok", f"room for {needed} more processes and threads", evidence)
    return _check(
        "processes",
        "warning",
        f"processes and threads are nearly used up ({' and '.join(low)}); an import needs {needed}",
        evidence,
        "raise `ulimit -u`, TasksMax= and LimitNPROC= of a systemd unit, or `--pids-limit` of "
        "docker; or set ingest.workers = 1",
    )


def check_rlimits(readings: LimitReadings, needs: Needs) -> Check:
    address, data = readings.address_limit_bytes, readings.data_limit_bytes
    needed = {"address space": MAPPED_BYTES + needs.budget_bytes, "data": needs.budget_bytes}
    found = {"address space": address, "data": data}
    evidence: dict[str, Fact] = {"address_limit_bytes": address, "data_limit_bytes": data}
    low = [
        f"{name} ends at {size(limit)}, {size(needed[name])} may be needed"
        for name, limit in found.items()
        if limit is not None and limit < needed[name]
    ]
    if not low:
        return _check("memory-limits", "ok", "no limit of the process is in the way", evidence)
    return _check(
        "memory-limits",
        "warning",
        f"the process's {' and '.join(low)}: allocations would fail before the ceiling is reached",
        evidence,
        "raise `ulimit -v` and `ulimit -d` (LimitAS=, LimitDATA= in a systemd unit): "
        "daemon.max_memory_mb limits memory better",
    )


def check_group(group: GroupMemory | None, budget_bytes: int) -> Check:
    """Of our ceiling and the group's, which one comes first: we relieve, the kernel kills."""
    headroom = max(HEADROOM_LEAST_BYTES, budget_bytes * HEADROOM_PCT // 100)
    needed = budget_bytes + headroom
    if group is None:
        return _check("control-group", "unknown", "this system tells of no control group")
    limit, high = group.limit_bytes, group.high_bytes
    evidence: dict[str, Fact] = {
        "version": group.version,
        "limit_bytes": limit,
        "high_bytes": high,
        "used_bytes": group.used_bytes,
        "cache_bytes": group.cache_bytes,
        "oom_kills": group.oom_kills,
        "budget_bytes": budget_bytes,
        "needed_bytes": needed,
    }
    remedy = (
        f"give it {size(needed)} (MemoryMax= and MemoryHigh= of a systemd unit, `docker --memory`, "
        "resources.limits.memory in Kubernetes)"
    )
    if limit is not None and limit < needed:
        fits = (limit - HEADROOM_LEAST_BYTES) // MIB
        wins = "the group's end comes first" if limit <= budget_bytes else "that leaves too little"
        return _check(
            "control-group",
            "problem" if limit <= budget_bytes else "warning",
            f"the control group ends at {size(limit)}, daemon.max_memory_mb is at "
            f"{size(budget_bytes)}: {wins}, and the kernel would kill holdfast there",
            evidence,
            *([f"set daemon.max_memory_mb = {fits}, or {remedy}"] if fits > 0 else [remedy]),
        )
    if high is not None and high < needed:
        return _check(
            "control-group",
            "warning",
            f"the kernel slows the control group down from {size(high)} on, which is near "
            f"daemon.max_memory_mb ({size(budget_bytes)})",
            evidence,
            remedy,
        )
    used = f"{size(group.used_bytes)} of {size(limit)}" if limit is not None else "no limit"
    return _check("control-group", "ok", f"control group: {used}", evidence)


def check_disk(machine: MachineReading, inodes: Inodes | None) -> Check:
    disk = machine.disk
    if disk is None:
        return _check("disk", "unknown", "the disk of the data folder cannot be looked at")
    evidence: dict[str, Fact] = {"free_bytes": disk.free_bytes, "total_bytes": disk.total_bytes}
    if inodes is not None:
        evidence |= {"inodes_free": inodes.free, "inodes_total": inodes.total}
    remedy = (
        "make room on the disk of the data folder; `holdfast clean --blobs` lets go of payloads"
    )
    said = f"{size(disk.free_bytes)} free on the disk of the data folder"
    if disk.free_bytes < DISK_LOW_BYTES:
        verdict: Verdict = "problem" if disk.free_bytes < DISK_LEAST_BYTES else "warning"
        return _check("disk", verdict, f"only {said}", evidence, remedy)
    if inodes is not None and inodes.total and inodes.free < INODES_LOW:
        return _check(
            "disk",
            "warning" if inodes.free else "problem",
            f"only {inodes.free:,} more files fit on the disk of the data folder (inodes)",
            evidence,
            "remove files there: the number of inodes is fixed when a file system is made",
        )
    return _check("disk", "ok", said, evidence)


def check_watches(readings: LimitReadings, needs: Needs) -> Check:
    late = f"what is logged there is read within {needs.reconcile_secs} s instead of at once"
    most = readings.max_watches
    evidence: dict[str, Fact] = {
        "folders": needs.folders,
        "unwatched": needs.unwatched,
        "max_user_watches": most,
        "max_user_instances": readings.max_watchers,
    }
    if needs.blind:
        return _check(
            "watches",
            "warning",
            f"no folder can be watched, other programs have taken all that the system allows: "
            f"{late}",
            evidence,
            "sudo sysctl fs.inotify.max_user_instances=1024, then `holdfast restart`",
        )
    if most is None:
        return _check("watches", "unknown", "this system has no inotify", evidence)
    folders = (needs.folders or 0) + needs.unwatched
    more = max(524_288, 2 * folders)
    remedy = f"sudo sysctl fs.inotify.max_user_watches={more}, then `holdfast restart`"
    if needs.unwatched:
        said = f"{needs.unwatched:,} of {folders:,} folders are not watched: {late}"
        return _check("watches", "warning", said, evidence, remedy)
    if folders * (100 + WATCHES_SPARE_PCT) // 100 > most:
        said = f"{folders:,} folders are watched, and a user may watch {most:,} in all programs"
        return _check("watches", "warning", said, evidence, remedy)
    watched = f"{folders:,} folders watched" if needs.folders is not None else "watches"
    return _check("watches", "ok", f"{watched}, {most:,} allowed", evidence)


def check_system(machine: MachineReading) -> list[Check]:
    """What others do to the machine's memory."""
    checks: list[Check] = []
    system = machine.system
    if system is None:
        total = f" ({size(machine.physical_bytes)} in all)" if machine.physical_bytes else ""
        said = f"this system does not tell what memory is free{total}"
        checks.append(_check("system-memory", "unknown", said, group="memory"))
    else:
        low = system.used_pct >= 95
        checks.append(
            _check(
                "system-memory",
                "warning" if low else "ok",
                f"{size(system.available_bytes)} of the machine's {size(system.total_bytes)} "
                + ("left" if low else "available"),
                {
                    "total_bytes": system.total_bytes,
                    "available_bytes": system.available_bytes,
                    "swap_total_bytes": system.swap_total_bytes,
                    "swap_free_bytes": system.swap_free_bytes,
                },
                *(["end a program that takes much: `ps aux --sort -rss`"] if low else []),
                group="memory",
            )
        )
    stall = machine.stall
    if stall is None:
        said = "this kernel does not tell of stalls (PSI)"
        checks.append(_check("stalls", "unknown", said, group="memory"))
    else:
        high = stall.full_pct >= STALL_WARNING_PCT
        checks.append(
            _check(
                "stalls",
                "warning" if high else "ok",
                f"programs waited for memory {stall.some_pct:g} % of the last ten seconds, "
                f"all of them {stall.full_pct:g} % ({stall.of})",
                {"some_pct": stall.some_pct, "full_pct": stall.full_pct, "of": stall.of},
                *(["memory is short: end what takes much, or raise the group's limit"] * high),
                group="memory",
            )
        )
    return checks


def _check(
    name: str,
    verdict: Verdict,
    said: str,
    evidence: dict[str, Fact] | None = None,
    *remedies: str,
    group: str = GROUP,
) -> Check:
    return Check(
        id=name,
        group=group,
        verdict=verdict,
        said=said,
        evidence=evidence or {},
        remedies=remedies,
    )


def _user_tasks(proc_root: Path) -> Tasks | None:
    """Root is not held to this limit."""
    import resource

    limit = _soft(resource.RLIMIT_NPROC)
    if limit is None or not os.getuid():
        return None
    used = 0
    try:
        for process in proc_root.glob("[0-9]*"):
            with suppress(OSError, ValueError, IndexError):
                if process.stat().st_uid == os.getuid():
                    after_name = (process / "stat").read_bytes().rpartition(b")")[2]
                    used += int(after_name.split()[17])
    except OSError:
        return None
    return Tasks(used, limit) if used else None


def _soft(which: int) -> int | None:
    import resource

    soft, _hard = resource.getrlimit(which)
    return None if soft == resource.RLIM_INFINITY else soft


def read_inodes(data_dir: str) -> Inodes | None:
    with suppress(OSError):
        found = os.statvfs(existing_folder(data_dir))
        return Inodes(found.f_files, found.f_favail)
    return None


def _number(file: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(file.read_text("ascii"))
    return None
