"""What the allocators keep is read, and is nothing where it cannot be read."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest

from holdfast.governor import libc
from holdfast.governor.allocators import (
    Free,
    FreeMemory,
    _heap_calls,
    _stats_calls,
    read_free,
    read_pymalloc,
)

MB = 1 << 20
ON_GLIBC = platform.libc_ver()[0] == "glibc"
ONE_ARENA = {**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}


def test_objects_that_are_freed_are_free_and_no_more_in_use() -> None:
    before = read_pymalloc()
    held = [object() for _ in range(400_000)]
    full = read_pymalloc()
    del held[::2]  # so that no pool is empty
    half = read_pymalloc()
    assert before is not None
    assert full is not None
    assert half is not None
    assert full.in_use_bytes - before.in_use_bytes >= 390_000 * 16
    assert full.in_use_bytes - half.in_use_bytes >= 190_000 * 16
    assert half.free_bytes - full.free_bytes >= 190_000 * 16


@pytest.mark.skipif(not ON_GLIBC, reason="needs glibc")
def test_of_the_heap_only_what_is_in_memory_counts() -> None:
    """After a trim malloc still calls it free, and the system has it."""
    script = """
from holdfast.governor import libc
from holdfast.governor.allocators import read_free
read_free()
before = read_free().heap_bytes
blocks = [bytes(3_000) for _ in range(10_000)]
kept = blocks[::100]  # they keep the heap from shrinking at its end
full = read_free().heap_bytes
del blocks
freed = read_free().heap_bytes
libc.malloc_trim()
trimmed = read_free().heap_bytes
assert full - before < 2_000_000, (before, full)
assert freed - full > 20_000_000, (full, freed)
assert freed - trimmed > 20_000_000, (freed, trimmed)
assert libc.mallinfo2().free_bytes > 20_000_000, "malloc does not know"
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=ONE_ARENA, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_what_was_free_at_the_baseline_is_part_of_the_program() -> None:
    readings = iter([Free(3 * MB, 2 * MB), Free(9 * MB, 4 * MB), Free(MB, MB)])
    free = FreeMemory(lambda: next(readings))
    assert free.usage().bytes == 8 * MB
    assert free.usage().bytes == 0, "less than at the baseline is not less than nothing"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A C library that has none of the calls."""
    cached = (_heap_calls, _stats_calls, libc._mallinfo2)
    for each in cached:
        each.cache_clear()
    monkeypatch.setattr(libc, "symbol", lambda _name: None)
    yield
    for each in cached:
        each.cache_clear()


@pytest.mark.usefixtures("elsewhere")
def test_where_nothing_can_be_read_nothing_is_made_up() -> None:
    assert read_pymalloc() is None
    assert read_free() == Free(0, 0)


def test_python_without_its_allocator_is_told_as_such() -> None:
    script = "from holdfast.governor.allocators import *; assert read_pymalloc() is None"
    environ = {**os.environ, "PYTHONMALLOC": "malloc"}
    subprocess.run([sys.executable, "-c", script], env=environ, check=True)


def test_looking_leaves_no_garbage() -> None:
    """It would lie around until the collector comes, which is seldom in an idle daemon."""
    read_free()
    gc.collect()
    read_free()
    assert gc.collect() == 0
