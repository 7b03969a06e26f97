"""`holdfast redact`: what the door would not let in any more is taken out of what is stored.

A session at a time, each in one transaction, with its numbers and positions as they were; a crash
leaves it old or new, and the next run goes over all of it again. Payloads are written anew under
the digest that they have then, before anything refers to them, and the old ones go when nothing
refers to them any more. Last of all the file is made anew, for what was deleted from a database is
still in its free pages; also when nothing changed, since a run before this one may have died there.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Final

import msgspec

from holdfast.blobstore import BlobStore, DamagedBlob, MissingBlob, digest_of
from holdfast.events import STREAM_AGENT
from holdfast.files import write_atomically
from holdfast.journal.model import LIVE_STATES, Blob, SessionFilter, SessionRow
from holdfast.journal.protocol import JournalReader, ReaderScope
from holdfast.journal.service import JournalService
from holdfast.library import resolve
from holdfast.privacy import Door

ROWS_PAGE: Final = 200
AUDIT_ROWS_MAX: Final = 1 << 40
_DIGEST: Final = re.compile(rb"\b[0-9a-f]{40}\b")


class SessionRedacted(msgspec.Struct):
    """What was found in one session."""

    session: str
    title: str
    events: int  # that changed, or would
    found: dict[str, int]


class RedactReport(msgspec.Struct):
    """What `redact --json` prints."""

    dry_run: bool
    sessions: list[SessionRedacted] = []
    found: dict[str, int] = {}
    switched_off: list[str] = []  # settings of `privacy`: what they name was not looked for
    events: int = 0
    blobs: int = 0  # payloads that were written anew
    looked_at: int = 0  # sessions
    seconds: float = 0.0


class RedactRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person asks for. `sessions` are names as people type them; empty: everything."""

    sessions: list[str] = []
    dry_run: bool = False
    pattern: str = ""


class RedactProgress(msgspec.Struct, frozen=True):
    sessions: int
    total: int


class Redactor:
    """Goes over sessions that are stored. Blocks: run it on a thread."""

    def __init__(
        self,
        journal: JournalService,
        blobs: str,
        door: Door,
        *,
        files: Sequence[str] = (),
        switched_off: Sequence[str] = (),
        alone: Callable[[str], AbstractContextManager[None]] = lambda _session: nullcontext(),
        on_rewritten: Callable[[str], None] = lambda _session: None,
        on_progress: Callable[[RedactProgress], None] = lambda _progress: None,
    ) -> None:
        self._journal = journal
        self._store = BlobStore(blobs)
        self._door = door
        self._files = files
        self._switched_off = switched_off
        self._alone = alone
        self._on_rewritten = on_rewritten
        self._on_progress = on_progress
        self._stopping = False

    def stop(self) -> None:
        """End behind the session that is being rewritten."""
        self._stopping = True

    def run(self, names: Sequence[str], *, dry_run: bool) -> RedactReport:
        """The sessions of these names, or all of them; and what belongs to no session."""
        started_s = time.monotonic()
        report = RedactReport(dry_run, switched_off=[*self._switched_off])
        totals: Counter[str] = Counter()
        scrub = Scrubber(self._door, self._store, writes=not dry_run)
        with self._journal.reader() as reader:
            numbers = _all_numbers(reader)
            wanted = {resolve(reader, name) for name in names}
            if wanted:  # what holdfast itself noted may quote them
                own = reader.sessions_at(reader.session_numbers(_STREAMS))
                wanted |= {row.id for row in own if row.agent_session_id.startswith(_OWN)}
        total = len(wanted) or len(numbers)
        for number, row in enumerate(self._rows(numbers, wanted), 1):
            if self._stopping:
                break
            events, found = self._session(row, scrub, dry_run=dry_run)
            if events or found:
                title = self._door.clean_text(row.title)
                self._door.take_found()
                report.sessions.append(SessionRedacted(row.id, title, events, found))
                report.events += events
                totals.update(found)
            report.looked_at = number
            self._on_progress(RedactProgress(number, total))
        if not self._stopping:
            totals.update(self._records(scrub, dry_run=dry_run))
            if not dry_run:
                self._purge(scrub, everything=not names)
        if not dry_run:
            self._clean_files()
            for row in self._rows(
                numbers, wanted
            ):  # what came into memory between its rewriting and now
                self._on_rewritten(row.id)
        report.found = dict(totals.most_common())
        report.blobs = len(scrub.replaced)
        report.seconds = round(time.monotonic() - started_s, 3)
        return report

    def _rows(self, numbers: Sequence[int], wanted: set[str]) -> Iterator[SessionRow]:
        """A page at a time; without names all of them."""
        for first in range(0, len(numbers), ROWS_PAGE):
            with self._journal.reader() as reader:
                rows = reader.sessions_at(numbers[first : first + ROWS_PAGE])
            yield from (row for row in rows if not wanted or row.id in wanted)

    def _session(
        self, row: SessionRow, scrub: Scrubber, *, dry_run: bool
    ) -> tuple[int, dict[str, int]]:
        scrub.begin()
        if dry_run:
            with self._journal.reader() as reader:
                events = scrub.look(reader, row)
        else:
            with self._alone(row.agent_session_id):
                done = self._journal.call(lambda writer: writer.rewrite(row.id, scrub))
                changed = done.result()
                assert isinstance(changed, int)
                events = changed
                self._on_rewritten(row.id)
        return events, scrub.take_told()

    def _records(self, scrub: Scrubber, *, dry_run: bool) -> dict[str, int]:
        """Audit records and names of types, which belong to no session."""
        scrub.begin()
        if dry_run:
            with self._journal.reader() as reader:
                scrub.look_at_records(reader)
        else:
            self._journal.call(lambda writer: writer.rewrite_records(scrub)).result()
        return scrub.take_told()

    def _clean_files(self) -> None:
        """Files that repeat titles, as the last status does."""
        for path in self._files:
            with suppress(FileNotFoundError):
                with open(path, "rb") as file:
                    content = file.read()
                clean = self._door.clean(content)
                if clean is not content:
                    write_atomically(path, clean)
        self._door.take_found()

    def _purge(self, scrub: Scrubber, *, everything: bool) -> None:
        questions, readers = self._journal.questions, self._journal.reader
        known = {blob.digest for blob in questions.blobs()} if everything else set()
        candidates = (known | set(scrub.replaced)) - scrub.kept
        stale = sorted(candidates - _referred(readers, candidates)) if candidates else []
        self._journal.call(lambda writer: writer.forget_blobs(stale)).result()
        for digest in stale:
            self._store.remove(digest)
        self._journal.call(lambda writer: writer.purge()).result()


