"""Whether the kernel says that it killed a process for want of memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

KMSG: Final = "/dev/kmsg"
RECORD_MAX_BYTES: Final = 8_192  # as the kernel cuts them
RECORDS_MAX: Final = 100_000
JOURNAL_TIMEOUT_S: Final = 10.0
_KILLED: Final = re.compile(r"(?:Killed process|Kill process) (\d+)\b")


def killed_by_kernel(
    pid: int, since_s: float, *, kmsg: str = KMSG, ask_journald: bool = False
) -> str:
    """The kernel's own line; "" when it says nothing, or nothing that we may read.

    `since_s` is the kernel's time since boot: numbers of processes come again.
    """
    for at_s, text in _records(kmsg):
        if at_s >= since_s and _is_about(pid, text):
            return text
    return _from_journald(pid) if ask_journald else ""


def _is_about(pid: int, text: str) -> bool:
    found = _KILLED.search(text)
    return found is not None and int(found[1]) == pid


def _records(path: str) -> Iterator[tuple[float, str]]:
    """Each read gives one record: `level,number,microseconds,flags;text`, then details."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for _ in range(RECORDS_MAX):
            try:
                record = os.read(fd, RECORD_MAX_BYTES)
            except BrokenPipeError:
                continue  # it was overwritten before we read it
            except OSError:
                return  # no more of them
            if not record:
                return
            for line in record.decode("utf-8", "replace").splitlines():
                head, mark, text = line.partition(";")
                fields = head.split(",")
                if mark and len(fields) > 2 and fields[2].isdecimal():
                    yield int(fields[2]) / 1e6, text
    finally:
        os.close(fd)


def _from_journald(pid: int) -> str:
    """Members of some groups may read there what the kernel shows to root alone."""
    import subprocess

    asked = ["journalctl", "-k", "-b", "--no-pager", "-q", "-o", "cat", "-g", "Killed process"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            asked, capture_output=True, timeout=JOURNAL_TIMEOUT_S, check=False, text=True
        )
        for line in reversed(done.stdout.splitlines()):
            if _is_about(pid, line):
                return line
    return ""
