"""Hostile sizes: whatever a record holds, what is made of it stays in proportion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from holdfast.conformance.desk import OneLog
from holdfast.conformance.sample import Sample, expect, require, requirement
from holdfast.conformance.values import Place, replaced, text_places
from holdfast.events import Kind
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.reading import OVERSIZED_TYPE

LONG_CHARS: Final = 60_000
# A few events may repeat what is said of each, and a name may stand in text, data and source.
GROWN_MAX: Final = 12
ALLOWANCE_BYTES: Final = 65_536
DEEP: Final = 3_000
MANY: Final = 20_000
SMALL: Final = ReadingLimits(block_bytes=16_384, max_line_bytes=65_536)


@requirement
def a_long_text_anywhere_stays_in_proportion(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    for step in sample.steps:
        for path in text_places(json.loads(step.line)):
            line = _replaced(step.line, path, "wide ☃ " * (LONG_CHARS // 7))
            _stays_small(log, line)


@requirement
def deep_nesting_anywhere_is_survived(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    for step in sample.steps:
        record = json.loads(step.line)
        for key in record:
            deep = json.dumps({**record, key: "DEEP"}).replace('"DEEP"', "[" * DEEP + "]" * DEEP)
            _stays_small(log, deep.encode())


@requirement
def a_record_of_many_parts_stays_in_proportion(sample: Sample, folder: Path) -> None:
    """Taken apart or kept raw, but never as tens of thousands of events as large as the record."""
    if sample.many_parts is None:
        return
    log = OneLog(sample, folder)
    for parts in (4, 100, MANY):
        _stays_small(log, sample.many_parts(parts))


@requirement
def a_line_over_the_cap_is_kept_beside_the_journal(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder, SMALL)
    first = sample.lines[0]
    longest = _replaced(first, text_places(json.loads(first))[0], "x" * (4 * SMALL.max_line_bytes))
    log.read(first + b"\n")
    before = len(log.events)
    events = log.read(longest + b"\n")
    expect([event.kind for event in events], [Kind.PROVIDER_RAW], "a line over the cap became")
    expect(log.unknown[OVERSIZED_TYPE], 1, "lines over the cap counted")
    log.read(sample.content)
    require(len(log.events) > before + 1, "nothing was read behind a line over the cap")


def _stays_small(log: OneLog, line: bytes) -> None:
    log.forget()
    log.read(line + b"\n")
    most = GROWN_MAX * len(line) + ALLOWANCE_BYTES
    what = f"{len(line):,} bytes became {len(log.lines):,}: {line[:200]!r}"
    require(len(log.lines) <= most, what)
    expect(log.cursor.ledger.consumed, len(line) + 1, "bytes accounted for")


def _replaced(line: bytes, place: Place, text: str) -> bytes:
    return json.dumps(replaced(json.loads(line), place, text), ensure_ascii=False).encode()
