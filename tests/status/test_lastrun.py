"""How a run ended, from what it left: made-up evidence first, then real processes that end so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.errors import Exit
from holdfast.status.crash import CrashFile, first_line
from holdfast.status.kernellog import killed_by_kernel
from holdfast.status.lastrun import Run, RunFile, boot_id, explain
from tests.support import cgroups

FAULT = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n"
UNCAUGHT = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nKeyError: 5\n'
OURS, ABOVE = "/cgroup/slice/own", "/cgroup/slice"


def run(**other: Any) -> Run:
    usual = Run(7, "1.0", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", boot_id())
    return msgspec.structs.replace(usual, **other)


def ending(left: Run, **evidence: Any) -> str:
    return explain(left, **evidence).ending


def test_an_end_that_was_written_down_is_believed() -> None:
    told = explain(run(ended_at="2026-01-01T02:00:00Z", detail="SIGTERM"), trace="")
    assert (told.ending, told.detail, told.ended_at) == (
        "stopped",
        "SIGTERM",
        "2026-01-01T02:00:00Z",
    )
    assert told.evidence == []
    assert ending(run(ended_at="x", detail="late", failed=True)) == "failed"
    assert ending(run(ended_at="x", failed=True, exit=int(Exit.RESTART_WANTED))) == "restart wanted"


def test_an_error_that_made_it_stop_leaves_its_trace_as_evidence() -> None:
    told = explain(run(ended_at="x", failed=True), trace=UNCAUGHT, trace_path="/s/crash.txt")
    assert told.evidence == ["KeyError: 5", "trace in /s/crash.txt"]


def test_another_boot_is_a_restart_of_the_machine_whatever_else_is_there() -> None:
    assert ending(run(boot_id="another"), trace=FAULT) == "machine restarted"


def test_a_trace_is_a_crash() -> None:
    told = explain(run(footprint_bytes=5 << 20), trace=FAULT, trace_path="/s/crash.txt")
    assert told.ending == "crashed"
    assert told.detail.startswith("Fatal Python error: Segmentation fault")
    assert told.ended_at == "2026-01-01T01:00:00Z", "the last heartbeat"
    assert told.evidence == ["trace in /s/crash.txt", "memory at the last heartbeat: 5.0 MiB"]
    assert first_line(UNCAUGHT) == "KeyError: 5"


def test_the_kernel_that_names_the_process_is_believed() -> None:
    asked: list[tuple[int, float]] = []

    def kernel(pid: int, since_s: float) -> str:
        asked.append((pid, since_s))
        return "Killed process 7 (python)"

    told = explain(run(since_boot_s=30.0), kernel=kernel)
    assert told.ending == "out of memory"
    assert told.evidence == ["kernel: Killed process 7 (python)"]
    assert asked == [(7, 30.0)]


def test_a_kill_that_our_control_group_counts_is_a_kill_for_want_of_memory() -> None:
    left = run(oom_kills={OURS: 2, ABOVE: 9})
    assert ending(left, kills_of={OURS: 3, ABOVE: 9}.get) == "out of memory"
    assert ending(left, kills_of={OURS: 2, ABOVE: 10}.get) == "killed", "that was a neighbour"


def test_a_group_that_was_made_anew_leaves_it_to_those_above() -> None:
    left = run(oom_kills={OURS: 2, ABOVE: 9})
    assert ending(left, kills_of={OURS: 0, ABOVE: 10}.get) == "out of memory"
    assert ending(left, kills_of={ABOVE: 10}.get) == "out of memory"
    assert ending(left, kills_of={ABOVE: 9}.get) == "killed"
    assert ending(left, kills_of={}.get) == "killed"


def test_what_left_nothing_was_killed_and_a_stop_that_was_cut_short_is_told() -> None:
    assert ending(run()) == "killed"
    told = explain(run(stopping="SIGTERM"))
    assert told.ending == "killed"
    assert "it was stopping (SIGTERM)" in told.detail


def test_a_run_file_of_an_older_version_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    old = {"pid": 7, "version": "0.1.0", "started_at": "a", "heartbeat_at": "b", "boot_id": "c"}
    path.write_text(json.dumps(old))
    told = RunFile(str(path), CrashFile(str(tmp_path / "crash.txt"))).last()
    assert told is not None
    assert told.ending == "machine restarted"
    path.write_text("{")
    assert RunFile(str(path), CrashFile(str(tmp_path / "crash.txt"))).last() is None


# The kernel's log.


def records(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "kmsg"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def test_the_kernels_log_is_searched_for_the_process_in_its_time(tmp_path: Path) -> None:
    kmsg = records(
        tmp_path,
        "6,1,5000000,-;Out of memory: Killed process 77 (old) total-vm:9kB",
        " SUBSYSTEM=memory",
        "6,2,40000000,-;usb 1-1: new device; number 77",
        "3,3,50000000,-;Memory cgroup out of memory: Killed process 78 (python) total-vm:9kB",
        "nonsense",
    )
    assert "(python)" in killed_by_kernel(78, 30.0, kmsg=kmsg)
    assert killed_by_kernel(77, 30.0, kmsg=kmsg) == "", "the number was another process's then"
    assert killed_by_kernel(7, 0.0, kmsg=kmsg) == ""
    assert killed_by_kernel(78, 30.0, kmsg=str(tmp_path / "none")) == ""


# Real ends.

RUNS = """
import os, signal, sys, time
from holdfast.status.crash import CrashFile
from holdfast.status.lastrun import RunFile
from holdfast.governor.machine import Machine
folder, end = sys.argv[1:]
file = RunFile(f"{folder}/run.json", CrashFile(f"{folder}/crash.txt"))
file.begin(Machine(folder).oom_kills())
file.beat(1 << 20, Machine(folder).oom_kills())
if end == "clean":
    file.end("SIGTERM")
