"""Texts that are stored and that search does not find yet, remembered until the index is fed.

As the bytes that the index is given, not as strings: a string with one picture in it takes four
bytes for each of its letters, and whoever hands it to SQLite leaves a second copy inside. Too much
of them is let go of: the index then reads them again from the journal, as after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from holdfast.journal import index
from holdfast.journal.model import Text

BYTES_MAX: Final = 8_000_000  # that are remembered: more than ever waits for what is urgent
HURRIED_BYTES: Final = 50_000  # are fed all the same: each feed costs a merge of the index
HURRIED_SHARE: Final = 8  # and this part of what waits: else it would grow beside steady work
ROW_BYTES: Final = 130  # of a text besides its bytes, measured

WordRow = tuple[int | bytes | None, ...]  # position, then a text in the column it belongs to


class Words(NamedTuple):
    """A text on its way into the index."""

    position: int
    column: int
    text: bytes

    @property
    def size(self) -> int:
        return ROW_BYTES + len(self.text)

    def row(self) -> WordRow:
        columns: list[bytes | None] = [None] * len(index.COLUMNS)
        columns[self.column] = self.text
        return (self.position, *columns)


class Unindexed:
    """Texts in the order of their positions, each position once."""

    def __init__(self, position: int) -> None:
        self.forget(position)

    def add(self, words: Sequence[Words], superseded: Sequence[int], *, end: int) -> None:
        """What was stored up to `end`."""
        self.bytes += bytes_in(words)
        if self.bytes > BYTES_MAX:
            self.forget(end)
        else:
            self.words += words
            self.superseded += superseded

    def forget(self, end: int) -> None:
        """All that was stored up to `end`."""
        self.words: list[Words] = []
        self.superseded: list[int] = []  # positions of texts that are not to be found any more
        self.bytes = 0
        self.from_position = end  # texts before it are not remembered

    def fed(self, upto: int) -> None:
        """The index has everything before a position."""
        if self.from_position >= upto:  # of what is remembered it has nothing yet
            return
        self.words = [each for each in self.words if each.position >= upto]
        # One that the index has not yet goes when it has: what supersedes it stands behind it.
        self.superseded = [position for position in self.superseded if position >= upto]
        self.bytes = bytes_in(self.words)


class Portion:
    """Of texts, as many as are fed at a time: fewer when something more urgent comes meanwhile."""

    def __init__(self, words: Sequence[Words], end: int, in_haste: Callable[[], bool]) -> None:
        self._words = words
        self._in_haste = in_haste
        self.upto = end  # the position before which all is fed, once it is

    def __iter__(self) -> Iterator[WordRow]:
        wanted = max(HURRIED_BYTES, bytes_in(self._words) // HURRIED_SHARE)
        fed = 0
        for words in self._words:
            if fed >= wanted and self._in_haste():
                self.upto = words.position
                return
            yield words.row()
            fed += words.size


def words_of(texts: Iterable[Text], shift: int) -> list[Words]:
    return [Words(each.seq + shift, each.column, each.text) for each in texts]


def bytes_in(words: Iterable[Words]) -> int:
    return sum(each.size for each in words)
