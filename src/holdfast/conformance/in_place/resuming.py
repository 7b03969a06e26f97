"""A reading may end anywhere: the next one goes on, and it is as if there had been one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from holdfast.conformance.in_place.desk import ITEM_BY_ITEM, Desk
from holdfast.conformance.in_place.sample import Entries, StoreSample, store_requirement
from holdfast.conformance.sample import expect, require


@store_requirement
def a_reading_that_is_killed_resumes_to_the_same(sample: StoreSample, folder: Path) -> None:
    """After each batch, of which there is one for each item."""
    whole, killed = Desk(sample, folder / "whole"), Desk(sample, folder / "killed", ITEM_BY_ITEM)
    whole.write(sample.entries)
    whole.catch_up()
    for kills in _killed(killed, sample.entries):
        where = f"a session whose reading was killed after {kills} batches"
        killed.catch_up()
        expect(killed.problems, {}, f"problems of {where}")
        expect(killed.lines, whole.lines, where)
        expect(killed.known.usage, whole.known.usage, f"usage of {where}")
        expect(killed.unknown, whole.unknown, f"unknown types of {where}")
        expect(killed.catch_up().pending, [], f"what is left of {where}")


@store_requirement
def reading_what_is_new_resumes_too(sample: StoreSample, folder: Path) -> None:
    """Half of it is known; the reading of the rest is killed, and more comes behind that."""
    half, all_of_it = sample.entries[: len(sample.entries) // 2], [*sample.entries, *sample.anchors]
    whole, killed = Desk(sample, folder / "whole"), Desk(sample, folder / "killed", ITEM_BY_ITEM)
    whole.write(all_of_it)
    whole.catch_up()
    for kills in _killed(killed, sample.entries, known=half):
        where = f"a session whose second reading was killed after {kills} batches"
        killed.write(all_of_it)
        killed.catch_up()
        expect(killed.standing, whole.standing, where)
        expect(killed.known.usage, whole.known.usage, f"usage of {where}")


@store_requirement
def a_reading_that_is_given_up_leaves_nothing_open(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder, ITEM_BY_ITEM)
    desk.write(sample.entries)
    desk.keeper.close()  # in this process: what it has open would be counted
    before = _open_files()
    for stop in range(1, 4):
        desk.forget()
        desk.catch_up(stop_after=stop)
    if before is not None:
        expect(_open_files(), before, "open files after readings that were given up")


def _killed(desk: Desk, entries: Entries, known: Entries | None = None) -> Iterator[int]:
    """The desk after each number of batches, until there are no more."""
    kills = 0
    while True:
        kills += 1
        desk.forget()
        if known is not None:
            desk.write(known)
            desk.catch_up()
        desk.write(entries)
        desk.catch_up(stop_after=kills)
        if not desk.was_killed:
            require(kills > 1, "there was nothing to kill a reading in")
            return
        yield kills


def _open_files() -> int | None:
    """Of this process; None where nobody can say."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else None
