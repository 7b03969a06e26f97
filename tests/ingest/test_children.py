"""The import children as a component of the governor."""

from __future__ import annotations

import os

from holdfast.governor.protocol import Level
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
