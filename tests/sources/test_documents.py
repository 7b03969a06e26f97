"""Whatever a document holds and wherever it is cut: the same items, and every byte is somewhere."""

from __future__ import annotations

import json
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.sources import documents
from holdfast.sources.documents import Piece, Rest, cut, cut_lines, stretch

ARRAYS: Final = frozenset({"messages"})
CAP: Final = 1_000
BOM: Final = b"\xef\xbb\xbf"


@contextmanager
def stored(content: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.fileno()


def pieces(content: bytes, *, chunk_bytes: int = 64, cap: int = CAP) -> list[Piece]:
    return taken(content, chunk_bytes=chunk_bytes, cap=cap)[0]


def rest(content: bytes, *, chunk_bytes: int = 64) -> Rest:
    return taken(content, chunk_bytes=chunk_bytes)[1]


def taken(content: bytes, *, chunk_bytes: int = 64, cap: int = CAP) -> tuple[list[Piece], Rest]:
    with stored(content) as fd:
        *found, last = cut(fd, len(content), ARRAYS, cap, chunk_bytes)
    assert isinstance(last, Rest)
    items = [piece for piece in found if isinstance(piece, Piece)]
    assert len(items) == len(found)
    assert sum(piece.size for piece in items) + last.structure + last.broken == len(content)
    for piece in items:
        whole = content[piece.offset : piece.offset + piece.size]
        assert piece.content == (whole if len(whole) <= cap else None)
        assert whole.startswith(piece.head)
    return items, last


def contents(content: bytes, **how: int) -> list[tuple[str, bytes | None]]:
    return [(piece.key, piece.content) for piece in pieces(content, **how)]


# By example.


def test_elements_of_the_array_and_other_members_come_in_order() -> None:
    document = b'{"id": "s", "messages": [{"a": [1]}, 2, "x"], "n": {"messages": [7]}, "z": null}'
    assert contents(document) == [
        ("id", b'"s"'),
        ("messages", b'{"a": [1]}'),
        ("messages", b"2"),
        ("messages", b'"x"'),
        ("n", b'{"messages": [7]}'),
        ("z", b"null"),
    ]
    assert [piece.is_member for piece in pieces(document)] == [True] + [False] * 3 + [True] * 2
    assert rest(document).broken == 0


def test_a_document_may_be_an_array_itself() -> None:
    assert contents(b'\n[ {"a":1} ,\n {"b":"]"} ]\n') == [("", b'{"a":1}'), ("", b'{"b":"]"}')]


def test_a_byte_order_mark_is_structure() -> None:
    document = b'\xef\xbb\xbf{"id":"s"}'
    assert contents(document) == [("id", b'"s"')]
    assert rest(document) == Rest(structure=len(document) - 3, broken=0)


def test_a_key_that_comes_twice_is_told_twice() -> None:
    document = b'{"messages":[1],"id":2,"messages":[3],"id":4}'
    assert contents(document) == [
        ("messages", b"1"),
        ("id", b"2"),
        ("messages", b"3"),
        ("id", b"4"),
    ]


def test_what_should_be_an_array_and_is_none_is_a_member() -> None:
    assert contents(b'{"messages":{"a":1}}') == [("messages", b'{"a":1}')]


def test_a_name_may_be_written_with_escapes_and_a_giant_one_is_none() -> None:
    giant = b"x" * (documents.KEY_BYTES_MAX + 1)
    assert contents(b'{"mess\\u0061ges":[1],"' + giant + b'":2,"\\ud800":3}') == [
        ("messages", b"1"),
        ("", b"2"),
        ("", b"3"),
    ]


@pytest.mark.parametrize("content", [b"", b" \n", b"\xef\xbb\xbf"])
def test_a_file_with_nothing_in_it_has_no_items(content: bytes) -> None:
    assert taken(content) == ([], Rest(structure=len(content), broken=0))


@pytest.mark.parametrize(
    "content", [b"\0" * 500, b"hello", b"1", b'"text"', b"}", b"]", b"\xff{", b"nul"]
)
def test_a_file_that_is_no_document_is_broken_from_its_beginning(content: bytes) -> None:
    assert taken(content) == ([], Rest(structure=0, broken=len(content)))


@pytest.mark.parametrize(
    ("content", "items", "broken"),
    [
        (b'{"messages":[1,{"a":2},{"b":', [b"1", b'{"a":2}'], b'{"b":'),
        (b'{"messages":[1,"half', [b"1"], b'"half'),
        (b'{"messages":["half\\', [], b'"half\\'),
        (b'{"messages":[1,2', [b"1"], b"2"),
        (b'{"messages":[1,', [b"1"], b""),
        (b'{"messages":[1]', [b"1"], b""),
        (b'{"messages":[1],"x', [b"1"], b'"x'),
        (b'{"messages":[1],"x":', [b"1"], b""),
        (b'{"messages":[1],x:2}', [b"1"], b"x:2}"),
        (b'{"messages":[1}', [b"1"], b"}"),
        (b'{"messages":[1]}{"messages":[2]}', [b"1"], b'{"messages":[2]}'),
        (b'{"messages":[1]}\n\0\0\0', [b"1"], b"\0\0\0"),
    ],
)
def test_a_torn_or_broken_document_gives_every_whole_item_before_that(
    content: bytes, items: list[bytes], broken: bytes
) -> None:
    found, last = taken(content)
    assert [piece.content for piece in found] == items
    assert content[len(content) - last.broken :] == broken


def test_a_comma_too_many_or_too_few_does_no_harm() -> None:
    assert contents(b'{,"messages":[,1,,"a""b",] "x":2,}') == [
        ("messages", b"1"),
        ("messages", b'"a"'),
        ("messages", b'"b"'),
        ("x", b"2"),
    ]


def test_an_item_over_the_cap_is_not_held_and_those_around_it_are() -> None:
    giant = b'{"a":"' + b"x" * 5_000 + b'"}'
    found = pieces(b'{"messages":[1,' + giant + b',"' + b"y" * 2_000 + b'",2]}')
    assert [(piece.size, piece.content is None) for piece in found] == [
        (1, False),
        (len(giant), True),
        (2_002, True),
        (1, False),
    ]
    assert found[1].head == giant[: documents.HEAD_BYTES]


def test_a_million_brackets_are_passed_over_without_a_stack() -> None:
    deep = b"[" * 1_000_000 + b"]" * 1_000_000
    found = pieces(b'{"messages":[' + deep + b",1]}", chunk_bytes=65_536)
    assert [piece.size for piece in found] == [len(deep), 1]


def test_each_byte_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    pread = os.pread

    def counting(fd: int, size: int, offset: int) -> bytes:
        nonlocal read
        chunk = pread(fd, size, offset)
        read += len(chunk)
        return chunk

    monkeypatch.setattr(os, "pread", counting)
    document = json.dumps({"messages": [{"text": 'a\\"b' * 200}] * 50}).encode()
    assert len(pieces(document, chunk_bytes=100, cap=100_000)) == 50
    assert read == len(document) + len(BOM)


def test_a_large_document_is_cut_in_the_memory_of_its_largest_item() -> None:
    item = json.dumps({"text": "word " * 40_000}).encode()
    document = b'{"messages":[' + b",".join([item] * 100) + b"]}"
    with stored(document) as fd:
        tracemalloc.start()
        try:
            count = sum(1 for _ in cut(fd, len(document), ARRAYS, 1_000_000))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert count == 101
    assert peak < 4 * len(item) + 2 * documents.CHUNK_BYTES < len(document) / 10


def test_a_file_that_shrinks_while_it_is_read_ends_where_it_ends() -> None:
    content = b'{"messages":[1,2,3]}'
    with stored(content[:16]) as fd:
        *items, last = cut(fd, len(content), ARRAYS, CAP, 8)
    assert [piece.content for piece in items if isinstance(piece, Piece)] == [b"1"]
    assert last == Rest(structure=14, broken=5)


# Anything.

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(['"', "\\", '\\\\"', "{[", "]}", "\ud83d", "é" * 30]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
members = st.dictionaries(st.sampled_from(["id", "messages", "kind", "x"]), values, max_size=4)
layouts = st.sampled_from([None, 0, 2])


def written(value: Any, indent: int | None) -> bytes:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


@given(members, st.lists(values, max_size=6), layouts, st.integers(1, 40))
def test_wherever_chunks_end_the_items_are_those_that_were_written(
    others: dict[str, Any], messages: list[Any], indent: int | None, chunk_bytes: int
) -> None:
    document = {**others, "messages": messages}
    found = pieces(written(document, indent), chunk_bytes=chunk_bytes, cap=1 << 20)
    told: dict[str, Any] = {"messages": []}
    for piece in found:
        assert piece.content is not None
        value = json.loads(piece.content.decode("utf-8", "surrogatepass"))
        if piece.is_member:
            told[piece.key] = value
        else:
            told[piece.key].append(value)
    assert told == document


@given(st.lists(values, max_size=6), layouts, st.integers(1, 40), st.data())
def test_a_document_cut_off_anywhere_gives_a_beginning_of_its_items(
    messages: list[Any], indent: int | None, chunk_bytes: int, data: st.DataObject
) -> None:
    content = written({"messages": messages}, indent)
    end = data.draw(st.integers(0, len(content)))
    whole = contents(content, chunk_bytes=chunk_bytes, cap=1 << 20)
    found = contents(content[:end], chunk_bytes=chunk_bytes, cap=1 << 20)
    assert found == whole[: len(found)]


@given(
    st.binary(max_size=120)
    | st.lists(st.sampled_from([*b'{}[]",:\\ \n1a'])).map(bytes)
    | st.lists(
        st.sampled_from([b'{"messages":[', b'"a":1', b'"x"', b",", b"]", b"}", b"{", b"\\", b'"'])
    ).map(b"".join),
    st.integers(1, 9),
    st.integers(0, 12),
)
def test_anything_at_all_is_accounted_for_however_it_is_chunked(
    content: bytes, chunk_bytes: int, cap: int
) -> None:
    assert taken(content, chunk_bytes=chunk_bytes, cap=cap) == taken(
        content, chunk_bytes=1_000, cap=cap
    )


# Lines.


@given(
    st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=8),
    st.booleans(),
    st.integers(1, 9),
    st.integers(1, 12),
)
def test_lines_are_those_that_were_written_wherever_chunks_end(
    lines: list[bytes], ends: bool, chunk_bytes: int, cap: int
) -> None:
    content = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    with stored(content) as fd:
        found = list(cut_lines(fd, len(content), cap, chunk_bytes))
    wanted = content.split(b"\n")
    if not wanted[-1]:
        wanted.pop()
    assert [piece.content for piece in found] == [
        line if len(line) <= cap else None for line in wanted
    ]
    assert sum(piece.size for piece in found) == len(content)
    for piece in found:
        assert content[piece.offset :].startswith(piece.head)


def test_a_stretch_of_a_file_is_short_when_the_file_is() -> None:
    with stored(b"0123456789") as fd:
        assert b"".join(stretch(fd, 3, 4)) == b"3456"
        assert b"".join(stretch(fd, 8, 4)) == b"89"
