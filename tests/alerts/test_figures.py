"""Every figure that a condition may speak of is there, and is what the rooms tell."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.alerts.figures import Rooms, figures_of
from holdfast.alerts.names import NAMES
from holdfast.governor.governor import Snapshot
from holdfast.governor.machine import (
    Descriptors,
    Disk,
    GroupMemory,
    MachineReading,
    Stall,
    SystemMemory,
)
from holdfast.governor.protocol import Level
from holdfast.governor.readings import Allocations, ProcessMemory, TreeMemory
from holdfast.governor.tracker import TaskCounts

MIB = 1 << 20
OWN = ProcessMemory(1, "holdfast", 50 * MIB, 40 * MIB, 10 * MIB, 60 * MIB)
NOWHERE = MachineReading(None, None, None, None, None, None, ())
SOMEWHERE = MachineReading(
    system=SystemMemory(1_000, 250, 0, 0),
    group=None,
    stall=Stall(3.5, 1.25, "system"),
    descriptors=Descriptors(64, 256, None),
    threads=7,
    disk=Disk("/data", 1_000, 400),
    missing=(),
)


def snapshot(machine: MachineReading) -> Snapshot:
    tree = TreeMemory(OWN, (OWN, OWN), 40 * MIB, 10 * MIB, exact=True, peak_footprint_bytes=0)
    return Snapshot(
        level=Level.HIGH,
        own=Level.NORMAL,
        level_for_s=12.5,
        budget_bytes=200 * MIB,
        footprint_bytes=50 * MIB,
        peak_footprint_bytes=60 * MIB,
        baseline_bytes=30 * MIB,
        components=(),
        unaccounted_bytes=20 * MIB,
        tree=tree,
        machine=machine,
        allocations=Allocations(1, None),
        tasks=TaskCounts(0, 0, 0, 0),
        held=(),
        records=(),
        last=None,
    )


ROOMS = Rooms(
    uptime_s=99.0,
    work_queue=3,
    work_queue_pct=1.5,
    connections_used=2,
    connections_leaked=1,
    lag_bytes=1_000,
    waiting_logs=7,
    sessions_resident=4,
    journal_failed=True,
)


def test_every_name_has_its_figure() -> None:
    assert figures_of(snapshot(SOMEWHERE), ROOMS).keys() == NAMES.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory_usage_pct", 25.0),
        ("memory_bytes", 50 * MIB),
        ("unaccounted_pct", 10.0),
        ("pressure", 2),
        ("pressure_secs", 12.5),
        ("children", 2),
        ("system_memory_pct", 75.0),
        ("cgroup_memory_pct", None),
        ("stall_some_pct", 3.5),
        ("stall_full_pct", 1.25),
        ("descriptors_pct", 25.0),
        ("threads", 7),
        ("disk_free_bytes", 400),
        ("disk_used_pct", 60.0),
        ("work_queue_pct", 1.5),
        ("journal_failed", 1),
    ],
)
def test_what_a_figure_is(name: str, value: float | None) -> None:
    assert figures_of(snapshot(SOMEWHERE), ROOMS)[name] == pytest.approx(value)


def test_what_the_platform_does_not_tell_is_unknown() -> None:
    found: dict[str, Any] = dict(figures_of(snapshot(NOWHERE), ROOMS))
    unknown = {name for name, value in found.items() if value is None}
    assert unknown == {
        "system_memory_pct",
        "cgroup_memory_pct",
        "stall_some_pct",
        "stall_full_pct",
        "descriptors_pct",
        "threads",
        "disk_free_bytes",
        "disk_used_pct",
    }


def test_a_group_with_a_limit_has_a_share() -> None:
    group = GroupMemory(2, "/g", 1_000, 125, 0, None)
    machine = MachineReading(None, group, None, None, None, None, ())
    assert figures_of(snapshot(machine), ROOMS)["cgroup_memory_pct"] == 12.5