elif end == "raises":
    {}["not there"]
elif end == "memory":
    held = []
    while True:
        held.append(bytearray(b"x") * (1 << 20))
elif end.startswith("SIG"):
    os.kill(os.getpid(), getattr(signal, end))
    time.sleep(60)
"""


def really(folder: Path, how: str, **options: Any) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-c", RUNS, str(folder), how],
        capture_output=True,
        check=False,
        timeout=60,
        **options,
    )
    told = RunFile(str(folder / "run.json"), CrashFile(str(folder / "crash.txt"))).last()
    assert told is not None
    return done.returncode, told


@pytest.mark.parametrize(
    ("how", "code", "expected", "words"),
    [
        ("clean", 0, "stopped", "SIGTERM"),
        ("raises", 1, "crashed", "KeyError: 'not there'"),
        ("SIGSEGV", -signal.SIGSEGV, "crashed", "Segmentation fault"),
        ("SIGABRT", -signal.SIGABRT, "crashed", "Aborted"),
        ("SIGBUS", -signal.SIGBUS, "crashed", "Bus error"),
        ("SIGKILL", -signal.SIGKILL, "killed", "kill -9"),
    ],
)
def test_a_real_process_that_ends_so_is_told_so(
    tmp_path: Path, how: str, code: int, expected: str, words: str
) -> None:
    returned, told = really(tmp_path, how)
    assert returned == code
    assert told.ending == expected
    assert words in told.detail
    assert os.path.exists(tmp_path / "crash.txt") == (how != "clean")


def test_the_next_run_says_where_it_kept_the_trace(tmp_path: Path) -> None:
    crash = tmp_path / "crash.txt"
    really(tmp_path, "raises")
    file = RunFile(str(tmp_path / "run.json"), CrashFile(str(crash)))
    before = file.last()
    assert before is not None
    assert f"trace in {crash}" in before.evidence
    try:
        told = file.begin({})
    finally:
        file.end("over")
    assert told is not None
    assert f"trace in {crash}.last" in told.evidence
    assert "KeyError" in (tmp_path / "crash.txt.last").read_text()


def test_the_next_run_keeps_the_trace_of_the_one_before(tmp_path: Path) -> None:
    really(tmp_path, "SIGSEGV")
    crash = tmp_path / "crash.txt"
    assert oct(crash.stat().st_mode & 0o777) == "0o600"
    text = crash.read_text()
    assert "most recent call first" in text
    _code, told = really(tmp_path, "clean")
    assert told.ending == "stopped"
    assert told.evidence == []
    assert (tmp_path / "crash.txt.last").read_text() == text


@pytest.mark.slow
def test_a_process_that_the_kernel_really_kills_for_want_of_memory_is_told(tmp_path: Path) -> None:
    with cgroups.made(limit_bytes=48 << 20) as group:
        code, told = really(tmp_path, "memory", preexec_fn=group.enter)
        assert code == -signal.SIGKILL
        assert group.kills == 1
        assert told.ending == "out of memory"
        assert any("Killed process" in each or group.path in each for each in told.evidence)


@pytest.mark.slow
def test_the_count_of_the_group_tells_it_where_the_kernels_log_is_closed(tmp_path: Path) -> None:
    with cgroups.made(limit_bytes=48 << 20) as group:
        really(tmp_path, "memory", preexec_fn=group.enter)
        left = msgspec.json.decode((tmp_path / "run.json").read_bytes(), type=Run)
        told = explain(left)
        assert told.ending == "out of memory"
        assert told.evidence[0].startswith(f"control group {group.path}: 1 killed")
