"""Of a line that is no JSON, everything is saved that can still be read, and nothing is made up."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.sources.mending import (
    PIECES_MAX,
    RESCUES_MAX,
    VALUES_MAX,
    clean,
    is_dense,
    mended,
    pieces,
)

utf16 = st.text(st.characters(), max_size=30)  # surrogates, alone and in pairs, included
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | utf16,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(utf16, inner, max_size=3),
    max_leaves=8,
)
records = st.dictionaries(utf16, json_values, max_size=3).map(
    lambda value: json.dumps(value).encode()
)
garbage = st.sampled_from(
    [b"", b" ", b"\0\0\0", b'{"type":"us', b"}", b'"', b"\xff\xfe", b'{"a":{"b":1},"c', b"nonsense"]
)


def test_a_line_with_nothing_wrong_stays_the_very_same_object() -> None:
    line = '{"text":"Grüße 🐚","escaped":"\\\\ud83d \\ud83d\\udc1a"}'.encode()
    assert mended(line) is line


@pytest.mark.parametrize(
    ("damaged", "text"),
    [
        (rb'"cut \ud83d"', "cut \ufffd"),
        (rb'"\udc1a cut"', "\ufffd cut"),
        (rb'"\ud83d\ud83d\udc1a"', "\ufffd🐚"),
        (rb'"\uD83Dx"', "\ufffdx"),
        (rb'"\\ud83d and \ud83d"', "\\ud83d and \ufffd"),
        (rb'"\\\ud83d"', "\\\ufffd"),
        (b'"\xc3\xbc \xff \xe2\x82"', "ü \ufffd \ufffd"),
        (b'"\xed\xa0\xbd"', "\ufffd\ufffd\ufffd"),
        (b'\xef\xbb\xbf"first"', "first"),
        (b'\xef\xbb\xbf"\xff \\ud800"', "\ufffd \ufffd"),
    ],
)
def test_what_no_text_may_hold_becomes_a_replacement_character(damaged: bytes, text: str) -> None:
    assert msgspec.json.decode(mended(damaged)) == text


@settings(deadline=None)
@given(json_values)
def test_only_what_is_no_text_is_replaced(value: Any) -> None:
    """Compared with Python's own decoder, which lets half pairs through."""
    line = json.dumps(value).encode()
    half = re.compile("[\ud800-\udfff]")
    expected = json.loads(half.sub("\ufffd", json.dumps(json.loads(line), ensure_ascii=False)))
    assert json.loads(mended(line)) == expected
    msgspec.json.decode(mended(line))


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_mending_twice_is_mending_once(line: bytes) -> None:
    once = mended(line)
    assert mended(once) == once
    assert once.decode().encode() == once


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_what_goes_into_an_event_is_utf8(content: bytes) -> None:
    kept = bytes(clean(content))
    assert kept == content.decode("utf-8", "replace").encode()


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(records, garbage), max_size=6), st.booleans())
def test_pieces_are_the_line(parts: list[bytes], rescue: bool) -> None:
    line = b"".join(parts)
    assert b"".join(pieces(line, rescue=rescue)) == line


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([b"", b" ", b"\t "]), records), min_size=1, max_size=5))
def test_records_on_one_line_are_taken_apart(parts: list[tuple[bytes, bytes]]) -> None:
    assert pieces(b"".join(gap + record for gap, record in parts), rescue=False) == [
        gap + record for gap, record in parts
    ]


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        (b'{"a":1}{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":"}{"}{"b":"\\"}{"}', [b'{"a":"}{"}', b'{"b":"\\"}{"}']),
        (b'{"a":1}{"b":2} \r', [b'{"a":1}', b'{"b":2} \r']),
        (b'{"a":1} rest', [b'{"a":1}', b" rest"]),
        (b'{"a":1}{"b":', [b'{"a":1}', b'{"b":']),
        (b'{"a":"ha{"b":2}', [b'{"a":"ha', b'{"b":2}']),
        (
            b'{"a":1}{"b":{"c":3},"d{"e":{"f":5}}',
            [b'{"a":1}', b'{"b":{"c":3},"d', b'{"e":{"f":5}}'],
        ),
        (b'\0\0\0{"b":2}', [b"\0\0\0", b'{"b":2}']),
        (b'{no}{"b":2}', [b"{no}", b'{"b":2}']),
        (b'{"b":"\xff"}{"c":"\\ud800"}', [b'{"b":"\xff"}', b'{"c":"\\ud800"}']),
        (b'\xef\xbb\xbf{"a":1}{"b":2}', [b'\xef\xbb\xbf{"a":1}', b'{"b":2}']),
        (b"nothing at all", [b"nothing at all"]),
        (b'{"a":{"b":1}', [b'{"a":{"b":1}']),
        (b'{"a": [1, {"b":1}', [b'{"a": [1, {"b":1}']),
        (b"", [b""]),
        (b" ", [b" "]),
    ],
)
def test_a_line_is_cut_where_records_end(line: bytes, cut: list[bytes]) -> None:
    assert pieces(line, rescue=True) == cut


def test_without_rescue_what_follows_something_broken_is_left_alone() -> None:
    assert pieces(b'{"a":"ha{"b":2}', rescue=False) == [b'{"a":"ha{"b":2}']


def test_looking_for_the_last_record_ends_in_good_time() -> None:
    """Each look is as long as the line, so there are not as many looks as there are braces."""
    assert len(pieces(b'{"a":' * 300_000, rescue=True)) == 1
    assert len(pieces(b'{"' * 500_000 + b'{"a":1}', rescue=True)) == 1
    assert len(pieces(b'x{"' * (RESCUES_MAX - 1) + b'{"a":1}', rescue=True)) == 2
    assert len(pieces(b"{}" * 1_000_000, rescue=True)) == PIECES_MAX + 1


def test_a_line_of_very_many_small_things_is_dense_and_a_long_text_is_not() -> None:
    assert is_dense(b"[" + b"{}," * (VALUES_MAX + 1) + b"{}]")
    assert is_dense(b'{"a":"b",' * (VALUES_MAX + 1))
    code = json.dumps({"text": 'if (a["b"]) { return {}; }\n' * VALUES_MAX}).encode()
    assert not is_dense(code)
    assert not is_dense(b"[" + b"1," * VALUES_MAX + b"1]")
