"""Words to events: what a person typed, in two stages, always in bounded time.

Stage one wants all words in one event and ranks by BM25 with recency. Stage two, for what stage one
did not find, takes the question apart: each telling word votes for the sessions it stands in, words
are matched by their beginning, and the session with the most telling words wins. So a sentence
finds its session even when no single event holds all of it.

BM25 counts every event that holds a word before it ranks one: 287 ms for a common word in a
million. So words are counted first, no further than `COMMON_EVENTS`; a word beyond that ranks
nothing, it only filters, and a query of nothing else is answered newest first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import apsw
import msgspec

from holdfast.blocks import DamagedBlock
from holdfast.journal.index import COLUMN_OF_KIND, COLUMNS, spread
from holdfast.journal.model import Hit, SearchQuery, SessionRow
from holdfast.journal.sql import queries

if TYPE_CHECKING:
    from holdfast.journal.reader import SqliteReader

COMMON_EVENTS: Final = 12_000
CANDIDATES: Final = 400
FILTERED_CANDIDATES: Final = 4_000
VOTES_PER_WORD: Final = 400
VOTING_WORDS: Final = 8
HITS_PER_SESSION: Final = 3
ENOUGH_HITS: Final = 3
RECENCY_HALF_LIFE_DAYS: Final = 30.0
SNIPPET_CHARS: Final = 160
MARKS: Final = ("**", "**")

_STOPWORDS: Final = frozenset(
    ["a", "about", "all", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does", "doing", "done", "for", "from", "get", "got", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "just", "like", "make", "me", "my", "no", "not", "of", "on", "or", "our", "out", "over", "please", "should", "so", "some", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "too", "up", "us", "use", "using", "was", "we", "were", "what", "when", "where", "which", "who", "why", "will", "with", "would", "you", "your"]
)
_SUFFIXES: Final = (
    "ations",
    "ation",
    "ings",
    "ing",
    "ies",
    "ied",
    "ers",
    "ed",
    "es",
    "er",
    "ly",
    "s",
)
_STEM_CHARS_MIN: Final = 4


class Term(msgspec.Struct, frozen=True):
    """A word, a beginning of one, or a phrase."""

    text: str  # as it stands in a text, folded, for highlighting
    match: str  # as the index wants it

    @property
    def is_word(self) -> bool:
        return not self.match.endswith("*") and " " not in self.match


class Found(msgspec.Struct):
    """An event that a query reached, before it is read."""

    position: int
    score: float


def search(connection: apsw.Connection, reader: SqliteReader, query: SearchQuery) -> list[Hit]:
    return _Search(connection, reader, query).hits()


def parse(words: str) -> list[Term]:
    """`"a phrase"`, `begin*` and plain words; nothing that is typed is an error."""
    terms = []
    for number, part in enumerate(words.split('"')):
        pieces = [part] if number % 2 else part.split()
        terms += [term for piece in pieces if (term := _term(piece))]
    return list(dict.fromkeys(terms))


def _term(piece: str) -> Term | None:
    prefix = piece.endswith("*")
    tokens = _tokens(piece)
    if not tokens:
        return None
    literal = '"' + " ".join(tokens) + '"'
    text = piece.strip().strip("*").strip(".,;:!?()[]{}<>'`").casefold()
    return Term(text or tokens[0], literal + ("*" if prefix else ""))


def _tokens(piece: str) -> list[str]:
    """As the index splits text: letters and digits hold together, all else parts them."""
    spaced = "".join(char if char.isalnum() or _is_mark(char) else " " for char in spread(piece))
    return spaced.split()


def _is_mark(char: str) -> bool:
    return ord(char) > 0x2FF and char.isprintable() and not char.isspace() and not char.isascii()


def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _STEM_CHARS_MIN:
            return word[: -len(suffix)]
    return word


class _Search:
    def __init__(
        self, connection: apsw.Connection, reader: SqliteReader, query: SearchQuery
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._query = query
        self._q = queries()
        self._terms = parse(query.words)
        self._rows: dict[str, SessionRow | None] = {}
        self._newest = max((row.updated_at for row in reader.sessions()), default="")
        column = COLUMN_OF_KIND.get(query.kind)
        self._column = f"{{{COLUMNS[column]}}} : " if column is not None else ""
        self._filtered = bool(query.agent or query.project or query.since)

    def hits(self) -> list[Hit]:
        if not self._terms or (self._query.kind and not self._column):
            return []
        hits = self._read(self._together(), per_session=HITS_PER_SESSION)
        if len(hits) < min(ENOUGH_HITS, self._query.limit):
            known = {(hit.session, hit.seq) for hit in hits}
            lowest = min((hit.score for hit in hits), default=1.0)
            votes = self._read(self._apart(), per_session=1)
            top = max((hit.score for hit in votes), default=1.0)
            hits += [
                msgspec.structs.replace(hit, score=round(lowest * hit.score / top * 0.99, 4))
                for hit in votes
                if (hit.session, hit.seq) not in known
            ]
        return hits[: self._query.limit]

    # Stage one: all words in one event.

    def _together(self) -> list[Found]:
        limit = FILTERED_CANDIDATES if self._filtered else CANDIDATES
        rare = [term for term in self._terms if self._count(term.match) < COMMON_EVENTS]
        everything = self._all_of(self._terms)
        if not rare:
            rows = self._connection.execute(self._q.word_rows, (everything, limit))
            return [Found(position, 1.0) for (position,) in rows]
        ranked = self._connection.execute(self._q.word_rows_ranked, (self._all_of(rare), limit))
        found = [Found(position, -score) for position, score in ranked]
        if len(rare) < len(self._terms):
            rows = self._connection.execute(self._q.word_rows, (everything, COMMON_EVENTS))
            holding = {position for (position,) in rows}
            found = [each for each in found if each.position in holding]
        return found

    def _all_of(self, terms: Sequence[Term]) -> str:
        return self._column + "(" + " AND ".join(term.match for term in terms) + ")"

    def _count(self, match: str) -> int:
        row = self._connection.execute(self._q.word_count, (self._column + match, COMMON_EVENTS))
        count = row.get
        assert isinstance(count, int)
        return count

    # Stage two: words vote for sessions.

    def _apart(self) -> list[Found]:
        """The best event of each session, scored by how telling the session's words are."""
        events: dict[int, float] = {}
        sessions: dict[str, float] = {}
        best: dict[str, int] = {}
        for weight, match in self._voters():
            voted = set()
            rows = self._connection.execute(
                self._q.word_rows, (self._column + match, VOTES_PER_WORD)
            )
            for (position,) in rows.fetchall():
                session = self._place(position)[0]
                events[position] = events.get(position, 0.0) + weight
                if session not in voted:
                    voted.add(session)
                    sessions[session] = sessions.get(session, 0.0) + weight
                if events[position] > events.get(best.get(session, -1), 0.0):
                    best[session] = position
        return [Found(best[session], weight) for session, weight in sessions.items()]

    def _voters(self) -> Iterable[tuple[float, str]]:
        """The most telling words, each with its weight, matched by their beginning."""
        terms = [term for term in self._terms if term.text not in _STOPWORDS] or self._terms
        total = max(self._reader.totals().events, 1)
        weighed = []
        for term in terms:
            match = term.match
            if term.is_word and term.text.isascii():
                stem = _stem(match.strip('"').casefold())
                match = f'"{stem}"*' if len(stem) >= _STEM_CHARS_MIN else match
            count = self._count(match)
            if count:
                weighed.append((math.log(1 + total / count), match))
        weighed.sort(reverse=True)
        return weighed[:VOTING_WORDS]

    # Both: from positions to what people see.

    def _read(self, found: list[Found], *, per_session: int) -> list[Hit]:
        placed = []
        for each in found:
            session, seq = self._place(each.position)
            row = self._session(session)
            if row is not None and self._wanted(row):
                placed.append((each.score * self._recency(row), session, seq))
        placed.sort(key=lambda entry: (-entry[0], entry[1], -entry[2]))
        hits: list[Hit] = []
        taken: dict[str, int] = {}
        for score, session, seq in placed:
            if len(hits) >= self._query.limit:
                break
            if taken.get(session, 0) < per_session:
                hit = self._hit(session, seq, score)
                if hit is not None:
                    taken[session] = taken.get(session, 0) + 1
                    hits.append(hit)
        return hits

    def _hit(self, session: str, seq: int, score: float) -> Hit | None:
        try:
            event = next(self._reader.events(session, seq, seq + 1))
        except DamagedBlock:
            return None  # `doctor` and `show` name it; a search goes on without it
        if self._query.since and event.at < self._query.since:
            return None
        if self._query.kind and event.kind != self._query.kind:
            return None
        cut = snippet(event.text, [term.text for term in self._terms])
        return Hit(session, seq, event.kind, event.at, round(score, 4), cut)

    def _place(self, position: int) -> tuple[str, int]:
        row = self._connection.execute(self._q.session_at_position, (position,)).fetchone()
        session, seq = row
        return session, seq

    def _session(self, session: str) -> SessionRow | None:
        if session not in self._rows:
            self._rows[session] = self._reader.session(session)
        return self._rows[session]

    def _wanted(self, row: SessionRow) -> bool:
        query = self._query
        return (
            (not query.agent or row.agent == query.agent)
            and (not query.project or query.project.casefold() in row.project.casefold())
            and (not query.since or row.updated_at >= query.since)
        )

    def _recency(self, row: SessionRow) -> float:
        """1.5 for the newest session, falling by half towards 1 each `RECENCY_HALF_LIFE_DAYS`."""
        age_days = _days_between(row.updated_at, self._newest)
        return 1.0 + 0.5 * 0.5 ** (age_days / RECENCY_HALF_LIFE_DAYS)


