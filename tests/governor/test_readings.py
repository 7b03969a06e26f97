"""The footprint of a process tree, from made-up /proc trees and from the real one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from holdfast.governor import Readings
from holdfast.governor import readings as readings_module
from holdfast.governor.readings import resident_bytes

KB = 1024
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ON_LINUX = Path("/proc/self/statm").exists()


class FakeProc:
    """Writes what the kernel would show of each process."""

    def __init__(self, root: Path, *, lists_children: bool = True) -> None:
        self.root = root
        self.lists_children = lists_children

    def add(
        self,
        pid: int,
        *,
        parent: int = 0,
        rss_kb: int = 100,
        pss_kb: int | None = 60,
        swap_kb: int = 0,
        peak_kb: int = 150,
        name: str = "python3",
        threads: dict[int, list[int]] | None = None,
    ) -> None:
        home = self.root / str(pid)
        home.mkdir(parents=True)
        (home / "statm").write_text(f"9999 {rss_kb * KB // PAGE_BYTES} 5 5 0 9 0\n")
        (home / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0 -1\n")
        (home / "status").write_text(
            f"Name:\t{name}\nUmask:\t0022\nPPid:\t{parent}\nVmPeak:\t  999999 kB\n"
            f"VmHWM:\t {peak_kb:7} kB\nVmRSS:\t {rss_kb:7} kB\nRssAnon:\t      7 kB\n"
            f"VmSwap:\t {swap_kb:7} kB\nThreads:\t1\n"
        )
        if pss_kb is not None:
            (home / "smaps_rollup").write_text(
                f"55d0-7fff ---p 00000000 00:00 0                          [rollup]\n"
                f"Rss:            {rss_kb:8} kB\nPss:            {pss_kb:8} kB\n"
                f"Pss_Dirty:             1 kB\nPss_Anon:              2 kB\n"
                f"Swap:           {swap_kb:8} kB\nSwapPss:               3 kB\n"
            )
        for thread, children in (threads or {pid: []}).items():
            task = home / "task" / str(thread)
            task.mkdir(parents=True)
            if self.lists_children:
                text = "".join(f"{child} " for child in children)
                (task / "children").write_text(text)

    def zombie(self, pid: int, *, parent: int) -> None:
        home = self.root / str(pid)
        home.mkdir(parents=True)
        (home / "stat").write_text(f"{pid} (gone) Z {parent} 1 1 0 -1\n")
        (home / "status").write_text(f"Name:\tgone\nState:\tZ (zombie)\nPPid:\t{parent}\n")
        (home / "smaps_rollup").write_text("")

    def readings(self, pid: int = 1) -> Readings:
        return Readings(pid, proc_root=self.root)


@pytest.fixture(params=[True, False], ids=["children-listed", "children-scanned"])
def proc(request: pytest.FixtureRequest, tmp_path: Path) -> FakeProc:
    """A kernel with lists of children and one that was built without: the same must come out."""
    return FakeProc(tmp_path / "proc", lists_children=request.param)


def test_fast_is_the_rss_of_this_process_and_follows_it(proc: FakeProc) -> None:
    proc.add(1, rss_kb=4_096)
    readings = proc.readings()
    assert readings.fast() == 4_096 * KB
    statm = proc.root / "1" / "statm"
    statm.write_text(f"9999 {8_192 * KB // PAGE_BYTES} 5 5 0 9 0\n")
    assert readings.fast() == 8_192 * KB
    readings.close()


def test_the_footprint_is_pss_and_swap_of_all_descendants(proc: FakeProc) -> None:
    proc.add(1, threads={1: [20], 2: [], 3: [30, 31]}, pss_kb=1_000, swap_kb=10)
    proc.add(20, parent=1, threads={20: [40]}, pss_kb=200, swap_kb=20)
    proc.add(30, parent=1, pss_kb=300)
    proc.add(31, parent=1, pss_kb=310)
    proc.add(40, parent=20, pss_kb=4)
    proc.add(99, parent=0, pss_kb=999_999)  # a stranger
    tree = proc.readings().tree()
    assert tree.own.pid == 1
    assert sorted(child.pid for child in tree.children) == [20, 30, 31, 40]
    assert tree.total_pss_bytes == (1_000 + 200 + 300 + 310 + 4) * KB
    assert tree.total_swap_bytes == 30 * KB
    assert tree.footprint_bytes == tree.total_pss_bytes + tree.total_swap_bytes
    assert tree.exact


def test_a_process_is_shown_with_its_name_and_peak(proc: FakeProc) -> None:
    proc.add(1, name="hold) fast (x", rss_kb=100, pss_kb=60, swap_kb=5, peak_kb=150)
    own = proc.readings().tree().own
    assert own.name == "hold) fast (x"
    assert (own.rss_bytes, own.pss_bytes) == (100 * KB, 60 * KB)
    assert (own.swap_bytes, own.peak_rss_bytes) == (5 * KB, 150 * KB)


def test_a_peak_is_never_below_what_is_used_now(proc: FakeProc) -> None:
    """The two come from files that are read one after the other."""
    proc.add(1, rss_kb=100, peak_kb=90)
    assert proc.readings().tree().own.peak_rss_bytes == 100 * KB


def test_a_parent_is_found_behind_a_name_with_parentheses(proc: FakeProc) -> None:
    proc.add(1, threads={1: [2]})
    proc.add(2, parent=1, name="a) S 7 (b", threads={2: [3]})
    proc.add(3, parent=2)
    assert [child.pid for child in proc.readings().tree().children] == [2, 3]


def test_a_child_that_vanished_costs_nothing(proc: FakeProc) -> None:
    proc.add(1, threads={1: [2, 3]}, pss_kb=60)
    proc.add(3, parent=1, pss_kb=40)  # 2 is listed and gone
    tree = proc.readings().tree()
    assert [child.pid for child in tree.children] == [3]
    assert tree.footprint_bytes == 100 * KB
    assert tree.exact


def test_a_child_that_ends_between_its_two_files_costs_nothing(proc: FakeProc) -> None:
    proc.add(1, threads={1: [2]}, pss_kb=60)
    proc.add(2, parent=1)
    (proc.root / "2" / "status").unlink()
    tree = proc.readings().tree()
    assert tree.children == ()
    assert (tree.footprint_bytes, tree.exact) == (60 * KB, True)


def test_a_zombie_has_no_memory(proc: FakeProc) -> None:
    proc.add(1, threads={1: [2]}, pss_kb=60)
    proc.zombie(2, parent=1)
    tree = proc.readings().tree()
    assert tree.children == ()
    assert (tree.footprint_bytes, tree.exact) == (60 * KB, True)


def test_of_another_process_that_is_gone_nothing_stands_in(proc: FakeProc) -> None:
    with pytest.raises(ProcessLookupError):
        proc.readings(4_000_000).tree()


def test_a_thread_that_vanished_costs_only_its_own_list(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    proc.add(1, threads={1: [2], 5: []})
    (tmp_path / "1" / "task" / "5" / "children").unlink()
    proc.add(2, parent=1)
    assert [child.pid for child in proc.readings().tree().children] == [2]


def test_rss_stands_in_where_pss_is_kept_from_us(proc: FakeProc) -> None:
    proc.add(1, threads={1: [2]}, pss_kb=60)
    proc.add(2, parent=1, rss_kb=100, pss_kb=None, swap_kb=7)
    tree = proc.readings().tree()
    assert tree.children[0].pss_bytes is None
    assert tree.footprint_bytes == (60 + 100 + 7) * KB
    assert not tree.exact


def test_processes_that_name_each_other_end_the_walk(tmp_path: Path) -> None:
    """An id that is given out anew during the walk could close a circle."""
    proc = FakeProc(tmp_path)
    proc.add(1, threads={1: [2]})
    proc.add(2, threads={2: [1, 3]})
    proc.add(3, threads={3: [2]})
    assert [child.pid for child in proc.readings().tree().children] == [2, 3]


def test_the_highest_footprint_is_remembered(proc: FakeProc) -> None:
    proc.add(1, pss_kb=60)
    readings = proc.readings()
    rollup = proc.root / "1" / "smaps_rollup"
    seen = []
    for pss_kb in (60, 500, 80):
        rollup.write_text(f"Rss: 900 kB\nPss: {pss_kb} kB\nSwap: 0 kB\n")
        tree = readings.tree()
        seen.append((tree.footprint_bytes // KB, tree.peak_footprint_bytes // KB))
    assert seen == [(60, 60), (500, 500), (80, 500)]


def test_many_children_fit(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    pids = list(range(100_000, 110_000))  # a list longer than one read
    proc.add(1, threads={1: pids})
    proc.add(pids[-1], parent=1)
    assert [child.pid for child in proc.readings().tree().children] == [pids[-1]]


def test_without_proc_the_peak_rss_of_this_process_stands_in(tmp_path: Path) -> None:
    readings = Readings(proc_root=tmp_path / "nothing")
    tree = readings.tree()
    assert tree.own.pid == os.getpid()
    assert tree.own.pss_bytes is None
    assert tree.children == ()
    assert not tree.exact
    assert 5_000_000 < tree.footprint_bytes < 50_000_000_000
    assert readings.fast() >= tree.own.rss_bytes
    readings.close()


@pytest.mark.parametrize(("platform", "unit"), [("darwin", 1), ("linux", KB)])
def test_getrusage_counts_in_bytes_on_macos_only(
    monkeypatch: pytest.MonkeyPatch, platform: str, unit: int
) -> None:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr(sys, "platform", platform)
    assert readings_module._peak_rss_bytes() >= peak * unit
    assert readings_module._peak_rss_bytes() < peak * unit * 2


def test_allocations_tell_what_the_allocators_think() -> None:
    readings = Readings()
    before = readings.allocations()
    kept = [object() for _ in range(10_000)]
    after = readings.allocations()
    assert after.python_allocated_blocks - before.python_allocated_blocks >= len(kept)
    readings.close()


@pytest.mark.skipif(not ON_LINUX, reason="needs /proc")
def test_the_real_tree_has_a_real_child_while_it_lives() -> None:
    """The child holds 30 MB of its own; both ways to find children must see it, then not."""
    script = (
        "import sys\n"
        "held = bytearray(30_000_000)\n"
        "held[::4096] = b'x' * len(held[::4096])\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    readings = Readings()
    before = readings.tree()
    assert before.exact
    assert before.own.name
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        during = readings.tree()
        readings._lists_children = False  # type: ignore[misc]  # Final for everybody else
        scanned = readings.tree()
        child.communicate(b"")
    for tree in (during, scanned):
        (found,) = [process for process in tree.children if process.pid == child.pid]
        assert found.pss_bytes is not None
        assert 30_000_000 <= found.pss_bytes <= found.rss_bytes <= found.peak_rss_bytes
        assert tree.footprint_bytes - before.footprint_bytes > 25_000_000
        assert tree.exact
    after = readings.tree()
    assert child.pid not in {process.pid for process in after.children}
    assert after.peak_footprint_bytes >= during.footprint_bytes
    readings.close()


@pytest.mark.skipif(not ON_LINUX, reason="needs /proc")
def test_the_real_fast_reading_sees_growth() -> None:
    readings = Readings()
    before = readings.fast()
    block = bytearray(50_000_000)
    block[::4096] = b"x" * len(block[::4096])
    grown = readings.fast() - before
    # Kernels from 6.2 on count in batches per CPU, so the figure may lag by some pages.
    assert grown > 40_000_000
    readings.close()


def test_closing_gives_the_descriptor_back(proc: FakeProc) -> None:
    proc.add(1)
    readings = proc.readings()
    fd = readings._statm_fd
    assert fd is not None
    readings.close()
    readings.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_child_between_fork_and_exec_is_not_counted(proc: FakeProc) -> None:
    """It shares our memory, and the kernel tells our figures of it: we would count twice."""
    now_s = [0.0]
    proc.add(1, threads={1: [2]}, pss_kb=60)
    proc.add(2, parent=1, pss_kb=60)
    (proc.root / "1" / "cmdline").write_bytes(b"python\0-m\0holdfast.daemon\0")
    (proc.root / "2" / "cmdline").write_bytes(b"python\0-m\0holdfast.daemon\0")
    readings = Readings(1, proc_root=proc.root, clock=lambda: now_s[0])
    assert readings.tree().footprint_bytes == 60 * KB
    (proc.root / "2" / "cmdline").write_bytes(b"python\0-c\0import child\0")
    assert readings.tree().footprint_bytes == 120 * KB
    readings.close()


def test_a_child_that_goes_on_with_our_program_is_counted_soon(proc: FakeProc) -> None:
    """It was forked, and what it shares with us PSS splits: nothing may stay hidden."""
    now_s = [0.0]
    proc.add(1, threads={1: [2]}, pss_kb=60)
    proc.add(2, parent=1, pss_kb=30)
    for pid in (1, 2):
        (proc.root / str(pid) / "cmdline").write_bytes(b"python\0-m\0holdfast.daemon\0")
    readings = Readings(1, proc_root=proc.root, clock=lambda: now_s[0])
    assert readings.tree().children == ()
    now_s[0] = readings_module.UNBEGUN_MAX_S
    assert [child.pid for child in readings.tree().children] == [2]
    assert [child.pid for child in readings.tree().children] == [2]
    readings.close()


def test_two_threads_read_one_after_the_other(proc: FakeProc) -> None:
    """Each remembers which children have begun, and what was the most."""
    proc.add(1)
    events: list[str] = []
    others: list[threading.Thread] = []

    def clock() -> float:
        """In the middle of a reading."""
        if not others:
            other = threading.Thread(target=lambda: events.append(str(readings.tree().own.pid)))
            others.append(other)
            other.start()
            other.join(0.1)  # it would be through by now if it did not wait
            events.append("first")
        return 0.0

    readings = Readings(1, proc_root=proc.root, clock=clock)
    readings.tree()
    others[0].join()
    assert events == ["first", "1"]
    readings.close()


def test_a_child_weighs_what_it_shares_with_nobody_and_nothing_once_it_is_gone(
    tmp_path: Path,
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "statm").write_text("9999 500 120 5 0 9 0\n")
    assert resident_bytes(7, tmp_path) == 380 * PAGE_BYTES
    assert resident_bytes(8, tmp_path) == 0
    if ON_LINUX:
        assert resident_bytes(os.getpid()) > 1 << 20
