"""What becomes of records: the known, the unknown, and those whose shape has changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.conformance.desk import OneLog
from holdfast.conformance.sample import Sample, expect, require, requirement
from holdfast.events import KINDS, Event, Kind, decode, encode, origin_of, session_id
from holdfast.journal.index import text_of

ODD_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    7,
    -1.5,
    10**40,
    "",
    "x",
    [],
    [7],
    {},
    {"type": "novelty"},
)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@requirement
def each_line_becomes_what_it_should(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    for number, step in enumerate(sample.steps):
        before = log.cursor.ledger
        events = log.read(step.line + b"\n")
        after = log.cursor.ledger
        where = f"line {number} ({step.line[:80]!r})"
        expect(tuple(event.kind for event in events), step.kinds, f"{where} became")
        grown = [
            verdict
            for verdict in ("parsed", "skipped", "unknown", "bad")
            if getattr(after, verdict) > getattr(before, verdict)
        ]
        expect(grown, [step.verdict], f"{where} was counted as")
    kept = sum(step.kinds.count(Kind.PROVIDER_RAW) for step in sample.steps)
    expect(log.unknown.total(), kept, "records and parts counted as unknown")


@requirement
def what_is_known_of_the_session_is_learned(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    log.read(sample.content)
    facts, wanted = log.facts, sample.facets
    assert facts is not None
    for field in ("title", "project", "cwd", "branch", "model", "agent_version"):
        expect(getattr(facts, field), getattr(wanted, field), field)
    fork = session_id(log.log.agent, wanted.forked_from) if wanted.forked_from else ""
    expect(facts.forked_from, fork, "forked_from")
    times = [event.at for event in log.events if event.at]
    if times:
        expect(facts.updated_at, max(times), "updated_at")
        expect(facts.started_at, min(times), "started_at")


@requirement
def events_are_whole_and_in_order(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    log.read(sample.content)
    identity = session_id(log.log.agent, log.log.agent_session_id)
    content, ids = sample.content, set[str]()
    for seq, event in enumerate(log.events):
        where = f"event {seq} ({event.kind})"
        expect(event.seq, seq, f"{where}: seq")
        expect(event.session, identity, f"{where}: session")
        require(event.kind in KINDS, f"{where}: {event.kind} is no kind of event")
        require(not event.at or _TIME.fullmatch(event.at), f"{where}: the time is {event.at!r}")
        require(event.id not in ids, f"{where}: its id was given before")
        require(origin_of(event.id) == 0, f"{where}: it is of another incarnation")
        ids.add(event.id)
        round_trips(event)
        source = event.source
        assert source is not None
        expect((source.agent, source.file), (log.log.agent, log.log.relative), f"{where}: source")
        require(
            source.offset == 0 or content[source.offset - 1 : source.offset] == b"\n",
            f"{where}: no record begins at {source.offset}",
        )


@requirement
def what_people_ask_counts_as_turns(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    log.read(sample.content)
    turns = [event.turn for event in log.events]
    require(turns == sorted(turns), f"turns go back: {turns}")
    if any(event.kind == Kind.USER and not event.sidechain for event in log.events):
        require(turns[-1] > 0, "no turn was counted")


@requirement
def unknown_records_are_kept_raw_and_counted(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    log.read(sample.content)
    novelty = msgspec.json.encode({"type": "novelty", "text": "of tomorrow"})
    for line in [*sample.unknown, novelty]:
        before, unknown = log.cursor.ledger.unknown, log.unknown.total()
        events = log.read(line + b"\n")
        expect([event.kind for event in events], [Kind.PROVIDER_RAW], f"{line[:80]!r} became")
        expect(json.loads(bytes(events[0].data)), json.loads(line), "an unknown record is kept as")
        expect(log.cursor.ledger.unknown - before, len(line) + 1, "bytes counted as unknown")
        expect(log.unknown.total() - unknown, 1, "unknown records counted")


@requirement
def unknown_fields_change_nothing(sample: Sample, folder: Path) -> None:
    plain, more = OneLog(sample, folder / "plain"), OneLog(sample, folder / "more")
    plain.read(sample.content)
    for line in sample.lines:
        wider = {**json.loads(line), "of_tomorrow": {"type": "text", "content": [1]}}
        more.read(msgspec.json.encode(wider) + b"\n")
    expect([_said(each) for each in more.events], [_said(each) for each in plain.events], "events")


@requirement
def a_drifted_record_is_understood_in_part_or_kept_raw(sample: Sample, folder: Path) -> None:
    """Any one value of another type costs itself at most, never the record and never the log."""
    log = OneLog(sample, folder)
    log.read(sample.content)
    for step in sample.steps:
        for line in drifted(step.line):
            before = log.cursor.ledger
            events = log.read(line + b"\n")
            for event in events:
                round_trips(event)
            after = log.cursor.ledger
            require(after.bad == before.bad, f"JSON was called broken: {line[:300]!r}")
            counted = after.skipped > before.skipped
            require(events or counted, f"nothing was made of {line[:300]!r}")


@requirement
def parts_of_what_is_no_record_are_no_events(sample: Sample, folder: Path) -> None:
    log = OneLog(sample, folder)
    for line in (b"null", b"7", b'"x"', b"[]", b"[{}]", b"{", b"\xff\xfe", b"not json"):
        before = log.cursor.ledger.bad
        expect(log.read(line + b"\n"), [], f"{line!r} became")
        expect(log.cursor.ledger.bad - before, len(line) + 1, f"bytes of {line!r} counted as bad")
    before = log.cursor.ledger.skipped
    expect(log.read(b"\n  \n\r\n"), [], "empty lines became")
    expect(log.cursor.ledger.skipped - before, 6, "bytes of empty lines counted as skipped")
    expect([each.kind for each in log.read(b"{}\n")], [Kind.PROVIDER_RAW], "an empty record became")


def drifted(line: bytes) -> Iterator[bytes]:
    """The record with each of its values, down to the fourth level, replaced by odd ones."""
    record = json.loads(line)
    for path in _paths(record, 4):
        for odd in ODD_VALUES:
            yield json.dumps(_with(record, path, odd), separators=(",", ":")).encode()


def _paths(value: Any, depth: int) -> Iterator[tuple[Any, ...]]:
    if depth == 0 or not isinstance(value, dict | list):
        return
    places = list(value) if isinstance(value, dict) else range(min(len(value), 3))
    for place in places:
        yield (place,)
        for below in _paths(value[place], depth - 1):
            yield (place, *below)


def _with(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    changed: Any = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = odd if len(path) == 1 else _with(value[path[0]], path[1:], odd)
    return changed


def round_trips(event: Event) -> None:
    again = decode(encode(event))
    expect((again.text, again.kind, again.at), (event.text, event.kind, event.at), "read again")
    json.loads(encode(event).decode())
    text_of(event)


def _said(event: Event) -> tuple[object, ...]:
    return event.kind, event.text, event.at, event.actor, event.turn, event.usage, event.model
