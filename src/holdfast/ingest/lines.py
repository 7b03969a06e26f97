"""A file as lines, in bounded memory, whatever is in it.

Lines come in lists, with the offset of the first: a call per line was a tenth of the import. One
that is longer than the cap is never held: `Oversized` says where it stands, and whoever wants it
streams it from the file. What stands behind the last newline is given out apart, as `Torn`: only
the parser can tell whether it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

CHUNK_BYTES: Final = 1_048_576


class Lines(msgspec.Struct, frozen=True, gc=False):
    """Whole lines, one after the other, each without its newline; one may be over the cap."""

    offset: int
    contents: list[bytes]
    suspect: bool  # whether any of them may hold what is to be taken out


class Torn(msgspec.Struct, frozen=True, gc=False):
    """What stands behind the last newline."""

    offset: int
    content: bytes


class Oversized(msgspec.Struct, frozen=True, gc=False):
    """A line over the cap, `length` bytes without its newline, which may not be there yet."""

    offset: int
    length: int
    whole: bool


def read_lines(
    fd: int, offset: int, max_line_bytes: int, suspects: Callable[[bytes], bool]
) -> Iterator[Lines | Torn | Oversized]:
    """Everything from `offset` to where the file ends now; an unfinished long line ends it too.

    `suspects` is asked of whole chunks, before they are cut: a call per line costs ten times that.
    """
    chunk_bytes = min(CHUNK_BYTES, max_line_bytes)
    carry = b""
    position = offset
    while chunk := os.pread(fd, chunk_bytes, position):
        start = position - len(carry)
        position += len(chunk)
        newline = chunk.rfind(b"\n")
        if newline >= 0:
            suspect = suspects(chunk)
            contents = chunk.split(b"\n")
            behind = contents.pop()
            if carry:
                contents[0] = carry + contents[0]
                suspect = suspect or suspects(contents[0])
            yield Lines(start, contents, suspect)
            carry = behind
        elif len(carry) + len(chunk) <= max_line_bytes:
            carry += chunk
        else:
            oversized = _measure(fd, start, position)
            yield oversized
            if not oversized.whole:
                return
            position, carry = start + oversized.length + 1, b""
    if carry:
        yield Torn(position - len(carry), carry)


def find_newline(fd: int, position: int) -> int | None:
    """Where the next newline stands, or None up to where the file ends now."""
    while chunk := os.pread(fd, CHUNK_BYTES, position):
        newline = chunk.find(b"\n")
        if newline >= 0:
            return position + newline
        position += len(chunk)
    return None


def read_range(fd: int, start: int, length: int) -> Iterator[bytes]:
    """A stretch of the file in chunks; short when the file shrinks meanwhile."""
    position, end = start, start + length
    while position < end:
        chunk = os.pread(fd, min(CHUNK_BYTES, end - position), position)
        if not chunk:
            return
        position += len(chunk)
        yield chunk


def _measure(fd: int, start: int, scanned: int) -> Oversized:
    newline = find_newline(fd, scanned)
    if newline is not None:
        return Oversized(start, newline - start, whole=True)
    return Oversized(start, max(0, os.fstat(fd).st_size - start), whole=False)
