"""What people ask of the journal: list, find, show, search, export; with a daemon or without.

The daemon serves these answers over HTTP and knows what is resident; a command without a daemon
asks a library of its own. Both read the same bytes through the same code, so an export is the same
before an eviction, after it and after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import msgspec

from holdfast.blocks import DamagedBlock
from holdfast.errors import Exit, HoldfastError
from holdfast.events import EMPTY, STREAM_AGENT, Event, Kind, Usage, decode_lines, encode
from holdfast.journal.model import Hit, SearchQuery, SessionFilter, SessionRow
from holdfast.journal.protocol import JournalReader, ReaderScope
from holdfast.recording.markdown import SessionHead, render
from holdfast.recording.survey import survey
from holdfast.recording.view import EVERYTHING, Glance, LastWords, View, is_picked, left_out, pick

if TYPE_CHECKING:
    from holdfast.recording.html import Cover
    from holdfast.recording.pictures import Payload

Format = Literal["markdown", "jsonl"]
FORMATS: Final[tuple[Format, ...]] = ("markdown", "jsonl")
CANDIDATES_SHOWN: Final = 10
SESSIONS_PAGE: Final = 200
HITS_MAX: Final = 1_000
READ_AHEAD_EVENTS: Final = 256  # whose later versions are looked for together
READ_AHEAD_BYTES: Final = 4 * 1024 * 1024  # of these; what is beyond is looked for by itself
_SUPERSEDES: Final = b'"supersedes":'

Newest = dict[tuple[str, int], int]  # session and number of an event -> number of its last version

Residency = Callable[[str], int | None]  # session -> resident bytes
Redact = Callable[[bytes], bytes]  # one line of JSON -> the same without what is not to be told


class SessionNotFound(HoldfastError):
    """No session has that name."""

    exit: ClassVar[Exit] = Exit.NOT_FOUND


class TooManyHits(HoldfastError):
    """More than is held in memory at once."""

    exit: ClassVar[Exit] = Exit.USAGE


class SessionAmbiguous(HoldfastError):
    """Several sessions fit the name."""

    exit: ClassVar[Exit] = Exit.AMBIGUOUS


class SessionEntry(msgspec.Struct):
    """A session as `sessions --json` lists it."""

    id: str
    agent: str
    agent_session_id: str
    project: str
    title: str
    started_at: str
    updated_at: str
    events: int
    resident: bool
    resident_bytes: int
    model: str
    branch: str
    parent: str
    forked_from: str
    inherited: int  # events of other sessions that this one begins with
    raw_bytes: int
    stored_bytes: int
    usage: Usage


class Library:
    """With `redact`, everything that is told of a session goes through it: facts and lines."""

    def __init__(
        self,
        readers: ReaderScope,
        residency: Residency = lambda _session: None,
        redact: Redact | None = None,
    ) -> None:
        self._readers = readers
        self._residency = residency
        self._redact = redact

    def sessions(
        self, wanted: SessionFilter, *, resident: bool | None = None
    ) -> list[SessionEntry]:
        return [entry for page in self.session_pages(wanted, resident=resident) for entry in page]

    def session_pages(
        self, wanted: SessionFilter, *, resident: bool | None = None
    ) -> Iterator[list[SessionEntry]]:
        """The same, a page at a time: a hundred thousand sessions are held as their numbers only.

        Which sessions and in which order is decided once; a reader is held for a page at a time.
        """
        left = wanted.limit
        if resident is not None:  # known here only, so it is sifted here
            wanted = msgspec.structs.replace(wanted, limit=None)
        with self._readers() as reader:
            numbers = reader.session_numbers(wanted)
        for first in range(0, len(numbers), SESSIONS_PAGE):
            with self._readers() as reader:
                rows = reader.sessions_at(numbers[first : first + SESSIONS_PAGE])
            page = [self._entry(row) for row in rows]
            if resident is not None:
                page = [entry for entry in page if entry.resident is resident][:left]
            if page:
                yield page
            if left is not None:
                left -= len(page)
                if left <= 0:
                    return

    def sessions_json(
        self, wanted: SessionFilter, *, resident: bool | None = None
    ) -> Iterator[bytes]:
        """The same as the pieces of a JSON array."""
        before = b"["
        for page in self.session_pages(wanted, resident=resident):
            yield before + msgspec.json.encode(page)[1:-1]
            before = b","
        yield b"[]" if before == b"[" else b"]"

    def count_sessions(self, wanted: SessionFilter, *, resident: bool | None = None) -> int:
        """How many there are, whatever the limit."""
        wanted = msgspec.structs.replace(wanted, limit=None)
        if resident is not None:
            return sum(map(len, self.session_pages(wanted, resident=resident)))
        with self._readers() as reader:
            return len(reader.session_numbers(wanted))

    def session(self, name: str) -> SessionEntry:
        """By id, agent's id, `agent/id`, or a beginning of one that fits no other session."""
        with self._readers() as reader:
            row = reader.session(resolve(reader, name))
        assert row is not None
        return self._entry(row)

    def search(self, query: SearchQuery) -> list[Hit]:
        """All hits are in memory at once, so there is an end to how many may be asked for."""
        if query.limit > HITS_MAX:
            raise TooManyHits(
                f"at most {HITS_MAX:,} hits are given at once, not {query.limit:,}: add words, "
                "or narrow it by project, agent or time"
            )
        with self._readers() as reader:
            return reader.search(query)

    def lines(self, session: str, from_seq: int = 0, to_seq: int | None = None) -> Iterator[bytes]:
        """Canonical lines in pieces; a damaged block is replaced by an event that says so.

        A reader is held for one piece at a time: somebody who takes an export slowly must not keep
        others from reading. Events never change, so the pieces fit.
        """
        with self._readers() as reader:
            row = reader.session(session)
        stop = row.events if row is not None else 0
        seq, stop = from_seq, stop if to_seq is None else min(to_seq, stop)
        while seq < stop:
            piece, seq = self._piece(session, seq, stop)
            yield piece if self._redact is None else self._redacted(piece, self._redact)

    def _redacted(self, lines: bytes, redact: Redact) -> bytes:
        return b"".join(redact(line) + b"\n" for line in lines.split(b"\n") if line)

    def whole(self, session: str) -> Iterator[bytes]:
        """The lines of a session behind those of others that it begins with, as they are stored."""
        with self._readers() as reader:
            spans = reader.lineage(session)
        for span in spans:
            yield from self.lines(span.source, span.first_seq, span.end_seq)
        yield from self.lines(session)

    def conversation(self, session: str) -> Iterator[Event]:
        """What Markdown and HTML are made from: each thing once, in its newest version.

        A later version takes the place of the first one. Events are numbered through, for what a
        session begins with has the numbers of another one.
        """
        return self._told(session, self._newest_versions(session))

    def _told(self, session: str, newest: Newest) -> Iterator[Event]:
        number = 0
        for lines in self.whole(session):
            events = decode_lines(lines)
            for first in range(0, len(events), READ_AHEAD_EVENTS):
                run = events[first : first + READ_AHEAD_EVENTS]
                later = self._later_versions(run, newest)
                for event in run:
                    if event.supersedes is not None:
                        continue
                    shown, last = event, newest.get((event.session, event.seq))
                    if last in later:
                        shown = later.pop(last)
                    elif last is not None:
                        shown = self._event(event.session, last)
                    shown.seq, shown.supersedes = number, None
                    number += 1
                    yield shown

    def _later_versions(self, events: list[Event], newest: Newest) -> dict[int, Event]:
        """What is to be shown in the place of some events, as far as it may be held.

        In the order in which they stand, so that a block is opened for all of them at once.
        """
        places = [place for event in events if (place := (event.session, event.seq)) in newest]
        wanted = sorted({newest[place] for place in places}, reverse=True)
        found: dict[int, Event] = {}
        held_bytes = 0
        while wanted and held_bytes < READ_AHEAD_BYTES:
            session, first = places[0][0], wanted[-1]
            lines = next(self.lines(session, first), b"").split(b"\n")
            if len(lines) < 2:
                break
            while wanted and wanted[-1] - first < len(lines) - 1 and held_bytes < READ_AHEAD_BYTES:
                line = lines[wanted[-1] - first]
                (found[wanted.pop()],) = decode_lines(line)
                held_bytes += len(line)
        return found

    def _newest_versions(self, session: str) -> Newest:
        """Of each event that was superseded: the number of what is to be shown in its place."""
        newest: Newest = {}
        first: Newest = {}  # of a later version, the number of the first
        for lines in self.whole(session):
            if _SUPERSEDES not in lines:
                continue
            for event in decode_lines(lines):
                if event.supersedes is not None:
                    before = first.get((event.session, event.supersedes), event.supersedes)
                    first[event.session, event.seq] = before
                    newest[event.session, before] = event.seq
        return newest

    def _event(self, session: str, seq: int) -> Event:
        (event,) = decode_lines(b"".join(self.lines(session, seq, seq + 1)))
        return event

    def _piece(self, session: str, seq: int, stop: int) -> tuple[bytes, int]:
        """About a block of lines, and the number of the event behind it."""
        behind = 0

        def instead(first: int, count: int, error: DamagedBlock) -> bytes:
            nonlocal behind
            behind = first + count
            return encode(_damage(session, first, count, error)) + b"\n"

        with self._readers() as reader:
            pieces = reader.read(session, seq, stop, on_damage=instead)
            piece = next(pieces, b"")
            pieces.close()
        return piece, behind or (_last_seq(piece) + 1 if piece else stop)

    def export(self, session: str, form: Format, view: View) -> Iterator[bytes]:
        if form == "jsonl":
            yield from self._picked_lines(session, view)
            return
        entry = self.session(session)
        newest = self._newest_versions(entry.id)
        surveyed = survey(self._told(entry.id, newest), view, entry.agent)
        events = pick(self._told(entry.id, newest), view, surveyed.last_words)
        for piece in render(_head(entry, surveyed.participants), events, view):
            yield piece.encode("utf-8", "replace")

    def shows_any(self, session: str, view: View) -> bool:
        """Whether anything of a session is left of it in this view."""
        last_words = LastWords(view)
        if not view.commentary:
            for event in self.conversation(session):
                last_words.see(event)
        return next(pick(self.conversation(session), view, last_words), None) is not None

    def page(self, session: str, view: View, payload: Payload) -> Iterator[bytes]:
        """The conversation as one HTML file; `payload` is for the pictures in it.

        Apart from `export`, and imported late: the daemon serves no pages and does not hold what
        makes them (docs/decisions/0009).
        """
        from holdfast.recording.html import render as render_page

        entry = self.session(session)
        newest = self._newest_versions(entry.id)
        surveyed = survey(self._told(entry.id, newest), view, entry.agent)
        events = pick(self._told(entry.id, newest), view, surveyed.last_words)
        for piece in render_page(_cover(entry, view), surveyed, events, payload):
            yield piece.encode("utf-8", "replace")

    def _picked_lines(self, session: str, view: View) -> Iterator[bytes]:
        """The lines as they are stored; they are looked into only when some are left out."""
        if view == EVERYTHING:
            yield from self.whole(session)
            return
        last_words = LastWords(view)
        if not view.commentary:
            for pairs in self._glanced(session):
                for _line, glance in pairs:
                    last_words.see(glance)
        for pairs in self._glanced(session):
            kept = [line for line, glance in pairs if is_picked(glance, view, last_words)]
            if kept:
                yield b"\n".join([*kept, b""])

    def _glanced(self, session: str) -> Iterator[list[tuple[bytes, Glance | Event]]]:
        """Lines with what is seen of them, numbered through as `conversation` does."""
        number = 0
        for lines in self.whole(session):
            pairs = list(zip(lines.removesuffix(b"\n").split(b"\n"), _glances(lines), strict=True))
            for _line, glance in pairs:
                glance.seq = number
                number += 1
            yield pairs

    def _entry(self, row: SessionRow) -> SessionEntry:
        resident_bytes = self._residency(row.id)
        entry = SessionEntry(
            id=row.id,
            agent=row.agent,
            agent_session_id=row.agent_session_id,
            project=row.project,
            title=row.title,
            started_at=row.started_at,
            updated_at=row.updated_at,
            events=row.events,
            resident=resident_bytes is not None,
            resident_bytes=resident_bytes or 0,
            model=row.model,
            branch=row.branch,
            parent=row.parent,
            forked_from=row.forked_from,
            inherited=row.inherited,
            raw_bytes=row.raw_bytes,
            stored_bytes=row.stored_bytes,
            usage=row.usage,
        )
        if self._redact is None:
            return entry
        return msgspec.json.decode(self._redact(msgspec.json.encode(entry)), type=SessionEntry)


