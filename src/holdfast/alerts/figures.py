"""The figures that conditions speak of, from what the rooms tell of themselves."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.alerts.conditions import Figures
from holdfast.governor.governor import Snapshot
from holdfast.governor.machine import MachineReading


class Rooms(NamedTuple):
    """What the governor does not know."""

    uptime_s: float
    work_queue: int
    work_queue_pct: float
    connections_used: int
    connections_leaked: int
    lag_bytes: int
    waiting_logs: int
    sessions_resident: int
    journal_failed: bool


def figures_of(snapshot: Snapshot, rooms: Rooms) -> Figures:
    """By the names of `names.NAMES`, all of them; None for what nobody can tell."""
    budget = snapshot.budget_bytes
    return {
        "memory_usage_pct": 100 * snapshot.footprint_bytes / budget,
        "memory_bytes": snapshot.footprint_bytes,
        "unaccounted_pct": 100 * snapshot.unaccounted_bytes / budget,
        "pressure": int(snapshot.level),
        "pressure_secs": snapshot.level_for_s,
        "children": len(snapshot.tree.children),
        **_machine(snapshot.machine),
        "work_queue": rooms.work_queue,
        "work_queue_pct": rooms.work_queue_pct,
        "connections_used": rooms.connections_used,
        "connections_leaked": rooms.connections_leaked,
        "lag_bytes": rooms.lag_bytes,
        "waiting_logs": rooms.waiting_logs,
        "sessions_resident": rooms.sessions_resident,
        "journal_failed": int(rooms.journal_failed),
        "uptime_secs": rooms.uptime_s,
    }


def _machine(machine: MachineReading) -> dict[str, float | None]:
    system, group, stall = machine.system, machine.group, machine.stall
    files, disk = machine.descriptors, machine.disk
    limit = files.soft_limit if files else None
    return {
        "system_memory_pct": system.used_pct if system else None,
        "cgroup_memory_pct": group.used_pct if group else None,
        "stall_some_pct": stall.some_pct if stall else None,
        "stall_full_pct": stall.full_pct if stall else None,
        "descriptors_pct": 100 * files.open / limit if files and limit else None,
        "threads": machine.threads,
        "disk_free_bytes": disk.free_bytes if disk else None,
        "disk_used_pct": 100 * (1 - disk.free_bytes / disk.total_bytes)
        if disk and disk.total_bytes
        else None,
    }
