"""What the library tells of a session: whole, in part, and without what is not to be told."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from holdfast import library as library_module
from holdfast.demo import lines
from holdfast.errors import Exit
from holdfast.events import Kind, encode, stream_id
from holdfast.journal.conformance import Trial, known, said
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.model import Batch, Facts, SearchQuery, SessionFilter, SessionRow, Span
from holdfast.journal.protocol import JournalReader
from holdfast.journal.streams import Append, NewEvent
from holdfast.library import HITS_MAX, Library, SessionAmbiguous, TooManyHits, resolve
from holdfast.recording.view import EVERYTHING, View
from tests.journal.subjects import MemorySubject
from tests.support.home import Home, moment, sid, talk

SECRET = b"AKIAIOSFODNN7EXAMPLE"
MARK = b"[redacted:aws-access-key]"


@pytest.fixture
def kept(home: Home) -> Home:
    home.write_log(
        "a",
        lines.user_line(f"use {SECRET.decode()} please", session="a", at=moment(1)),
        lines.thinking_line("hmm", session="a", at=moment(2)),
        lines.assistant_line("I look.", session="a", at=moment(3)),
        lines.tool_use_line("Bash", {"command": f"echo {SECRET.decode()}"}, session="a", use="t"),
        lines.tool_result_line(SECRET.decode(), session="a", use="t", at=moment(5)),
        lines.assistant_line("Done.", session="a", at=moment(6)),
    )
    home.write_log("deep", *talk(1, session="deep"))
    home.ok("import", "--quiet")
    return home


@pytest.fixture
def library(kept: Home) -> Library:
    return Library(kept.reader)


def told(pieces: Iterator[bytes]) -> bytes:
    return b"".join(pieces)


def kinds(library: Library, view: View) -> list[str]:
    exported = told(library.export(sid("a"), "jsonl", view))
    return [json.loads(line)["kind"] for line in exported.splitlines()]


def test_lines_of_everything_are_not_looked_into(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = told(library.lines(sid("a")))

    def never(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("holdfast.library._glances", never)
    monkeypatch.setattr("holdfast.library.decode_lines", never)
    assert told(library.export(sid("a"), "jsonl", EVERYTHING)) == whole


def test_lines_of_a_view_are_those_of_the_whole(library: Library) -> None:
    whole = told(library.lines(sid("a"))).splitlines(keepends=True)
    view = View(thinking=True, tools=False, system=True)
    picked = told(library.export(sid("a"), "jsonl", view)).splitlines(keepends=True)
    assert picked == [line for line in whole if b'"kind":"tool.' not in line]
    assert len(picked) == len(whole) - 2


def test_a_view_says_the_same_of_lines_and_of_pages(library: Library) -> None:
    view = View(commentary=False, tools=False)
    assert kinds(library, view) == [Kind.USER, Kind.ASSISTANT]
    for text in (
        told(library.export(sid("a"), "markdown", view)).decode(),
        told(library.page(sid("a"), view, lambda _digest: [])).decode(),
    ):
        assert "Done." in text
        assert "I look." not in text
        assert "echo" not in text


def test_what_is_redacted_is_in_no_export(kept: Home) -> None:
    """The one door: lines and facts, whatever is made of them."""
    seen: list[bytes] = []

    def redact(line: bytes) -> bytes:
        seen.append(line)
        json.loads(line)
        return line.replace(SECRET, MARK)

    plain, clean = Library(kept.reader), Library(kept.reader, redact=redact)
    view = View(thinking=True, tools=True, system=True)

    def exports(library: Library) -> list[bytes]:
        session = library.session("a")
        listed = library.sessions(SessionFilter())[0]
        return [
            told(library.export(session.id, "jsonl", view)),
            told(library.export(session.id, "jsonl", View())),
            told(library.export(session.id, "markdown", view)),
            told(library.page(session.id, view, lambda _digest: [])),
            session.title.encode(),
            b"".join(
                each.title.encode()
                for each in library.sessions(SessionFilter())
                if each.id == listed.id
            ),
        ]

    for dirty, cleaned in zip(exports(plain), exports(clean), strict=True):
        assert SECRET not in cleaned
        if SECRET in dirty:
            assert b"redacted:aws-access-key" in cleaned
    assert all(b"\n" not in line for line in seen), "it is given one line at a time"


def test_many_sessions_are_told_a_page_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = MemoryJournal()
    for number in range(7):
        facts = Facts(id=f"s{number}", agent="claude", agent_session_id=str(number))
        journal.writer().write([Batch(facts=facts, first_seq=0)])
    asked: list[int] = []

    class Counting:
        def __init__(self) -> None:
            self._reader = journal.reader()
            self.session_numbers = self._reader.session_numbers

        def sessions_at(self, numbers: Sequence[int]) -> list[SessionRow]:
            asked.append(len(numbers))
            return self._reader.sessions_at(numbers)

    monkeypatch.setattr(library_module, "SESSIONS_PAGE", 3)
    library = Library(
        lambda: nullcontext(cast("JournalReader", Counting())),
        lambda session: 9 if session in ("s1", "s6") else None,
    )
    every = SessionFilter()
    assert [len(page) for page in library.session_pages(every)] == [3, 3, 1]
    assert asked == [3, 3, 1]
    told = json.loads(b"".join(library.sessions_json(every)))
    assert told == [msgspec.to_builtins(each) for each in library.sessions(every)]
    assert json.loads(b"".join(library.sessions_json(SessionFilter(agent="other")))) == []
    assert [each.id for each in library.sessions(every, resident=True)] == ["s1", "s6"]
    assert len(library.sessions(SessionFilter(limit=4), resident=False)) == 4
    assert library.count_sessions(SessionFilter(limit=1)) == 7
    assert library.count_sessions(every, resident=True) == 2


def test_a_fork_is_told_with_what_it_begins_with(home: Home) -> None:
    first, second = lines.user_line("a", uuid="u1"), lines.user_line("b", uuid="u2")
    home.write_exactly("origin", first, second, lines.user_line("mine", uuid="u3"))
    home.write_exactly("fork", first, second, lines.user_line("other", uuid="u4"))
    home.ok("import", "--quiet")
    library = Library(home.reader)
    told_of = {
        name: [event.text for event in library.conversation(sid(name))]
        for name in ("origin", "fork")
    }
    assert told_of == {"origin": ["a", "b", "mine"], "fork": ["a", "b", "other"]}
    entries = {name: library.session(sid(name)) for name in told_of}
    assert sorted(entry.inherited for entry in entries.values()) == [0, 2]
    for name, entry in entries.items():
        exported = told(library.export(entry.id, "jsonl", EVERYTHING))
        assert [json.loads(line)["text"] for line in exported.splitlines()] == told_of[name]
        assert b"\nb\n" in told(library.export(entry.id, "markdown", View()))
    assert [event.seq for event in library.conversation(sid("fork"))] == [0, 1, 2]


def test_of_each_thing_the_newest_version_is_told_where_the_first_one_stood() -> None:
    journal = MemoryJournal()
    trial = [("a", None), ("b", None), ("a2", 0), ("c", None), ("a3", 2), ("b2", 1)]
    events = [
        msgspec.structs.replace(said("s", seq, text, Kind.USER, moment(seq)), supersedes=before)
        for seq, (text, before) in enumerate(trial)
    ]
    content = b"".join(encode(event) + b"\n" for event in events)
    facts = Facts(id="s", agent="gemini", agent_session_id="x")
    batch = Batch(facts=facts, first_seq=0, lines=content, line_count=len(events))
    journal.writer().write([batch])
    library = Library(lambda: nullcontext(journal.reader()))
    assert [event.text for event in library.conversation("s")] == ["a3", "b2", "c"]
    assert told(library.export("s", "jsonl", EVERYTHING)) == content


class CountedReadings:
    """A journal's readers, and how often one was asked for lines."""

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal
        self.readings = 0

    def __call__(self) -> AbstractContextManager[JournalReader]:
        reader = self._journal.reader()
        read = reader.read

        def counted(*where: Any, **how: Any) -> Generator[bytes, None, None]:
            self.readings += 1
            return read(*where, **how)

        return nullcontext(
            cast(
                "JournalReader",
                SimpleNamespace(
                    read=counted, session=reader.session, lineage=reader.lineage, find=reader.find
                ),
            )
        )


