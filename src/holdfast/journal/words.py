"""What a person typed, as terms; and where a text holds them. No index, no journal: only text.

Every implementation of the journal searches with these terms, so that all of them agree on what a
query means. Nothing that is typed is an error, and nothing that is typed is unbounded: a pasted
page is cut to its first `TOKENS_MAX` words, and the beginning of a word needs two letters, because
one letter begins every tenth word there is.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, islice, pairwise
from typing import Final

import msgspec

from holdfast.journal.index import MAX_TEXT_CHARS, is_cjk, spread

TOKENS_MAX: Final = 64
QUERY_CHARS_MAX: Final = 4_096
PREFIX_CHARS_MIN: Final = 2
STEM_CHARS_MIN: Final = 4
SNIPPET_CHARS: Final = 160
PLACES_MAX: Final = 500  # of a text that are looked at for its snippet
MARKS: Final = ("**", "**")

_STOPWORDS: Final = """
    a about all am an and any are as at be been but by can could did do does doing done for from get
    got had has have how i if in into is it its just like make me my no not of on or our out over
    please should so some than that the their them then there these they this those to too up us use
    using was we were what when where which who why will with would you your
"""
STOPWORDS: Final = frozenset(_STOPWORDS.split())
_ENDINGS: Final = "ations ation ings ing ies ied ers ed es er ly s"
_SUFFIXES: Final = tuple(_ENDINGS.split())
_FOLDED_CHARS_MAX: Final = 4_096


class Term(msgspec.Struct, frozen=True):
    """A word, the beginning of one (`prefix`), or a phrase. Its tokens are folded."""

    tokens: tuple[str, ...]
    prefix: bool = False

    @property
    def word(self) -> str:
        """The word, where the term is no more than one."""
        return "" if self.prefix or len(self.tokens) > 1 else self.tokens[0]

    @property
    def is_telling(self) -> bool:
        return self.word not in STOPWORDS

    @property
    def relaxed(self) -> Term:
        """The same, or all that begins like it: `failures` also finds `failed`."""
        stem = stemmed(self.word) if self.word.isascii() else ""
        return Term((stem,), prefix=True) if len(stem) >= STEM_CHARS_MIN else self


def parse(words: str) -> list[Term]:
    """`"a phrase"`, `begin*` and plain words, each once."""
    if len(words) > QUERY_CHARS_MAX:
        words = words[:QUERY_CHARS_MAX].rpartition(" ")[0]
    terms: dict[Term, None] = {}
    room = TOKENS_MAX
    for number, part in enumerate(words.split('"')):
        for piece in [part] if number % 2 else part.split():
            term = _term(piece, room)
            if term is not None and term not in terms:
                terms[term] = None
                room -= len(term.tokens)
            if not room:
                return list(terms)
    return list(terms)


def _term(piece: str, room: int) -> Term | None:
    found = tuple(tokens(piece))
    if not found:
        return None
    ends_open = piece.rstrip().endswith("*") and len(found) <= room
    return Term(found[:room], ends_open and len(found[-1]) >= PREFIX_CHARS_MIN)


def apart(terms: Sequence[Term]) -> list[Term]:
    """The telling words of a question, each once, phrases opened.

    Of text without spaces every two neighbours are a word: that is what most of its words are.
    """
    telling = [part for term in terms for part in _parts(term) if part.is_telling]
    return list(dict.fromkeys(part.relaxed for part in telling or terms))


def _parts(term: Term) -> list[Term]:
    if len(term.tokens) == 1:
        return [term]
    parts = []
    for glued, group in groupby(term.tokens, lambda token: is_cjk(token[0])):
        run = tuple(group)
        if glued and len(run) > 1:
            parts += [Term(pair) for pair in pairwise(run)]
        else:
            parts += [Term((token,)) for token in run]
    return parts


def tokens(text: str) -> list[str]:
    """As the index splits text: letters and digits hold together, all else parts them."""
    spaced = "".join(char if _holds(char) else " " for char in spread(fold(text)))
    return [token for token in spaced.split() if any(map(str.isalnum, token))]


def _holds(char: str) -> bool:
    return char.isalnum() or (not char.isascii() and unicodedata.category(char)[0] == "M")


def fold(text: str) -> str:
    """Lower case, Latin letters without accents; each character stays one."""
    return text.lower() if text.isascii() else "".join(map(_fold_char, text))


@lru_cache(_FOLDED_CHARS_MAX)
def _fold_char(char: str) -> str:
    base = unicodedata.normalize("NFD", char)[0]
    lower = (base if base.isascii() else char).lower()
    return lower if len(lower) == 1 else char


def stemmed(word: str) -> str:
    """A word without its English ending; what remains may be too short to use."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= STEM_CHARS_MIN:
            return word[: -len(suffix)]
    return word


