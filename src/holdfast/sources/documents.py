"""A file cut into its items, in bounded memory, whatever is in it.

Agents write a session as one document, anew each time: `{"messages": [...], ...}` or `[...]`. It
may be as large as they like, so it is never held: what is given out is one element of an array, or
one member of the object, at a time. One over the cap is not held either; `Piece.content` is None
then, and whoever wants it streams it from the file. `cut_lines` does the same with lines.

Only structure is looked at here, brackets and strings, not whether an item is JSON: whoever decodes
it finds that out, and it costs that item alone. Where the structure itself ends or is broken (the
document is being written right now) all that came before is given out, and the rest is `broken`.

A parser that calls back for each value (ijson) was rejected: it makes objects of everything, and
cannot say which bytes an item was. Mapping the file was rejected: whoever truncates it kills us.

One pattern passes over everything between two brackets, strings included, so that Python is asked
once for each bracket and not for each character. It cannot look back, so time is linear; a string
that goes over the end of a chunk is read once more from its beginning in that chunk, and then on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from holdfast.sources.loose import UNREADABLE, read_text

CHUNK_BYTES: Final = 262_144
HEAD_BYTES: Final = 512  # of an item that is not held
KEY_BYTES_MAX: Final = 1_024  # a longer name is none that anybody asks for

_BOM: Final = b"\xef\xbb\xbf"
_QUOTE, _COMMA, _COLON = b'",:'
_OPENING: Final = frozenset(b"{[")
_OBJECT, _OBJECT_END, _ARRAY, _ARRAY_END = b"{}[]"
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_SCALAR: Final = re.compile(rb'[^ \t\r\n"{}\[\],:]*+')
_IN_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_BETWEEN_BRACKETS: Final = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)


class Piece(msgspec.Struct, frozen=True, gc=False):
    """An element of the array `key`, or a member of that name."""

    key: str  # "" for elements of a document that is an array itself
    offset: int
    size: int
    content: bytes | None  # None when it is over the cap
    head: bytes  # how it begins
    is_member: bool


class Rest(msgspec.Struct, frozen=True, gc=False):
    """What is no item; the last that is given out. With the items it is the whole document."""

    structure: int
    broken: int


def cut(
    fd: int,
    size: int,
    arrays: frozenset[str],
    max_item_bytes: int,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[Piece | Rest]:
    """The items of the document in the first `size` bytes of a file."""
    return _Cutter(fd, size, arrays, max_item_bytes, chunk_bytes).pieces()


def cut_lines(
    fd: int, size: int, max_line_bytes: int, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Piece]:
    """The lines in the first `size` bytes of a file, the last one with or without its newline."""
    held: list[bytes] = []
    start = position = 0
    while position < size and (chunk := os.pread(fd, min(chunk_bytes, size - position), position)):
        lines = chunk.split(b"\n")
        for number, part in enumerate(lines):
            position += len(part)
            if position - start <= max_line_bytes or not held:
                held.append(part)
            elif len(held) > 1:
                held = [b"".join(held)[:HEAD_BYTES]]
            if number < len(lines) - 1:
                position += 1
                yield _line(start, position - start, held, max_line_bytes + 1)
                start, held = position, []
    if position > start:
        yield _line(start, position - start, held, max_line_bytes)


def _line(offset: int, size: int, held: list[bytes], most: int) -> Piece:
    content = b"".join(held)
    return Piece("", offset, size, content if size <= most else None, content[:HEAD_BYTES], False)


def stretch(fd: int, offset: int, size: int) -> Iterator[bytes]:
    """Some of a file in chunks; short when the file shrinks meanwhile."""
    end = offset + size
    while offset < end and (chunk := os.pread(fd, min(CHUNK_BYTES, end - offset), offset)):
        offset += len(chunk)
        yield chunk


_Pass = Callable[[], None]


class _Torn(Exception):
    """The document ends, or is none, from here on."""


class _Cutter:
    """Stands before one byte of a file, of which it holds one chunk."""

    def __init__(
        self, fd: int, size: int, arrays: frozenset[str], max_item_bytes: int, chunk_bytes: int
    ) -> None:
        self._fd = fd
        self._size = size
        self._arrays = arrays
        self._max_item_bytes = max_item_bytes
        self._chunk_bytes = chunk_bytes
        self._chunk = b""
        self._start = 0  # where the chunk stands in the file
        self._at = 0  # and we in the chunk
        self._sound = 0  # up to here all is known
        self._items = 0  # bytes of it that were items
        self._held: list[bytes] | None = None  # of the item that is read, what left the chunk
        self._held_from = 0  # and from where it stands in the chunk
        self._held_bytes = 0
        self._held_most = 0

    def pieces(self) -> Iterator[Piece | Rest]:
        try:
            yield from self._document()
            self._pass(_SPACE)
            self._sound = self._position
        except _Torn:
            pass
        yield Rest(self._sound - self._items, self._size - self._sound)

    def _document(self) -> Iterator[Piece]:
        if self._size >= len(_BOM) and os.pread(self._fd, len(_BOM), 0) == _BOM:
            self._start = len(_BOM)
        opening = self._next()
        if opening == _ARRAY:
            yield from self._elements("")
        elif opening == _OBJECT:
            yield from self._members()
        elif opening is not None:
            raise _Torn

    def _members(self) -> Iterator[Piece]:
        self._at += 1
        while not self._is_end(_OBJECT_END):
            if self._next() != _QUOTE:
                raise _Torn
            key = self._key()
            if self._next() != _COLON:
                raise _Torn
            self._at += 1
            if self._next() == _ARRAY and key in self._arrays:
                yield from self._elements(key)
            else:
                yield self._item(key, is_member=True)

    def _elements(self, key: str) -> Iterator[Piece]:
        self._at += 1
        while not self._is_end(_ARRAY_END):
            yield self._item(key, is_member=False)

    def _is_end(self, end: int) -> bool:
        """Before the next item, or behind the last one; a comma too many does no harm."""
        while (char := self._next()) == _COMMA:
            self._at += 1
        self._sound = self._position
        if char is None:
            raise _Torn
        if char == end:
            self._at += 1
            self._sound += 1
            return True
        return False

    def _key(self) -> str:
        content = self._taken(self._pass_string, KEY_BYTES_MAX)[1]
        if content is None:
            return ""
        try:
            return read_text(content)
        except UNREADABLE:
            return ""

    def _item(self, key: str, *, is_member: bool) -> Piece:
        char = self._next()
        self._sound = offset = self._position
        if char == _QUOTE:
            read = self._pass_string
        elif char in _OPENING:
            read = self._pass_container
        else:
            read = self._pass_scalar
        head, content = self._taken(read, self._max_item_bytes)
        size = self._position - offset
        self._items += size
        self._sound = self._position
        return Piece(key, offset, size, content, head, is_member)

    # Passing over things, wherever chunks end.

    @property
    def _position(self) -> int:
        return self._start + self._at

    def _fill(self) -> bool:
        """Whether there is a byte to stand before; the next chunk, behind the end of this one."""
        if self._at < len(self._chunk):
            return True
        if self._held is not None:
            self._hold()
            self._held_from = 0
        self._start += len(self._chunk)
        self._at = 0
        wanted = min(self._chunk_bytes, self._size - self._start)
        self._chunk = os.pread(self._fd, wanted, self._start) if wanted > 0 else b""
        return bool(self._chunk)

    def _pass(self, pattern: re.Pattern[bytes]) -> None:
        """Over characters of one kind."""
        while self._fill():
            found = pattern.match(self._chunk, self._at)
            assert found is not None  # it may be empty
            self._at = found.end()
            if self._at < len(self._chunk):
                return

    def _next(self) -> int | None:
        """The next character that is no space; None at the end."""
        self._pass(_SPACE)
        return self._chunk[self._at] if self._fill() else None

    def _pass_scalar(self) -> None:
        before = self._position
        self._pass(_SCALAR)
        if self._position == before or not self._fill():
            raise _Torn  # nothing, or a number that may go on

    def _pass_string(self) -> None:
        self._at += 1
        while self._fill():
            found = _IN_STRING.match(self._chunk, self._at)
            assert found is not None
            self._at = found.end()
            if self._at == len(self._chunk):
                continue
            self._at += 1
            if self._chunk[self._at - 1] == _QUOTE:
                return
            if not self._fill():  # a backslash, and what it is before is in the next chunk
                break
            self._at += 1
        raise _Torn

    def _pass_container(self) -> None:
        depth = 0
        match = _BETWEEN_BRACKETS.match
        while self._fill():
            chunk, at, end = self._chunk, self._at, len(self._chunk)
            while at < end:
                at = match(chunk, at).end()  # type: ignore[union-attr]  # it may be empty
                if at == end or chunk[at] == _QUOTE:
                    break
                depth += 1 if chunk[at] in _OPENING else -1
                at += 1
                if depth == 0:
                    self._at = at
                    return
            self._at = at
            if at < end:
                self._pass_string()  # it goes over the end of the chunk
        raise _Torn

    # Holding what was passed over.

    def _taken(self, read: _Pass, most: int) -> tuple[bytes, bytes | None]:
        """How it begins, and all of it unless it is more than `most`."""
        self._held, self._held_from, self._held_bytes = [], self._at, 0
        self._held_most = most
        try:
            read()
            self._hold()
            content = b"".join(self._held)
        finally:
            self._held = None
        if self._held_bytes > most:
            return content[:HEAD_BYTES], None
        return content[:HEAD_BYTES], content

    def _hold(self) -> None:
        assert self._held is not None
        part = self._chunk[self._held_from : self._at]
        self._held_bytes += len(part)
        if self._held_bytes <= self._held_most:
            self._held.append(part)
        else:
            self._held = [b"".join([*self._held, part[:HEAD_BYTES]])[:HEAD_BYTES]]