class Scrubber:
    """What the journal asks while it rewrites: the door, and what it must remember in between."""

    def __init__(self, door: Door, store: BlobStore, *, writes: bool) -> None:
        self._door = door
        self._store = store
        self._writes = writes
        self._depth = 0  # tags that are open behind the last event
        self._record: tuple[str, int] | None = None  # whose they are
        self._new: Counter[str] = Counter()  # since `found` was last asked
        self._in_facts: Counter[str] = Counter()  # since then
        self._told: Counter[str] = Counter()
        self._looked_at: set[str] = set()  # payloads, by digest
        self.replaced: dict[str, str] = {}  # payloads: old digest -> new
        self.kept: set[str] = set()  # what took the place of another, or was found clean

    def begin(self) -> None:
        """Another session comes."""
        self._depth, self._record = 0, None

    def take_told(self) -> dict[str, int]:
        told, self._told = dict(self._told), Counter()
        return told

    def lines(self, lines: bytes) -> bytes:
        clean = self._lines(lines)
        self._new.update(self._door.take_found())
        return clean

    def _lines(self, lines: bytes) -> bytes:
        self._look_at_payloads(lines)
        if not self._depth and not self.replaced and not self._door.suspects(lines):
            return lines
        found = lines.split(b"\n")[:-1]
        clean = [self._line(line) for line in found]
        if all(new is old for new, old in zip(clean, found, strict=True)):
            return lines
        return b"".join(line + b"\n" for line in clean)

    def text(self, text: str) -> str:
        clean = self._door.clean_text(text)
        self._new.update(self._door.take_found())
        return clean

    def fact(self, text: str) -> str:
        clean = self._door.clean_text(text)
        self._in_facts.update(self._door.take_found())
        return clean

    def packed(self, content: bytes) -> bytes:
        """It repeats what is told of the session, so what goes here is not counted again."""
        if not content:
            return content
        try:
            unpacked = msgspec.msgpack.decode(content)
            clean = self._unpacked(unpacked)
            packed = content if clean == unpacked else msgspec.msgpack.encode(clean)
        except msgspec.DecodeError:
            packed = self._door.clean(content)
        self._door.take_found()
        return packed

    def blobs(self) -> list[Blob]:
        return self._store.take_stored()

    def found(self) -> dict[str, int]:
        # What is in no event is counted; a title made of one would else be counted twice.
        found = {**self._in_facts, **self._new}
        self._new, self._in_facts = Counter(), Counter()
        self._told.update(found)
        return found

    def look(self, reader: JournalReader, row: SessionRow) -> int:
        """How many events of a session would change."""
        changed = 0
        for lines in reader.read(row.id, on_damage=lambda *_damage: b""):
            clean = self.lines(lines)
            if clean is not lines:
                pairs = zip(lines.split(b"\n"), clean.split(b"\n"), strict=True)
                changed += sum(old != new for old, new in pairs)
        for fact in (row.project, row.title, row.model, row.cwd, row.branch, row.agent_version):
            self.fact(fact)
        self.found()
        return changed

    def look_at_records(self, reader: JournalReader) -> None:
        for record in reader.audit(limit=AUDIT_ROWS_MAX):
            self.lines(bytes(record.detail) + b"\n")
        for unknown in reader.unknown_types():
            self.text(unknown.type)
        for command in reader.commands():
            self.text(command.text)
            self.text(command.outcome)
        for recording in reader.recordings():
            self.text(recording.problem)
            if recording.state not in LIVE_STATES:
                self.text(recording.path)
        self.found()

    def _line(self, line: bytes) -> bytes:
        if self._depth and (_place_of(line) != self._record):
            self._depth = 0
        clean, self._depth = self._door.clean_event(line, self._depth)
        if self._depth:
            self._record = _place_of(line)
            if self._record is None:
                self._depth = 0
        if self.replaced:
            clean = _DIGEST.sub(self._new_digest, clean)
        return line if clean == line else clean

    def _new_digest(self, found: re.Match[bytes]) -> bytes:
        new = self.replaced.get(found[0].decode())
        return found[0] if new is None else new.encode()

    def _look_at_payloads(self, lines: bytes) -> None:
        """Payloads that these events refer to: clean ones take the place of those that are not."""
        for digest in map(bytes.decode, _DIGEST.findall(lines)):
            if digest in self._looked_at:
                continue
            self._looked_at.add(digest)
            if os.path.exists(self._store.path(digest)):
                self._look_at_payload(digest)

    def _look_at_payload(self, digest: str) -> None:
        """Most payloads are pictures, and clean: they are read once and left as they are."""
        new = digest
        with suppress(MissingBlob, DamagedBlob):  # nothing to read, so nothing to hide
            if any(map(self._door.suspects, _overlapping(self._store.get(digest)))):
                clean = self._door.clean_stream(self._store.get(digest))
                new = self._store.put_stream(clean).digest if self._writes else digest_of(clean)
        self.kept.add(new)
        if new != digest:
            self.replaced[digest] = new

    def _unpacked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._door.clean_text(value)
        if isinstance(value, bytes):  # what stands at the end of a recording: a part is no use
            return b"" if self._door.suspects(value) else value
        if isinstance(value, list):
            return [self._unpacked(item) for item in value]
        if isinstance(value, dict):
            return {self._unpacked(key): self._unpacked(item) for key, item in value.items()}
        return value


