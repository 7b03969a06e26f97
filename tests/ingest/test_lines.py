"""A file is its lines, wherever chunks end and however long a line is, in bounded memory."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ingest import lines as lines_module
from holdfast.ingest.lines import (
    Lines,
    Oversized,
    Torn,
    find_newline,
    read_lines,
    read_range,
)

MIB = 1 << 20
contents = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"a", b"bc" * 9, b"\0", b"\xff" * 40, b"x" * 100]), max_size=40
).map(b"".join)


def _never(_chunk: bytes) -> bool:
    return False


@contextmanager
def file_of(content: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.fileno()


@contextmanager
def chunks_of(size: int) -> Iterator[None]:
    before = lines_module.CHUNK_BYTES
    lines_module.CHUNK_BYTES = size  # type: ignore[misc]  # final for everybody else
    try:
        yield
    finally:
        lines_module.CHUNK_BYTES = before  # type: ignore[misc]  # as above


@settings(deadline=None, max_examples=400)
@given(contents, st.integers(0, 60), st.integers(1, 70), st.integers(1, 90))
def test_a_file_is_what_splitting_it_gives(
    content: bytes, offset: int, chunk: int, cap: int
) -> None:
    *whole, last = content[offset:].split(b"\n")
    got: list[bytes] = []
    position = offset
    ended = False
    with file_of(content) as fd, chunks_of(chunk):
        for found in read_lines(fd, offset, cap, _never):
            assert not ended
            assert found.offset == position
            if isinstance(found, Lines):
                assert max(map(len, found.contents)) <= cap + chunk
                got += found.contents
                position += sum(len(each) + 1 for each in found.contents)
            elif isinstance(found, Torn):
                assert found.content == last != b""
                ended = True
            else:
                assert found.length > cap
                line = b"".join(read_range(fd, found.offset, found.length))
                assert len(line) == found.length
                ended = not found.whole
                if found.whole:
                    got.append(line)
                    position += found.length + 1
                else:
                    assert line == last
    assert got == whole
    assert ended == bool(last)


def test_an_empty_file_has_no_lines() -> None:
    with file_of(b"") as fd:
        assert list(read_lines(fd, 0, 100, _never)) == []
        assert list(read_lines(fd, 100, 100, _never)) == []


def test_reading_begins_where_it_is_told_also_inside_a_line() -> None:
    with file_of(b"abc\ndef\ngh") as fd:
        assert list(read_lines(fd, 2, 100, _never)) == [
            Lines(2, [b"c", b"def"], suspect=False),
            Torn(8, b"gh"),
        ]


def test_a_line_over_the_cap_is_told_and_not_held() -> None:
    """200 MB of nothing, which take no disk either."""
    with tempfile.TemporaryFile() as file:
        os.ftruncate(file.fileno(), 200 * MIB)
        os.pwrite(file.fileno(), b"\nnext\n", 200 * MIB)
        tracemalloc.start()
        try:
            found = list(read_lines(file.fileno(), 0, 4 * MIB, _never))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert found == [
        Oversized(0, 200 * MIB, whole=True),
        Lines(200 * MIB + 1, [b"next"], suspect=False),
    ]
    assert peak < 16 * MIB


def test_a_long_line_without_its_end_ends_the_reading() -> None:
    with file_of(b"a\n" + b"x" * 100) as fd, chunks_of(10):
        assert list(read_lines(fd, 0, 20, _never)) == [
            Lines(0, [b"a"], suspect=False),
            Oversized(2, 100, whole=False),
        ]


def test_what_is_appended_to_a_long_line_meanwhile_is_not_taken_for_a_line() -> None:
    with file_of(b"x" * 100) as fd, chunks_of(10):
        reading = read_lines(fd, 0, 20, _never)
        assert next(reading) == Oversized(0, 100, whole=False)
        os.pwrite(fd, b"y\nz\n", 100)
        assert list(reading) == []


@pytest.mark.parametrize("left", [0, 5, 12, 40])
def test_a_file_that_shrinks_while_it_is_read_just_ends(left: int) -> None:
    with file_of(b"line one\n" * 20) as fd, chunks_of(16):
        reading = read_lines(fd, 0, 64, _never)
        assert next(reading) == Lines(0, [b"line one"], suspect=False)
        os.ftruncate(fd, left)
        rest = list(reading)
        assert all(isinstance(found, Torn | Lines) for found in rest)
        assert b"".join(read_range(fd, 0, 180)) == (b"line one\n" * 20)[:left]


def test_a_long_line_that_shrinks_while_it_is_measured_has_no_length_below_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with file_of(b"a\n" + b"x" * 100) as fd, chunks_of(10):
        measure = lines_module.find_newline

        def shrink(fd: int, position: int) -> int | None:
            os.ftruncate(fd, 0)
            return measure(fd, position)

        monkeypatch.setattr(lines_module, "find_newline", shrink)
        assert list(read_lines(fd, 0, 20, _never))[-1] == Oversized(2, 0, whole=False)


def test_newlines_are_found_in_any_chunk() -> None:
    with file_of(b"x" * 25 + b"\n" + b"x" * 9) as fd, chunks_of(10):
        assert find_newline(fd, 0) == find_newline(fd, 25) == 25
        assert find_newline(fd, 26) is None
        assert find_newline(fd, 99) is None


def test_a_range_comes_in_chunks() -> None:
    with file_of(b"0123456789") as fd, chunks_of(4):
        assert list(read_range(fd, 1, 7)) == [b"1234", b"567"]
        assert list(read_range(fd, 8, 100)) == [b"89"]
        assert list(read_range(fd, 3, 0)) == []
