"""One record of a log, cleaned string by string, in the bytes that it came in.

Only the strings that change are decoded and written anew. Numbers, order, double keys and white
space stay as they are, nothing is ever held as objects, and depth is a list and no recursion: what
comes out is as readable to a parser as what went in.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

_TOKENS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],]', re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(?:u00([2-7][0-9a-fA-F])|(.))", re.DOTALL)
_SPOKEN: Final = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\(.)", re.DOTALL)
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_PAYLOAD: Final = re.compile(rb'"[A-Za-z0-9+/]{4096,}+={0,2}"')
_SHORT: Final = 8  # quotes included: too short for a tag or a secret

# An open tag goes on in the parts that follow it in one of these lists, and ends with the list.
PARTS: Final = frozenset(
    {b"content", b"parts", b"prompt", b"toolUseResult", b"input", b"output", b"result", b"blocks"}
)
# What says what a part is stays: without it nobody could read the record.
STRUCTURE: Final = frozenset(
    {b"type", b"id", b"tool_use_id", b"call_id", b"callID", b"name", b"role", b"media_type"}
)
# The same for events: what says which event it is.
EVENT_STRUCTURE: Final = STRUCTURE | {
    *(b"session", b"kind", b"at", b"agent", b"file", b"uuid", b"parent", b"actor", b"model"),
    *(b"cwd", b"branch", b"blob", b"title"),
}


class Cleaner(Protocol):
    """Who knows what is to be taken out of a text."""

    def suspects(self, chunk: bytes) -> bool: ...
    def names_secret(self, name: bytes) -> bool: ...
    def cleaned(self, text: bytes, depth: int) -> tuple[bytes, int]: ...
    def value_of(self, name: bytes, value: bytes) -> bytes: ...


class _Level:
    """An object or a list, and the name under which it stands."""

    __slots__ = ("awaits_key", "is_object", "name")

    def __init__(self, name: bytes, *, is_object: bool) -> None:
        self.name = name
        self.is_object = is_object
        self.awaits_key = is_object


def clean_record(line: bytes, cleaner: Cleaner) -> bytes:
    """A line of valid JSON with clean strings; the very same object when nothing was found."""
    return _clean(line, cleaner, 0, STRUCTURE, to_its_end=False)[0]


def clean_event(line: bytes, cleaner: Cleaner, depth: int) -> tuple[bytes, int]:
    """The same for an event, of which several may come from one record: `depth` tags are open.

    Also how many are open at its end: an open tag hides the rest of its record.
    """
    return _clean(line, cleaner, depth, EVENT_STRUCTURE, to_its_end=True)


def _clean(
    line: bytes, cleaner: Cleaner, depth: int, structure: frozenset[bytes], *, to_its_end: bool
) -> tuple[bytes, int]:
    levels: list[_Level] = []
    kept: list[bytes] = []
    done = 0
    name = b""
    region = 0  # the level that open tags end with; 0: with the whole
    for token in _TOKENS.finditer(line):
        mark = token[0]
        if mark in b"{[":
            levels.append(_Level(name, is_object=mark == b"{"))
            name = b"" if mark == b"{" else name
        elif mark in b"}]":
            levels.pop()
            if depth and len(levels) < region:
                depth = 0
            name = b""
        elif mark == b",":
            if levels[-1].is_object:
                levels[-1].awaits_key = True
            else:
                name = levels[-1].name
        else:
            in_object = bool(levels) and levels[-1].is_object
            is_key = in_object and levels[-1].awaits_key
            if is_key:
                levels[-1].awaits_key = False
                name = decoded(mark) if b"\\" in mark else mark[1:-1]
                new = _clean_string(mark, cleaner)[0]
            else:
                open_here = depth if depth and name not in structure else 0
                new, left = _clean_value(mark, name, cleaner, open_here)
                if open_here or left:
                    depth = left
                if left and not open_here and not to_its_end:
                    region = _region(levels)
                    depth = left if region else 0
            if new is not mark:
                kept += (line[done : token.start()], new)
                done = token.end()
    return (b"".join((*kept, line[done:])) if kept else line), depth


def _clean_value(mark: bytes, name: bytes, cleaner: Cleaner, depth: int) -> tuple[bytes, int]:
    if name and not depth and cleaner.names_secret(name):
        text = decoded(mark)
        judged = cleaner.value_of(name, text)
        if judged is not text:
            return encoded(judged), 0
    return _clean_string(mark, cleaner, depth)


def _clean_string(mark: bytes, cleaner: Cleaner, depth: int = 0) -> tuple[bytes, int]:
    if not depth and (len(mark) < _SHORT or not cleaner.suspects(mark)):
        return mark, 0
    if not depth and _PAYLOAD.fullmatch(mark):
        return mark, 0
    text = decoded(mark)
    clean, depth = cleaner.cleaned(text, depth)
    return (mark if clean is text or clean == text else encoded(clean)), depth


def _region(levels: list[_Level]) -> int:
    """How many levels the message around a part has: its outermost list of parts; 0 for none."""
    found = 0
    for number in range(len(levels), 0, -1):
        level = levels[number - 1]
        if not level.is_object:
            if level.name not in PARTS:
                break
            found = number
    return found


def decoded(mark: bytes) -> bytes:
    """The text of a JSON string as UTF-8, with U+FFFD for what no text may hold."""
    import json

    try:
        text: str = json.loads(mark.decode("utf-8", "replace"), strict=False)
    except ValueError:  # an escape that JSON does not know: as it stands
        return mark[1:-1]
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def encoded(text: bytes) -> bytes:
    import json

    return json.dumps(text.decode("utf-8", "replace"), ensure_ascii=False).encode()


def unescaped(raw: bytes) -> bytes:
    """Raw JSON text without the escapes that it could do without: they hide nothing any more."""
    return _ESCAPED.sub(_plain, raw)


def _plain(found: re.Match[bytes]) -> bytes:
    if found[1] is not None:
        char = bytes((int(found[1], 16),))
        return found[0] if char in b'"\\' else char
    return b"/" if found[2] == b"/" else found[0]


def spoken(raw: bytes) -> str:
    """Raw JSON with all its escapes resolved, as a pattern of a person's own expects text."""
    return _SPOKEN.sub(_said, raw.decode("utf-8", "replace"))


def _said(found: re.Match[str]) -> str:
    if found[1] is None:
        return decoded(f'"{found[0]}"'.encode()).decode()
    return _CONTROLS.get(found[1], found[1])