class _Placed(msgspec.Struct):
    source: _Place | None = None


class _Place(msgspec.Struct):
    file: str = ""
    offset: int = -1


_decode_place = msgspec.json.Decoder(_Placed).decode


def _place_of(line: bytes) -> tuple[str, int] | None:
    """The record that an event comes from."""
    source = _decode_place(line).source
    return None if source is None else (source.file, source.offset)


def _overlapping(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Each chunk with the end of the one before: what is looked for may stand between them."""
    before = b""
    for chunk in chunks:
        yield before + chunk
        before = chunk[-4_096:]


_STREAMS: Final = SessionFilter(agent=STREAM_AGENT)
_OWN: Final = "holdfast/"


def _all_numbers(reader: JournalReader) -> list[int]:
    """Of conversations and of streams."""
    return [*reader.session_numbers(SessionFilter()), *reader.session_numbers(_STREAMS)]


def _referred(readers: ReaderScope, digests: set[str]) -> set[str]:
    """Which of these payloads any event still refers to. A reader is held for one session."""
    found: set[str] = set()
    with readers() as reader:
        every = _all_numbers(reader)
    for number in every:
        with readers() as reader:
            for row in reader.sessions_at([number]):
                for lines in reader.read(row.id, on_damage=lambda *_damage: b""):
                    found.update(map(bytes.decode, _DIGEST.findall(lines)))
    return found & digests
