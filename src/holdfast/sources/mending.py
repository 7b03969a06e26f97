"""What can be saved of JSON lines that are not quite JSON.

Agents are killed while they write, and cut texts where it suits them. Seen in real logs: a record
whose newline never came, so that the next one stands on the same line; half a record with a whole
one behind it; half of a surrogate pair (JavaScript counts UTF-16 units); bytes that are no UTF-8;
zeros where a disk lost power. Each costs what is damaged and not the line: nothing that can still
be read is given up.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

SPACE: Final = b" \t\r\n"  # what JSON calls space
PIECES_MAX: Final = 1_000  # of one line
RESCUES_MAX: Final = 64
VALUES_MAX: Final = 50_000  # of one record: decoded they take a hundred bytes each

_BOM: Final = b"\xef\xbb\xbf"
_ESCAPES: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_OBJECT: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+\{")
_TOKENS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]', re.DOTALL)
_any_json = msgspec.json.Decoder(Raw).decode


def mended(line: bytes) -> bytes:
    """The line with U+FFFD for what no text may hold; the very same object if nothing is wrong."""
    whole = line.removeprefix(_BOM)
    if not _is_utf8(whole):
        whole = whole.decode("utf-8", "replace").encode()
    if rb"\ud" in whole or rb"\uD" in whole:
        whole = _ESCAPES.sub(lambda found: rb"\ufffd" if found[1] else found[0], whole)
    return line if whole == line else whole


def clean(content: bytes) -> Raw:
    """A part of a record as it may stand in an event, which is UTF-8 throughout.

    The decoder passes over what it does not need without looking at its characters.
    """
    if not _is_utf8(content):
        content = content.decode("utf-8", "replace").encode()
    return Raw(content)


def is_json(piece: bytes) -> bool:
    try:
        _any_json(mended(piece))
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def is_sound(piece: bytes) -> bool:
    """Whether it is JSON to its very end: a shape that does not fit is told before that."""
    try:
        _any_json(piece)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def is_dense(line: bytes) -> bool:
    """Whether a line holds more small things than any record does."""
    if line.count(b'"') + line.count(b"{") <= VALUES_MAX:
        return False
    return sum(1 for _ in _TOKENS.finditer(line)) > 2 * VALUES_MAX


def pieces(line: bytes, *, rescue: bool) -> list[bytes]:
    """A line cut where a record ends; one after the other, the pieces are the line.

    Whole records are taken from the beginning. Of what follows something broken, `rescue` finds the
    last record, if it reaches to the end of the line.
    """
    found: list[bytes] = []
    start = 0
    while len(found) < PIECES_MAX and (end := _end_of_object(line, start)) is not None:
        if not is_json(line[start:end]):
            break
        found.append(line[start:end])
        start = end
    rest = line[start:]
    if not rest.strip(SPACE):
        return [*found[:-1], found[-1] + rest] if found else [rest]
    at = _last_record(rest) if rescue else None
    return [*found, rest] if at is None else [*found, rest[:at], rest[at:]]


def _end_of_object(line: bytes, start: int) -> int | None:
    """Behind the brace that closes the object which starts here."""
    depth = 0
    if _OBJECT.match(line, start) is None:
        return None
    for token in _TOKENS.finditer(line, start):
        if token[0] in (b"{", b"["):
            depth += 1
        elif token[0] in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return token.end()
    return None


def _last_record(line: bytes) -> int | None:
    at = 0
    for _ in range(RESCUES_MAX):
        at = line.find(b'{"', at + 1)
        if at < 0:
            return None
        before = line[max(0, at - 8) : at].rstrip(SPACE)
        # Where a value is due it is a part of what is broken, not a record behind it.
        if before[-1:] not in (b":", b",", b"[") and is_json(line[at:]):
            return at
    return None


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
