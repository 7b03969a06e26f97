"""What is half there, or locked, costs a reading; and the agent never notices that we read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from holdfast.conformance.in_place.desk import ITEM_BY_ITEM, Desk, identified
from holdfast.conformance.in_place.keepers import DatabaseKeeper
from holdfast.conformance.in_place.sample import Entries, StoreSample, store_requirement
from holdfast.conformance.sample import Nonconformant, expect, require
from holdfast.ingest.plan import make_job

CUTS_MAX: Final = 200  # of all files of a store together


@store_requirement
def what_is_torn_costs_a_reading_and_nothing_else(sample: StoreSample, folder: Path) -> None:
    """Each file is found cut; once it is whole, all is as if it had come at once."""
    whole = Desk(sample, folder / "whole")
    whole.write(sample.entries)
    whole.catch_up()
    desk = Desk(sample, folder / "torn")
    desk.write(sample.entries)
    paths = desk.keeper.paths()
    for path in paths:
        content = Path(path).read_bytes()
        for cut in _cuts(len(content), CUTS_MAX // len(paths)):
            where = f"{os.path.basename(path)} torn at byte {cut} of {len(content)}"
            desk.forget()
            desk.keeper.replace(path, content[:cut])
            desk.catch_up()
            if not isinstance(desk.keeper, DatabaseKeeper):
                expect(desk.problems, {}, f"problems of {where}")
                expect(desk.ledger.consumed, desk.keeper.weight(), f"bytes counted of {where}")
            desk.keeper.replace(path, content)
            desk.catch_up()
            expect(desk.problems, {}, f"problems behind {where}")
            expect(desk.standing, whole.standing, f"what stands behind {where}")


@store_requirement
def the_agent_can_write_while_it_is_read(sample: StoreSample, folder: Path) -> None:
    """Between any two batches, without waiting for anybody."""
    desk = Desk(sample, folder, ITEM_BY_ITEM)
    whole = Desk(sample, folder / "whole")
    whole.write([*sample.entries, *sample.anchors])
    whole.catch_up()
    desk.write(sample.entries)
    entries = list(sample.entries)
    for key in desk.log_keys():
        log = identified(desk.source, key)
        reading = desk.reading(log, make_job(desk.source, log, desk.reader).cursor)
        more = list(sample.anchors)
        for batch in reading.batches():
            desk.writer.write([batch])
            entries += more[:1]
            del more[:1]
            _write(desk, entries)
    desk.write([*sample.entries, *sample.anchors])
    desk.catch_up()
    expect(desk.problems, {}, "problems of what was written while it was read")
    expect(desk.standing, whole.standing, "what stands of what was written while it was read")


def _write(desk: Desk, entries: Entries) -> None:
    keeper = desk.keeper
    try:
        keeper.write(entries)
        empty = not isinstance(keeper, DatabaseKeeper) or keeper.empty_log()
    except (apsw.BusyError, apsw.LockedError) as error:
        raise Nonconformant(f"the agent is locked out while it is read: {error}") from error
    require(empty, "the agent cannot empty its write-ahead log while it is read")


@store_requirement
def a_locked_database_is_named_and_read_later(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    keeper = desk.keeper
    if not isinstance(keeper, DatabaseKeeper):
        return
    desk.write(sample.entries)
    keeper.leave_wal()
    keeper.lock()
    desk.catch_up()
    require(desk.problems, "nobody is told of a database that is locked")
    expect(desk.lines, b"", "what was read of a database that is locked")
    keeper.unlock()
    desk.catch_up()
    expect(desk.problems, {}, "problems of a database that was locked")
    require(desk.lines, "a database that was locked is not read later")


@store_requirement
def nothing_is_written_where_the_agent_keeps_its_logs(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    desk.write(sample.entries)
    for is_open in (True, False):
        if not is_open:
            desk.keeper.close()
        before = _listing(desk.root)
        desk.forget()
        desk.catch_up()
        expect(_listing(desk.root), before, f"files of an agent that runs: {is_open}")


def _listing(root: str) -> dict[str, tuple[int, int]]:
    """But for the index of a write-ahead log, which all who read it share."""
    return {
        path: (about.st_size, about.st_mtime_ns)
        for folder, _folders, names in os.walk(root)
        for name in names
        if not name.endswith("-shm")
        for path in [os.path.join(folder, name)]
        for about in [os.stat(path)]
    }


def _cuts(size: int, most: int) -> Iterator[int]:
    yield from range(0, size, max(1, size // most))
