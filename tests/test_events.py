"""Events are one line of JSON each, the same on every machine, and readable whatever they hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.events import (
    EMPTY,
    KINDS,
    Event,
    Kind,
    Origin,
    Usage,
    decode,
    decode_lines,
    encode,
    encode_onto,
    event_id,
    origin_of,
    session_id,
)

T = TypeVar("T")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
counts = st.integers(0, 2**40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
events = st.builds(
    Event,
    id=texts,
    session=texts,
    seq=counts,
    kind=st.sampled_from(sorted(KINDS)) | texts,
    at=texts,
    text=texts,
    data=json_values.map(lambda value: msgspec.Raw(msgspec.json.encode(value))),
    source=st.none()
    | st.builds(Origin, agent=texts, file=texts, offset=counts, uuid=texts, parent=texts),
    actor=st.sampled_from([None, "user", "assistant", "tool", "system"]),
    turn=counts,
    model=texts,
    cwd=texts,
    branch=texts,
    sidechain=st.booleans(),
    usage=st.none()
    | st.builds(Usage, input=counts, output=counts, cache_read=counts, cache_write=counts),
)


def made(seq: int = 0, data: bytes = b"null", text: str = "") -> Event:
    return Event(
        id=f"s.0.{seq:x}.0",
        session="s",
        seq=seq,
        kind=Kind.USER,
        at="",
        text=text,
        data=msgspec.Raw(data),
        source=None,
    )


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def below(frames: int, work: Callable[[], T]) -> T:
    """Call from so much further down the stack."""
    return below(frames - 1, work) if frames else work()


@settings(deadline=None)
@given(events)
def test_an_event_survives_its_line(event: Event) -> None:
    line = encode(event)
    assert b"\n" not in line
    again = decode(line)
    assert encode(again) == line
    assert msgspec.structs.replace(again, data=EMPTY) == msgspec.structs.replace(event, data=EMPTY)
    assert bytes(again.data) == bytes(event.data)


@settings(deadline=None, max_examples=30)
@given(st.lists(events, max_size=5))
def test_a_buffer_of_lines_reads_as_the_events_one_by_one(several: list[Event]) -> None:
    buffer = bytearray()
    for event in several:
        encode_onto(event, buffer)
    assert buffer == b"".join(encode(event) + b"\n" for event in several)
    assert [encode(event) for event in decode_lines(buffer)] == [encode(each) for each in several]


def test_a_line_always_has_the_keys_that_scripts_rely_on_and_no_empty_ones_besides() -> None:
    assert list(json.loads(encode(made()))) == [
        "id",
        "session",
        "seq",
        "kind",
        "at",
        "text",
        "data",
        "source",
    ]


def test_a_line_of_a_newer_holdfast_is_read_as_far_as_it_is_known() -> None:
    line = encode(made(text="hello"))[:-1] + b',"mood":"good","kind":"message.telepathic"}'
    event = decode(line)
    assert (event.kind, event.text) == ("message.telepathic", "hello")


def test_every_kind_is_listed() -> None:
    assert {Kind.USER, Kind.PROVIDER_RAW, Kind.DECISION_PROPOSED} <= KINDS
    assert len(KINDS) == sum(name.isupper() for name in vars(Kind))


def test_session_ids_do_not_change_between_releases() -> None:
    """They are in journals, exports and scripts."""
    assert session_id("claude", "0a1b2c3d-4e5f-4061-8071-2a3b4c5d6e7f") == "fypnrg5k7e4mf"
    assert session_id("claude", "") == "7xk8b0yzt53q2"


@settings(deadline=None)
@given(texts, texts)
def test_session_ids_are_short_and_can_be_read_aloud(agent: str, name: str) -> None:
    made_id = session_id(agent, name)
    assert len(made_id) == 13
    assert set(made_id) <= set("0123456789abcdefghjkmnpqrstvwxyz")


def test_agent_and_session_do_not_run_into_each_other() -> None:
    assert session_id("ab", "c") != session_id("a", "bc")


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 2**40), st.integers(0, 5_000))
def test_an_events_id_says_which_log_it_came_from(origin: int, offset: int, part: int) -> None:
    made_id = event_id(session_id("claude", "x"), origin, offset, part)
    assert origin_of(made_id) == origin
    assert int(made_id.split(".")[2], 16) == offset


@pytest.mark.parametrize("depth", [930, 200_000])
def test_data_too_deep_for_the_reader_costs_nobody_else(depth: int) -> None:
    """Who wrote the line had more stack left than who reads it."""
    deep, flat = made(0, nested(depth), text='"data":{'), made(1, b'{"b":2}')
    lines = encode(deep) + b"\n" + encode(flat) + b"\n"
    first, second = below(200, lambda: decode_lines(lines))
    assert (first.id, first.text) == (deep.id, deep.text)
    assert bytes(second.data) == b'{"b":2}'


def test_data_too_deep_for_any_reader_is_given_as_text() -> None:
    event = decode(encode(made(data=nested(200_000))))
    assert json.loads(bytes(event.data)) == {"nested": nested(200_000).decode()}