def rewritten_later(journal: MemoryJournal, count: int, *, words: str = "") -> None:
    """A session all of whose messages are changed after the last of them."""
    for first in range(0, 2 * count, 100):
        content = b"".join(
            encode(
                msgspec.structs.replace(
                    said("s", seq, f"{seq}{words}", Kind.USER, moment(seq)),
                    supersedes=seq - count if seq >= count else None,
                )
            )
            + b"\n"
            for seq in range(first, first + 100)
        )
        facts = Facts(id="s", agent="gemini", agent_session_id="x")
        batch = Batch(facts=facts, first_seq=first, lines=content, line_count=100)
        journal.writer().write([batch])


def test_what_changed_later_costs_no_look_for_each_thing() -> None:
    journal = MemoryJournal()
    rewritten_later(journal, 1_000)
    readers = CountedReadings(journal)
    library = Library(readers)
    texts = [event.text for event in library.conversation("s")]
    assert texts == [str(seq) for seq in range(1_000, 2_000)]
    once = readers.readings
    assert once < 100
    told(library.export("s", "markdown", EVERYTHING))
    assert readers.readings - once < 2 * once, "which versions are the last is found out once"


def test_later_versions_that_are_too_much_to_hold_are_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("holdfast.library.READ_AHEAD_BYTES", 5_000)
    journal = MemoryJournal()
    rewritten_later(journal, 300, words=" kelp" * 100)
    texts = [event.text for event in Library(CountedReadings(journal)).conversation("s")]
    assert texts == [f"{seq}{' kelp' * 100}" for seq in range(300, 600)]


