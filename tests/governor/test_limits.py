"""What the system allows: judged from made-up readings, and raised in a real process."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.governor.allowance import Allowance
from holdfast.governor.limits import (
    DESCRIPTORS_NEEDED,
    DESCRIPTORS_WANTED,
    Inodes,
    LimitReadings,
    Needs,
    check_limits,
    check_system,
    raise_descriptors,
    read_limits,
)
from holdfast.governor.machine import (
    Descriptors,
    Disk,
    GroupMemory,
    Machine,
    MachineReading,
    Stall,
    SystemMemory,
    Tasks,
    group_tasks,
)

MIB = 1 << 20
GIB = 1 << 30
NEEDS = Needs(budget_bytes=200 * MIB, children=2, reconcile_secs=30, folders=100)


def machine(**other: Any) -> MachineReading:
    usual = MachineReading(
        system=SystemMemory(8 * GIB, 4 * GIB, 0, 0),
        group=GroupMemory(2, "/g", None, 50 * MIB, 0, 0),
        stall=Stall(0.0, 0.0, "cgroup"),
        descriptors=Descriptors(30, 8_192, 8_192),
        threads=5,
        disk=Disk("/data", 100 * GIB, 50 * GIB),
        missing=(),
    )
    return msgspec.structs.replace(usual, **other)


def readings(reading: MachineReading | None = None, **other: Any) -> LimitReadings:
    usual: dict[str, Any] = {
        "user_tasks": Tasks(100, 4_096),
        "inodes": Inodes(1_000_000, 900_000),
        "max_watches": 65_536,
        "max_watchers": 128,
    }
    return LimitReadings(machine=reading or machine(), **{**usual, **other})


def low(found: LimitReadings, needs: Needs = NEEDS) -> dict[str, str]:
    checks = check_limits(found, needs)
    for check in checks:
        assert check.is_well or check.remedies, "what is too low comes with how to raise it"
    return {check.id: check.verdict for check in checks if not check.is_well}


def said(name: str, found: LimitReadings, needs: Needs = NEEDS) -> str:
    (check,) = (each for each in check_limits(found, needs) if each.id == name)
    return " ".join([check.said, *check.remedies])


def test_where_nothing_is_too_low_nothing_is_said() -> None:
    checks = check_limits(readings(), NEEDS)
    assert {check.verdict for check in checks} == {"ok"}
    assert [check.id for check in checks] == [
        "descriptors", "processes", "memory-limits", "control-group", "disk", "watches",
    ]  # fmt: skip
    assert all(check.evidence for check in checks)


@pytest.mark.parametrize(
    ("soft", "verdict"), [(4_096, None), (None, None), (4_095, "warning"), (200, "problem")]
)
def test_open_files_must_be_4096(soft: int | None, verdict: str | None) -> None:
    found = readings(machine(descriptors=Descriptors(30, soft, soft)))
    assert low(found).get("descriptors") == verdict


def test_a_limit_that_was_raised_says_from_where() -> None:
    found = readings(raised_from=1_024)
    assert "raised from 1,024" in said("descriptors", found)


def test_threads_of_this_user_count_against_its_processes() -> None:
    assert low(readings(user_tasks=Tasks(4_000, 4_096))) == {}
    assert low(readings(user_tasks=Tasks(4_070, 4_096))) == {"processes": "warning"}
    assert low(readings(user_tasks=None)) == {}, "root is not held to it"
    assert low(readings(group_tasks=Tasks(90, 100))) == {"processes": "warning"}
    assert "the control group has 90 of at most 100" in said(
        "processes", readings(group_tasks=Tasks(90, 100))
    )


def test_a_process_that_may_not_allocate_up_to_the_ceiling_is_told() -> None:
    assert low(readings(address_limit_bytes=GIB, data_limit_bytes=GIB)) == {}
    assert low(readings(address_limit_bytes=300 * MIB)) == {"memory-limits": "warning"}
    assert low(readings(data_limit_bytes=100 * MIB)) == {"memory-limits": "warning"}


@pytest.mark.parametrize(
    ("limit_mib", "verdict"),
    [(232, None), (231, "warning"), (201, "warning"), (200, "problem"), (20, "problem")],
)
def test_of_ceiling_and_control_group_the_one_that_comes_first_is_named(
    limit_mib: int, verdict: str | None
) -> None:
    found = readings(machine(group=GroupMemory(2, "/g", limit_mib * MIB, 50 * MIB, 0, 0)))
    assert low(found).get("control-group") == verdict
    if verdict:
        text = said("control-group", found)
        assert "the kernel would kill" in text
        assert ("set daemon.max_memory_mb" in text) == (limit_mib > 32)


def test_the_advice_on_the_ceiling_fits_the_group() -> None:
    found = readings(machine(group=GroupMemory(2, "/g", 128 * MIB, 0, 0, 0)))
    assert "daemon.max_memory_mb = 96" in said("control-group", found)
    assert low(found, msgspec.structs.replace(NEEDS, budget_bytes=96 * MIB)) == {}


def test_a_group_that_is_slowed_down_before_the_ceiling_is_told() -> None:
    group = GroupMemory(2, "/g", None, 0, 0, 0, high_bytes=210 * MIB, high_used_pct=1.0)
    assert low(readings(machine(group=group))) == {"control-group": "warning"}
    assert "slows" in said("control-group", readings(machine(group=group)))


@pytest.mark.parametrize(
    ("free", "verdict"), [(GIB, None), (GIB - 1, "warning"), (127 * MIB, "problem")]
)
def test_room_on_the_disk(free: int, verdict: str | None) -> None:
    found = readings(machine(disk=Disk("/data", 100 * GIB, free)))
    assert low(found).get("disk") == verdict


def test_inodes_run_out_too_unless_there_is_no_fixed_number() -> None:
    assert low(readings(inodes=Inodes(1_000, 900))) == {"disk": "warning"}
    assert low(readings(inodes=Inodes(1_000, 0))) == {"disk": "problem"}
    assert low(readings(inodes=Inodes(0, 0))) == {}


def test_folders_that_are_not_watched_are_counted() -> None:
    def needs(**other: Any) -> Needs:
        return msgspec.structs.replace(NEEDS, **other)

    assert low(readings(), needs(unwatched=3)) == {"watches": "warning"}
    assert "3 of 103 folders" in said("watches", readings(), needs(unwatched=3))
    assert low(readings(max_watches=124)) == {"watches": "warning"}
    assert low(readings(max_watches=125)) == {}
    assert low(readings(), needs(blind=True)) == {"watches": "warning"}
    assert "max_user_instances" in said("watches", readings(), needs(blind=True))
    assert low(readings(max_watches=None), needs(folders=None)) == {}


def test_what_a_system_does_not_tell_is_unknown_and_no_warning() -> None:
    found = readings(
        machine(group=None, descriptors=None, disk=None), max_watches=None, user_tasks=None
    )
    verdicts = {check.id: check.verdict for check in check_limits(found, NEEDS)}
    assert low(found) == {}
    assert [name for name, verdict in verdicts.items() if verdict == "unknown"] == [
        "descriptors", "control-group", "disk", "watches",
    ]  # fmt: skip


def test_memory_that_others_take_and_stalls_are_warnings() -> None:
    def verdicts(**other: Any) -> list[str]:
        return [check.verdict for check in check_system(machine(**other))]

    assert verdicts() == ["ok", "ok"]
    assert verdicts(system=SystemMemory(8 * GIB, GIB // 4, 0, 0)) == ["warning", "ok"]
    assert verdicts(stall=Stall(40.0, 12.0, "system")) == ["ok", "warning"]
    assert verdicts(system=None, stall=None, physical_bytes=GIB) == ["unknown", "unknown"]


def test_tasks_of_a_control_group_are_those_of_the_one_with_the_least_room(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text("0::/slice/own\n")
    for path, used, limit in (("slice/own", 5, "max"), ("slice", 90, "100")):
        (groups / path).mkdir(parents=True, exist_ok=True)
        (groups / path / "pids.current").write_text(f"{used}\n")
        (groups / path / "pids.max").write_text(f"{limit}\n")
    assert group_tasks(proc, groups) == Tasks(90, 100)
    (groups / "slice/pids.max").write_text("max\n")
    assert group_tasks(proc, groups) == Tasks(5, None)
    assert group_tasks(proc, tmp_path / "none") is None


def test_this_process_can_be_read(tmp_path: Path) -> None:
    found = read_limits(Machine(str(tmp_path)), str(tmp_path / "not/yet"))
    assert found.inodes is not None
    assert found.machine.descriptors is not None
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert found.machine.descriptors.soft_limit == soft
    assert check_limits(found, NEEDS)


# Raising what may be raised.

RAISE = """
import json, resource, sys
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from holdfast.governor.limits import raise_descriptors
print(json.dumps([raise_descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


def raised(soft: int, hard: int) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", RAISE, str(soft), str(hard)], capture_output=True, check=True
    )
    return json.loads(done.stdout)


def test_the_soft_limit_on_open_files_is_raised_to_the_hard_one() -> None:
    assert raised(512, 5_000) == [[512, 5_000], [5_000, 5_000]]
    assert raised(512, 1_000) == [[512, 1_000], [1_000, 1_000]], "also when that is not enough"


def test_no_more_open_files_are_taken_than_wanted_however_many_are_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for hard in (1_073_741_816, resource.RLIM_INFINITY):
        taken: list[tuple[int, int]] = []
        monkeypatch.setattr(resource, "getrlimit", lambda _which, hard=hard: (512, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda _which, both, to=taken: to.append(both))
        assert raise_descriptors() == (512, DESCRIPTORS_WANTED)
        assert taken == [(DESCRIPTORS_WANTED, hard)]


def test_a_limit_that_is_high_enough_is_left_alone() -> None:
    assert raised(DESCRIPTORS_NEEDED, 5_000) == [None, [DESCRIPTORS_NEEDED, 5_000]]
    assert raised(512, 512) == [None, [512, 512]]


# What the daemon keeps of it.


class Log:
    def __init__(self) -> None:
        self.records: list[tuple[str, dict[str, object]]] = []

    def _note(self, event: str, /, **fields: object) -> None:
        self.records.append((event, fields))

    debug = info = warning = error = _note


class ShrinkingDisk(Machine):
    free = 50 * GIB

    def read(self) -> MachineReading:
        return machine(disk=Disk("/data", 100 * GIB, self.free))


def test_a_disk_that_fills_up_is_told_once_and_taken_back_when_there_is_room(
    tmp_path: Path,
) -> None:
    log, disk = Log(), ShrinkingDisk(str(tmp_path))
    allowance = Allowance(disk, str(tmp_path), log)
    allowance.keep(allowance.read(), NEEDS)
    assert not [each for each in allowance.warnings if "disk" in each]
    disk.free = 10
    allowance.keep_disk(allowance.read_disk())
    allowance.keep_disk(allowance.read_disk())
    (warning,) = (each for each in allowance.warnings if "disk" in each)
    assert warning.startswith("only 10 B free on the disk of the data folder: make room")
    told = [fields for event, fields in log.records if event == "limits.low"]
    assert [fields["limit"] for fields in told].count("disk") == 1
    disk.free = 50 * GIB
    allowance.keep_disk(allowance.read_disk())
    assert not [each for each in allowance.warnings if "disk" in each]


def test_reading_changes_nothing_until_it_is_kept(tmp_path: Path) -> None:
    """A reading is taken on a thread, where others may be taken at the same time."""
    log, disk = Log(), ShrinkingDisk(str(tmp_path))
    allowance = Allowance(disk, str(tmp_path), log)
    kept = list(allowance.keep(allowance.read(), NEEDS))
    records = len(log.records)
    disk.free = 10
    allowance.read()
    check = allowance.read_disk()
    assert (allowance.checks, len(log.records)) == (kept, records)
    allowance.keep_disk(check)
    assert check in allowance.checks
    assert [fields["limit"] for _, fields in log.records[records:]] == ["disk"]