def _head(entry: SessionEntry, participants: list[str]) -> SessionHead:
    about = [part for part in (entry.project, entry.branch, entry.model) if part]
    return SessionHead(
        id=entry.id,
        title=entry.title or entry.agent_session_id,
        desc=" · ".join(about),
        created=entry.started_at,
        updated=entry.updated_at,
        participants=participants,
        session=f"{entry.agent}/{entry.agent_session_id}",
        tags=[entry.agent],
    )


def _cover(entry: SessionEntry, view: View) -> Cover:
    from holdfast.recording.html import Cover

    usage = entry.usage
    tokens = [
        f"{count:,} {words}"
        for count, words in (
            (usage.input, "in"),
            (usage.output, "out"),
            (usage.cache_read, "cache read"),
            (usage.cache_write, "cache write"),
        )
        if count
    ]
    return Cover(
        title=entry.title or entry.agent_session_id,
        session=f"{entry.agent}/{entry.agent_session_id}",
        facts=[
            ("Project", entry.project),
            ("Branch", entry.branch),
            ("Model", entry.model),
            ("Began", _minute(entry.started_at)),
            ("Updated", _minute(entry.updated_at)),
            ("Tokens", " · ".join(tokens)),
            ("Session", entry.id),
        ],
        left_out=left_out(view),
    )


