"""The corpora of benches: as many events as the figures say, made once."""

from __future__ import annotations

from pathlib import Path

from bench.kit.corpora import Corpora, events_of


def test_a_long_session_has_the_events_that_it_says(tmp_path: Path) -> None:
    long = Corpora(tmp_path, 0.02).long
    events, last = events_of(long)
    assert len(events) == long.events
    assert [event.seq for event in events] == list(range(long.events))
    assert 200 <= long.events < 210
    assert long.bytes == long.path.stat().st_size
    assert {event.session for event in events} == {long.session} == {last.facts.id}


def test_a_corpus_is_made_once(tmp_path: Path) -> None:
    corpora = Corpora(tmp_path, 0.01)
    assert corpora.known is corpora.known
    assert corpora.full.bytes > corpora.known.bytes
