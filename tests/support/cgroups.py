"""A real control group with a limit, where this machine and this user may make one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest

from tests.support.waiting import until

_VERSIONS = (
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"),
    ("/sys/fs/cgroup", "memory.max", "memory.events"),
)


class RealGroup:
    def __init__(self, path: str, events: str) -> None:
        self.path = path
        self._events = events

    def enter(self) -> None:
        """For `preexec_fn`: the child is in it before its program begins."""
        with open(os.path.join(self.path, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(os.getpid()))

    @property
    def kills(self) -> int:
        with open(os.path.join(self.path, self._events), encoding="ascii") as file:
            counts = dict(line.split() for line in file)
        return int(counts["oom_kill"])


@contextmanager
def made(limit_bytes: int) -> Iterator[RealGroup]:
    """Skips where that is not to be had."""
    refused = "no group whose memory is controlled"
    for root, limit, events in _VERSIONS:
        path = os.path.join(root, f"holdfast-test-{uuid.uuid4().hex[:12]}")
        if not os.path.exists(os.path.join(root, "cgroup.procs")):
            continue
        try:
            os.mkdir(path)
        except OSError as error:
            refused = f"cannot make {path}: {error.strerror}"
            continue
        try:
            with open(os.path.join(path, limit), "w", encoding="ascii") as file:
                file.write(str(limit_bytes))
        except OSError as error:
            refused = f"cannot limit {path}: {error.strerror}"
            os.rmdir(path)
            continue
        try:
            yield RealGroup(path, events)
        finally:
            until(partial(_removed, path), f"{path} is empty")
        return
    pytest.skip(refused)


def _removed(path: str) -> bool:
    with suppress(OSError):
        os.rmdir(path)
    return not os.path.exists(path)
