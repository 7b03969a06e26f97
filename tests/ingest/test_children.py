"""The import children under the governor: listed, and fewer when memory is critical."""

from __future__ import annotations

import os

from holdfast.governor.protocol import Level
from holdfast.ingest.children import ImportChildren


class Shedding:
    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return True


def test_children_are_listed_with_what_they_weigh() -> None:
    children = ImportChildren(lambda: [os.getpid()], lambda: False, limit_bytes=7)
    usage = children.usage()
    assert usage.items == 1
    assert usage.bytes > 1_000_000
    assert usage.limit_bytes == 7


def test_a_child_that_ended_weighs_nothing() -> None:
    gone = ImportChildren(lambda: [2**30], lambda: False, limit_bytes=7)
    assert gone.usage().bytes == 0


def test_one_child_ends_when_memory_is_critical_and_none_before() -> None:
    shed = Shedding()
    children = ImportChildren(lambda: [os.getpid()], shed, limit_bytes=7)
    assert children.relieve(Level.HIGH, 1) == 0
    assert shed.asked == 0
    assert children.relieve(Level.CRITICAL, 1) > 0
    assert shed.asked == 1
