"""Search finds what people mean in a corpus like theirs, in bounded work whatever they ask."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.blobstore import BlobStore
from holdfast.demo import Manifest, Needle, generate
from holdfast.events import Kind, session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.reading import Reading, starting_cursor
from holdfast.journal import search as module
from holdfast.journal import sqlite
from holdfast.journal.conformance import AGENT, Trial, at, known
from holdfast.journal.model import SearchQuery, SessionFilter
from holdfast.journal.reader import SqliteReader
from holdfast.journal.sql import queries
from holdfast.journal.writer import SqliteWriter
from holdfast.sources.agents.claude import Agent as ClaudeSource
from tests.support.doors import door

SESSIONS = 60


class Corpus:
    """A made-up heavy user's logs, imported."""

    def __init__(self, folder: Path) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        self.manifest: Manifest = generate(
            folder, seed=3, now=now, sessions=SESSIONS, total_bytes=3_000_000
        )
        path = str(folder / "journal.db")
        writer = SqliteWriter(path)
        source, blobs = ClaudeSource([str(folder)]), BlobStore(str(folder / "blobs"))
        for file in self.manifest.files:
            log = source.identify(str(file.path))
            assert log is not None
            session = session_id(log.agent, log.agent_session_id)
            reading = Reading(
                source,
                log,
                starting_cursor(log, session),
                first_seq=0,
                limits=ReadingLimits(65_536, 1 << 20),
                blobs=blobs,
                door=door(),
            )
            fd = os.open(file.path, os.O_RDONLY)
            for batch in reading.batches(fd):
                writer.write([batch])
            os.close(fd)
        while writer.feed_index():
            pass
        writer.close()
        self.reader = SqliteReader(path)

    def rank(self, words: str, needle: Needle) -> int:
        """At which place a needle's session stands among the sessions found, from 1."""
        hits = self.reader.search(SearchQuery(words=words))
        sessions = list(dict.fromkeys(hit.session for hit in hits))
        wanted = session_id(AGENT, needle.session)
        return sessions.index(wanted) + 1 if wanted in sessions else 1_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    corpus = Corpus(tmp_path_factory.mktemp("corpus"))
    yield corpus
    corpus.reader.close()


def test_a_rare_word_is_found_first(corpus: Corpus) -> None:
    needles = corpus.manifest.needles
    assert len(needles) == SESSIONS // 10
    assert [corpus.rank(needle.word, needle) for needle in needles] == [1] * len(needles)


def test_a_snippet_shows_the_rare_word(corpus: Corpus) -> None:
    for needle in corpus.manifest.needles:
        (hit,) = corpus.reader.search(SearchQuery(words=needle.word))
        assert f"**{needle.word}**" in hit.snippet


def test_a_question_finds_its_session(corpus: Corpus) -> None:
    ranks = [corpus.rank(needle.question, needle) for needle in corpus.manifest.needles]
    assert max(ranks) <= 3


def test_a_question_in_other_words_finds_its_session(corpus: Corpus) -> None:
    ranks = [
        corpus.rank(f"what about that {needle.word} we discussed, the unrelated question?", needle)
        for needle in corpus.manifest.needles
    ]
    assert max(ranks) <= 2


def test_a_question_without_its_rare_word_is_answered_near_the_top(corpus: Corpus) -> None:
    ranks = [
        corpus.rank(f"tell me again, {needle.question.replace(needle.word, '')}", needle)
        for needle in corpus.manifest.needles
    ]
    assert max(ranks) <= 10


# Bounded work.