def _minute(at: str) -> str:
    return f"{at[:10]} {at[11:16]}".strip()


def resolve(reader: JournalReader, name: str) -> str:
    """The id of the session that a person means.

    Whoever has an id is given that session, whatever others are called. A stream may be called
    anything, as the conversation that it has notes of: then the conversation is meant, and the
    stream is `stream/<name>`.
    """
    agent, _, rest = name.partition("/")  # an agent's own id may have slashes, as streams have
    found = reader.find(name)
    if rest:
        known = {each[0] for each in found}
        found += [each for each in reader.find(rest, agent) if each[0] not in known]
    for fits in (_is_id, _is_conversation, _is_stream):
        exact = [each for each in found if fits(name, *each)]
        if exact:
            found = exact
            break
    if len(found) == 1:
        return found[0][0]
    if not found:
        raise SessionNotFound(
            f"no session fits {name!r}: `holdfast sessions` lists them, "
            "`holdfast search` finds them"
        )
    shown = [f"  {each[0]}  {each[1]}/{each[2]}  {each[3]}" for each in found[:CANDIDATES_SHOWN]]
    more = ["  …"] if len(found) > CANDIDATES_SHOWN else []
    raise SessionAmbiguous(
        "\n".join([f"{name!r} fits several sessions; type more of one:", *shown, *more])
    )


