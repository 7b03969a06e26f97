"""On which line each key of a TOML text stands, which tomllib does not tell.

The text has passed tomllib, so this walk may believe that it is valid and only has to find where
keys and values end; names in quotes are decoded by tomllib itself. Rejected: searching for the key
by name (finds comments, strings and other sections), a second full parser or a fork of tomllib
(more to keep right than this), and its private functions (they change).
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

KeyPath = tuple[str, ...]

_BLANK: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_NAME: Final = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s"'.=\]]+)"""
_KEY: Final = re.compile(rf"{_NAME}(?:[ \t]*\.[ \t]*{_NAME})*")
_SCALAR: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*'|[^,\]}\n#]+''',
    re.DOTALL,
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Where each key and table is first named; what lies inside arrays is left out."""
    return _walked(text).lines


def item_lines(text: str) -> dict[KeyPath, list[int]]:
    """Of each array, on which line each of its items begins; what lies inside items is left out."""
    return _walked(text).items


def _walked(text: str) -> _Walk:
    walk = _Walk(text.replace("\r\n", "\n"))
    walk.document()
    return walk


class _Walk:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self.items: dict[KeyPath, list[int]] = {}
        self._counted_to = 0
        self._line = 1

    def document(self) -> None:
        table: KeyPath | None = ()
        while self._next(_BLANK):
            if self.text.startswith("[[", self.at):
                line = self._line_here()
                array = self._header("[[")
                assert array is not None
                self.items.setdefault(array, []).append(line)
                table = None
            elif self.text.startswith("[", self.at):
                table = self._header("[")
            else:
                self._pair(table)

    def _header(self, brackets: str) -> KeyPath | None:
        self.at += len(brackets)
        table = self._key(())
        self._next(_SPACE)
        self.at += len(brackets)
        return table

    def _pair(self, table: KeyPath | None) -> None:
        path = self._key(table)
        self._next(_SPACE)
        self.at += len("=")
        self._value(path)

    def _key(self, table: KeyPath | None) -> KeyPath | None:
        self._next(_SPACE)
        line = self._line_here()
        name = self._take(_KEY)
        if table is None:
            return None
        path = table + _decode(name)
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)
        return path

    def _value(self, path: KeyPath | None) -> None:
        opening = self._next(_SPACE)
        if opening not in ("[", "{"):
            self._take(_SCALAR)
            return
        self.at += 1
        while (found := self._next(_BLANK)) not in ("]", "}"):
            if found == ",":
                self.at += 1
            elif opening == "{":
                self._pair(path)
            else:
                if path is not None:
                    self.items.setdefault(path, []).append(self._line_here())
                self._value(None)
        self.at += 1

    def _next(self, skipped: re.Pattern[str]) -> str:
        """The character after what is skipped; nothing at the end."""
        self._take(skipped)
        return self.text[self.at : self.at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        assert match is not None, f"tomllib took this, {__name__} did not: {self.text!r}"
        self.at = match.end()
        return match.group()

    def _line_here(self) -> int:
        self._line += self.text.count("\n", self._counted_to, self.at)
        self._counted_to = self.at
        return self._line


def _decode(key: str) -> KeyPath:
    path: list[str] = []
    inner: object = tomllib.loads(f"{key} = 0")
    while isinstance(inner, dict):
        ((name, inner),) = inner.items()
        path.append(name)
    return tuple(path)
