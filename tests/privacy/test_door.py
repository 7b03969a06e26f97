"""The door as ingest uses it: whole chunks, broken lines, streams, counts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.privacy import Door, cleaned_lines, kept_screen
from holdfast.privacy.door import OVERLAP_BYTES
from holdfast.settings import Privacy
from tests.support import planted
from tests.support.doors import door, screen

DOOR: Final = door()
PLANTED: Final = planted.tokens(Random(7))[5]
SECRET: Final = PLANTED.secret.encode()


def test_a_chunk_is_suspected_when_any_line_is() -> None:
    dull = b'{"text":"' + b"word " * 200 + b'"}\n'
    assert not DOOR.suspects(dull * 100)
    assert DOOR.suspects(dull * 50 + b'{"text":"' + SECRET + b'"}\n' + dull * 50)


@pytest.mark.parametrize(
    "line",
    [
        b"\xef\xbb\xbf" + b'{"a":"' + SECRET + b'"}',
        b'{"a":"' + SECRET + b'"}\r',
        b'{"a":"\xff\xfe ' + SECRET + b'"}',
        b'{"a":"\\ud800 ' + SECRET + b'"}',
        b'{"a":"b"}{"c":"' + SECRET + b'"}',
        b'{"a":"unfinished ' + SECRET,
        b'{"a":"half{"type":"user","text":"' + SECRET + b'"}',
        b"no json at all " + SECRET,
        SECRET,
        b"\x00\x00\x00" + SECRET,
        b'"' + SECRET + b'"',
        b'[["' + SECRET + b'"]]',
    ],
)
def test_no_brokenness_hides_anything(line: bytes) -> None:
    assert SECRET not in DOOR.clean(line)
    assert b"[redacted:" in DOOR.clean(line)


def test_two_records_on_one_line_stay_two() -> None:
    line = b'{"a":"<private>x"}{"b":"c"} {"d":"' + SECRET + b'"}'
    clean = DOOR.clean(line)
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(clean.decode())
    assert first == {"a": "[private]"}
    assert decoder.raw_decode(clean.decode()[end:])[0] == {"b": "c"}


def test_a_broken_line_with_an_open_tag_ends_there() -> None:
    clean = DOOR.clean(b'{"a":"b <private> c","d":"e')
    assert clean == b'{"a":"b [private]'
    hidden = DOOR.clean(b'{"a":"b \\u003cprivate\\u003e c","d":"e')
    assert hidden == b'{"a":"b [private]'


def test_what_is_replaced_is_counted_until_somebody_asks() -> None:
    counting = door()
    counting.clean(b'{"a":"<private>x</private> y <private>z"}')
    counting.clean(b'{"a":"' + SECRET + b'"}')
    assert counting.take_found() == {"private": 2, PLANTED.kind: 1}
    assert counting.take_found() == {}


def test_many_lines_are_cleaned_each_for_itself() -> None:
    lines = b'{"a":"<private>x"}\n{"b":"y"}\n'
    assert cleaned_lines(lines, DOOR) == b'{"a":"[private]"}\n{"b":"y"}\n'
    clean = b'{"b":"y"}\n'
    assert cleaned_lines(clean, DOOR) is clean


# Lines that are streamed.


def streamed(content: bytes, size: int) -> bytes:
    chunks = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(DOOR.clean_stream(chunks))


@pytest.mark.parametrize("each", planted.tokens(Random(5))[::7] + planted.shapes(Random(5)))
def test_a_stream_has_no_seams(each: planted.Planted) -> None:
    """A secret that stands over any border between chunks is found."""
    text = json.dumps(each.text)[1:-1].encode()
    shown = json.dumps(each.secret)[1:-1].encode()
    filler = b'word \\n "x": ' * 20_000
    for place in range(0, len(text), max(1, len(text) // 5)):
        before = filler[: OVERLAP_BYTES * 2 - place]
        clean = streamed(before + b' "' + text + b'" ' + filler, OVERLAP_BYTES * 2)
        assert shown not in clean
        assert clean.startswith(before[:1_000])
        assert clean.endswith(filler[-1_000:])


def test_an_open_tag_hides_the_rest_of_a_stream() -> None:
    filler = b"word " * 60_000
    clean = streamed(filler + b"<private>" + filler + SECRET, 100_000)
    assert clean == filler + b"[private]" * clean.count(b"[private]")
    closed = streamed(filler + b"<private>" + filler + b"</private> seen", 100_000)
    assert closed.endswith(b"[private] seen")
    assert closed.startswith(filler)
    assert closed.count(b"word") == filler.count(b"word")


@pytest.mark.parametrize("size", [1, 7, 4_096, 65_536, 1 << 20])
def test_a_stream_with_nothing_in_it_comes_out_as_it_went_in(size: int) -> None:
    content = b'{"a":"b < c \\\\u0041 \\/ d","e":' + b"1," * 3_000 + b'"<div>"}'
    assert streamed(content, size) == content


@given(st.binary(max_size=2_000), st.integers(1, 500))
def test_any_bytes_pass_through_a_stream(content: bytes, size: int) -> None:
    clean = streamed(content, size)
    assert clean == content or DOOR.suspects(content)


# The compiled screen.


def test_the_screen_is_compiled_once_and_kept(tmp_path: Path) -> None:
    compiled = []

    def compile_it() -> bytes:
        compiled.append(1)
        return screen()

    assert kept_screen(str(tmp_path), compile_it) == kept_screen(str(tmp_path), compile_it)
    assert len(compiled) == 1
    other = tmp_path / "privacy-0123.screen"
    other.touch()
    os.unlink(next(each for each in tmp_path.iterdir() if each != other))
    kept_screen(str(tmp_path), compile_it)
    assert not other.exists()
    (name,) = os.listdir(tmp_path)
    assert os.stat(tmp_path / name).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"", b"x", b"\x00" * 10_000])
def test_a_damaged_screen_is_compiled_anew(tmp_path: Path, damage: bytes) -> None:
    kept_screen(str(tmp_path), screen)
    (name,) = os.listdir(tmp_path)
    (tmp_path / name).write_bytes(damage)
    assert Door.from_settings(Privacy(), kept_screen(str(tmp_path), screen)).suspects(SECRET)
    assert (tmp_path / name).read_bytes() == screen()


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    assert kept_screen(str(tmp_path / "missing"), screen) == screen()
