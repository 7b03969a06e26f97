"""Words to events: what a person typed, in two stages, always in bounded work.

Stage one wants all words in one event and ranks by BM25 with recency. Stage two, for what stage one
did not find, takes the question apart: each telling word votes for the events and the sessions it
stands in, matched by its beginning, the rarer the louder. So a sentence finds its session even when
no single event holds all of it.

Ranking by BM25 looks at every event that holds a word (287 ms for a common word in a million), so
words are counted first, no further than `COMMON_EVENTS`. A word beyond that is common: it says
little about an event, so it ranks nothing, it only filters. What is asked in common words alone is
answered newest first, because that costs the answer and not the word; under a filter, session by
session, so that an old project is found behind a million newer events.

Rejected: counts from `fts5vocab` (it walks a word's whole list too), positions in bm25's own order
with `LIMIT` (the walk comes before the limit), filters inside the index (a fifth more bytes).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import apsw
import msgspec

from holdfast.blocks import DamagedBlock
from holdfast.journal import sqlite
from holdfast.journal.index import COLUMN_OF_KIND, COLUMNS
from holdfast.journal.model import Hit, SearchQuery
from holdfast.journal.sql import queries
from holdfast.journal.words import Highlighter, Term, apart, parse

if TYPE_CHECKING:
    from holdfast.journal.reader import SqliteReader

COMMON_EVENTS: Final = 4_000
CANDIDATES: Final = 400
SCANNED_ROWS_MAX: Final = 10_000  # of a common word, under a filter
SCANNED_SESSIONS_MAX: Final = 200
SCAN_PAGE_ROWS: Final = 200
VOTES_PER_WORD: Final = 600
VOTING_WORDS: Final = 8
READS_MAX: Final = 200  # events looked at, where `since` and `kind` refuse some
SESSION_ROWS_MAX: Final = 50_000
HITS_PER_SESSION: Final = 3
ENOUGH_HITS: Final = 3
RECENCY_HALF_LIFE_DAYS: Final = 30.0
RANKED_RECENCY: Final = 0.5  # what the newest session gains over one of long ago
VOTED_RECENCY: Final = 0.1  # less: votes of many words lie close together


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where in the journal an event stands."""

    position: int
    session_no: int
    seq: int


class Brief(msgspec.Struct, frozen=True):
    """What a search needs of a session."""

    no: int
    id: str
    updated_at: str


def search(connection: apsw.Connection, reader: SqliteReader, query: SearchQuery) -> list[Hit]:
    return _Search(connection, reader, query).hits()


def sessions_with(connection: apsw.Connection, words: str) -> set[str]:
    """The sessions that have an event with all the words; of common words, in the newest events."""
    terms = parse(words)
    if not terms:
        return set()
    rows = sqlite.select(connection, queries().word_sessions, (_all_of(terms), SESSION_ROWS_MAX))
    return {session for (session,) in rows}


def _match(term: Term) -> str:
    """A term as the index wants it."""
    return '"' + " ".join(term.tokens) + '"' + ("*" if term.prefix else "")


def _all_of(terms: Sequence[Term]) -> str:
    return "(" + " AND ".join(map(_match, terms)) + ")"


