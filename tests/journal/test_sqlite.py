"""Opening the file: private, versioned, backed up before a migration, plain about what is wrong."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import apsw
import pytest

from holdfast.errors import Exit
from holdfast.journal import sqlite
from holdfast.journal.conformance import Trial, known
from holdfast.journal.reader import SqliteReader
from holdfast.journal.sql import migrations
from holdfast.journal.sqlite import (
    JournalBroken,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalMissing,
    JournalTooNew,
)
from holdfast.journal.writer import SqliteWriter
from tests.journal.subjects import SqliteSubject

NOBODY = 65_534


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def is_open(path: str) -> bool:
    return any(connection.filename == path for connection in apsw.connections())


def schema(path: str) -> object:
    connection = apsw.Connection(path)
    try:
        return connection.pragma("user_version")
    finally:
        connection.close()


def test_the_journal_and_all_that_stands_beside_it_are_private(trial: Trial, path: str) -> None:
    trial.say("one", "a")
    trial.writer.backup(f"{path}.copy")
    assert {mode(path + suffix) for suffix in ("", "-wal", "-shm", ".copy")} == {0o600}


def test_a_missing_journal_is_named_and_not_made(path: str) -> None:
    with pytest.raises(JournalMissing, match="holdfast up") as raised:
        SqliteReader(path)
    assert raised.value.exit == Exit.JOURNAL
    assert not os.path.exists(path)


def test_an_empty_file_becomes_a_journal(path: str) -> None:
    Path(path).touch()
    SqliteWriter(path).close()
    assert mode(path) == 0o600
    assert schema(path) == len(migrations())


def test_a_journal_that_died_before_its_first_table_is_taken_up(path: str) -> None:
    connection = apsw.Connection(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert os.path.getsize(path) > 0
    SqliteWriter(path).close()
    assert schema(path) == len(migrations())


def test_a_newer_journal_is_refused_and_left_alone(trial: Trial, path: str) -> None:
    trial.say("one", "a")
    trial.close()
    connection = apsw.Connection(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = Path(path).read_bytes()
    for opener in (SqliteWriter, SqliteReader):
        with pytest.raises(JournalTooNew, match=r"schema 99.*upgrade holdfast") as raised:
            opener(path)
        assert not is_open(path), raised
    assert Path(path).read_bytes() == before
    assert not list(Path(path).parent.glob("*.backup"))
    connection = apsw.Connection(path)
    connection.execute(f"PRAGMA user_version = {len(migrations())}")
    connection.close()
    trial.open()


@pytest.mark.parametrize("version", [0, 1, 7])
def test_a_database_of_another_program_is_refused_and_left_alone(path: str, version: int) -> None:
    connection = apsw.Connection(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = Path(path).read_bytes()
    for opener in (SqliteWriter, SqliteReader):
        with pytest.raises(JournalError, match="another program: move it away") as raised:
            opener(path)
        assert not is_open(path), raised
    assert Path(path).read_bytes() == before


def test_a_file_that_is_no_database_is_said_to_be_damaged(path: str) -> None:
    Path(path).write_bytes(b"these are not the pages you look for\n" * 1_000)
    for opener in (SqliteWriter, SqliteReader):
        with pytest.raises(JournalDamaged, match="put a backup in its place") as raised:
            opener(path)
        assert not is_open(path), raised


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "missing" / "journal.db")
    with pytest.raises(JournalError, match="HOLDFAST_HOME") as raised:
        SqliteWriter(path)
    assert path in str(raised.value)


def test_a_read_only_folder_is_named() -> None:
    folder = tempfile.mkdtemp()  # not below pytest's own, which is closed to others
    os.chmod(folder, 0o555)
    try:
        with powerless(), pytest.raises(JournalError, match="HOLDFAST_HOME"):
            SqliteWriter(os.path.join(folder, "journal.db"))
    finally:
        os.chmod(folder, 0o700)
        shutil.rmtree(folder)


@contextmanager
def powerless() -> Iterator[None]:
    """Without the rights of root, who may write everywhere."""
    ours = os.geteuid()
    if ours == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(ours)


@pytest.mark.parametrize(
    ("error", "plain", "says"),
    [
        (apsw.FullError("full"), JournalFull, "free some space"),
        (apsw.CorruptError("malformed"), JournalDamaged, "malformed"),
        (apsw.NotADBError("no"), JournalDamaged, "backup"),
        (apsw.ReadOnlyError("no"), JournalError, "HOLDFAST_HOME"),
        (apsw.CantOpenError("no"), JournalError, "who owns the file"),
        (apsw.PermissionsError("no"), JournalError, "HOLDFAST_HOME"),
        (apsw.BusyError("busy"), JournalError, "another program"),
        (apsw.IOError("disk"), JournalBroken, "check the disk"),
        (apsw.ConnectionClosedError("closed"), JournalBroken, "next try"),
        (apsw.ConstraintError("UNIQUE"), JournalError, "UNIQUE.*report this"),
    ],
)
def test_an_error_of_sqlite_becomes_one_that_says_what_to_do(
    error: Exception, plain: type[JournalError], says: str
) -> None:
    with pytest.raises(plain, match=says) as raised, sqlite.plain_errors("/some/journal.db"):
        raise error
    assert type(raised.value) is plain
    assert "/some/journal.db" in str(raised.value)
    assert raised.value.__cause__ is error


def test_a_reader_cannot_write(trial: Trial) -> None:
    connection = sqlite.open_reader(trial.subject.path)  # type: ignore[attr-defined]  # SQLite's
    with pytest.raises(apsw.ReadOnlyError):
        connection.execute("DELETE FROM sessions")
    connection.close()


def test_what_was_committed_before_a_kill_is_read_after_it(trial: Trial, tmp_path: Path) -> None:
    """The copy is what a killed writer leaves: a database and a log that nobody closed."""
    trial.say("one", "a", "b")
    os.mkdir(tmp_path / "left")
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"journal.db{suffix}", tmp_path / "left")
    left = str(tmp_path / "left" / "journal.db")
    reader = SqliteReader(left)
    assert b"".join(reader.read(known("one").id)).count(b"\n") == 2
    reader.close()
    again = Trial(SqliteSubject(tmp_path / "left", left))
    again.held, again.order = dict(trial.held), list(trial.order)
    again.say("one", "c")
    again.verify()
    again.close()


# Migrations.

EXTRA = "ALTER TABLE sessions ADD COLUMN note TEXT NOT NULL DEFAULT 'none';"


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Scripts that a newer holdfast brings; empty at first."""
    extra: list[str] = []
    ours = migrations()
    monkeypatch.setattr(sqlite, "migrations", lambda: ours + tuple(extra))
    return extra


