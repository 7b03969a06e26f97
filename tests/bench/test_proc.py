"""Readings of /proc see a whole tree, with what its ended members used."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.kit.proc import (
    footprint_bytes,
    sampling,
    shares_memory,
    tree,
    tree_cpu_s,
    tree_footprint_bytes,
    tree_rss_bytes,
)

HELD_BYTES = 32_000_000
USED_S = 0.2

WAIT = "print(flush=True); input()"
HOLD = f"held = bytearray({HELD_BYTES}); {WAIT}"
PARENT_OF_HOLDER = (
    "import subprocess, sys; "
    f"child = subprocess.Popen([sys.executable, '-I', '-c', {HOLD!r}], stdout=subprocess.PIPE); "
    f"child.stdout.readline(); {WAIT}"
)
BURN = f"import time\nwhile time.process_time() < {USED_S}: pass"
PARENT_OF_BURNER = (
    f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', {BURN!r}]); {WAIT}"
)


# As between vfork and exec: a child that waits in the memory of its parent.
IN_ITS_MEMORY = f"""
import ctypes, os, signal
libc = ctypes.CDLL(None)
held = bytearray({HELD_BYTES})
stack = ctypes.create_string_buffer(1 << 16)
top = ctypes.c_void_p((ctypes.addressof(stack) + (1 << 16)) & ~15)
waits = ctypes.cast(libc.pause, ctypes.c_void_p)
child = libc.clone(waits, top, 0x100 | signal.SIGCHLD, None)
print(flush=True)
input()
os.kill(child, signal.SIGKILL)
"""


@contextmanager
def running(program: str) -> Iterator[int]:
    """A Python program that says when it is ready and ends with its input."""
    with subprocess.Popen(
        [sys.executable, "-I", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.stdin.close()
            process.wait()


def test_memory_that_a_child_shares_with_its_parent_counts_once() -> None:
    with running(IN_ITS_MEMORY) as pid:
        [child] = [each for each in tree(pid) if each != pid]
        assert shares_memory(child, pid)
        assert footprint_bytes(child) > HELD_BYTES  # as the kernel tells it
        assert tree_footprint_bytes(pid) < 1.5 * footprint_bytes(pid)


def test_the_memory_of_a_child_counts() -> None:
    with running(PARENT_OF_HOLDER) as pid:
        assert len(list(tree(pid))) == 2
        assert tree_footprint_bytes(pid) - footprint_bytes(pid) > HELD_BYTES
        assert tree_rss_bytes(pid) >= tree_footprint_bytes(pid)


def test_the_time_of_an_ended_child_counts() -> None:
    with running(PARENT_OF_BURNER) as pid:
        assert list(tree(pid)) == [pid]
        assert tree_cpu_s(pid) >= USED_S - 0.01  # less one tick


def test_a_process_that_is_gone_has_no_memory() -> None:
    with running(WAIT) as pid:
        pass
    assert tree_footprint_bytes(pid) == 0
    assert tree_cpu_s(pid) == 0


def test_samples_know_the_peak_of_all_and_of_the_last_phase() -> None:
    with running(HOLD) as holder, running(WAIT) as small, sampling(lambda: watched[0]) as samples:
        watched: list[int | None] = [holder]
        _until_sampled(samples.taken, 1)
        watched[0] = small
        _until_sampled(samples.taken, len(samples.taken) + 2)  # one may be under way
        samples.start_phase()
        _until_sampled(samples.taken, len(samples.taken) + 2)
    assert samples.peak_bytes > HELD_BYTES > samples.phase_peak_bytes > 0


def _until_sampled(taken: list[tuple[float, int]], count: int) -> None:
    deadline_s = time.monotonic() + 30
    while len(taken) < count:
        assert time.monotonic() < deadline_s, "nothing was sampled"
        time.sleep(0.001)
