"""The import children as a component of the governor."""

from __future__ import annotations

import os

from holdfast.governor import Level, Measured, ProcessMemory, TreeMemory
from holdfast.ingest.children import ImportChildren


def test_children_are_listed_with_what_they_weigh() -> None:
    children = ImportChildren(lambda: [os.getpid()], limit_bytes=7)
    usage = children.usage()
    assert usage.items == 1
    assert usage.bytes > 1_000_000
    assert usage.limit_bytes == 7


def test_a_child_that_ended_weighs_nothing() -> None:
    gone = ImportChildren(lambda: [2**30], limit_bytes=7)
    assert gone.usage().bytes == 0


def test_children_are_not_ended_to_shrink_caches() -> None:
    """They end last, and by the ladder: what they read is what somebody waits for."""
    children = ImportChildren(lambda: [os.getpid()], limit_bytes=7)
    assert children.relieve(Level.CRITICAL, 1) == 0


def test_in_a_reading_of_the_tree_they_weigh_what_it_says() -> None:
    """Of one that has just ended too: it is in the tree, and must not be missing here."""
    running = [7]
    children = ImportChildren(lambda: running, limit_bytes=9)
    assert isinstance(children, Measured)
    own, child = (ProcessMemory(pid, "p", 90, 50, 5, 90) for pid in (1, 7))
    tree = TreeMemory(own, (child,), 100, 10, exact=True, peak_footprint_bytes=110)
    assert children.usage_in(tree).bytes == 55
    running.clear()
    usage = children.usage_in(tree)
    assert (usage.bytes, usage.items, usage.limit_bytes) == (55, 1, 9)
