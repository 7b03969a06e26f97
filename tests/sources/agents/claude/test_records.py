"""Of a record with an unfamiliar shape, every field that fits is read."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from holdfast.demo import lines
from holdfast.sources.agents.claude.records import (
    Content,
    Message,
    Record,
    raw_parts,
    read_record,
    understood,
)
from holdfast.sources.loose import NOTHING, is_there, tolerant

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "content", "text", "id"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("line", [b"[1]", b'"text"', b"null", b"7"])
def test_what_is_no_object_is_no_record(line: bytes) -> None:
    assert understood(line) is None


@pytest.mark.parametrize("name", Record.__struct_encode_fields__)
def test_a_field_that_does_not_fit_costs_itself(name: str) -> None:
    whole = json.loads(lines.user_line("hello", uuid="u1", extra={"requestId": "r", "x": 1}))
    record = understood(json.dumps({**whole, name: {"odd": [1]}}).encode())
    assert record is not None
    expected = read_record(json.dumps(whole).encode())
    for field in msgspec.structs.fields(Record):
        other, found = field.encode_name, getattr(record, field.name)
        if other == "message" and name == "message":
            assert found == Message()
        elif other == name:
            assert found is None or isinstance(found, Raw)
        else:
            assert as_plain(found) == as_plain(getattr(expected, field.name))


def as_plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, Raw) else value


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(Record.__struct_encode_fields__), json_values, max_size=6))
def test_whatever_an_object_holds_something_is_understood(fields: dict[str, Any]) -> None:
    line = json.dumps(fields).encode()
    record = understood(line)
    assert record is not None
    for name in ("type", "uuid", "cwd"):
        given_ = fields.get(name)
        assert getattr(record, name) == (given_ if isinstance(given_, str) else None)


def test_the_parts_of_a_message_as_they_stand() -> None:
    line = b'{"message": {"content": [ {"type":"text"} , 17, [ ] ]}}'
    assert [bytes(part) for part in raw_parts(line)] == [b'{"type":"text"}', b"17", b"[ ]"]
    for none in (b"{}", b'{"message":7}', b'{"message":{"content":"text"}}', b"[]", b"nonsense"):
        assert raw_parts(none) == []


def test_a_field_is_read_only_if_it_is_there_and_fits() -> None:
    def refuse(_raw: Raw) -> str:
        raise AssertionError

    assert tolerant(refuse, NOTHING, "none") == "none"
    assert not is_there(NOTHING)
    assert is_there(Raw(b"null"))
    assert tolerant(read_record, Raw(b'{"type":5}'), None) is None
    assert tolerant(read_record, Raw(b'{"type":"\xff"}'), None) is None
    assert tolerant(read_record, Raw(b'{"type'), None) is None


def test_a_part_with_a_source_in_words_is_a_part() -> None:
    """Seen in a real log: what a tool answered said where it came from."""
    line = b'{"message":{"content":[{"type":"tool_result","content":[{"source":"tool"}]}]}}'
    message = read_record(line).message
    assert message is not None
    assert isinstance(message.content, list)
    assert message.content[0].content == [Content(source="tool")]
