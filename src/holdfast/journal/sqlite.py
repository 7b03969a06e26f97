"""Opening the SQLite file of the journal: settings that keep it safe, versions, and plain errors.

WAL with one writer, and checkpoints made beside it (see checkpoints.py); readers never block it.
`synchronous` is NORMAL for what can be read again from a log and FULL for what somebody was told is
stored (see writer.py). Memory mapping stays off: a mapped database turns an I/O error into a killed
process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Final

import apsw

from holdfast.errors import Exit, HoldfastError
from holdfast.journal.sql import migrations

APPLICATION_ID: Final = 0x68666A31  # "hfj1"
PAGE_BYTES: Final = 16_384
WRITER_CACHE_KB: Final = 4_096
READER_CACHE_KB: Final = 1_024
BUSY_TIMEOUT_MS: Final = 5_000
CHECKPOINTER_CACHE_KB: Final = 64  # what it copies goes past the cache
WAL_LIMIT_BYTES: Final = 32 * 1024 * 1024  # to which the file shrinks when the log begins anew
BACKUP_STEP_PAGES: Final = 256


class JournalError(HoldfastError):
    """The journal cannot be used as it is."""

    exit: ClassVar[Exit] = Exit.JOURNAL


class JournalFull(JournalError):
    """No room on the disk; nothing was written, nothing is lost, and there may be room later."""


class JournalDamaged(JournalError):
    """SQLite found damage in the file."""


class JournalBroken(JournalError):
    """Reading or writing the file failed below SQLite."""


class JournalMissing(JournalError):
    """There is no journal yet."""


class JournalTooNew(JournalError):
    """A newer holdfast wrote the file; an older one must not touch it."""


@contextmanager
def plain_errors(path: str) -> Iterator[None]:
    """Turn SQLite's errors into ones that say what to do."""
    try:
        yield
    except apsw.FullError as error:
        raise JournalFull(
            f"no room to write the journal {path}: free some space on its disk; "
            "writing goes on by itself, reading still works"
        ) from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise JournalDamaged(
            f"the journal {path} is damaged ({error}): stop holdfast, keep a copy of the file, and "
            "put a backup in its place; what the agents' logs still hold is imported again"
        ) from error
    except (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError) as error:
        raise JournalError(
            f"cannot open the journal {path} ({error}): check who owns the file and its folder, "
            "or set HOLDFAST_HOME to a folder that you can write to"
        ) from error
    except apsw.BusyError as error:
        raise JournalError(
            f"another program holds the journal {path}: stop it, or try again"
        ) from error
    except apsw.IOError as error:
        raise JournalBroken(
            f"the disk failed under the journal {path} ({error}): check the disk and its logs"
        ) from error
    except apsw.ConnectionClosedError as error:
        raise JournalBroken(
            f"the journal {path} is closed since its disk failed: the next try opens it again"
        ) from error
    except apsw.Error as error:
        raise JournalError(
            f"the journal {path} refused what holdfast asked ({error!r}): please report this"
        ) from error


def open_writer(path: str, *, vfs: str | None = None) -> apsw.Connection:
    """The one connection that writes; brings the schema up to date, with a backup beside it."""
    with plain_errors(path):
        existed = os.path.exists(path) and os.path.getsize(path) > 0
        connection = apsw.Connection(path, vfs=vfs)
        with _closed_on_failure(connection):
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            if not existed:
                os.chmod(path, 0o600)
                connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            _refuse_foreign(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KB}")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.wal_autocheckpoint(0)
            _migrate(connection, path)
        return connection


def open_checkpointer(path: str, *, vfs: str | None = None) -> apsw.Connection:
    """A connection to a journal that is open, for checkpoints alone."""
    with plain_errors(path):
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        with _closed_on_failure(connection):
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{CHECKPOINTER_CACHE_KB}")
            connection.wal_autocheckpoint(0)
        return connection