class Work:
    """What a search asked of the database: rows by statement, and events read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.counted: list[str] = []
        self.reads = 0
        names = {statement: name for name, statement in vars(queries()).items()}
        select, events = sqlite.select, SqliteReader.events

        def counted(connection: apsw.Connection, query: str, wanted: Any = ()) -> list[Any]:
            rows = select(connection, query, wanted)
            self.rows[names[query]] += len(rows)
            self.calls[names[query]] += 1
            if names[query] == "word_count":
                self.counted.append(wanted[0])
            return rows

        def read(reader: SqliteReader, *wanted: Any) -> Any:
            self.reads += 1
            return events(reader, *wanted)

        monkeypatch.setattr(sqlite, "select", counted)
        monkeypatch.setattr(SqliteReader, "events", read)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits, small enough to be met by a small journal."""
    monkeypatch.setattr(module, "COMMON_EVENTS", 50)
    monkeypatch.setattr(module, "CANDIDATES", 20)
    monkeypatch.setattr(module, "VOTES_PER_WORD", 30)
    monkeypatch.setattr(module, "READS_MAX", 40)
    monkeypatch.setattr(module, "SCAN_PAGE_ROWS", 20)
    monkeypatch.setattr(module, "SCANNED_ROWS_MAX", 300)


@pytest.fixture
def crowd(trial: Trial, small: None) -> Trial:
    """A word that every event has, in many sessions; of two projects, the smaller is the older."""
    for number in range(40):
        session = f"s{number:02}"
        where = "/old" if number < 4 else "/new"
        trial.say(
            session,
            *[f"common word{each} of {session}" for each in range(25)],
            facts=known(session, project=where, updated_at=at(1 + number // 2)),
            day=1 + number // 2,
            sealed=True,
        )
    trial.settle()
    return trial


@pytest.mark.parametrize(
    "words",
    [
        "common",
        "common of",
        '"common word3 of"',
        "com*",
        "common word3",
        "common nowhere of",
        " ".join(f"word{number}" for number in range(12)),
    ],
)
@pytest.mark.parametrize("filters", [{}, {"project": "new"}, {"since": at(3)}, {"kind": Kind.USER}])
def test_the_work_is_bounded_whatever_is_asked(
    crowd: Trial, monkeypatch: pytest.MonkeyPatch, words: str, filters: dict[str, str]
) -> None:
    work = Work(monkeypatch)
    crowd.hits(words, **filters)
    assert work.rows["word_rows"] <= module.CANDIDATES + 8 * module.VOTES_PER_WORD
    assert work.rows["word_rows_ranked"] < module.COMMON_EVENTS
    assert work.rows["word_rows_between"] <= module.SCANNED_ROWS_MAX + module.SCAN_PAGE_ROWS
    assert work.rows["places"] <= module.SCANNED_ROWS_MAX + 8 * module.VOTES_PER_WORD
    assert work.reads <= module.READS_MAX
    assert work.calls["word_count"] <= 64
    assert work.calls["session_span"] <= 7, "20 hits, 3 of each session"


def test_no_more_events_are_read_than_may_be_where_a_filter_refuses_them(
    crowd: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd.say("long", *["an early needle"] * 45, day=1)
    crowd.write(crowd.batch("long", facts=known("long", updated_at=at(28))))
    crowd.settle()
    work = Work(monkeypatch)
    assert crowd.found("needle", since=at(27)) == []
    assert work.reads == module.READS_MAX


def test_no_more_rows_are_passed_over_than_may_be_amid_other_sessions(
    trial: Trial, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = known("wide", project="/wide")
    trial.say("wide", "common at the start", facts=wide)
    for number in range(10):
        trial.say(f"s{number}", *["common"] * 50)
    trial.say("wide", "common at the end", facts=wide)
    trial.settle()
    work = Work(monkeypatch)
    assert trial.found("common", project="/wide") == ["wide/1"]
    assert work.rows["word_rows_between"] == module.SCANNED_ROWS_MAX


def test_a_phrase_is_counted_by_its_words(crowd: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """To look for the whole may mean to walk through all that its words have."""
    work = Work(monkeypatch)
    assert len(crowd.found('"common word3 of"')) == 20
    assert work.counted == ['"common"', '"word3"']


def test_a_common_word_is_answered_newest_first(crowd: Trial) -> None:
    hits = crowd.hits("common", limit=6)
    assert [crowd.called(hit) for hit in hits][:3] == ["s39/24", "s39/23", "s39/22"]
    assert len(hits) == 6


def test_a_common_word_is_found_in_an_old_project_behind_many_newer_events(crowd: Trial) -> None:
    hits = crowd.hits("common", project="/old", limit=10)
    assert Counter(crowd.called(hit).split("/")[0] for hit in hits) == {
        "s03": 3,
        "s02": 3,
        "s01": 3,
        "s00": 1,
    }


def test_a_rare_word_next_to_a_common_one_loses_nothing(
    crowd: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands best for the rare word alone may not hold the common one."""
    monkeypatch.setattr(module, "CANDIDATES", 2)
    for _ in range(30):
        crowd.say("rare", "needle needle needle")
    crowd.say("rare", "a needle that is common among the common and stands in a long text of words")
    crowd.settle()
    assert crowd.first("needle common") == "rare/30"


def test_a_limit_beyond_the_usual_number_of_candidates_is_met(crowd: Trial) -> None:
    assert len(crowd.found("common", limit=150)) == 150
    assert len(set(crowd.found("word7", limit=150))) == 40


def test_each_session_gets_a_few_hits_and_more_only_where_room_is_left(trial: Trial) -> None:
    trial.say("many", *["needle"] * 8)
    trial.say("few", "the needle stands in a long text here", "and once more the needle stands")
    trial.settle()
    assert Counter(each.split("/")[0] for each in trial.found("needle", limit=5)) == {
        "many": 3,
        "few": 2,
    }
    assert len(trial.found("needle")) == 10


def test_of_equal_events_the_one_of_the_newer_session_comes_first(trial: Trial) -> None:
    for session, day in (("new", 28), ("old", 1), ("mid", 15)):
        trial.say(session, "the same needle", facts=known(session, updated_at=at(day)))
    trial.settle()
    assert trial.found("needle") == ["new/0", "mid/0", "old/0"]


@pytest.mark.parametrize("when", ["", "yesterday, about noon", "2026-01-05T10:00:00", "2026-01-05"])
def test_a_session_is_found_whatever_its_time_looks_like(trial: Trial, when: str) -> None:
    trial.say("one", "needle", facts=known("one", updated_at=when))
    trial.say("two", "needle")
    trial.settle()
    assert set(trial.found("needle")) == {"one/0", "two/0"}


def test_scores_fall_and_what_was_voted_for_stands_below_what_has_all_words(trial: Trial) -> None:
    trial.say("both", "the failing uploader")
    trial.say("one", "an uploader")
    trial.say("other", "it failed")
    trial.settle()
    hits = trial.hits("failing uploader")
    assert trial.called(hits[0]) == "both/0"
    assert len(hits) == 3
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert scores[1] < scores[0]


def test_one_rare_word_outvotes_several_that_are_not(trial: Trial) -> None:
    fruit = ("apples", "pears", "plums", "figs", "dates")
    for number in range(20):
        trial.say(f"s{number}", *fruit)
    trial.say("target", "the needle")
    trial.settle()
    assert trial.first(f"needle {' '.join(fruit)}") == "target/0"


def test_words_of_nothing_but_stopwords_are_found(trial: Trial) -> None:
    trial.say("one", "to be or not to be")
    trial.settle()
    assert trial.found("to be or not to be") == ["one/0"]


def test_only_the_kind_that_was_asked_for_where_kinds_share_a_column(trial: Trial) -> None:
    trial.say("one", "needle said", kind=Kind.ASSISTANT)
    trial.say("one", "needle proposed", kind=Kind.DECISION_PROPOSED)
    trial.settle()
    assert trial.found("needle", kind=Kind.DECISION_PROPOSED) == ["one/1"]


def test_the_sessions_of_a_common_word_are_looked_up_without_reading_events(
    crowd: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(monkeypatch)
    rows = crowd.reader.sessions(SessionFilter(text="common word3"))
    assert len(rows) == 40
    assert work.reads == 0
