"""Another program's database: it is read, and that program never notices."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from holdfast.sources import database
from tests.support.waiting import until

ROWS: Final = 500


def make(path: Path, *, wal: bool) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}").fetchall()
    connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text)").fetchall()
    connection.executemany(
        "INSERT INTO notes (text) VALUES (?)", [(f"note {number}",) for number in range(ROWS)]
    )
    return connection


def count(path: Path) -> int:
    with database.snapshot(str(path)) as connection:
        [(found,)] = database.rows(connection, "SELECT count(*) FROM notes")
    return int(found)


@pytest.fixture(params=["wal", "rollback"])
def wal(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "wal")


def test_what_is_committed_is_seen_while_its_program_has_it_open(
    tmp_path: Path, *, wal: bool
) -> None:
    theirs = make(tmp_path / "a.db", wal=wal)
    assert count(tmp_path / "a.db") == ROWS
    theirs.execute("INSERT INTO notes (text) VALUES ('one more')")
    assert count(tmp_path / "a.db") == ROWS + 1


def test_reading_leaves_no_file_behind_and_changes_none(tmp_path: Path, *, wal: bool) -> None:
    make(tmp_path / "a.db", wal=wal).close()
    before = (tmp_path / "a.db").read_bytes(), (tmp_path / "a.db").stat().st_mtime_ns
    assert count(tmp_path / "a.db") == ROWS
    assert os.listdir(tmp_path) == ["a.db"]
    assert ((tmp_path / "a.db").read_bytes(), (tmp_path / "a.db").stat().st_mtime_ns) == before


def test_an_empty_log_that_somebody_left_hides_nothing(tmp_path: Path) -> None:
    make(tmp_path / "a.db", wal=True).close()
    (tmp_path / "a.db-wal").touch()
    assert count(tmp_path / "a.db") == ROWS


def test_what_a_killed_program_left_in_its_log_is_read(tmp_path: Path) -> None:
    theirs = make(tmp_path / "a.db", wal=True)
    for name in ("a.db", "a.db-wal", "a.db-shm"):
        (tmp_path / f"copy-{name}").write_bytes((tmp_path / name).read_bytes())
    theirs.close()
    before = sorted(os.listdir(tmp_path))
    assert count(tmp_path / "copy-a.db") == ROWS
    assert sorted(os.listdir(tmp_path)) == before


def test_a_log_without_its_index_is_refused_and_not_half_read(tmp_path: Path) -> None:
    theirs = make(tmp_path / "a.db", wal=True)
    for name in ("a.db", "a.db-wal"):
        (tmp_path / f"copy-{name}").write_bytes((tmp_path / name).read_bytes())
    theirs.close()
    with pytest.raises(BlockingIOError, match="without an index"):
        count(tmp_path / "copy-a.db")
    assert "copy-a.db-shm" not in os.listdir(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into any folder")
def test_a_folder_that_nobody_may_write_to_is_read(tmp_path: Path) -> None:
    make(tmp_path / "a.db", wal=True).close()
    tmp_path.chmod(0o500)
    try:
        assert count(tmp_path / "a.db") == ROWS
    finally:
        tmp_path.chmod(0o700)


def test_a_file_that_changed_under_an_unlocked_reading_is_read_again(tmp_path: Path) -> None:
    make(tmp_path / "a.db", wal=True).close()
    with (  # noqa: PT012  # the change comes while the snapshot is held
        pytest.raises(BlockingIOError, match="read again"),
        database.snapshot(str(tmp_path / "a.db")) as connection,
    ):
        database.rows(connection, "SELECT count(*) FROM notes")
        theirs = apsw.Connection(str(tmp_path / "a.db"))
        theirs.execute("INSERT INTO notes (text) VALUES ('meanwhile')")
        theirs.close()
    assert count(tmp_path / "a.db") == ROWS + 1


def test_one_that_is_locked_is_told_and_read_when_it_is_free(tmp_path: Path) -> None:
    theirs = make(tmp_path / "a.db", wal=False)
    theirs.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BlockingIOError, match="holds this database locked"):
        count(tmp_path / "a.db")
    theirs.execute("ROLLBACK")
    assert count(tmp_path / "a.db") == ROWS


@pytest.mark.parametrize("content", [b"no database at all, but long enough" * 9, b"SQLite"])
def test_what_is_no_database_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.db").write_bytes(content)
    with pytest.raises(OSError, match="no SQLite database"):
        count(tmp_path / "a.db")


def test_a_damaged_database_costs_an_error_and_no_more(tmp_path: Path, *, wal: bool) -> None:
    make(tmp_path / "a.db", wal=wal).close()
    whole = bytearray((tmp_path / "a.db").read_bytes())
    whole[4_096:8_192] = b"\xff" * 4_096
    (tmp_path / "a.db").write_bytes(whole)
    with pytest.raises(OSError, match="damaged"):
        count(tmp_path / "a.db")


def test_one_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        count(tmp_path / "a.db")
    assert os.listdir(tmp_path) == []


def test_a_database_with_nothing_in_it_yet_has_no_tables(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    with database.snapshot(str(tmp_path / "a.db")) as connection:
        assert not database.columns(connection, "notes")


def test_a_schema_that_nobody_knows_is_told(tmp_path: Path) -> None:
    make(tmp_path / "a.db", wal=True).close()
    with (
        pytest.raises(OSError, match="newer holdfast"),
        database.snapshot(str(tmp_path / "a.db")) as connection,
    ):
        database.rows(connection, "SELECT mood FROM notes")


def test_a_large_value_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "STRETCH_BYTES", 100_000)
    theirs = make(tmp_path / "a.db", wal=True)
    value = "".join(f"{number:07} " for number in range(60_000))
    theirs.execute("INSERT INTO notes (id, text) VALUES (9000, ?)", (value,))
    chunks = list(database.value_chunks(str(tmp_path / "a.db"), "notes", "text", 9_000, len(value)))
    assert b"".join(chunks).decode() == value
    assert max(map(len, chunks)) <= database.CHUNK_BYTES


def test_a_large_value_that_changes_length_is_read_again(tmp_path: Path) -> None:
    theirs = make(tmp_path / "a.db", wal=True)
    theirs.execute("INSERT INTO notes (id, text) VALUES (9000, 'short')")
    with pytest.raises(BlockingIOError, match="read again"):
        list(database.value_chunks(str(tmp_path / "a.db"), "notes", "text", 9_000, 500))


# A program that writes all the time.


def _write_on(path: str, said: Any, ending: Any) -> None:
    """Commits and empties its log without ever waiting for a lock; tells what went wrong."""
    connection = apsw.Connection(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.wal_autocheckpoint(0)
    refused, emptied, largest, commits = 0, 0, 0, 0
    while not ending.is_set():
        try:
            row = (commits % ROWS + 1, f"{commits:08} {'x' * 2_000}")
            connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", row)
            commits += 1
        except apsw.BusyError:
            refused += 1
        if commits % 10 == 0:
            largest = max(largest, os.path.getsize(f"{path}-wal"))
            try:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                emptied += 1
            except apsw.BusyError:
                pass  # a page is being read: the next time
    said.send((refused, emptied, commits, largest))


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[tuple[Path, Any, Any]]:
    make(tmp_path / "a.db", wal=True).close()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    ending = context.Event()
    process = context.Process(target=_write_on, args=(str(tmp_path / "a.db"), theirs, ending))
    process.start()
    try:
        yield tmp_path / "a.db", ours, ending
    finally:
        ending.set()
        process.join(30)
        if process.is_alive():
            process.kill()


def test_a_program_that_writes_all_the_time_is_never_refused_and_empties_its_log(
    writer: tuple[Path, Any, Any],
) -> None:
    path, said, ending = writer
    until(lambda: os.path.exists(f"{path}-wal"), "the program writes")
    seen, last = 0, ""
    while seen < 1_000:
        try:
            with database.snapshot(str(path)) as connection:
                page = database.rows(connection, "SELECT text FROM notes ORDER BY id LIMIT 100")
                [(newest, rows)] = database.rows(
                    connection, "SELECT max(text), count(*) FROM notes WHERE text < 'note'"
                )
        except BlockingIOError:
            continue
        assert len(page) == 100
        assert rows <= ROWS
        assert (newest or "") >= last  # never an older state than the one before
        seen, last = seen + 1, newest or ""
    ending.set()
    assert said.poll(30)
    refused, emptied, commits, largest = said.recv()
    assert refused == 0
    assert commits > ROWS
    assert emptied > 10
    assert largest < 64_000_000  # a log that nobody could empty would hold every commit
