"""Reading can stop anywhere and go on elsewhere, and every byte is accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from holdfast.conformance.desk import OneLog
from holdfast.conformance.mutation import mutations
from holdfast.conformance.sample import Sample, expect, require, requirement

MUTATIONS: Final = 300


@requirement
def reading_a_log_again_gives_the_same(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    log.read(sample.content)
    once, unknown = log.lines, dict(log.unknown)
    require(once, "nothing was made of the log")
    expect(log.read(), [], "reading on at the end gave")
    log.forget()
    log.read(sample.content)
    expect(log.lines, once, "the log read again")
    expect(dict(log.unknown), unknown, "unknown types of the log read again")


@requirement
def reading_goes_on_after_any_record(sample: Sample, folder: Path) -> None:
    """As another process would: nothing but the parser's state is carried over."""
    whole, parts = OneLog(sample, folder / "whole"), OneLog(sample, folder / "parts")
    whole.read(sample.content)
    for line in sample.lines:
        parts.read(line + b"\n")
    expect(parts.lines, whole.lines, "a log read record by record")
    expect(parts.facts, whole.facts, "what is known of a session read record by record")
    expect(parts.cursor.ledger, whole.cursor.ledger, "its ledger")
    expect(parts.cursor.state, whole.cursor.state, "the parser's state")


@requirement
def a_log_torn_at_any_byte_reads_the_same(sample: Sample, folder: Path) -> None:
    """Each line is cut everywhere; once it is whole, all is as if it had come at once."""
    whole, torn = OneLog(sample, folder / "whole"), OneLog(sample, folder / "torn")
    for line in sample.lines:
        before, lines = torn.cursor, torn.lines
        content = line + b"\n"
        whole.read(content)
        for cut in range(len(content)):
            where = f"a log torn at byte {cut} of {content[:60]!r}"
            torn.go_back(before, lines)
            torn.read(content[:cut])
            seen = torn.cursor.ledger.consumed + torn.cursor.torn
            expect(seen, before.offset + cut, f"bytes accounted for of {where}")
            torn.read(content[cut:])
            expect(torn.lines, whole.lines, where)
            expect(torn.cursor.ledger, whole.cursor.ledger, f"the ledger of {where}")
            expect(torn.cursor.state, whole.cursor.state, f"the parser's state of {where}")
    torn.forget()
    torn.read(sample.content)
    expect(torn.lines, whole.lines, "a log read at once")


@requirement
def the_ledger_adds_up_whatever_stands_in_the_log(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    for seed, content in enumerate(mutations(sample.lines, seed=0, rounds=MUTATIONS)):
        log.forget()
        events = log.read(content)
        cursor = log.cursor
        seen = cursor.ledger.consumed + cursor.torn
        expect(seen, len(content), f"bytes accounted for of mutation {seed}")
        expect([event.seq for event in events], list(range(len(events))), "numbers of events")
