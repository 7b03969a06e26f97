"""Texts that are stored and that search does not find yet, remembered until the index is fed.

Too much of them is let go of: the index then reads them again from the journal, as after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from holdfast.journal import index
from holdfast.journal.model import Text

CHARS_MAX: Final = 6_000_000  # that are remembered: more than ever waits for what is urgent
HURRIED_CHARS: Final = 50_000  # are fed all the same: each feed costs a merge of the index
HURRIED_SHARE: Final = 8  # and this part of what waits: else it would grow beside steady work

WordRow = tuple[int | str | None, ...]  # position, then a text in the column it belongs to


class Unindexed:
    """Rows in the order of their positions, each position once."""

    def __init__(self, position: int) -> None:
        self.forget(position)

    def add(self, rows: Sequence[WordRow], superseded: Sequence[int], *, end: int) -> None:
        """What was stored up to `end`."""
        self.chars += chars_in(rows)
        if self.chars > CHARS_MAX:
            self.forget(end)
        else:
            self.rows += rows
            self.superseded += superseded

    def forget(self, end: int) -> None:
        """All that was stored up to `end`."""
        self.rows: list[WordRow] = []
        self.superseded: list[int] = []  # positions of texts that are not to be found any more
        self.chars = 0
        self.from_position = end  # texts before it are not remembered

    def fed(self, upto: int) -> None:
        """The index has everything before a position."""
        if self.from_position >= upto:  # of what is remembered it has nothing yet
            return
        self.rows = [row for row in self.rows if _position(row) >= upto]
        # One that the index has not yet goes when it has: what supersedes it stands behind it.
        self.superseded = [position for position in self.superseded if position >= upto]
        self.chars = chars_in(self.rows)


class Portion:
    """Of rows, as many as are fed at a time: fewer when something more urgent comes meanwhile."""

    def __init__(self, rows: Sequence[WordRow], end: int, in_haste: Callable[[], bool]) -> None:
        self._rows = rows
        self._in_haste = in_haste
        self.upto = end  # the position before which all is fed, once it is

    def __iter__(self) -> Iterator[WordRow]:
        wanted = max(HURRIED_CHARS, chars_in(self._rows) // HURRIED_SHARE)
        chars = 0
        for row in self._rows:
            if chars >= wanted and self._in_haste():
                self.upto = _position(row)
                return
            yield row
            chars += _chars(row)


def word_rows(texts: Iterable[Text], shift: int) -> list[WordRow]:
    rows: list[WordRow] = []
    for text in texts:
        columns: list[str | None] = [None] * len(index.COLUMNS)
        columns[text.column] = text.text
        rows.append((text.seq + shift, *columns))
    return rows


def chars_in(rows: Iterable[WordRow]) -> int:
    return sum(map(_chars, rows))


def _chars(row: WordRow) -> int:
    return sum(len(text) for text in row if isinstance(text, str))


def _position(row: WordRow) -> int:
    position = row[0]
    assert isinstance(position, int)
    return position
