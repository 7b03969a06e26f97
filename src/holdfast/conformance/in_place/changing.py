"""What changes in a store is kept, once; what goes there stays here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from holdfast.conformance.in_place.desk import Desk
from holdfast.conformance.in_place.sample import Entry, StoreSample, store_requirement
from holdfast.conformance.sample import expect, require


@store_requirement
def reading_again_adds_nothing(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    desk.write(sample.entries)
    require(desk.catch_up().pending, "nothing was found to read")
    once = desk.lines
    require(once, "nothing is in the journal")
    expect(desk.catch_up().pending, [], "logs to read after an import")
    desk.read_again()
    expect(desk.lines, once, "the session read again from its beginning")


@store_requirement
def what_is_written_anew_repeats_nothing(sample: StoreSample, folder: Path) -> None:
    """The same items, laid out otherwise, or under other numbers."""
    desk = Desk(sample, folder)
    desk.write(sample.entries)
    desk.catch_up()
    once = desk.lines
    for _ in range(3):
        desk.keeper.rewrite()
        desk.catch_up()
        expect(desk.lines, once, "the session after its store was written anew")


@store_requirement
def an_item_that_changes_becomes_one_superseding_event(sample: StoreSample, folder: Path) -> None:
    for number, changed in _changes(sample):
        entry = sample.entries[number]
        desk = Desk(sample, folder / entry.name.replace("/", "-"))
        desk.write(sample.entries)
        desk.catch_up()
        before, stood = desk.events, desk.standing
        desk.write([*sample.entries[:number], changed, *sample.entries[number + 1 :]])
        desk.catch_up()
        expect(desk.events[: len(before)], before, f"what was kept before {entry.name} changed")
        new = desk.events[len(before) :]
        expect(len(new), 1, f"events of {entry.name}, of which one thing changed")
        if sample.keeps_names:
            old = next((each for each in before if each.seq == new[0].supersedes), None)
            require(old is not None, f"the later {entry.name} supersedes nothing")
            assert old is not None
            expect(new[0].turn, old.turn, f"turn of the later {entry.name}")
            expect(desk.standing.total(), stood.total(), "items that stand")
        else:
            expect(new[0].supersedes, None, f"what {entry.name} supersedes, which is another item")
        desk.read_again()
        expect(len(desk.events), len(before) + 1, f"events when {entry.name} is read again")


@store_requirement
def an_item_that_vanishes_stays(sample: StoreSample, folder: Path) -> None:
    for number, entry in enumerate(sample.entries):
        desk = Desk(sample, folder / str(number))
        desk.write(sample.entries)
        desk.catch_up()
        stood, told = desk.standing, len(desk.events)
        for entries in (
            [*sample.entries[:number], *sample.entries[number + 1 :]],
            sample.entries,
        ):
            desk.write(entries)
            desk.catch_up()
            expect(desk.problems, {}, f"problems when {entry.name} goes and comes")
            lost = stood - desk.standing
            expect(lost, Counter(), f"what was lost when {entry.name} went and came")
        expect(len(desk.events), told, f"events when {entry.name} is back")


@store_requirement
def an_item_that_arrives_late_in_the_middle_is_not_lost(sample: StoreSample, folder: Path) -> None:
    whole = Desk(sample, folder / "whole")
    whole.write(sample.entries)
    whole.catch_up()
    for number, entry in enumerate(sample.entries):
        desk = Desk(sample, folder / str(number))
        desk.write([*sample.entries[:number], *sample.entries[number + 1 :]])
        desk.catch_up()
        desk.write(sample.entries)
        desk.catch_up()
        expect(desk.standing, whole.standing, f"what stands when {entry.name} comes late")
        expect(len(desk.events), len(whole.events), f"events when {entry.name} comes late")


@store_requirement
def items_that_come_one_by_one_are_told_as_at_once(sample: StoreSample, folder: Path) -> None:
    whole, parts = Desk(sample, folder / "whole"), Desk(sample, folder / "parts")
    whole.write(sample.entries)
    whole.catch_up()
    for number in range(len(sample.entries) + 1):
        parts.write(sample.entries[:number])
        parts.catch_up()
    expect(parts.standing, whole.standing, "what stands of a session that came item by item")
    expect(parts.known.usage, whole.known.usage, "its usage")
    expect(parts.unknown, whole.unknown, "its unknown types")
    for name in ("title", "project", "cwd", "model", "agent_version", "parent", "started_at"):
        expect(getattr(parts.known, name), getattr(whole.known, name), f"its {name}")


@store_requirement
def a_session_that_is_deleted_stays(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    desk.write(sample.entries)
    desk.catch_up()
    once = desk.lines
    desk.keeper.delete()
    expect(len(desk.catch_up().gone), len(desk.log_keys(*sample.logs)), "logs found gone")
    expect(desk.lines, once, "the session after it was deleted")
    expect(desk.catch_up().gone, [], "logs found gone once more")
    desk.write(sample.entries)
    desk.catch_up()
    expect(desk.problems, {}, "problems when a session comes back")
    expect(desk.lines, once, "the session after it came back")


@store_requirement
def tokens_are_counted_once(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    for number in range(len(sample.entries) + 1):
        desk.write(sample.entries[:number])
        desk.catch_up()
    expect(desk.known.usage, sample.usage, "usage of all items")
    desk.keeper.rewrite()
    desk.catch_up()
    desk.read_again()
    expect(desk.known.usage, sample.usage, "usage of all items, read again")


def _changes(sample: StoreSample) -> Iterator[tuple[int, Entry]]:
    found = [
        (number, replace(entry, content=entry.later))
        for number, entry in enumerate(sample.entries)
        if entry.later is not None
    ]
    yield from found
