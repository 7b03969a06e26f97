"""What `redact` does to a journal, seen from inside: whole sessions or nothing, and no traces."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest

from holdfast import blocks
from holdfast.blobstore import BlobStore
from holdfast.events import EMPTY, Event, Kind, Origin, encode
from holdfast.journal.index import text_of
from holdfast.journal.model import (
    AuditRecord,
    Batch,
    CommandRow,
    Cursor,
    Facts,
    Recording,
    SearchQuery,
)
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.writer import SqliteWriter
from holdfast.redaction import Redactor
from holdfast.settings import Privacy
from tests.support.doors import door

HIDDEN: Final = "<private>zanzibar</private>"


class Shelf:
    """A journal of an older holdfast, with payloads beside it."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "journal.db")
        self.blobs = str(folder / "blobs")
        self.journal = JournalService(
            lambda: SqliteWriter(self.path, block_bytes=2_000), lambda: SqliteReader(self.path)
        )
        self.seq: dict[str, int] = {}

    def store(self, session: str, *texts: str, sealed: bool = False, record: int = -1) -> None:
        first = self.seq.get(session, 0)
        events = [
            Event(
                id=f"{session}.0.{first + place:x}.0",
                session=session,
                seq=first + place,
                kind=Kind.USER,
                at="2026-01-01T00:00:00.000Z",
                text=text,
                data=EMPTY,
                source=Origin("claude", "f", record if record >= 0 else first + place),
            )
            for place, text in enumerate(texts)
        ]
        lines = b"".join(encode(event) + b"\n" for event in events)
        batch = Batch(
            facts=Facts(
                id=session,
                agent="claude",
                agent_session_id=session,
                title=f"title {HIDDEN}",
                title_rank=1,
                project=f"/home/{HIDDEN}",
            ),
            first_seq=first,
            texts=[text for text in map(text_of, events) if text is not None],
            cursor=Cursor(
                agent="claude",
                path=f"/{session}",
                session=session,
                state=msgspec.msgpack.encode({"facts": {"title": f"title {HIDDEN}"}, "turn": 3}),
            ),
            unknown_types={f"type {HIDDEN}": (1, 10)},
        )
        if sealed:
            batch.blocks = [blocks.seal(lines, first, len(texts))]
        else:
            batch.lines, batch.line_count = lines, len(texts)
        self.seq[session] = first + len(texts)
        self.journal.submit(batch).result()

    def redactor(self, privacy: Privacy | None = None) -> Redactor:
        return Redactor(self.journal, self.blobs, door(privacy))

    def raw(self) -> bytes:
        self.journal.settle()  # else the index may still be fed
        found = b"".join(
            Path(self.path + end).read_bytes()
            for end in ("", "-wal")
            if Path(self.path + end).exists()
        )
        with self.journal.reader() as reader:
            for row in reader.sessions():
                found += b"".join(reader.read(row.id))
        return found

    def texts(self, session: str) -> list[str]:
        with self.journal.reader() as reader:
            return [event.text for event in reader.events(session)]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_blocks_tail_titles_states_types_and_audit_are_rewritten(shelf: Shelf) -> None:
    shelf.store("a", f"one {HIDDEN}", "two", sealed=True)
    shelf.store("a", "three", f"four {HIDDEN}")
    shelf.store("b", "five")
    record = AuditRecord("now", "did", msgspec.Raw(b'{"what":"<private>zanzibar</private>"}'))
    shelf.journal.audit([record]).result()
    shelf.journal.settle()
    with shelf.journal.reader() as reader:
        before = {row.id: row for row in reader.sessions()}
        runs = reader.runs(0)
    assert b"zanzibar" in shelf.raw()
    report = shelf.redactor().run([], dry_run=False)
    assert b"zanzibar" not in shelf.raw().lower()
    assert shelf.texts("a") == ["one [private]", "two", "three", "four [private]"]
    with shelf.journal.reader() as reader:
        assert reader.check() == []
        assert reader.runs(0) == runs
        after = {row.id: row for row in reader.sessions()}
        for name, row in after.items():
            assert row.events == before[name].events
            assert row.title == "title [private]"
            assert row.project == "/home/[private]"
            assert row.raw_bytes == sum(len(piece) for piece in reader.read(name))
        cursors = [msgspec.msgpack.decode(cursor.state) for cursor in reader.cursors()]
        assert cursors == [{"facts": {"title": "title [private]"}, "turn": 3}] * 2
        assert [each.type for each in reader.unknown_types()] == ["type [private]"]
        assert b"zanzibar" not in bytes(reader.audit()[0].detail)
        assert reader.redactions() == report.found
        assert [hit.seq for hit in reader.search(SearchQuery(words="four"))] == [3]
        assert reader.search(SearchQuery(words="zanzibar")) == []
    assert {each.session: each.events for each in report.sessions} == {"a": 2, "b": 0}


def test_a_title_that_repeats_an_event_is_not_counted_again(shelf: Shelf) -> None:
    shelf.store("a", f"one {HIDDEN}")
    for dry_run in (True, False):
        assert shelf.redactor().run([], dry_run=dry_run).sessions[0].found == {"private": 1}


