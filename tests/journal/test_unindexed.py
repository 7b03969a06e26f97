"""Texts that wait for the index take what is counted."""

from __future__ import annotations

import tracemalloc

import pytest

from holdfast.journal.model import Text
from holdfast.journal.unindexed import bytes_in, words_of


@pytest.mark.parametrize("text", ["a", "what people say " * 20, "🚢 and 検索, much of it " * 40])
def test_what_is_counted_is_what_they_take(text: str) -> None:
    tracemalloc.start()
    try:
        before, _peak = tracemalloc.get_traced_memory()
        words = words_of([Text(seq, 1, text.encode()) for seq in range(2_000)], 1_000_000)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert bytes_in(words) == pytest.approx(taken, rel=0.2)