def open_reader(path: str, *, vfs: str | None = None) -> apsw.Connection:
    """A connection that cannot write, whoever else has the journal open."""
    if not os.path.exists(path):
        raise _missing(path)
    with plain_errors(path):
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
        with _closed_on_failure(connection):
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            connection.execute("PRAGMA query_only = 1")
            connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KB}")
            connection.execute("PRAGMA temp_store = MEMORY")
            _refuse_foreign(connection, path)
            version = _schema_version(connection)
            if not version:  # somebody is making it now, or died before it was made
                raise _missing(path)
            if version < len(migrations()):
                raise JournalError(
                    f"the journal {path} is from an older holdfast: run `holdfast start` or "
                    "`holdfast import` once to bring it up to date"
                )
        return connection


def is_emptied(path: str) -> bool:
    """A file without content, which says nothing of what was in it. For a moment so is one that is
    being made; whoever died in that moment left it so."""
    try:
        return os.path.getsize(path) == 0
    except OSError:
        return False


def emptied(path: str) -> str:
    """What to say of one, where it is not being made."""
    return (
        f"the journal {path} is an empty file: if it ever held anything, put a backup in its place "
        "before the next start, which makes a new one of what the agents' logs still hold"
    )


def _missing(path: str) -> JournalMissing:
    if is_emptied(path):
        return JournalMissing(emptied(path))
    return JournalMissing(
        f"there is no journal at {path} yet: run `holdfast up` or `holdfast import` first"
    )


@contextmanager
def _closed_on_failure(connection: apsw.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def select(connection: apsw.Connection, query: str, wanted: Sequence[Any] = ()) -> list[Any]:
    """All rows of a query; the schema says of which types they are."""
    return connection.execute(query, wanted).fetchall()


def _pragma(connection: apsw.Connection, name: str) -> int:
    value = connection.pragma(name)
    assert isinstance(value, int)
    return value


def _schema_version(connection: apsw.Connection) -> int:
    return _pragma(connection, "user_version")


def _refuse_foreign(connection: apsw.Connection, path: str) -> None:
    version = _schema_version(connection)
    ours = _pragma(connection, "application_id") == APPLICATION_ID
    if not ours and (version or connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").get):
        raise JournalError(f"{path} is a database of another program: move it away")
    if version > len(migrations()):
        raise JournalTooNew(
            f"the journal {path} has schema {version}, this holdfast knows {len(migrations())}: "
            "a newer holdfast wrote it; upgrade holdfast, or set HOLDFAST_HOME to another folder"
        )


def _migrate(connection: apsw.Connection, path: str) -> None:
    version = _schema_version(connection)
    pending = migrations()[version:]
    if pending and version:
        backup(connection, f"{path}.schema-{version}.backup")
    if not pending:
        return
    # All or none: of a half-made journal, readers would say that an older holdfast wrote it.
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script in pending:
            connection.execute(script)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations())}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def checkpoint(connection: apsw.Connection, *, wait_ms: int = 0) -> bool:
    """Move the write-ahead log into the database and sync it, as far as readers let it.

    False when one still needs the log; what it does not need is in the database.
    """
    connection.set_busy_timeout(wait_ms)
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return False
    finally:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    return True


def backup(connection: apsw.Connection, target: str) -> None:
    """A copy of the whole journal, complete or not there, while others read."""
    partial = f"{target}.partial"
    with plain_errors(target):
        for leftover in (partial, f"{partial}-journal", f"{partial}-wal", f"{partial}-shm"):
            with suppress(FileNotFoundError):
                os.unlink(leftover)
        copy = apsw.Connection(partial)
        try:
            os.chmod(partial, 0o600)
            with copy.backup("main", connection, "main") as progress:
                while not progress.done:
                    progress.step(BACKUP_STEP_PAGES)
        finally:
            copy.close()
    os.replace(partial, target)
    _sync_folder(os.path.dirname(target) or ".")


def _sync_folder(path: str) -> None:
    """A file that was renamed is there after a power loss only once its folder is on disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
