"""What others set: from made-up /proc and control group trees, and from the real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.governor.machine import GroupMemory, Machine, oom_kills_of
from tests.support import cgroups

NONE_V1 = 9_223_372_036_854_771_712  # what version 1 says when there is no limit
STALL = "some avg10=1.50 avg60=2.00 avg300=0.00 total=9\nfull avg10=0.25 avg60=0.00 total=3\n"


class FakeMachine:
    """Writes what the kernel would show."""

    def __init__(self, top: Path) -> None:
        self.proc = top / "proc"
        self.groups = top / "cgroup"
        (self.proc / "self/fd").mkdir(parents=True)
        (self.proc / "self/task/1").mkdir(parents=True)
        self.groups.mkdir()
        self.memory()

    def memory(self, *, available_kb: int = 400) -> None:
        (self.proc / "meminfo").write_text(
            f"MemTotal:        1000 kB\nMemFree:   100 kB\nMemAvailable:   {available_kb} kB\n"
            "HugePages_Total:       0\nSwapTotal: 500 kB\nSwapFree: 200 kB\n"
        )

    def member_of(self, *lines: str) -> None:
        (self.proc / "self/cgroup").write_text("".join(f"{line}\n" for line in lines))

    def v1(
        self,
        path: str,
        *,
        limit: int = NONE_V1,
        used: int = 0,
        cache: int = 0,
        kills: int | None = 0,
        below: str = "memory",
    ) -> Path:
        folder = self.groups / below / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
        (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(
            f"inactive_file 1\ntotal_inactive_file {cache // 2}\n"
            f"total_active_file {cache - cache // 2}\n"
        )
        told = "" if kills is None else f"oom_kill {kills}\n"
        (folder / "memory.oom_control").write_text(f"oom_kill_disable 0\nunder_oom 0\n{told}")
        return folder

    def v2(
        self,
        path: str,
        *,
        limit: int | str = "max",
        high: int | str = "max",
        used: int = 0,
        cache: int = 0,
        kills: int = 0,
        below: str = "",
    ) -> Path:
        folder = self.groups / below / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.high").write_text(f"{high}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(
            f"anon 5\ninactive_file {cache // 2}\nactive_file {cache - cache // 2}\n"
        )
        (folder / "memory.events").write_text(f"low 0\nmax 4\noom 1\noom_kill {kills}\n")
        return folder

    def machine(self) -> Machine:
        return Machine("/", proc_root=self.proc, groups_root=self.groups)

    def group(self) -> GroupMemory:
        found = self.machine().read().group
        assert found is not None
        return found


@pytest.fixture
def fake(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path)


def test_memory_that_the_kernel_can_drop_counts_as_free(fake: FakeMachine) -> None:
    system = fake.machine().read().system
    assert system is not None
    assert (system.total_bytes, system.available_bytes) == (1_024_000, 409_600)
    assert system.used_pct == pytest.approx(60.0)
    assert (system.swap_total_bytes, system.swap_free_bytes) == (512_000, 204_800)


def test_a_group_of_version_2_tells_its_limit_without_the_cache(fake: FakeMachine) -> None:
    fake.member_of("0::/user.slice/holdfast.service")
    fake.v2("user.slice/holdfast.service", limit=1_000, used=500, cache=100, kills=3)
    group = fake.group()
    assert (group.version, group.limit_bytes, group.used_bytes) == (2, 1_000, 400)
    assert (group.cache_bytes, group.oom_kills) == (100, 3)
    assert group.used_pct == pytest.approx(40.0)


def test_a_group_of_version_1_tells_the_same(fake: FakeMachine) -> None:
    fake.member_of("9:name=systemd:/x", "4:cpu,memory:/jobs/holdfast")
    fake.v1("jobs/holdfast", limit=1_000, used=500, cache=100, kills=3)
    fake.v1("jobs")
    fake.v1("")
    group = fake.group()
    assert (group.version, group.limit_bytes, group.used_bytes) == (1, 1_000, 400)
    assert (group.cache_bytes, group.oom_kills) == (100, 3)


@pytest.mark.parametrize("version", [1, 2])
def test_without_a_limit_our_own_group_is_told(fake: FakeMachine, version: int) -> None:
    """Version 1 says "none" with a number that is larger than any memory, version 2 with a word."""
    if version == 1:
        fake.member_of("4:memory:/a")
        own = fake.v1("a", used=70)
        fake.v1("", used=90)
    else:
        fake.member_of("0::/a")
        own = fake.v2("a", used=70)
    group = fake.group()
    assert group.path == str(own)
    assert (group.limit_bytes, group.used_pct, group.used_bytes) == (None, None, 70)


def test_the_group_nearest_its_end_counts_not_the_one_with_the_smallest_limit(
    fake: FakeMachine,
) -> None:
    fake.member_of("0::/slice/own")
    fake.v2("slice/own", limit=1_000, used=100)
    fuller = fake.v2("slice", limit=50_000, used=45_000)
    group = fake.group()
    assert group.path == str(fuller)
    assert (group.limit_bytes, group.used_bytes) == (50_000, 45_000)


def test_of_two_that_are_as_near_the_smaller_counts(fake: FakeMachine) -> None:
    fake.member_of("0::/slice/own")
    fake.v2("slice/own", limit=1_000, used=500)
    fake.v2("slice", limit=100_000, used=50_000)
    assert fake.group().limit_bytes == 1_000


def test_kills_are_counted_in_our_own_group_wherever_the_limit_is(fake: FakeMachine) -> None:
    fake.member_of("0::/slice/own")
    own = fake.v2("slice/own", kills=1)
    above = fake.v2("slice", limit=1_000, used=900, kills=7)
    assert fake.group().oom_kills == 1
    assert fake.machine().oom_kills() == {str(own): 1, str(above): 7}
    assert oom_kills_of(str(above)) == 7
    assert oom_kills_of(str(above / "gone")) is None


def test_an_old_kernel_that_counts_no_kills_is_believed(fake: FakeMachine) -> None:
    fake.member_of("4:memory:/a")
    fake.v1("a", kills=None)
    assert fake.group().oom_kills is None
    assert fake.machine().oom_kills() == {}


def test_where_the_kernel_slows_a_group_down_is_told_beside_the_limit(fake: FakeMachine) -> None:
    fake.member_of("0::/slice/own")
    fake.v2("slice/own", limit=1_000, high=600, used=300)
    fake.v2("slice", limit=10_000, high=1_000, used=900)
    group = fake.group()
    assert (group.limit_bytes, group.used_pct) == (1_000, 30.0)
    assert (group.high_bytes, group.high_used_pct) == (1_000, 90.0)


def test_a_group_that_may_have_nothing_is_full(fake: FakeMachine) -> None:
    fake.member_of("0::/own/below")
    fake.v2("own/below", limit=1_000, used=999)
    fake.v2("own", limit=0, used=5)
    assert fake.group().path == str(fake.groups / "own")


def test_with_both_versions_mounted_the_one_that_controls_memory_counts(
    fake: FakeMachine,
) -> None:
    fake.member_of("4:memory:/jobs", "1:name=systemd:/", "0::/unified/path")
    fake.v1("jobs", limit=1_000, used=10)
    (fake.groups / "unified/unified/path").mkdir(parents=True)
    assert fake.group().version == 1

    fake.member_of("1:name=systemd:/", "0::/own")
    fake.v2("own", limit=2_000, used=10, below="unified")
    group = fake.group()
    assert (group.version, group.limit_bytes) == (2, 2_000)


def test_a_tree_of_version_1_that_we_are_not_in_is_not_ours(fake: FakeMachine) -> None:
    fake.member_of("1:name=systemd:/", "0::/own")
    fake.v1("", limit=5, used=5)
    reading = fake.machine().read()
    assert reading.group is None
    assert "group" in reading.missing


def test_in_a_container_the_mount_is_our_group(fake: FakeMachine) -> None:
    """Of a namespace of its own the path is "/"; without one it lies outside of what is mounted."""
    own = fake.v2("", limit=1_000, used=10)
    for path in ("/", "/docker/4be5/init", "/../../system.slice/other"):
        fake.member_of(f"0::{path}")
        assert fake.group().path == str(own), path


def test_in_a_container_of_version_1_too(fake: FakeMachine) -> None:
    own = fake.v1("", limit=1_000, used=10)
    fake.member_of("4:memory:/docker/4be5", "0::/")
    group = fake.group()
    assert (group.version, group.path, group.limit_bytes) == (1, str(own), 1_000)


def test_a_group_without_a_controller_is_limited_by_those_above_it(fake: FakeMachine) -> None:
    fake.member_of("0::/user.slice/session.scope")
    (fake.groups / "user.slice/session.scope").mkdir(parents=True)
    above = fake.v2("user.slice", limit=1_000, used=10)
    assert fake.group().path == str(above)


def test_stalls_are_of_our_group_where_it_tells_and_else_of_the_machine(fake: FakeMachine) -> None:
    (fake.proc / "pressure").mkdir()
    (fake.proc / "pressure/memory").write_text(STALL)
    fake.member_of("0::/own")
    own = fake.v2("own")
    stall = fake.machine().read().stall
    assert stall is not None
    assert (stall.of, stall.some_pct, stall.full_pct) == ("system", 1.5, 0.25)
    (own / "memory.pressure").write_text(STALL.replace("1.50", "7.00"))
    stall = fake.machine().read().stall
    assert stall is not None
    assert (stall.of, stall.some_pct) == ("cgroup", 7.0)


def test_a_kernel_without_stalls_says_that_they_are_missing(fake: FakeMachine) -> None:
    reading = fake.machine().read()
    assert reading.stall is None
    assert reading.missing == ("group", "stall")


def test_without_proc_what_is_missing_is_named_and_the_rest_is_told(tmp_path: Path) -> None:
    """As on macOS."""
    nowhere = tmp_path / "none"
    machine = Machine(str(tmp_path / "not/yet"), proc_root=nowhere, groups_root=nowhere)
    reading = machine.read()
    assert reading.missing == ("system", "group", "stall", "threads")
    assert (reading.system, reading.group, reading.threads) == (None, None, None)
    assert reading.disk is not None
    assert 0 < reading.disk.free_bytes <= reading.disk.total_bytes
    assert reading.descriptors is not None
    assert reading.descriptors.open > 2
    assert reading.physical_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert machine.oom_kills() == {}


def test_nonsense_in_one_file_costs_that_reading_alone(fake: FakeMachine) -> None:
    fake.member_of("0::/own")
    (fake.v2("own") / "memory.current").write_text("much\n")
    (fake.proc / "meminfo").write_text("MemTotal: 1 kB\n")
    reading = fake.machine().read()
    assert {"system", "group"} <= set(reading.missing)
    assert reading.descriptors is not None
    assert reading.threads == 1


@pytest.fixture
def real_group() -> Iterator[cgroups.RealGroup]:
    with cgroups.made(limit_bytes=64 << 20) as group:
        yield group


def test_a_process_in_a_real_group_reads_its_limit_and_what_it_uses(
    real_group: cgroups.RealGroup,
) -> None:
    program = (
        "import sys, msgspec; from holdfast.governor.machine import Machine\n"
        "held = bytearray(b'x') * (16 << 20)\n"
        "print(msgspec.json.encode(Machine('/').read().group).decode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        preexec_fn=real_group.enter,
        capture_output=True,
        check=True,
    )
    group = json.loads(done.stdout)
    assert (group["path"], group["limit_bytes"]) == (real_group.path, 64 << 20)
    assert 16 << 20 < group["used_bytes"] < 64 << 20
    assert group["oom_kills"] == 0