def test_a_tag_that_is_open_hides_the_rest_of_its_record(shelf: Shelf) -> None:
    shelf.store("a", "one <private>zanzibar", "zanzibar", "z</private> two", record=7)
    shelf.store("a", "three", record=8)
    shelf.redactor().run(["a"], dry_run=False)
    assert shelf.texts("a") == ["one [private]", "[private]", "[private] two", "three"]
    shelf.store("b", "one <private>zanzibar", record=7)
    shelf.store("b", "two", record=8)
    shelf.redactor().run(["b"], dry_run=False)
    assert shelf.texts("b") == ["one [private]", "two"]


def test_a_dry_run_changes_nothing_and_says_what_would(shelf: Shelf) -> None:
    shelf.store("a", f"one {HIDDEN}", sealed=True)
    blob = BlobStore(shelf.blobs).put(f"payload {HIDDEN}".encode())
    shelf.store("a", f"see {blob.digest}")
    before = shelf.raw()
    would = shelf.redactor().run([], dry_run=True)
    assert shelf.raw() == before
    did = shelf.redactor().run([], dry_run=False)
    assert (would.found, would.events, would.blobs) == (did.found, did.events, did.blobs)
    assert did.blobs == 1


def test_commands_and_recordings_are_gone_over_too(shelf: Shelf) -> None:
    shelf.store("a", f"::capture {HIDDEN}")
    place = msgspec.msgpack.encode([3, b"said last: " + HIDDEN.encode(), b"\x00\xff digest"])
    recording = Recording(
        no=1,
        session="a",
        path=f"/tmp/{HIDDEN}.md",
        form="markdown",
        state="stopped",
        asked="::capture",
        started_at="",
        place=place,
    )
    given = CommandRow(
        no=1,
        key="k",
        session="a",
        seq=0,
        at="",
        name="capture",
        text=f"::capture {HIDDEN}",
        origin="chat",
        state="refused",
        outcome=f"cannot write {HIDDEN}",
    )
    save = shelf.journal.call(lambda writer: writer.save_recordings([recording], [given]))
    save.result()
    would = shelf.redactor().run([], dry_run=True)
    did = shelf.redactor().run([], dry_run=False)
    assert would.found == did.found
    assert b"zanzibar" not in shelf.raw()
    with shelf.journal.reader() as reader:
        (clean,), (command,) = reader.recordings(), reader.commands()
    assert clean.path == "/tmp/[private].md"
    assert msgspec.msgpack.decode(clean.place) == [3, b"", b"\x00\xff digest"]
    assert (command.text, command.key) == ("::capture [private]", "k")
    assert command.outcome == "cannot write [private]"


def test_a_payload_is_written_anew_and_the_old_one_goes(shelf: Shelf) -> None:
    store = BlobStore(shelf.blobs)
    dirty, clean = store.put(f"payload {HIDDEN}".encode()), store.put(b"a picture")
    shelf.store("a", f"see blob:{dirty.digest} and {clean.digest}")
    shelf.redactor().run([], dry_run=False)
    (text,) = shelf.texts("a")
    new = text.split("blob:")[1].split(" ")[0]
    assert b"".join(store.get(new)) == b"payload [private]"
    assert not Path(store.path(dirty.digest)).exists()
    assert Path(store.path(clean.digest)).exists()


def test_a_payload_that_another_session_needs_stays(shelf: Shelf) -> None:
    store = BlobStore(shelf.blobs)
    dirty = store.put(f"payload {HIDDEN}".encode())
    shelf.store("a", f"see {dirty.digest}")
    shelf.store("b", f"see {dirty.digest}")
    shelf.redactor().run(["a"], dry_run=False)
    assert Path(store.path(dirty.digest)).exists()
    shelf.redactor().run(["b"], dry_run=False)
    assert not Path(store.path(dirty.digest)).exists()


class Fails(Exception):
    """The machine stops here."""


def test_a_session_is_rewritten_whole_or_not_at_all(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        shelf.store(name, f"one {HIDDEN}", sealed=True)
        shelf.store(name, f"two {HIDDEN}", sealed=True)
    calls = 0
    seal = blocks.seal

    def failing(lines: bytes, first_seq: int, count: int) -> blocks.Block:
        nonlocal calls
        calls += 1
        if calls == 4:  # the second block of the second session
            raise Fails
        return seal(lines, first_seq, count)

    with monkeypatch.context() as patched:
        patched.setattr(blocks, "seal", failing)
        with pytest.raises(Fails):
            shelf.redactor().run([], dry_run=False)
    clean = [name for name in ("a", "b", "c") if "zanzibar" not in "".join(shelf.texts(name))]
    assert len(clean) == 1
    for name in {"a", "b", "c"} - set(clean):
        assert shelf.texts(name) == [f"one {HIDDEN}", f"two {HIDDEN}"]
    shelf.redactor().run([], dry_run=False)
    assert b"zanzibar" not in shelf.raw().lower()


def test_a_damaged_block_costs_itself_alone(shelf: Shelf) -> None:
    shelf.store("a", "one", sealed=True)
    shelf.store("a", f"two {HIDDEN}", sealed=True)

    def damage(writer: object) -> None:
        assert isinstance(writer, SqliteWriter)
        writer._connection.execute(
            "UPDATE blocks SET data = CAST(substr(data, 1, 50) AS BLOB) WHERE first_seq = 0"
        )

    shelf.journal.call(damage).result()
    report = shelf.redactor().run([], dry_run=False)
    assert report.events == 1
