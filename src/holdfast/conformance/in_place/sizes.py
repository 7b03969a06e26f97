"""Hostile sizes: whatever an item holds, what is made of it stays in proportion."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from holdfast.conformance.in_place.desk import Desk, anchored
from holdfast.conformance.in_place.sample import Entry, StoreSample, store_requirement
from holdfast.conformance.sample import expect, require
from holdfast.conformance.values import replaced, text_places
from holdfast.events import Kind
from holdfast.ingest.gathering import ReadingLimits

LONG_CHARS: Final = 60_000
GROWN_MAX: Final = 12
ALLOWANCE_BYTES: Final = 131_072
DEEP: Final = 3_000
MANY: Final = 20_000
SMALL: Final = ReadingLimits(block_bytes=16_384, max_line_bytes=65_536)
HUGE_CHARS: Final = 12_000_000
HELD_BYTES_MAX: Final = 4_000_000  # a third of such an item, and many times the cap


@store_requirement
def an_item_over_the_cap_is_kept_beside_the_journal(sample: StoreSample, folder: Path) -> None:
    """And is never held: it is streamed."""
    if sample.large is None:
        return
    desk = Desk(sample, folder, SMALL)
    wanted = anchored(desk)
    desk.forget()
    huge = sample.large(HUGE_CHARS)
    desk.write([*sample.entries, huge, *sample.anchors])
    tracemalloc.start()
    try:
        desk.catch_up()
        _now, held_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    expect(desk.problems, {}, "problems of an item over the cap")
    require(held_bytes < HELD_BYTES_MAX, f"reading {HUGE_CHARS:,} held {held_bytes:,} bytes")
    kept = [json.loads(bytes(each.data)) for each in desk.events if each.kind == Kind.PROVIDER_RAW]
    kept = [about for about in kept if "blob" in about and about.get("bytes", 0) >= HUGE_CHARS]
    expect(len(kept), 1, "items over the cap that are kept beside the journal")
    stored = sum(map(len, desk.blobs.get(kept[0]["blob"])))
    require(stored >= HUGE_CHARS, f"only {stored:,} bytes of it are kept")
    expect(desk.ledger.consumed, desk.keeper.weight(), "bytes counted with an item over the cap")
    expect(wanted - desk.said, Counter(), "what is lost behind an item over the cap")
    told = len(desk.events)
    desk.read_again()
    expect(len(desk.events), told, "events when an item over the cap is read again")


@store_requirement
def a_long_text_anywhere_stays_in_proportion(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    long = "wide ☃ " * (LONG_CHARS // 7)
    for entry in _of_json(sample):
        for path in text_places(entry.content):
            _stays_small(desk, replace(entry, content=replaced(entry.content, path, long)))


@store_requirement
def deep_nesting_anywhere_is_survived(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    for entry in _of_json(sample):
        if isinstance(entry.content, dict):
            for key in entry.content:
                deep = Raw(b"[" * DEEP + b"]" * DEEP)
                _stays_small(desk, replace(entry, content={**entry.content, key: deep}))


@store_requirement
def an_item_of_many_parts_stays_in_proportion(sample: StoreSample, folder: Path) -> None:
    """Taken apart or kept raw, but never as tens of thousands of events as large as the item."""
    if sample.many_parts is None:
        return
    desk = Desk(sample, folder)
    for parts in (4, 100, MANY):
        _stays_small(desk, sample.many_parts(parts))


def _of_json(sample: StoreSample) -> Iterator[Entry]:
    for entry in sample.entries:
        if not isinstance(entry.content, bytes):
            yield entry


def _stays_small(desk: Desk, entry: Entry) -> None:
    """In the company of the others, which may be what makes it an item at all."""
    desk.forget()
    others = [each for each in desk.sample.entries if each.name != entry.name]
    desk.write([*others, entry])
    desk.catch_up()
    size = len(_bytes_of(entry.content))
    what = f"{entry.name} of {size:,} bytes became {len(desk.lines):,}: {desk.problems}"
    require(len(desk.lines) <= GROWN_MAX * size + ALLOWANCE_BYTES, what)
    expect(desk.problems, {}, f"problems of {what}")
    expect(desk.ledger.consumed, desk.keeper.weight(), f"bytes counted where {what}")


def _bytes_of(content: Any) -> bytes:
    return content if isinstance(content, bytes) else msgspec.json.encode(content)