def _days_between(earlier: str, later: str) -> float:
    from datetime import datetime

    try:
        span = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    except ValueError:
        return 365.0
    return max(0.0, span.total_seconds() / 86_400)


def snippet(text: str, words: Sequence[str]) -> str:
    """The part of a text where the words stand, on one line, each marked."""
    flat = " ".join(text.split())
    places = _places(flat, words)
    middle = places[0][0] if places else 0
    start = max(0, middle - SNIPPET_CHARS // 3)
    end = min(len(flat), start + SNIPPET_CHARS)
    start = max(0, end - SNIPPET_CHARS)
    pieces = ["…"] if start else []
    position = start
    for first, last in places:
        if first < position or last > end:
            continue
        pieces += [flat[position:first], MARKS[0], flat[first:last], MARKS[1]]
        position = last
    pieces.append(flat[position:end])
    if end < len(flat):
        pieces.append("…")
    return "".join(pieces)


def _places(flat: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where words stand, whole ones first, else those that begin so."""
    import re

    folded = flat.casefold()
    if len(folded) != len(flat):
        folded = flat.lower() if len(flat.lower()) == len(flat) else flat
    places: list[tuple[int, int]] = []
    for word in words:
        if word and word not in _STOPWORDS:
            stem = _stem(word) if word.isascii() and " " not in word else word
            pattern = rf"(?<!\w){re.escape(stem)}\w*" if word.isascii() else re.escape(stem)
            places += [match.span() for match in re.finditer(pattern, folded)]
    return sorted(places)
