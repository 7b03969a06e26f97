"""What becomes of items: the known, the unknown, and those whose shape has changed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from holdfast.conformance.in_place.desk import Desk, anchored
from holdfast.conformance.in_place.sample import Entry, StoreSample, store_requirement
from holdfast.conformance.meaning import drifted, round_trips
from holdfast.conformance.sample import Nonconformant, expect, require
from holdfast.events import KINDS, Kind, session_id

DRIFTS_MAX: Final = 120  # of all items of a sample; of more, as many are tried
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@store_requirement
def each_item_becomes_what_it_should(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    wanted = [tuple(sample.begins), *(entry.kinds for entry in sample.entries)]
    for number, kinds in enumerate(wanted):
        before = len(desk.events)
        desk.write(sample.entries[:number])
        desk.catch_up()
        what = sample.entries[number - 1].name if number else "a session without items"
        expect(desk.problems, {}, f"problems of {what}")
        expect(tuple(event.kind for event in desk.events[before:]), tuple(kinds), f"{what} became")
    kept = sum(kinds.count(Kind.PROVIDER_RAW) for kinds in wanted)
    expect(desk.unknown.total(), kept, "items and parts counted as unknown")


@store_requirement
def every_byte_is_accounted_for(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    for entries in (sample.entries, [*sample.entries, *sample.unknown, *sample.anchors], []):
        desk.write(entries)
        desk.forget()
        desk.catch_up()
        expect(desk.ledger.consumed, desk.keeper.weight(), f"bytes counted of {len(entries)} items")
        expect(desk.ledger.bad, 0, "bytes counted as bad of what is whole")


@store_requirement
def what_is_known_of_the_session_is_learned(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    desk.write(sample.entries)
    desk.catch_up()
    for field in ("title", "project", "cwd", "branch", "model", "agent_version"):
        expect(getattr(desk.known, field), getattr(sample.facets, field), field)
    times = [event.at for event in desk.events if event.at]
    if times:
        require(desk.known.started_at <= min(times), "the session began behind its first event")
        require(desk.known.updated_at >= max(times), "the session ended before its last event")


@store_requirement
def events_are_whole_and_named(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    desk.write(sample.entries)
    desk.catch_up()
    ids = set[str]()
    for seq, event in enumerate(desk.events):
        where = f"event {seq} ({event.kind})"
        expect(event.seq, seq, f"{where}: seq")
        expect(event.session, desk.session, f"{where}: session")
        require(event.kind in KINDS, f"{where}: {event.kind} is no kind of event")
        require(not event.at or _TIME.fullmatch(event.at), f"{where}: the time is {event.at!r}")
        require(event.id not in ids, f"{where}: its id was given before")
        ids.add(event.id)
        round_trips(event)
        source = event.source
        assert source is not None
        require(source.uuid, f"{where}: it has no name")
        expect(source.agent, desk.source.agent, f"{where}: agent")
        is_named = any(key.endswith(source.file) for key in sample.keys)
        require(is_named, f"{where}: file {source.file!r}")


@store_requirement
def what_people_ask_counts_as_turns(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    desk.write(sample.entries)
    desk.catch_up()
    asked = [event.turn for event in desk.events if event.kind == Kind.USER]
    require(asked == sorted(asked), f"turns go back: {asked}")
    if any(Kind.USER in entry.kinds for entry in sample.entries):
        require(asked and asked[-1] > 0, "no turn was counted")


@store_requirement
def unknown_items_are_kept_raw_and_counted(sample: StoreSample, folder: Path) -> None:
    for entry in sample.unknown:
        desk = Desk(sample, folder / entry.name.replace("/", "-"))
        desk.write(sample.entries)
        desk.catch_up()
        before, unknown = len(desk.events), desk.unknown.total()
        desk.write([*sample.entries, entry])
        desk.catch_up()
        new = desk.events[before:]
        expect([event.kind for event in new], [Kind.PROVIDER_RAW], f"{entry.name} became")
        require(bytes(new[0].data) not in (b"", b"null"), f"nothing is kept of {entry.name}")
        expect(desk.unknown.total() - unknown, 1, f"unknown types counted of {entry.name}")
        desk.read_again()
        desk.keeper.rewrite()
        desk.catch_up()
        expect(desk.unknown.total() - unknown, 1, f"unknown types when {entry.name} is read again")
        desk.forget()
        desk.catch_up()
        size = sum(each.bytes for each in desk.reader.unknown_types())
        require(desk.ledger.unknown >= size, f"no bytes of {entry.name} are counted as unknown")


@store_requirement
def unknown_fields_change_nothing(sample: StoreSample, folder: Path) -> None:
    plain, more = Desk(sample, folder / "plain"), Desk(sample, folder / "more")
    plain.write(sample.entries)
    plain.catch_up()
    more.write([_with_more(entry) for entry in sample.entries])
    more.catch_up()
    expect(more.said, plain.said, "what stands of items with fields that nobody knows")


def _with_more(entry: Entry) -> Entry:
    if not isinstance(entry.content, dict):
        return entry
    return replace(entry, content={**entry.content, "of_tomorrow": {"x": [1, None]}})


@store_requirement
def a_drifted_item_costs_itself_at_most(sample: StoreSample, folder: Path) -> None:
    """Any one value of another type; what stands behind it is told, and every byte is counted."""
    desk = Desk(sample, folder)
    wanted = anchored(desk)
    changes = list(_drifts(sample))
    for number, entry in changes[:: max(1, len(changes) // DRIFTS_MAX)]:
        desk.forget()
        entries = [*sample.entries[:number], entry, *sample.entries[number + 1 :], *sample.anchors]
        desk.write(entries)
        desk.catch_up()
        where = f"{entry.name} as {msgspec.json.encode(entry.content)[:300]!r}"
        expect(desk.problems, {}, f"problems of {where}")
        expect(desk.ledger.consumed, desk.keeper.weight(), f"bytes counted of {where}")
        expect(desk.ledger.bad, 0, f"bytes called broken of {where}")
        for event in desk.events:
            round_trips(event)
        expect(wanted - desk.said, Counter(), f"what is lost behind {where}")


def _drifts(sample: StoreSample) -> Iterator[tuple[int, Entry]]:
    for number, entry in enumerate(sample.entries):
        if not isinstance(entry.content, bytes):
            for content in drifted(msgspec.json.encode(entry.content)):
                yield number, replace(entry, content=json.loads(content))


@store_requirement
def a_subagents_session_knows_its_parent(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    desk.write(sample.entries)
    desk.catch_up()
    for key, (session, parent) in sample.logs.items():
        row = desk.reader.session(session_id(desk.source.agent, session))
        if row is None:
            raise Nonconformant(f"{key} is not in the journal as {session}")
        wanted = session_id(desk.source.agent, parent) if parent else ""
        expect(row.parent, wanted, f"parent of {key}")