def test_a_journal_that_is_being_made_is_not_there_until_all_of_it_is(
    path: str, newer: list[str]
) -> None:
    """Readers look while it is made, and whoever makes it may die in the middle."""
    newer.append("CREATE TABLE half (made")
    with pytest.raises(JournalError):
        Trial(SqliteSubject(Path(path).parent))
    assert schema(path) == 0
    with pytest.raises(JournalMissing):
        SqliteReader(path)
    newer.clear()
    Trial(SqliteSubject(Path(path).parent)).close()
    assert schema(path) == len(migrations())


def test_an_older_journal_is_migrated_with_a_backup_beside_it(
    trial: Trial, path: str, newer: list[str]
) -> None:
    version = len(migrations())
    trial.say("one", "a", "b")
    trial.settle()
    trial.close()
    newer.append(EXTRA)
    with pytest.raises(JournalError, match="older holdfast"):
        SqliteReader(path)
    trial.open()
    assert schema(path) == version + 1
    assert trial.found("a") == ["one/0"]
    trial.say("one", "c")
    trial.verify()
    backup = f"{path}.schema-{version}.backup"
    assert schema(backup) == version
    assert mode(backup) == 0o600
    newer.clear()
    reader = SqliteReader(backup)
    assert reader.check() == []
    assert b"".join(reader.read(known("one").id)).count(b"\n") == 2
    reader.close()
    with pytest.raises(JournalTooNew):
        SqliteReader(path)


def test_a_new_journal_needs_no_backup(path: str, newer: list[str]) -> None:
    newer.append(EXTRA)
    SqliteWriter(path).close()
    assert schema(path) == len(migrations()) + 1
    assert os.listdir(os.path.dirname(path)) == ["journal.db"]


def test_a_migration_that_fails_changes_nothing(trial: Trial, path: str, newer: list[str]) -> None:
    version = len(migrations())
    trial.say("one", "a")
    trial.close()
    newer += [EXTRA, "CREATE TABLE half (x); INSERT INTO nowhere VALUES (1);"]
    with pytest.raises(JournalError, match="nowhere"):
        SqliteWriter(path)
    assert not is_open(path)
    assert schema(path) == version
    assert schema(f"{path}.schema-{version}.backup") == version
    newer.pop()
    trial.open()
    tables = sqlite.select(trial.reader._connection, "SELECT name FROM sqlite_schema")  # type: ignore[attr-defined]  # SQLite's
    assert ("half",) not in tables
    trial.verify()


# Backups and checkpoints.


def test_a_backup_passes_over_what_a_killed_one_left(trial: Trial, path: str) -> None:
    trial.say("one", "a")
    target = f"{path}.copy"
    for suffix in ("", "-journal", "-wal"):
        Path(f"{target}.partial{suffix}").write_bytes(b"left over")
    trial.writer.backup(target)
    reader = SqliteReader(target)
    assert reader.check() == []
    reader.close()
    assert not list(Path(path).parent.glob("*.partial*"))


def test_a_backup_that_cannot_be_written_says_so(trial: Trial, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot open"):
        trial.writer.backup(str(tmp_path / "missing" / "copy"))
    trial.say("one", "a")
    trial.verify()


def test_a_checkpoint_does_not_wait_for_readers(trial: Trial, path: str) -> None:
    trial.say("one", "a")
    held = sqlite.open_reader(path)
    held.execute("BEGIN")
    assert held.execute("SELECT count(*) FROM sessions").get == 1
    trial.say("one", "b")
    trial.writer.checkpoint()
    assert os.path.getsize(f"{path}-wal") > 0, "the reader still needs it"
    held.execute("COMMIT")
    held.close()
    trial.writer.checkpoint()
    assert os.path.getsize(f"{path}-wal") == 0
    trial.verify()


def test_a_checkpoint_that_finds_readers_gives_up_at_once() -> None:
    class Busy:
        waits: ClassVar[list[int]] = []

        def set_busy_timeout(self, milliseconds: int) -> None:
            self.waits.append(milliseconds)

        def wal_checkpoint(self, **_mode: int) -> None:
            assert self.waits == [0]
            raise apsw.BusyError

    sqlite.checkpoint(Busy())  # type: ignore[arg-type]  # all that it needs of a connection
    assert Busy.waits == [0, sqlite.BUSY_TIMEOUT_MS]
