"""What was spent is counted once."""

from __future__ import annotations

from pathlib import Path

from holdfast.conformance.desk import OneLog
from holdfast.conformance.sample import Sample, expect, requirement
from holdfast.journal.model import NO_USAGE


@requirement
def tokens_are_counted_once(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    log.read(sample.content)
    expect(log.usage, sample.usage, "usage of all lines")
    total = NO_USAGE
    for event in log.events:
        total = total.plus(event.usage or NO_USAGE)
    expect(total, sample.usage, "usage of all events")


@requirement
def figures_that_are_told_again_add_nothing(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    for line in sample.lines:
        log.read(line + b"\n")
        log.read(line + b"\n")
    expect(log.usage, sample.usage, "usage with every line twice")
    for line in sample.repeats:
        log.read(line + b"\n")
        expect(log.usage, sample.usage, f"usage after {line[:80]!r}")


@requirement
def tokens_are_counted_once_across_processes(sample: Sample, folder: Path) -> None:
    """Each line is read by a parser of its own, which knows only the state of the one before."""
    log = OneLog(sample, folder)
    for line in sample.lines:
        log.read(line + b"\n")
    expect(log.usage, sample.usage, "usage of lines read one by one")
