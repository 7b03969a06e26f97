"""A made-up agent whose items change in place: some notebooks in one file, or one in a file.

`<root>/notes.book` is a JSON object of notebooks, each a list of notes, each with an id, a text and
what else a test wants. `<root>/<name>.note` is a single one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from msgspec import Raw

from holdfast.blobstore import BlobStore
from holdfast.events import Event, Kind, Origin, Usage, session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.items import ItemReading, Known
from holdfast.ingest.plan import Plan, gone, make_job, make_plan
from holdfast.journal.model import Batch, Cursor, Facts
from holdfast.journal.reader import SqliteReader
from holdfast.journal.writer import SqliteWriter
from holdfast.sources.base import MEMBER, ItemReader, Log, Means, Read, Source, Stamp, file_stamp
from holdfast.sources.folders import FolderSource
from tests.support.doors import door

LIMITS: Final = ReadingLimits(block_bytes=4_096, max_line_bytes=4_000)
BOOK: Final = ".book"
NOTE: Final = ".note"

Notes = list[dict[str, Any]]


def note(name: str, text: str = "", **more: Any) -> dict[str, Any]:
    return {"id": name, "text": text, **more}


class Notebooks(FolderSource):
    agent: ClassVar[str] = "claude"  # a name that settings and children know
    name = "Notebooks"
    endings = (BOOK, NOTE)

    def log_at(self, root: str, path: str) -> Log | None:
        name = os.path.basename(path)
        return Log(self.agent, path, root, name, in_place=True) if name.endswith(NOTE) else None

    def identify(self, key: str) -> Log | None:
        path, _, member = key.rpartition(MEMBER)
        if path.endswith(BOOK):
            root = os.path.dirname(path)
            return Log(self.agent, path, root, member, member=member, in_place=True)
        return super().identify(key)

    def store_of(self, path: str) -> str | None:
        return path if path.endswith(self.endings) else None

    def logs(self, store: str, since_ns: int = 0) -> Iterator[tuple[Log, Stamp]]:
        if store.endswith(NOTE):
            log = self.identify(store)
            assert log is not None
            yield log, file_stamp(store)
            return
        for name, notes in _book(store).items():
            changed_ns = max((each.get("changed", 1) for each in notes), default=1)
            log = self.identify(f"{store}{MEMBER}{name}")
            if log is not None and changed_ns >= since_ns:
                yield log, Stamp(len(notes), changed_ns)

    def reader(self, log: Log, state: bytes, means: Means) -> ItemReader:
        return NotebookReader(log, state)


class NotebookReader:
    """With a state, gives only what changed since; without one, all."""

    def __init__(self, log: Log, state: bytes) -> None:
        self._log = log
        self._since = int(state or b"0")
        if log.member:
            book = _book(log.path)
            if log.member not in book:
                raise FileNotFoundError(log.key)
            self._notes = book[log.member]
            changed_ns = max((each.get("changed", 1) for each in self._notes), default=1)
            self.stamp = Stamp(len(self._notes), changed_ns)
        else:
            self.stamp = file_stamp(log.path)
            self._notes = json.loads(Path(log.path).read_bytes())
        self.starts_over = not log.member
        self.facts = Facts(
            id=session_id(log.agent, log.agent_session_id),
            agent=log.agent,
            agent_session_id=log.agent_session_id,
        )
        self.unknown: dict[str, tuple[int, int]] = {}
        self.closed = False

    def read(self) -> Iterator[Read]:
        for each in self._notes:
            if each.get("changed", 1) <= self._since:
                continue
            if each.get("fails"):
                raise OSError(5, "Input/output error")
            size = len(json.dumps(each))
            if each.get("kind") == Kind.PROVIDER_RAW:
                self.unknown["novelty"] = (1, size)
                yield Read(size, "unknown", [self._event(each)])
            else:
                yield Read(size, "parsed", [self._event(each)])

    def _event(self, each: dict[str, Any]) -> Event:
        return Event(
            id="",
            session=self.facts.id,
            seq=-1,
            kind=each.get("kind", Kind.USER),
            at=each.get("at", ""),
            text=each["text"],
            data=Raw(json.dumps(each.get("data")).encode()),
            source=Origin(self._log.agent, self._log.relative, 0, each["id"]),
            usage=Usage(*each["spent"]) if "spent" in each else None,
            sidechain=each.get("sidechain", False),
        )

    def state(self) -> bytes:
        return b"%d" % self.stamp.mtime_ns if self._log.member else b""

    def close(self) -> None:
        self.closed = True


def _book(path: str) -> dict[str, Notes]:
    found: dict[str, Notes] = json.loads(Path(path).read_bytes())
    return found


class ItemShelf:
    """A root with logs that are changed in place, and the journal that they are read into."""

    def __init__(
        self,
        folder: Path,
        source: Callable[[list[str]], Any] = Notebooks,
        limits: ReadingLimits = LIMITS,
    ) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        self.limits = limits
        self.source: Any = source([str(self.root)])
        self.sources: dict[str, Source] = {self.source.agent: self.source}
        self.blobs = BlobStore(str(folder / "blobs"))
        self.writer = SqliteWriter(str(folder / "journal.db"))
        self.reader = SqliteReader(str(folder / "journal.db"))

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def write(self, notes: Notes | dict[str, Notes], name: str = "a.note") -> Path:
        path = self.root / name
        path.write_text(json.dumps(notes))
        return path

    def plan(self) -> Plan:
        return make_plan(self.sources, self.reader)

    def catch_up(self) -> Plan:
        """Plan and read everything once, as an import does."""
        plan = self.plan()
        found = [self.reader.cursor(agent, path) for agent, path in plan.gone]
        self.writer.save_cursors([gone(cursor) for cursor in found if cursor])
        for pending in plan.pending:
            for batch in self.batches(pending.path):
                self.writer.write([batch])
        while self.writer.feed_index():
            pass
        return plan

    def batches(self, key: str, known: Known | None = None) -> Iterator[Batch]:
        log = self.source.identify(key)
        assert log is not None
        job = make_job(self.source, log, self.reader)
        session = job.cursor.session
        return ItemReading(
            self.source,
            log,
            job.cursor,
            first_seq=job.first_seq,
            limits=self.limits,
            blobs=self.blobs,
            known=known or (lambda key: self.reader.item(session, key)),
            door=door(),
        ).batches()

    def cursor(self, key: Path | str) -> Cursor:
        cursor = self.reader.cursor(self.source.agent, str(key))
        assert cursor is not None
        return cursor

    def events(self, name: str = "a.note") -> list[Event]:
        session = session_id(self.source.agent, name)
        if self.reader.session(session) is None:
            return []
        return list(self.reader.events(session))

    def texts(self, name: str = "a.note") -> list[str]:
        return [event.text for event in self.events(name)]