class _Search:
    def __init__(
        self, connection: apsw.Connection, reader: SqliteReader, query: SearchQuery
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._query = query
        self._q = queries()
        self._terms = parse(query.words)
        self._highlighter = Highlighter(self._terms)
        self._sessions: dict[int, Brief] = {}
        self._newest = _day(self._one(self._q.newest_update) or "")
        column = COLUMN_OF_KIND.get(query.kind)
        self._column = f"{{{COLUMNS[column]}}} : " if column is not None else ""
        self._wanted = self._wanted_sessions()
        self._candidates = max(CANDIDATES, query.limit)
        self._reads_left = max(READS_MAX, 2 * query.limit)

    def hits(self) -> list[Hit]:
        if not self._terms or (self._query.kind and not self._column) or self._wanted == {}:
            return []
        limit = self._query.limit
        hits = self._read(self._together(), RANKED_RECENCY)
        if len(hits) < min(ENOUGH_HITS, limit):
            known = {(hit.session, hit.seq) for hit in hits}
            lowest = min((hit.score for hit in hits), default=1.0)
            votes = self._read(self._apart(), VOTED_RECENCY)
            top = max((hit.score for hit in votes), default=1.0)
            hits += [
                msgspec.structs.replace(
                    hit, score=round(lowest * hit.score / top * 0.99, 4), exact=False
                )
                for hit in votes
                if (hit.session, hit.seq) not in known
            ]
        return hits[:limit]

    # Stage one: all words in one event.

    def _together(self) -> list[tuple[Place, float]]:
        rare = [term for term in self._terms if not self._is_common(term)]
        if rare:
            return self._ranked(rare)
        if self._wanted is None:
            positions = self._newest_rows(self._terms, self._candidates)
            return [(place, 1.0) for place in self._places(positions)]
        return [(place, 1.0) for place in self._scan(self._wanted)]

    def _ranked(self, rare: Sequence[Term]) -> list[tuple[Place, float]]:
        """The best events that hold all words, by what the rare ones say of them."""
        match = self._column + _all_of(rare)
        rows = self._select(self._q.word_rows_ranked, match)
        if len(rare) < len(self._terms):
            holding = set(self._newest_rows(self._terms, len(rows)))
            rows = [row for row in rows if row[0] in holding]
        rows.sort(key=lambda row: row[1])
        if self._wanted is None:
            del rows[self._candidates :]
        scores = dict(rows)
        places = self._places([position for position, _score in rows])
        return [(place, -scores[place.position]) for place in places]

    def _scan(self, wanted: Iterable[int]) -> list[Place]:
        """Events that hold all words, session by session, until there are enough."""
        found: list[Place] = []
        rows_left, enough = SCANNED_ROWS_MAX, self._query.limit
        match = self._column + _all_of(self._terms)
        for number in list(wanted)[:SCANNED_SESSIONS_MAX]:
            ((first, last),) = self._select(self._q.session_span, number)
            here: list[Place] = []
            while rows_left > 0 and len(here) < self._query.limit:
                rows = self._select(self._q.word_rows_between, match, first, last, SCAN_PAGE_ROWS)
                page = [position for (position,) in rows]
                here += [place for place in self._places(page) if place.session_no == number]
                rows_left -= len(page)
                if len(page) < SCAN_PAGE_ROWS:
                    break
                last = page[-1] - 1
            found += here
            enough -= min(len(here), HITS_PER_SESSION)
            if enough <= 0 or rows_left <= 0:
                break
        return found

    def _newest_rows(self, terms: Sequence[Term], limit: int) -> list[int]:
        match = self._column + _all_of(terms)
        return [position for (position,) in self._select(self._q.word_rows, match, limit)]

    def _is_common(self, term: Term) -> bool:
        """Of a phrase each word is asked, for to look for the whole may take long."""
        words = [Term((token,)) for token in term.tokens[:-1]]
        words.append(Term(term.tokens[-1:], prefix=term.prefix))
        return all(self._count(word) >= COMMON_EVENTS for word in words)

    def _count(self, term: Term) -> int:
        match = self._column + _match(term)
        return int(self._one(self._q.word_count, match, COMMON_EVENTS))

    # Stage two: words vote for sessions.

    def _apart(self) -> list[tuple[Place, float]]:
        """The best event of each session, by how telling the words of both are.

        An event counts twice, in itself and in its session: words that stand together tell more.
        """
        events: dict[int, float] = {}
        sessions: dict[int, float] = {}
        best: dict[int, Place] = {}
        for weight, term in self._voters():
            voted = set()
            for place in self._places(self._newest_rows([term], VOTES_PER_WORD)):
                session = place.session_no
                events[place.position] = weighed = events.get(place.position, 0.0) + weight
                if session not in voted:
                    voted.add(session)
                    sessions[session] = sessions.get(session, 0.0) + weight
                if session not in best or weighed > events[best[session].position]:
                    best[session] = place
        return [
            (place, sessions[session] + events[place.position]) for session, place in best.items()
        ]

    def _voters(self) -> list[tuple[float, Term]]:
        """The most telling words, each with its weight, matched by their beginning."""
        total = self._one(self._q.get_state, "next_position")
        weighed = []
        for term in apart(self._terms):
            count = self._count(term)
            if count:
                weighed.append((math.log(1 + total / count) ** 2, term))
        weighed.sort(key=lambda each: -each[0])
        return weighed[:VOTING_WORDS]

    # Both: from positions to what people see.

    def _read(self, found: Sequence[tuple[Place, float]], gain: float) -> list[Hit]:
        """The best first, a few of each session; more of one only where room is left."""
        sessions = self._briefs({place.session_no for place, _score in found})
        recency = {number: 1.0 + gain * self._recency(each) for number, each in sessions.items()}
        scored = [(score * recency[place.session_no], place) for place, score in found]
        scored.sort(key=lambda each: (-each[0], -each[1].position))
        taken = dict.fromkeys(sessions, 0)
        turns = []
        for order, (score, place) in enumerate(scored):
            later = taken[place.session_no] >= HITS_PER_SESSION
            taken[place.session_no] += 1
            turns.append((later, order, score, place))
        turns.sort()
        hits: list[Hit] = []
        for _later, _order, score, place in turns:
            if len(hits) >= self._query.limit or self._reads_left <= 0:
                break
            hit = self._hit(sessions[place.session_no].id, place.seq, score)
            if hit is not None:
                hits.append(hit)
        hits.sort(key=lambda hit: -hit.score)
        return hits

    def _hit(self, session: str, seq: int, score: float) -> Hit | None:
        self._reads_left -= 1
        try:
            event = next(self._reader.events(session, seq, seq + 1), None)
        except DamagedBlock:
            return None  # `check` and `show` name it; a search goes on without it
        if event is None or event.at < self._query.since:
            return None
        if self._query.kind and event.kind != self._query.kind:
            return None
        snippet = self._highlighter.snippet(event.text)
        return Hit(session, seq, event.kind, event.at, round(score, 4), snippet)

    def _places(self, positions: Sequence[int]) -> list[Place]:
        """Where positions are, without those of sessions that are not wanted."""
        asked = msgspec.json.encode(positions).decode()
        wanted = self._wanted
        return [
            Place(*row)
            for row in self._select(self._q.places, asked)
            if wanted is None or row[1] in wanted
        ]

    def _wanted_sessions(self) -> dict[int, None] | None:
        """The sessions that the filters let through, the newest first; None is all of them."""
        query = self._query
        if not (query.agent or query.project or query.since):
            return None
        project = query.project.casefold()
        rows = self._select(self._q.filtered_sessions, query.agent, query.since)
        return {number: None for number, where in rows if project in where.casefold()}

    def _briefs(self, numbers: Iterable[int]) -> dict[int, Brief]:
        asked = msgspec.json.encode(list(numbers)).decode()
        return {row[0]: Brief(*row) for row in self._select(self._q.sessions_by_number, asked)}

    def _select(self, query: str, *wanted: object) -> list[Any]:
        return sqlite.select(self._connection, query, wanted)

    def _one(self, query: str, *wanted: object) -> Any:
        ((value,),) = self._select(query, *wanted)
        return value

    def _recency(self, session: Brief) -> float:
        """1 for the newest session, less by half with each `RECENCY_HALF_LIFE_DAYS`."""
        return math.pow(0.5, (self._newest - _day(session.updated_at)) / RECENCY_HALF_LIFE_DAYS)


def _day(instant: str) -> float:
    """Days since 1970, about; what is no date is from then."""
    try:
        return datetime.fromisoformat(instant).timestamp() / 86_400
    except (ValueError, OverflowError):
        return 0.0
