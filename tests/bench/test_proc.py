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