class Highlighter:
    """Cuts from a text the part where a query's terms stand, and marks them."""

    def __init__(self, terms: Sequence[Term]) -> None:
        shown = [term for term in terms if term.is_telling] or terms
        self._pattern = re.compile(_any_of(shown)) if shown else None

    def _found(self, folded: str) -> list[tuple[str, int, int]]:
        """The words that stand in a text, each with its place."""
        if self._pattern is None:
            return []
        places = islice(self._pattern.finditer(folded), PLACES_MAX)
        return [(place[0], *place.span()) for place in places]

    def snippet(self, text: str) -> str:
        """On one line."""
        flat = " ".join(text[:MAX_TEXT_CHARS].split())
        found = self._found(fold(flat))
        middle = _densest(found)
        end = min(len(flat), max(0, middle - SNIPPET_CHARS // 3) + SNIPPET_CHARS)
        position = max(0, end - SNIPPET_CHARS)
        pieces = ["…"] if position else []
        for _word, first, last in found:
            if position <= first and last <= end:
                pieces += [flat[position:first], MARKS[0], flat[first:last], MARKS[1]]
                position = last
        pieces.append(flat[position:end])
        if end < len(flat):
            pieces.append("…")
        return "".join(pieces)


def _densest(found: Sequence[tuple[str, int, int]]) -> int:
    """Where the stretch begins that holds the most different words; the first of its kind."""
    best, begin = 0, 0
    inside: Counter[str] = Counter()
    start = 0
    for word, _first, last in found:
        inside[word] += 1
        while last - found[start][1] > SNIPPET_CHARS * 2 // 3:
            leaving = found[start][0]
            inside[leaving] -= 1
            if not inside[leaving]:
                del inside[leaving]
            start += 1
        if len(inside) > best:
            best, begin = len(inside), found[start][1]
    return begin


_LETTER: Final = r"[^\W_]"


def _any_of(terms: Sequence[Term]) -> str:
    """The longest first; what starts a word is looked for at the starts of words only."""
    patterns = sorted(map(_pattern, terms), key=lambda each: -len(each[1]))
    words = "|".join(pattern for glued, pattern in patterns if not glued)
    glued = "|".join(pattern for glued, pattern in patterns if glued)
    starts = f"(?<!{_LETTER})(?:{words})" if words else ""
    return "|".join(filter(None, (starts, glued)))


def _pattern(term: Term) -> tuple[bool, str]:
    """Whether a term may start within a word, and what matches it.

    Words are marked whole, and those that begin alike too: the relaxed search finds both.
    """
    relaxed = term.relaxed
    parts = [re.escape(token) for token in relaxed.tokens]
    pattern = parts[0]
    for (before, token), part in zip(pairwise(relaxed.tokens), parts[1:], strict=True):
        glued = is_cjk(before[-1]) or is_cjk(token[0])
        pattern += rf"[\W_]{'*' if glued else '+'}{part}"
    if not is_cjk(relaxed.tokens[-1][-1]):
        pattern += f"{_LETTER}*" if relaxed.prefix else f"(?!{_LETTER})"
    return is_cjk(relaxed.tokens[0][0]), pattern