def _is_id(name: str, session: str, *_others: str) -> bool:
    return name == session


def _is_conversation(name: str, _session: str, agent: str, own: str, _title: str) -> bool:
    return agent != STREAM_AGENT and name in (own, f"{agent}/{own}")


def _is_stream(name: str, _session: str, agent: str, own: str, _title: str) -> bool:
    return agent == STREAM_AGENT and name in (own, f"{agent}/{own}")


class _Numbered(msgspec.Struct):
    seq: int


_decode_number = msgspec.json.Decoder(_Numbered).decode
_glance_lines = msgspec.json.Decoder(Glance).decode_lines


def _glances(lines: bytes) -> Sequence[Glance | Event]:
    try:
        return _glance_lines(lines)
    except RecursionError:  # what is skipped is walked through too
        return decode_lines(lines)


def _last_seq(lines: bytes) -> int:
    """The number of the last event; counting the lines of a block costs as much as reading it."""
    return _decode_number(lines[lines.rfind(b"\n", 0, -1) + 1 :]).seq


def _damage(session: str, first: int, count: int, error: DamagedBlock) -> Event:
    return Event(
        id=f"{session}.damaged.{first}",
        session=session,
        seq=first,
        kind=Kind.PROVIDER_INFO,
        at="",
        text=f"{count} events from number {first} on are damaged in the journal: {error}",
        data=EMPTY,
        source=None,
        actor="system",
    )
