"""Words in a million indexed events: rare, middling and very common ones.

Texts are made of a vocabulary whose words are as unequal as those of a language (Zipf), and go
through the real writer and its index. What is timed is what a person waits for: hits with their
snippets, read from the journal. The ceiling is the index alone, asked for the newest positions of
the same words.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple, Self

import apsw

from bench.kit.corpora import BLOCK_BYTES
from bench.kit.figures import Bar, Ceiling, Outcome, p50, p95, row
from bench.kit.homes import Home, fresh_home
from bench.kit.setting import Setting
from holdfast import blocks
from holdfast.clock import instant
from holdfast.errors import HoldfastError
from holdfast.events import EMPTY, Event, Kind, Origin, encode_onto, event_id, session_id
from holdfast.journal.index import text_of
from holdfast.journal.model import Batch, Facts, SearchQuery, Text
from holdfast.journal.reader import SqliteReader
from holdfast.settings import load
from holdfast.wiring import open_journal

TITLE: Final = "Search by words in a million indexed events"

EVENTS: Final = 1_000_000
EVENTS_PER_SESSION: Final = 350  # as in the design's distribution: 95,503 lines in 273 sessions
VOCABULARY: Final = 200_000
WORDS_MIDDLE: Final = 16  # half of the texts are shorter
WORDS_SPREAD: Final = 0.8  # deviation of the logarithm
WORDS_MAX: Final = 400
QUERIES: Final = 60  # of each class, each with a word of its own
SENTENCE_WORDS: Final = 8
WARM_UP: Final = 3
DAYS: Final = 60

_SEED: Final = 5
_NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
_KINDS: Final = (Kind.USER, Kind.ASSISTANT, Kind.THINKING, Kind.TOOL_CALL)
_KIND_SHARES: Final = (15, 55, 10, 20)
_SYLLABLES: Final = [first + then for first in "bdfghjklmnprtvz" for then in "aeiou"]
_INDEX_ALONE: Final = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT 400"


class Frequency(NamedTuple):
    """Words by how many events hold one."""

    name: str
    least: float
    most: float


def run(setting: Setting) -> Outcome:
    events = setting.count(EVENTS, least=5_000)
    count = setting.count(QUERIES, least=4)
    language = _Language()
    with setting.folder("no-logs") as no_logs, fresh_home(setting, no_logs) as home:
        began_s = time.perf_counter()
        _fill(home, language, events)
        filled_s = time.perf_counter() - began_s
        journal_bytes = os.path.getsize(home.paths.journal)
        rows, notes = [], []
        with _Asking(home) as asking:
            for frequency in (
                Frequency("rare", 5, 50),
                Frequency("middling", 0.002 * events, 0.012 * events),
                Frequency("very common", 0.03 * events, events),
            ):
                words = language.words_of(frequency, events, count)
                ours, least = asking.ask(words)
                rows.append(
                    row(
                        f"{frequency.name} words, p95",
                        p95(ours),
                        "ms",
                        ceiling=Ceiling(p95(least), "p95 of the index alone, newest positions"),
                        bar=Bar(25.0),
                    )
                )
                held = sorted(map(asking.events_with, words))
                notes.append(
                    f"{len(words)} {frequency.name} words, each in {held[0]:,} to {held[-1]:,} "
                    f"events: p50 {p50(ours):.1f} ms, slowest {max(ours):.1f} ms."
                )
            ours, _least = asking.ask(language.sentences(count))
            rows.append(row(f"{SENTENCE_WORDS} words, hardly in one event, p95", p95(ours), "ms"))
    notes.append(f"Written and indexed in {filled_s:.1f} s.")
    return Outcome(
        rows=rows,
        corpus=(
            f"made-up texts: {events:,} events in {events // EVENTS_PER_SESSION:,} sessions, "
            f"{language.words_per_text:.0f} words each from a vocabulary of {VOCABULARY:,} in "
            f"Zipf's proportions, {journal_bytes / 1e6:,.0f} MB of journal"
        ),
        notes=notes,
    )


class _Language:
    """Words by rank, and texts in which they come as often as their rank says."""

    def __init__(self) -> None:
        self._throw = Random(_SEED)
        self._words = [_word(rank) for rank in range(VOCABULARY)]
        self._weights = [1 / (rank + 2.7) ** 1.05 for rank in range(VOCABULARY)]
        self._bounds = list(accumulate(self._weights))
        self._texts = self._drawn = 0

    @property
    def words_per_text(self) -> float:
        return self._drawn / self._texts

    def texts(self, count: int) -> list[str]:
        throw = self._throw
        lengths = [
            max(1, min(WORDS_MAX, int(WORDS_MIDDLE * math.exp(WORDS_SPREAD * throw.gauss()))))
            for _ in range(count)
        ]
        self._texts += count
        self._drawn += sum(lengths)
        words = throw.choices(self._words, cum_weights=self._bounds, k=sum(lengths))
        ends = list(accumulate(lengths))
        return [
            " ".join(words[end - length : end]) for end, length in zip(ends, lengths, strict=True)
        ]

    def words_of(self, frequency: Frequency, events: int, most: int) -> list[str]:
        """Words that about so many events should hold, spread over the whole range."""
        found = [
            word
            for word, weight in zip(self._words, self._weights, strict=True)
            if frequency.least <= self._expected(weight, events) <= frequency.most
        ]
        assert found, f"no word is {frequency.name} in {events:,} events"
        step = max(1, len(found) // most)
        return found[::step][:most]

    def sentences(self, count: int) -> list[str]:
        """Of common and of less common words, as people ask."""
        ranks = (20, 100, 400, 1_000, 3_000, 8_000, 20_000, 60_000)
        assert len(ranks) == SENTENCE_WORDS
        return [" ".join(self._words[rank + number] for rank in ranks) for number in range(count)]

    def _expected(self, weight: float, events: int) -> float:
        drawn = weight / self._bounds[-1] * self.words_per_text
        return events * -math.expm1(-drawn)


def _word(rank: int) -> str:
    """Two syllables or more, the frequent words the short ones."""
    number, parts = rank + len(_SYLLABLES), []
    while number:
        number, part = divmod(number, len(_SYLLABLES))
        parts.append(_SYLLABLES[part])
    return "".join(parts)


def _fill(home: Home, language: _Language, events: int) -> None:
    """Session by session, as an import brings them."""
    home.paths.ensure_dirs()
    journal = open_journal(load(None, home.environ).settings, home.paths, _fail)
    try:
        sessions = -(-events // EVENTS_PER_SESSION)
        for number in range(sessions):
            count = min(EVENTS_PER_SESSION, events - number * EVENTS_PER_SESSION)
            at = _NOW - timedelta(days=DAYS * (1 - number / sessions))
            for batch in _batches(number, at, language.texts(count)):
                journal.submit(batch)
        journal.settle()
    finally:
        journal.close()


def _batches(number: int, began: datetime, texts: list[str]) -> Iterator[Batch]:
    name = f"session-{number}"
    session = session_id("claude", name)
    kinds = Random(number).choices(_KINDS, _KIND_SHARES, k=len(texts))
    lines, indexed, first = bytearray(), list[Text](), 0
    at = ""
    for seq, (kind, text) in enumerate(zip(kinds, texts, strict=True)):
        at = instant((began + timedelta(seconds=14 * seq)).timestamp())
        event = Event(
            id=event_id(session, 0, seq * 1_000, 0),
            session=session,
            seq=seq,
            kind=kind,
            at=at,
            text=text,
            data=EMPTY,
            source=Origin("claude", f"project/{name}.jsonl", seq * 1_000),
        )
        encode_onto(event, lines)
        found = text_of(event)
        assert found is not None
        indexed.append(found)
        if len(lines) >= BLOCK_BYTES or seq == len(texts) - 1:
            yield Batch(
                facts=Facts(
                    id=session,
                    agent="claude",
                    agent_session_id=name,
                    project=f"/home/hana/src/project-{number % 12}",
                    title=f"Session {number}",
                    started_at=instant(began.timestamp()),
                    updated_at=at,
                ),
                first_seq=first,
                blocks=[blocks.seal(lines, first, seq + 1 - first)],
                texts=indexed,
            )
            lines, indexed, first = bytearray(), [], seq + 1


class _Asking:
    """The reader that answers, and a bare connection to the index, taking turns."""

    def __init__(self, home: Home) -> None:
        self._reader = SqliteReader(home.paths.journal)
        self._index = apsw.Connection(home.paths.journal, flags=apsw.SQLITE_OPEN_READONLY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._index.close()
        self._reader.close()

    def ask(self, words: list[str]) -> tuple[list[float], list[float]]:
        """Milliseconds of each search, and of the index alone."""
        for word in words[:WARM_UP]:
            self._reader.search(SearchQuery(words=word))
        ours, least = [], []
        for word in words:
            began_s = time.perf_counter()
            hits = self._reader.search(SearchQuery(words=word))
            ours.append((time.perf_counter() - began_s) * 1_000)
            assert hits, f"nothing found for {word}"
            began_s = time.perf_counter()
            self._index.execute(_INDEX_ALONE, (word,)).fetchall()
            least.append((time.perf_counter() - began_s) * 1_000)
        return ours, least

    def events_with(self, word: str) -> int:
        found = self._index.execute("SELECT count(*) FROM words WHERE words MATCH ?", (word,)).get
        assert isinstance(found, int)
        return found


def _fail(error: HoldfastError) -> None:
    raise error
