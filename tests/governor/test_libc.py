"""The allocator gives memory back where the C library can, and nothing breaks where it cannot."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from holdfast.governor import libc

ON_GLIBC = platform.libc_ver()[0] == "glibc"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A C library that has neither call."""
    cached: tuple[Callable[[], object], ...] = (
        libc._malloc_trim.cache_clear,
        libc._mallinfo2.cache_clear,
    )
    for clear in cached:
        clear()
    monkeypatch.setattr(libc, "symbol", lambda name: None)
    yield
    for clear in cached:
        clear()


@pytest.mark.skipif(not ON_GLIBC, reason="needs glibc")
def test_trim_gives_freed_memory_back() -> None:
    assert libc.malloc_trim()
    blocks = [bytes(4_000) for _ in range(5_000)]
    held = libc.mallinfo2()
    assert held is not None
    assert held.in_use_bytes >= 5_000 * 4_000
    del blocks
    freed = libc.mallinfo2()
    assert freed is not None
    assert held.in_use_bytes - freed.in_use_bytes >= 5_000 * 4_000
    assert libc.malloc_trim()


@pytest.mark.skipif(not ON_GLIBC, reason="needs glibc")
def test_memory_in_use_includes_blocks_that_malloc_mapped() -> None:
    before = libc.mallinfo2()
    block = bytes(100_000_000)
    after = libc.mallinfo2()
    assert before is not None
    assert after is not None
    assert after.in_use_bytes - before.in_use_bytes >= len(block)


def test_elsewhere_both_do_nothing_and_say_so(elsewhere: None) -> None:
    assert libc.malloc_trim() is False
    assert libc.mallinfo2() is None


def test_a_call_that_the_library_lacks_is_none() -> None:
    assert libc.symbol("holdfast_has_no_such_call") is None


def test_ctypes_is_loaded_at_the_first_call() -> None:
    script = (
        "import sys, holdfast.governor\n"
        "assert 'ctypes' not in sys.modules\n"
        "holdfast.governor.libc.malloc_trim()\n"
        "assert 'ctypes' in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
