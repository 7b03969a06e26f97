"""A process that makes a page: it neither waits for its reader nor outlives it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from holdfast.recording.child import PageFailed, output_of

LONG_S = 60.0


def run(program: str, timeout_s: float = LONG_S) -> bytes:
    return b"".join(output_of([sys.executable, "-c", program], os.environ, timeout_s))


def test_what_it_writes_comes_whole() -> None:
    assert run("print('x' * 300_000, end='')") == b"x" * 300_000


def test_complaints_of_any_length_do_not_hold_it_up() -> None:
    told = "import sys; sys.stderr.write('x' * 1_000_000 + ' the end'); print('a page')"
    assert run(told) == b"a page\n"
    with pytest.raises(PageFailed, match=r"x the end$") as failed:
        run(f"{told}; sys.exit(1)")
    assert len(str(failed.value)) < 1_000


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Those that were started."""
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(*about: Any, **how: Any) -> subprocess.Popen[bytes]:
        started.append(real(*about, **how))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return started


@pytest.mark.parametrize("closes", ["", "os.close(1);"])
def test_what_does_not_end_is_ended(processes: list[subprocess.Popen[bytes]], closes: str) -> None:
    with pytest.raises(PageFailed, match=r"within 0\.2 s"):
        run(f"import os, time; {closes} time.sleep(600)", 0.2)
    assert processes[0].returncode == -9


def test_it_ends_with_its_reader(processes: list[subprocess.Popen[bytes]]) -> None:
    program = "import time; print('begun', end='', flush=True); time.sleep(600)"
    pieces = output_of([sys.executable, "-c", program], os.environ, LONG_S)
    assert next(pieces) == b"begun"
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    assert processes[0].returncode == -9
