"""One recording: a file that is brought to where its session is, and how far it came.

What is to be written is planned in the journal before it is done: the piece's place in the session,
its length and digest, and how large the file was (`Intent`). Whatever dies whenever, the next look
at the end of the file tells whether the piece is there, or a part of it, or nothing; so it is never
missing and never there twice.

The file belongs to the person. It is opened anew for each piece, through the write policy, and
appended to wherever its end is by then. One that is gone for more than a moment is given up, and
never made again behind the back of whoever deleted it.

Whether a file is still this recording is asked only when somebody touched it: when its inode, size
or time of change is not what we left. An inode alone says nothing: editors replace it, `echo >`
keeps it, and one that is let go of is given to the next file at once. So what is in the file
decides, of which a bounded part is read: the front matter with the session's id, or what we wrote
last, or how the file began when it was seen last. Any one of them is enough, for a person may take
out or change the others; a file with none of them is somebody else's.

Appended pieces are synced to disk when the recorder says so (`sync`), not one by one.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from holdfast.blocks import DamagedBlock
from holdfast.clock import instant
from holdfast.errors import HoldfastError
from holdfast.events import Event, Kind, decode_lines
from holdfast.journal.model import Recording, SessionRow
from holdfast.journal.protocol import JournalReader, ReaderScope
from holdfast.recording import frontmatter
from holdfast.recording.markdown import (
    MarkdownWriter,
    SessionHead,
    notice,
    speaker,
)
from holdfast.recording.policy import WritePolicy, failure
from holdfast.recording.view import View

EDGE_BYTES: Final = 256
LOOK_BACK_BYTES: Final = 65_536
NOTES_MAX: Final = 64
SETTLE_S: Final = 0.3  # an editor that is writing a file in place is done after this long
_APPEND_TRIES: Final = 3
BLANK_MAX_BYTES: Final = 64  # what an editor may leave of a file that somebody emptied
EMPTIED: Final = (
    "the file was emptied, and goes on from here; `holdfast capture` writes all of the session anew"
)
NOTE_KIND: Final = "holdfast.note"

Save = Callable[[Recording], None]


class Paused(HoldfastError):
    """Nothing can be written now; the message says why. Nothing is lost: it is tried again."""


class Missing(Paused):
    """There is no file of that name, or another one. Editors do that for a moment."""


class NotYet(Exception):  # no error: a request for patience
    """Somebody is writing the file right now."""


class Intent(msgspec.Struct, array_like=True):
    """A piece that is about to be written, or was."""

    upto: int  # number of the event behind it
    size: int  # of the file before it
    length: int
    digest: bytes
    literal: bytes | None  # the piece itself, where no events give it again
    lead: bytes = b""  # before the piece: ends a line that another hand left open


class Note(msgspec.Struct, array_like=True):
    """A line of our own, which comes before event number `seq`."""

    seq: int
    text: str


class Place(msgspec.Struct, kw_only=True):
    """How far a recording is written, and how it goes on. Kept in the journal."""

    next_seq: int
    cwd: str = ""  # where its relative roots start
    options: View = View()
    device: int = 0
    inode: int = 0
    size: int = 0
    changed_ns: int = 0  # when, by the file system's own clock
    begin: bytes = b""  # of the file as it was seen last
    edge: bytes = b""  # what was written last
    end_is_theirs: bool = False  # somebody else wrote below that
    speaker: str = ""
    participants: list[str] = []
    owned: frontmatter.Owned = {}
    former: frontmatter.Owned = {}
    notes: list[Note] = []
    intent: Intent | None = None
    stop_seq: int | None = None  # nothing from this event on


_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Place)


def place_of(recording: Recording) -> Place:
    return _decoder.decode(recording.place)


class Follower:
    """Brings one file to where its session is. Used by one thread."""

    def __init__(
        self,
        recording: Recording,
        place: Place,
        *,
        agent: str,
        policy: WritePolicy,
        readers: ReaderScope,
        save: Save,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self.recording = recording
        self.place = place
        self.unsaved = False
        self.unsynced = False
        self.stale_head = False  # events came since the front matter was written
        self._pieces = 0  # written by this object
        self._agent = agent
        self._policy = policy
        self._readers = readers
        self._save = save
        self._clock_s = clock_s

    @property
    def session(self) -> str:
        return self.recording.session

    @property
    def is_done(self) -> bool:
        """Whether all that was planned is written, and nothing more is to come."""
        place = self.place
        if place.stop_seq is None or place.intent is not None or place.notes:
            return False
        return place.next_seq >= place.stop_seq

    @property
    def lacks_speakers(self) -> bool:
        """Whether its front matter does not name all who speak."""
        return frontmatter.lacks_speakers(self.place.owned, self.place.participants)

    def note(self, seq: int, text: str) -> None:
        if len(self.place.notes) < NOTES_MAX:
            self.place.notes.append(Note(seq, text))

    def save(self) -> None:
        self.recording.place = _encode(self.place)
        self._save(self.recording)
        self.unsaved = False

    # The file as a whole.

    def create(self, row: SessionRow) -> None:
        """Make the file; or take it over, where one of that name is there."""
        path = self.recording.path
        if not os.path.lexists(path):
            content = b""
            if self.recording.form == "markdown":
                content, self.place.owned = frontmatter.fresh(self._head(row))
            with self._policy.open_for_write(path, exclusive=True) as file:
                try:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError as error:
                    raise failure(path, error) from error
                self._remember(os.fstat(file.fileno()), content)
            return
        try:
            with self._policy.open_existing(path) as file:
                begins = os.pread(file, frontmatter.HEAD_MAX_BYTES, 0)
                self._remember(os.fstat(file), begins)
                if self.recording.form == "markdown":
                    change, self.place.owned = frontmatter.adopted(begins, self._head(row))
                    self._change_head(file, change)
        except OSError as error:
            raise failure(path, error) from error
        self.place.end_is_theirs = True

    def renew_head(self, row: SessionRow) -> None:
        """Bring the front matter up to date, where it still is ours."""
        place = self.place
        self.stale_head = False
        if self.recording.form != "markdown" or not place.owned or place.intent:
            return
        before = place.former, place.owned
        try:
            with self._opened() as file:
                try:
                    self._recognise(file)
                except (Missing, NotYet):
                    return  # the next append finds out whose file that is
                if os.fstat(file).st_size <= BLANK_MAX_BYTES:
                    return  # the next append begins it again
                begins = os.pread(file, frontmatter.HEAD_MAX_BYTES, 0)
                change, owned = frontmatter.renewed(begins, self._head(row), place.owned, before[0])
                place.former, place.owned = place.owned, owned
                if change is not None:
                    self.save()  # first: else a crash makes our own words look like a person's
                    self._change_head(file, change)
                    self.unsynced = self.unsaved = True
        except HoldfastError:
            place.former, place.owned = before
            self.stale_head = True
            raise

    def check(self) -> None:
        """Whether the file still is there and ours; raises `Missing`."""
        with self._opened() as file:
            self._recognise(file)

    def sync(self) -> None:
        """What was written is on disk when this returns."""
        with self._opened() as file:
            os.fsync(file)
        self.unsynced = False

    # What is appended.

    def advance(self, upto: int) -> bool:
        """Write everything before event number `upto`; whether there was anything to write."""
        place = self.place
        before = self._pieces
        if self._has_more(upto) and self._was_emptied():
            self._begin_again()
        if place.intent is not None:
            self._see_through(place.intent)
        while True:
            if place.notes and place.notes[0].seq <= place.next_seq:
                self._write_note()
                continue
            stop = min(
                upto,
                place.notes[0].seq if place.notes else upto,
                upto if place.stop_seq is None else place.stop_seq,
            )
            if place.next_seq >= stop:
                return self._pieces > before
            self._write_events(stop)

    def _has_more(self, upto: int) -> bool:
        place = self.place
        return bool(place.intent or place.notes) or place.next_seq < upto

    def _was_emptied(self) -> bool:
        """Somebody took out all that was in the file, and left the file."""
        try:
            found = os.stat(self.recording.path, follow_symlinks=False)
            if not self.place.size or self._is_as_left(found) or found.st_size > BLANK_MAX_BYTES:
                return False
        except OSError:  # the append finds out what that means
            return False
        with self._opened() as file:
            self._recognise(file)
            return _is_blank(os.pread(file, BLANK_MAX_BYTES + 1, 0))

    def _begin_again(self) -> None:
        """A file without a head would be no recording, and nobody would know why half is gone."""
        place = self.place
        place.speaker = ""
        if not place.notes or place.notes[0].text != EMPTIED:
            place.notes.insert(0, Note(place.next_seq, EMPTIED))
        content = b""
        if self.recording.form == "markdown":
            with self._readers() as reader:
                row = reader.session(self.session)
            assert row is not None, self.session
            content, place.owned = frontmatter.fresh(self._head(row))
            place.former = {}
            self.save()  # first: else a crash makes our own words look like a person's
        with self._opened() as file:
            os.pwrite(file, content, 0)
            self._remember(os.fstat(file), content)
        place.edge = b""
        place.end_is_theirs = True

    def _write_note(self) -> None:
        place = self.place
        self._look()
        piece = self._note(place.notes[0].text)
        self._plan(piece, place.next_seq, literal=piece)
        del place.notes[0]  # from here on it is in the plan
        self._carry_out(piece, place.speaker)

    def _write_events(self, stop: int) -> None:
        place = self.place
        self._look()
        lines, upto, damage = self._read(place.next_seq, stop)
        if damage:
            place.next_seq = upto
            place.notes.insert(0, Note(upto, damage))
            return
        writer = self._writer()
        piece, participants = self._rendered(writer, lines)
        place.participants = participants
        self.stale_head = True
        if not piece:
            self._reach(upto)
            return
        self._plan(piece, upto)
        self._carry_out(piece, writer.current)

    def _read(self, first: int, stop: int) -> tuple[bytes, int, str]:
        with self._readers() as reader:
            return read_piece(reader, self.session, first, stop)

    def _writer(self) -> MarkdownWriter:
        return MarkdownWriter(self._agent, self.place.options, current=self.place.speaker)

    def _rendered(self, writer: MarkdownWriter, lines: bytes) -> tuple[bytes, list[str]]:
        if self.recording.form == "jsonl":
            return lines, self.place.participants
        events = decode_lines(lines)
        participants = dict.fromkeys(self.place.participants)
        participants |= dict.fromkeys(self._speakers(events))
        piece = "".join(map(writer.piece, events))
        return piece.encode("utf-8", "replace"), list(participants)

    def _speakers(self, events: list[Event]) -> list[str]:
        return [
            speaker(event, self._agent)
            for event in events
            if event.kind in (Kind.USER, Kind.ASSISTANT)
        ]

    def _note(self, text: str) -> bytes:
        if self.recording.form == "jsonl":
            about = {"kind": NOTE_KIND, "at": instant(), "session": self.session, "text": text}
            return msgspec.json.encode(about) + b"\n"
        return notice(text).encode("utf-8", "replace")

    def _plan(self, piece: bytes, upto: int, *, literal: bytes | None = None) -> None:
        place = self.place
        lead = b"\n" if place.end_is_theirs and not self._ends_a_line() else b""
        whole = lead + piece
        place.intent = Intent(upto, place.size, len(whole), _digest(whole), literal, lead)

    def _carry_out(self, piece: bytes, speaker_after: str) -> None:
        """Write what was planned; the plan is stored first."""
        place = self.place
        intent = place.intent
        assert intent is not None
        self.save()
        whole = intent.lead + piece
        above = b"" if place.end_is_theirs else place.edge
        self._append(whole)
        if intent.size == len(place.begin):  # all of the file is remembered
            place.begin = (place.begin + whole)[:EDGE_BYTES]
        self._written(above + whole, intent.upto, speaker_after)

    def _ends_a_line(self) -> bool:
        """Whether what another hand wrote at the end would not run into what we write."""
        with self._opened() as file:
            size = os.fstat(file).st_size
            return not size or os.pread(file, 1, size - 1) == b"\n"

    def _written(self, ends: bytes, upto: int, speaker_after: str) -> None:
        place = self.place
        self._pieces += 1
        place.intent = None
        place.speaker = speaker_after
        place.edge = ends[-EDGE_BYTES:]
        self.recording.written_at = instant()
        self.unsynced = True
        self._reach(upto)

    def _reach(self, upto: int) -> None:
        self.recording.events += upto - self.place.next_seq
        self.place.next_seq = upto
        self.unsaved = True

    def _see_through(self, intent: Intent) -> None:
        """What was planned before a crash or a failure: is it written?"""
        writer = self._writer()
        piece = intent.literal
        if piece is None:
            pieces = []
            seq = self.place.next_seq
            while seq < intent.upto:
                lines, seq, _damage = self._read(seq, intent.upto)
                rendered, self.place.participants = self._rendered(writer, lines)
                pieces.append(rendered)
            piece = b"".join(pieces)
        whole = intent.lead + piece
        missing = self._what_is_missing(whole, intent)
        if missing == whole:  # planned anew: somebody may have written below since
            if intent.literal is None:
                self.place.intent = None
            else:
                self._look()
                self._plan(piece, intent.upto, literal=piece)
                self._carry_out(piece, self.place.speaker)
            return
        if missing:
            self._append(missing)
        else:
            self.place.changed_ns = 0  # the next look tells whether its end is the file's
        self._written(whole, intent.upto, writer.current)

    def _what_is_missing(self, piece: bytes, intent: Intent) -> bytes:
        """Of a piece that may have been written, what is not there."""
        with self._opened() as file:
            self._recognise(file)
            size = os.fstat(file).st_size
            back = min(size, max(len(piece), intent.length) + LOOK_BACK_BYTES)
            ends = os.pread(file, back, size - back)
        written = size - intent.size
        if written == 0:
            return piece
        if _digest(ends[-intent.length :]) == intent.digest or piece in ends:
            return b""
        if 0 < written < len(piece) and ends.endswith(piece[:written]):
            return piece[written:]
        return piece  # somebody edited the file, and it is not in it

    def _append(self, piece: bytes) -> None:
        path = self.recording.path
        for _ in range(_APPEND_TRIES):
            with self._opened(append=True) as file:
                self._recognise(file)
                _write_at_end(file, piece)
                self._remember(os.fstat(file))
                self.place.end_is_theirs = False
                now = os.stat(path, follow_symlinks=False)
            if (now.st_dev, now.st_ino) == (self.place.device, self.place.inode):
                return
            # Replaced in this very moment: what was written went with the old file.
        raise Paused(f"{path} is replaced again and again")

    @contextmanager
    def _opened(self, *, append: bool = False) -> Iterator[int]:
        """The file. What is none, or leads to one, was put in its place: nothing is done to it."""
        path = self.recording.path
        try:
            if not stat.S_ISREG(os.stat(path, follow_symlinks=False).st_mode):
                raise self._replaced()
            with self._policy.open_existing(path, append=append) as file:
                yield file
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._missing() from error
        except OSError as error:
            raise Paused(str(failure(path, error))) from error

    def _look(self) -> None:
        """See what others did to the file; nothing of it is read when nobody did anything.

        Only while nothing is planned: below what somebody wrote, what is said has its own heading.
        """
        if not self._is_untouched():
            with self._opened() as file:
                self._recognise(file)
        if self.place.end_is_theirs:
            self.place.speaker = ""

    def _is_untouched(self) -> bool:
        try:
            return self._is_as_left(os.stat(self.recording.path, follow_symlinks=False))
        except OSError:  # opening it says what that means
            return False

    def _recognise(self, file: int) -> None:
        """Is this open file the recording? Raises `Missing` when it is another one."""
        found, place = os.fstat(file), self.place
        if self._is_as_left(found):
            return
        if found.st_size < place.size and self._clock_s() - found.st_mtime < SETTLE_S:
            raise NotYet
        begins = os.pread(file, frontmatter.HEAD_MAX_BYTES, 0)
        if _is_blank(begins) and place.size:
            return  # emptied: the next append begins it again
        ends = os.pread(file, LOOK_BACK_BYTES, max(0, found.st_size - LOOK_BACK_BYTES))
        if not self._is_ours(found, begins, ends):
            raise self._replaced()
        self._remember(found, begins)
        place.end_is_theirs = not place.edge or not ends.endswith(place.edge)
        self.unsaved = True

    def _is_as_left(self, found: os.stat_result) -> bool:
        place = self.place
        left = place.device, place.inode, place.size, place.changed_ns
        return left == (found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns)

    def _is_ours(self, found: os.stat_result, begins: bytes, ends: bytes) -> bool:
        """What a person edited keeps one of our marks; see the head of this file."""
        place = self.place
        if not place.begin and not place.edge:  # nothing is in it yet by which to know it
            return (found.st_dev, found.st_ino) == (place.device, place.inode)
        if frontmatter.names_session(begins, self.session):
            return True
        both = min(len(begins), len(place.begin))  # it may be the beginning alone that is left
        if both and begins[:both] == place.begin[:both]:
            return True
        edge = b" ".join(place.edge.split())
        return bool(edge) and edge in b" ".join(ends.split())

    def _remember(self, found: os.stat_result, begins: bytes | None = None) -> None:
        """The file as it is now; `begins` where its beginning may be another."""
        place = self.place
        place.device, place.inode, place.size = found.st_dev, found.st_ino, found.st_size
        place.changed_ns = found.st_ctime_ns
        if begins is not None:
            place.begin = begins[:EDGE_BYTES]

    def _replaced(self) -> Missing:
        return Missing(
            f"{self.recording.path} was replaced by something else: the recording ends; "
            "`holdfast capture` writes it anew"
        )

    def _missing(self) -> Missing:
        return Missing(
            f"{self.recording.path} was deleted or moved away: the recording ends; "
            "`holdfast capture` writes it anew"
        )

    def _head(self, row: SessionRow) -> SessionHead:
        return frontmatter.head_of(row, self.place.participants)

    def _change_head(self, file: int, change: frontmatter.Change | None) -> None:
        """In place where it fits, else by writing the whole file anew beside the old one."""
        if change is None:
            return
        before = os.fstat(file)
        if len(change.new) == change.old_bytes:
            os.pwrite(file, change.new, 0)
            self._remember(os.fstat(file), change.new)
            return

        def chunks() -> Iterator[bytes]:
            yield change.new
            offset = change.old_bytes
            while chunk := os.pread(file, LOOK_BACK_BYTES, offset):
                yield chunk
                offset += len(chunk)

        def unchanged() -> bool:
            now = os.stat(self.recording.path, follow_symlinks=False)
            return (now.st_ino, now.st_size, now.st_mtime_ns) == (
                before.st_ino,
                before.st_size,
                before.st_mtime_ns,
            )

        self._policy.write_atomically(
            self.recording.path, chunks(), mode=before.st_mode & 0o777, may_replace=unchanged
        )
        self._remember(os.stat(self.recording.path, follow_symlinks=False), change.new)


def read_piece(
    reader: JournalReader, session: str, first: int, stop: int
) -> tuple[bytes, int, str]:
    """About a block of lines, the event behind it, and what is wrong with it, if anything.

    Numbers below 0 are what a session begins with and others hold: -1 is the last of it.
    """
    if first < 0:
        return _read_inherited(reader, session, first, min(stop, 0))
    damage: list[tuple[int, int, DamagedBlock]] = []

    def note(seq: int, count: int, error: DamagedBlock) -> bytes:
        damage.append((seq, count, error))
        return b""

    pieces = reader.read(session, first, stop, on_damage=note)
    lines = next(pieces, b"")
    pieces.close()
    if damage:
        seq, count, error = damage[0]
        text = f"{count} events from number {seq} on are damaged in the journal: {error}"
        return b"", min(seq + count, stop), text
    if not lines:
        raise Paused(f"event {first} of session {session} is not in the journal")
    return lines, first + lines.count(b"\n"), ""


def _read_inherited(
    reader: JournalReader, session: str, first: int, stop: int
) -> tuple[bytes, int, str]:
    spans = reader.lineage(session)
    start = -sum(span.count for span in spans)
    for span in spans:
        if first < start + span.count:
            source = span.first_seq + first - start
            source_stop = min(span.end_seq, span.first_seq + stop - start)
            lines, upto, damage = read_piece(reader, span.source, source, source_stop)
            return lines, first + upto - source, damage
        start += span.count
    raise Paused(f"event {first} of session {session} is not in the journal")


def _write_at_end(file: int, piece: bytes) -> None:
    """All of it or nothing: half a piece is taken back."""
    size = os.fstat(file).st_size
    done = 0
    try:
        with memoryview(piece) as rest:
            while done < len(piece):
                done += os.write(file, rest[done:])
    except OSError:
        if done and os.fstat(file).st_size == size + done:
            os.ftruncate(file, size)
        raise


def _is_blank(content: bytes) -> bool:
    return len(content) <= BLANK_MAX_BYTES and not content.strip()


def _digest(piece: bytes) -> bytes:
    return hashlib.blake2b(piece, digest_size=16).digest()
