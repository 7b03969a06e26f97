"""The two logs: what the program did (operational) and what became of people's data (audit).

One record is one line of JSON: `{"at": ..., "level": ..., "event": "snapshots.evicted", ...}`. The
event is the name of an action, never a sentence, so logs can be searched and counted.

**No conversation text goes in here, ever**: ids, paths, counts, sizes and errors only. The logs are
what people attach to a bug report.

Logging must never be why the program stops, waits or fills the disk:

- A line is written by one `write` on a descriptor opened to append, so the lines of several threads
  and processes never mix. A write that a full disk cut short is taken back.
- Nothing is raised. A record that cannot be written counts as `dropped`; once a second the file is
  tried anew, and the first record after a gap is preceded by `log.healed`, which says how many
  are missing.
- Files rotate by size and the oldest goes, so a log takes about `(keep_files + 1) * max_bytes`.
  Each write looks whether its file still is the one of that name; so another process may rotate
  it, or a person delete it.

Lines are not synced: what a power cut may take from the logs is not worth a sync per record; the
journal has what must last. Rejected: stdlib `logging` underneath (12 ms to import, a lock and a
formatter per handler, and its rotation loses lines when two processes share a file). Its records
come in through `stdlib_handler`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    import logging

LogLevel = Literal["debug", "info", "warning", "error"]

OPERATIONAL_FILE: Final = "holdfast.log.jsonl"
AUDIT_FILE: Final = "audit.jsonl"
MAX_BYTES: Final = 10 * 1024 * 1024
KEEP_FILES: Final = 4
MAX_LINE_BYTES: Final = 16 * 1024
MAX_EVENT_CHARS: Final = 200
HEAL_INTERVAL_S: Final = 1.0
FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700

_RANK: Final[dict[LogLevel, int]] = {"debug": 0, "info": 1, "warning": 2, "error": 3}
_FIELD_CHARS: Final = (4096, 1024, 256, 64)  # tried in turn until the line fits
_BLOCK_BYTES: Final = 64 * 1024


class EventLog(Protocol):
    """What the other rooms ask of a log."""

    def debug(self, event: str, /, **fields: object) -> None: ...
    def info(self, event: str, /, **fields: object) -> None: ...
    def warning(self, event: str, /, **fields: object) -> None: ...
    def error(self, event: str, /, **fields: object) -> None: ...


class JsonLog:
    """One log file and its older ones: name.jsonl, name.1.jsonl … name.<keep_files>.jsonl."""

    def __init__(
        self,
        path: Path,
        *,
        level: LogLevel = "info",
        max_bytes: int = MAX_BYTES,
        keep_files: int = KEEP_FILES,
        clock: Callable[[], float] = time.time,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        assert max_bytes > 0, max_bytes
        assert keep_files >= 0, keep_files
        self.path: Final = path
        self.level: LogLevel = level
        self.written = 0
        self.dropped = 0
        self._max_bytes: Final = max_bytes
        self._keep_files: Final = keep_files
        self._clock: Final = clock
        self._write: Final = write
        # Reentrant: a finalizer or a signal handler that logs may run in the middle of a write, on
        # the same thread. It must not wait for itself; `_busy` sends it away.
        self._lock: Final = threading.RLock()
        self._busy = False
        self._fd: int | None = None
        self._identity = (0, 0)  # device and inode of what `_fd` is open on
        self._failed_at_s: float | None = None
        self._gap = 0  # dropped since the last line that was written

    def debug(self, event: str, /, **fields: object) -> None:
        self._log("debug", event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        self._log("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self._log("warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        self._log("error", event, fields)

    def close(self) -> None:
        """Give the descriptor back. A record that comes later opens the file again."""
        with self._lock:
            if not self._busy:
                self._close()

    def _log(self, level: LogLevel, event: str, fields: dict[str, object]) -> None:
        if _RANK[level] < _RANK[self.level]:
            return
        now_s = self._clock()
        line = _line(now_s, level, event, fields)
        with self._lock:
            if self._busy or not self._may_try(now_s):
                self._drop()
                return
            self._busy = True
            try:
                healed = b""
                if self._gap:
                    healed = _line(now_s, "warning", "log.healed", {"dropped": self._gap})
                self._append(healed + line)
            except OSError:
                self._failed_at_s = now_s
                self._drop()
                self._close()
            else:
                self._failed_at_s, self._gap = None, 0
                self.written += 1
            finally:
                self._busy = False

    def _may_try(self, now_s: float) -> bool:
        # A wall clock that was set back must not stop the log until it has caught up.
        return self._failed_at_s is None or not 0 <= now_s - self._failed_at_s < HEAL_INTERVAL_S

    def _drop(self) -> None:
        self.dropped += 1
        self._gap += 1

    def _append(self, lines: bytes) -> None:
        size = self._size()
        if size and size + len(lines) > self._max_bytes:
            self._rotate()
        fd = self._fd
        assert fd is not None
        count = self._write(fd, lines)
        if count != len(lines):
            _take_back(fd, count)
            raise OSError(errno.ENOSPC, "the line did not fit", str(self.path))

    def _size(self) -> int:
        """The size of the file of that name, after making sure that it is the one we hold."""
        if self._fd is not None:
            with contextlib.suppress(FileNotFoundError):
                found = self.path.stat()
                if (found.st_dev, found.st_ino) == self._identity:
                    return found.st_size
        return self._open()

    def _open(self) -> int:
        self._close()
        _make_directory(self.path.parent)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self.path, flags, FILE_MODE)
        found = os.fstat(fd)
        self._fd, self._identity = fd, (found.st_dev, found.st_ino)
        # Never a device: someone may point a log at /dev/null.
        if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) != FILE_MODE:
            with contextlib.suppress(OSError):  # not our file; what we may write to we write to
                os.fchmod(fd, FILE_MODE)
        return found.st_size

    def _close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):
                os.close(fd)

    def _rotate(self) -> None:
        """Move every file one number up. Of several processes that want to, one does."""
        fd = self._fd
        assert fd is not None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # the line goes into the old file while the other process is at it
        except OSError:
            pass  # a file system without locks
        if self._is_current():
            self._shift()
        self._open()  # closes the old descriptor and with it gives the lock back

    def _is_current(self) -> bool:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def _shift(self) -> None:
        surplus = max(self._keep_files, 1)  # more than one when `keep_files` was lowered
        with contextlib.suppress(FileNotFoundError):
            while True:
                _numbered(self.path, surplus).unlink()
                surplus += 1
        for number in range(self._keep_files - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                _numbered(self.path, number).replace(_numbered(self.path, number + 1))
        if self._keep_files:
            self.path.replace(_numbered(self.path, 1))
        else:
            self.path.unlink()


class Logs:
    def __init__(
        self,
        directory: Path,
        *,
        level: LogLevel = "info",
        max_bytes: int = MAX_BYTES,
        keep_files: int = KEEP_FILES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # The directory is ours alone, so it may be narrowed; the one of a JsonLog may be /tmp.
        with contextlib.suppress(OSError):
            _make_directory(directory)
            directory.chmod(DIRECTORY_MODE)
        self.operational: Final = JsonLog(
            directory / OPERATIONAL_FILE,
            level=level,
            max_bytes=max_bytes,
            keep_files=keep_files,
            clock=clock,
        )
        self.audit: Final = JsonLog(
            directory / AUDIT_FILE, max_bytes=max_bytes, keep_files=keep_files, clock=clock
        )

    def close(self) -> None:
        self.operational.close()
        self.audit.close()


def stdlib_handler(log: EventLog, *, level: LogLevel = "warning") -> logging.Handler:
    """Lets libraries that use stdlib `logging` write to `log`, as `log.<name of their logger>`.

    A function, so that `logging` is imported only where such a library runs.
    """
    import logging

    steps = (
        (logging.ERROR, log.error),
        (logging.WARNING, log.warning),
        (logging.INFO, log.info),
        (logging.NOTSET, log.debug),
    )

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields: dict[str, object] = {}
            try:
                fields["message"] = record.getMessage()
                if record.exc_info:
                    fields["traceback"] = logging.Formatter().formatException(record.exc_info)
            except Exception as error:  # noqa: BLE001 - a wrong format string of some library
                fields["message"] = f"{record.msg!r} with {error!r}"
            say = next(say for least, say in steps if record.levelno >= least)
            say(f"log.{record.name}", **fields)

    return Handler(level.upper())


def tail(path: Path, lines: int) -> list[dict[str, Any]]:
    """The last records, oldest first, across the older files. What is no record is passed over."""
    found: list[dict[str, Any]] = []
    seen: set[tuple[int, int]] = set()  # a file may be rotated under us, to the next number
    number = 0
    while len(found) < lines:
        try:
            fd = os.open(_numbered(path, number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if number:
                break
            number += 1  # between a rotation and the next record the newest has number 1
            continue
        try:
            facts = os.fstat(fd)
            if (facts.st_dev, facts.st_ino) not in seen:
                seen.add((facts.st_dev, facts.st_ino))
                for line in _lines_backwards(fd, facts.st_size):
                    record = _record(line)
                    if record is not None:
                        found.append(record)
                        if len(found) == lines:
                            break
        finally:
            os.close(fd)
        number += 1
    found.reverse()
    return found


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.{number}{path.suffix}") if number else path


def _lines_backwards(fd: int, end: int) -> Iterator[bytes]:
    rest = b""
    while end:
        begin = max(0, end - _BLOCK_BYTES)
        first, *whole = (os.pread(fd, end - begin, begin) + rest).split(b"\n")
        yield from reversed(whole)
        rest, end = first, begin
    yield rest


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = msgspec.json.decode(line)
    except ValueError:  # not JSON, or not UTF-8
        return None
    return record if isinstance(record, dict) else None


def _make_directory(directory: Path) -> None:
    """`Path.mkdir(parents=True)` gives the parents what the umask leaves, not our mode."""
    if not directory.is_dir():
        _make_directory(directory.parent)
        directory.mkdir(DIRECTORY_MODE, exist_ok=True)


def _take_back(fd: int, count: int) -> None:
    """Cut off the piece of a line that was written, unless another process has written after it."""
    with contextlib.suppress(OSError):
        end = os.lseek(fd, 0, os.SEEK_CUR)
        if os.fstat(fd).st_size == end:
            os.ftruncate(fd, end - count)


def _line(now_s: float, level: LogLevel, event: str, fields: dict[str, object]) -> bytes:
    at = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
    record: dict[str, object] = {
        "at": at.replace("+00:00", "Z"),
        "level": level,
        "event": event[:MAX_EVENT_CHARS],
    }
    fields = {f"{name}_" if name in record else name: value for name, value in fields.items()}
    # A giant string is cut before it is encoded: a log must not be what takes the memory.
    if not any(isinstance(value, str) and len(value) > MAX_LINE_BYTES for value in fields.values()):
        line = _encode(record | fields)
        if len(line) < MAX_LINE_BYTES:
            return line + b"\n"
    for chars in _FIELD_CHARS:
        short = {name: _shorten(value, chars) for name, value in fields.items()}
        cut = [name for name, value in short.items() if value is not fields[name]]
        line = _encode(record | short | {"truncated": cut})
        if len(line) < MAX_LINE_BYTES:
            return line + b"\n"
    return _encode(record | {"truncated": ["*"]}) + b"\n"


def _shorten(value: object, chars: int) -> object:
    text = value if isinstance(value, str) else _encode(value).decode()
    return value if len(text) <= chars else text[:chars] + "…"


def _encode(value: object) -> bytes:
    try:
        return _encoder.encode(value)
    except Exception:  # noqa: BLE001 - lone surrogates, cycles: logged all the same
        if isinstance(value, dict):
            parts = (
                _encode(str(name)) + b":" + _encode(_plain(part)) for name, part in value.items()
            )
            return b"{" + b",".join(parts) + b"}"
        return _encoder.encode(_plain(value))


def _plain(value: object) -> object:
    """The value when it can be encoded, otherwise its text."""
    try:
        _encoder.encode(value)
    except Exception:  # noqa: BLE001 - as in _encode
        text = value if isinstance(value, str) else _foreign(value)
        return text.encode(errors="backslashreplace").decode()
    return value


def _foreign(value: object) -> str:
    """What JSON has no word for: a path as it is written, all else as its repr."""
    try:
        return os.fsdecode(value) if isinstance(value, os.PathLike) else repr(value)
    except Exception as error:  # noqa: BLE001 - a repr is other people's code
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


_encoder: Final = msgspec.json.Encoder(enc_hook=_foreign)
