"""Reading the SQLite database of another program, without that program ever noticing.

An agent's database is open in the agent while we read it. What could disturb it, and what is done
about it (docs/decisions/0012):

- A reader of a write-ahead log that stays long keeps the log from being moved into the database. So
  a snapshot is held for a page of rows only, and the next page has a new one.
- An ordinary read-only connection makes `-shm` and `-wal` files where there are none, and leaves
  them. So a database without a log beside it is opened as immutable, and what was read is thrown
  away when the file changed meanwhile; one with a log is opened with its index read-only.
- Closing any descriptor of a file drops the locks of the whole process on it. So the file is read
  through SQLite alone, its header too.

Everything that goes wrong is an `OSError` that says what it is: it may be over the next time.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import apsw

CACHE_KB: Final = 512
BUSY_TIMEOUT_MS: Final = 200
CHUNK_BYTES: Final = 65_536
STRETCH_BYTES: Final = 16 * 1024 * 1024  # of one value, read from one snapshot

_HEADER_BYTES: Final = 100
_MAGIC: Final = b"SQLite format 3\0"
_WRITE_VERSION_AT: Final = 18
_CHANGE_COUNTER: Final = slice(24, 28)
_WAL: Final = 2
_FLAGS: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI

LOCKED: Final = "another program holds this database locked: it is read when that lets go"
NOT_WHOLE: Final = (
    "its write-ahead log stands there without an index: it can be read when its own program has "
    "opened it again"
)
NO_DATABASE: Final = "is no SQLite database, or is damaged: let its own program repair it"
NO_TEXT: Final = "holds text that is not UTF-8: let its own program repair it"
REPLACED: Final = "was replaced or changed while it was read: it is read again"
NOT_READY: Final = "its own program is setting it up: it is read when that is done"


class _Version(NamedTuple):
    """What tells whether a file that nobody locks was changed."""

    inode: int
    size: int
    mtime_ns: int
    counter: bytes
    has_log: bool


@contextmanager
def snapshot(path: str) -> Iterator[apsw.Connection]:
    """A connection that sees one state of a database. Keep it for a page of rows, not longer.

    Raises OSError: FileNotFoundError when there is no such file, BlockingIOError when what was read
    may be a mixture, so that it is to be read again.
    """
    with _plain_errors(path):
        connection, before = _open(path)
        try:
            connection.execute("BEGIN")
            yield connection
            _compare(connection, path, before)
        except apsw.Error:
            _compare(connection, path, before)  # a mixture may look damaged
            raise
        finally:
            connection.close()


def _compare(connection: apsw.Connection, path: str, before: _Version | None) -> None:
    if before is not None and _version(connection, path) != before:
        raise BlockingIOError(errno.EAGAIN, REPLACED, path)


def damaged(path: str = "") -> OSError:
    """Rows that do not come in the order in which they were asked for: reading on may never end."""
    return OSError(errno.EINVAL, NO_DATABASE, path)


def columns(connection: apsw.Connection, table: str) -> frozenset[str]:
    """The names of a table's columns; none when there is no such table."""
    found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return frozenset(str(name) for (name,) in found)


def value_chunks(path: str, table: str, column: str, rowid: int, size: int) -> Iterator[bytes]:
    """A large value, never held: in stretches, each from a snapshot of its own."""
    for start in range(0, size, STRETCH_BYTES):
        with snapshot(path) as connection:
            blob = connection.blob_open("main", table, column, rowid, False)
            if blob.length() != size:
                raise BlockingIOError(errno.EAGAIN, REPLACED, path)
            blob.seek(start)
            left = min(STRETCH_BYTES, size - start)
            while left > 0:
                chunk = blob.read(min(CHUNK_BYTES, left))
                left -= len(chunk)
                yield chunk


def rows(
    connection: apsw.Connection, query: str, wanted: dict[str, Any] | tuple[Any, ...] = ()
) -> list[Any]:
    return connection.execute(query, wanted).fetchall()


def _open(path: str) -> tuple[apsw.Connection, _Version | None]:
    """And, where no lock protects what is read, what to compare with afterwards."""
    connection = _connect(path, "mode=ro&readonly_shm=1")
    with _closed_on_failure(connection):
        is_open = os.path.exists(f"{path}-wal") and os.path.exists(f"{path}-shm")
        if not _is_wal(connection, path) or is_open:
            return _frugal(connection), None
    connection.close()
    if _has_log(path):
        raise BlockingIOError(errno.EAGAIN, NOT_WHOLE, path)
    connection = _connect(path, "immutable=1")
    with _closed_on_failure(connection):
        return _frugal(connection), _version(connection, path)


@contextmanager
def _closed_on_failure(connection: apsw.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _connect(path: str, how: str) -> apsw.Connection:
    """Runs no statement: the first one makes a write-ahead log where there is none."""
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    connection = apsw.Connection(f"file:{quote(path)}?{how}", flags=_FLAGS)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    return connection


def _frugal(connection: apsw.Connection) -> apsw.Connection:
    for pragma in (f"cache_size = -{CACHE_KB}", "mmap_size = 0", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def _has_log(path: str) -> bool:
    """An empty one, as some leave it behind, holds nothing."""
    try:
        return os.path.getsize(f"{path}-wal") > 0
    except FileNotFoundError:
        return False


def _header(connection: apsw.Connection) -> bytes:
    """Past the cache, and past all locks."""
    whole, header = connection.read("main", 0, 0, _HEADER_BYTES)
    return bytes(header) if whole else b""


def _is_wal(connection: apsw.Connection, path: str) -> bool:
    header = _header(connection)
    if not header and not os.path.getsize(path):
        return False  # made, and nothing written yet
    if not header.startswith(_MAGIC):
        raise OSError(errno.EINVAL, NO_DATABASE, path)
    return header[_WRITE_VERSION_AT] == _WAL


def _version(connection: apsw.Connection, path: str) -> _Version:
    about = os.stat(path)
    counter = _header(connection)[_CHANGE_COUNTER]
    return _Version(about.st_ino, about.st_size, about.st_mtime_ns, counter, _has_log(path))


@contextmanager
def _plain_errors(path: str) -> Iterator[None]:
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise BlockingIOError(errno.EAGAIN, LOCKED, path) from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise OSError(errno.EINVAL, NO_DATABASE, path) from error
    except apsw.ReadOnlyError as error:  # no way to set up the index of the log
        raise BlockingIOError(errno.EAGAIN, NOT_READY, path) from error
    except (apsw.CantOpenError, apsw.PermissionsError, apsw.AuthError) as error:
        if not os.path.exists(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        problem = f"cannot be opened ({error}): check who may read it and its folder"
        raise PermissionError(errno.EACCES, problem, path) from error
    except apsw.SQLError as error:
        problem = f"is not as this holdfast knows it ({error}): a newer holdfast may read it"
        raise OSError(errno.EPROTO, problem, path) from error
    except UnicodeDecodeError as error:
        raise OSError(errno.EINVAL, NO_TEXT, path) from error
    except apsw.Error as error:
        raise OSError(errno.EIO, f"cannot be read ({error})", path) from error
