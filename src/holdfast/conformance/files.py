"""What may happen to a log as a file: nothing that was read is lost, nothing is there twice."""

from __future__ import annotations

import os
from pathlib import Path

from holdfast.conformance.desk import Shelf
from holdfast.conformance.sample import Sample, expect, require, requirement
from holdfast.events import session_id
from holdfast.journal.model import NO_USAGE


@requirement
def importing_twice_changes_nothing(sample: Sample, folder: Path) -> None:
    shelf = Shelf(sample, folder)
    shelf.write(sample.path, sample.content)
    expect(len(shelf.catch_up().pending), 1, "logs to read")
    once = shelf.lines(sample.session)
    require(once, "nothing is in the journal")
    expect(shelf.catch_up().pending, [], "logs to read after an import")
    expect(shelf.lines(sample.session), once, "the session after a second import")


@requirement
def a_deleted_log_stays_in_the_journal(sample: Sample, folder: Path) -> None:
    shelf = Shelf(sample, folder)
    path = shelf.write(sample.path, sample.content)
    shelf.catch_up()
    once = shelf.lines(sample.session)
    os.remove(path)
    expect(len(shelf.catch_up().gone), 1, "logs found gone")
    expect(shelf.lines(sample.session), once, "the session after its log was deleted")
    shelf.write(sample.path, sample.content)
    shelf.catch_up()
    expect(shelf.lines(sample.session), once, "the session after its log came back")


@requirement
def a_log_that_moves_repeats_nothing(sample: Sample, folder: Path) -> None:
    if not sample.moved:
        return
    shelf = Shelf(sample, folder)
    path = shelf.write(sample.path, sample.content)
    shelf.catch_up()
    once = shelf.lines(sample.session)
    os.rename(path, shelf.path(sample.moved))
    shelf.catch_up()
    expect(shelf.lines(sample.session), once, "the session after its log moved")


@requirement
def a_log_that_is_compressed_repeats_nothing(sample: Sample, folder: Path) -> None:
    if not sample.compressed:
        return
    shelf = Shelf(sample, folder)
    path = shelf.write(sample.path, sample.content)
    shelf.catch_up()
    once = shelf.lines(sample.session)
    os.remove(path)
    shelf.write(sample.compressed, sample.content)
    expect(len(shelf.catch_up().pending), 1, "logs to read when one is compressed")
    expect(shelf.lines(sample.session), once, "the session after its log was compressed")
    expect(shelf.catch_up().pending, [], "logs to read after that")


@requirement
def a_fork_is_linked_and_repeats_nothing(sample: Sample, folder: Path) -> None:
    """What it repeats is referred to, spends nothing again, and only its own is stored with it."""
    fork = sample.fork
    if fork is None:
        return
    shelf = Shelf(sample, folder)
    shelf.write(sample.path, sample.content)
    shelf.catch_up()
    once = shelf.lines(sample.session)
    shelf.write(fork.path, fork.content(sample.content))
    shelf.catch_up()
    identity = session_id(shelf.source.agent, fork.session)
    row = shelf.reader.session(identity)
    if row is None:
        raise AssertionError(f"{fork.path} is not in the journal as {fork.session}")
    expect(shelf.lines(sample.session), once, "the session that was forked")
    expect(row.forked_from, session_id(shelf.source.agent, sample.session), "forked_from")
    own = [event.kind for event in shelf.reader.events(identity)]
    expect(own, list(fork.own), "events of the fork alone")
    expect(row.usage, NO_USAGE, "usage of what a fork repeats")
    referred = sum(span.end_seq - span.first_seq for span in shelf.reader.lineage(identity))
    require(referred, "nothing is referred to")


@requirement
def a_rewritten_log_loses_and_repeats_nothing(sample: Sample, folder: Path) -> None:
    """The first lines go, as in a log that is cut: what was read of them stays."""
    shelf = Shelf(sample, folder)
    shelf.write(sample.path, sample.content)
    shelf.catch_up()
    once = shelf.lines(sample.session)
    shelf.write(sample.path, b"".join(line + b"\n" for line in sample.lines[:1]))
    shelf.catch_up()
    expect(shelf.lines(sample.session)[: len(once)], once, "what was read before a log was cut")


@requirement
def a_subagents_session_knows_its_parent(sample: Sample, folder: Path) -> None:
    for path, (session, parent) in sample.logs.items():
        shelf = Shelf(sample, folder)
        shelf.write(path, sample.content)
        shelf.catch_up()
        row = shelf.reader.session(session_id(shelf.source.agent, session))
        if row is None:
            raise AssertionError(f"{path} is not in the journal as {session}")
        wanted = session_id(shelf.source.agent, parent) if parent else ""
        expect(row.parent, wanted, f"parent of {session}")