def test_last_words_of_a_fork_are_its_own_and_lines_are_cut_at_newlines_only() -> None:
    journal = MemoryJournal()
    words = {"p": ["ask", "so far", "done"], "f": ["and", "I look", "it is"]}
    kinds_of = [Kind.USER, Kind.ASSISTANT, Kind.ASSISTANT]
    for session, texts in words.items():
        events = [
            msgspec.structs.replace(
                said(session, seq, text, kind, moment(seq)),
                turn=1 if session == "p" else 2,
                data=msgspec.Raw(b'{"a":\r1}'),
            )
            for seq, (text, kind) in enumerate(zip(texts, kinds_of, strict=True))
        ]
        content = b"".join(encode(event) + b"\n" for event in events)
        facts = Facts(id=session, agent="claude", agent_session_id=session)
        batch = Batch(facts=facts, first_seq=0, lines=content, line_count=len(events))
        batch.inherited = [Span("p", 0, 3)] if session == "f" else []
        journal.writer().write([batch])
    library = Library(lambda: nullcontext(journal.reader()))
    view = msgspec.structs.replace(EVERYTHING, commentary=False)
    shown = [
        json.loads(line)["text"]
        for line in told(library.export("f", "jsonl", view)).split(b"\n")[:-1]
    ]
    assert shown == ["ask", "done", "and", "it is"]


def test_there_is_an_end_to_how_many_hits_are_held_in_memory(library: Library, kept: Home) -> None:
    assert library.search(SearchQuery(words="please", limit=HITS_MAX))
    with pytest.raises(TooManyHits, match="at most 1,000 hits"):
        library.search(SearchQuery(words="please", limit=HITS_MAX + 1))
    refused = kept.run("search", "-n", "1001", "please")
    assert refused.code == Exit.USAGE
    assert "narrow it by project" in refused.err


def append(trial: Trial, stream: str) -> None:
    appends = [Append(stream, [NewEvent(kind="note", text="note")])]
    trial.writer.transact([lambda writer: writer.append(appends, 1_800_000_000)])


def test_whoever_has_an_id_is_given_that_session_whatever_streams_are_called(
    tmp_path: Path,
) -> None:
    """A stream of notes on a conversation is naturally called as that is."""
    trial = Trial(MemorySubject(tmp_path, MemoryJournal()))
    trial.say("talk", "hello")
    talk, own = known("talk").id, known("talk").agent_session_id
    append(trial, "orders")
    orders = stream_id("orders")
    for name in (talk, own, f"claude/{own}", orders):
        append(trial, name)
    assert resolve(trial.reader, talk) == talk
    assert resolve(trial.reader, own) == talk
    assert resolve(trial.reader, f"claude/{own}") == talk
    assert resolve(trial.reader, orders) == orders
    assert resolve(trial.reader, "orders") == orders
    for name in (talk, own, f"claude/{own}", orders):
        assert resolve(trial.reader, f"stream/{name}") == stream_id(name)


def test_what_fits_two_conversations_exactly_is_refused(tmp_path: Path) -> None:
    trial = Trial(MemorySubject(tmp_path, MemoryJournal()))
    facts = known("same")
    other = msgspec.structs.replace(facts, id="another", agent="codex")
    trial.write(Batch(facts=facts, first_seq=0), Batch(facts=other, first_seq=0))
    with pytest.raises(SessionAmbiguous):
        resolve(trial.reader, facts.agent_session_id)
    assert resolve(trial.reader, f"codex/{facts.agent_session_id}") == "another"
