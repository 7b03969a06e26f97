"""Disks that fail on purpose: one that forgets what was not synced, one that refuses.

`Recorder` writes down every change and every sync that SQLite makes. `Disk` plays the record back
up to any point and says what a disk may hold if the power goes there: all that was synced, and of
the rest any part, down to single sectors. `Faults` fails chosen reads, writes or syncs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple

import apsw

SECTOR_BYTES: Final = 512

# A folder has contents too: which files it names, and those are synced apart from the files.
Action = Literal["create", "write", "truncate", "sync", "delete", "sync folder", "mark"]

_FOLDER_TOO: Final = "and the folder is synced"
_SYNCS_FOLDER: Final = (
    apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
)


class Change(NamedTuple):
    """One thing that was asked of the disk. `mark` is a note of the test's, not an action."""

    action: Action
    file: str  # its name without the folder
    offset: int = 0  # of a truncation: the new size
    data: bytes = b""
    note: Any = None


class Recorder(apsw.VFS):
    """A file system that does its work and keeps a log of it.

    `meanwhile` is called with the name of a file before it is written to or synced: there a test
    does what another thread may do at that moment.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.log: list[Change] = []
        self.meanwhile: Callable[[str], None] = lambda _file: None

    def mark(self, note: object) -> None:
        self.log.append(Change("mark", "", note=note))

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  # SQLite's name
        return _RecordedFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802  # SQLite's name
        folder_too = _FOLDER_TOO if syncdir else None
        self.log.append(Change("delete", os.path.basename(filename), note=folder_too))
        super().xDelete(filename, syncdir)


class _RecordedFile(apsw.VFSFile):
    def __init__(
        self, recorder: Recorder, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__("", name, flags)
        self._recorder = recorder
        self._log = recorder.log
        self._file = _short(name)
        # SQLite's own files do this unseen, at the first sync of a journal that they opened.
        self._folder_due = bool(flags[0] & _SYNCS_FOLDER)
        self._log.append(Change("create", self._file))

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # SQLite's name
        self._recorder.meanwhile(self._file)
        self._log.append(Change("write", self._file, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802  # SQLite's name
        self._log.append(Change("truncate", self._file, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802  # SQLite's name
        self._recorder.meanwhile(self._file)
        self._log.append(Change("sync", self._file))
        if self._folder_due:
            self._folder_due = False
            self._log.append(Change("sync folder", self._file))
        super().xSync(flags)


def _short(name: str | apsw.URIFilename | None) -> str:
    full = name.filename() if isinstance(name, apsw.URIFilename) else name
    return os.path.basename(full or "")


class _File:
    """What is surely on the disk of a file, and what was asked for since."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.pending: list[Change] = []

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.synced, change)
        self.pending = []

    def after_power_loss(self, throw: Random, keep: float) -> bytes:
        """One of the contents that may be found; `keep` is the share of what was not synced."""
        content = bytearray(self.synced)
        for change in self.pending:
            if change.action == "write":
                _tear(content, change, throw, keep)
            elif throw.random() < keep:
                _apply(content, change)
        return bytes(content)


def _apply(content: bytearray, change: Change) -> None:
    if change.action == "truncate":
        size = change.offset
        content[size:] = b"" if size <= len(content) else bytes(size - len(content))
        return
    end = change.offset + len(change.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[change.offset : end] = change.data


def _tear(content: bytearray, change: Change, throw: Random, keep: float) -> None:
    """Some sectors of a write are there, some are not."""
    position = 0
    while position < len(change.data):
        offset = change.offset + position
        length = min(SECTOR_BYTES - offset % SECTOR_BYTES, len(change.data) - position)
        if throw.random() < keep:
            piece = change.data[position : position + length]
            _apply(content, Change("write", change.file, offset, piece))
        position += length


class Disk:
    """A record played back step by step."""

    def __init__(self, log: list[Change]) -> None:
        self._log = log
        self._files: dict[str, _File] = {}
        self._named: dict[str, _File] = {}  # what the folder surely says
        self.notes: list[Any] = []  # marks passed so far
        self.step = 0

    def advance(self) -> bool:
        """Take one more step; False at the end of the record."""
        if self.step == len(self._log):
            return False
        self._take(self._log[self.step])
        self.step += 1
        return True

    def _take(self, change: Change) -> None:
        match change.action:
            case "mark":
                self.notes.append(change.note)
            case "create":
                self._files.setdefault(change.file, _File())
            case "sync":
                self._files[change.file].sync()
            case "delete":
                self._files.pop(change.file, None)
            case "write" | "truncate":
                self._files[change.file].pending.append(change)
        if change.action == "sync folder" or change.note is _FOLDER_TOO:
            self._named = dict(self._files)

    def power_loss(self, throw: Random) -> Iterator[tuple[str, bytes]]:
        """What is found when the power comes back."""
        keep = throw.choice((0.0, 0.2, 0.5, 0.9, 0.99, 1.0))
        for name in {**self._named, **self._files}:
            before, after = self._named.get(name), self._files.get(name)
            file = before if before is after or throw.random() >= keep else after
            if file is not None:
                yield name, file.after_power_loss(throw, keep)


Kind = Literal["read", "write", "sync"]


class Faults(apsw.VFS):
    """A file system in which chosen operations fail. It is well until it is told otherwise."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.counts: dict[Kind, int] = {"read": 0, "write": 0, "sync": 0}
        self.failed = 0
        self._plan: tuple[Kind, int, float, Callable[[Kind], Exception]] | None = None
        self._only = ""

    def fail(
        self,
        kind: Kind,
        number: int,
        make_error: Callable[[Kind], Exception],
        *,
        times: float = 1,
        only: str = "",
    ) -> None:
        """From now on the `number`-th operation of its kind fails, and what follows it `times`.

        `only` is the end of the name of the files whose operations count; else all do.
        """
        self._only = only
        self.counts = dict.fromkeys(self.counts, 0)
        self.failed = 0
        self._plan = (kind, number, times, make_error)

    def heal(self) -> None:
        self._plan = None

    def check(self, kind: Kind, file: str) -> None:
        if not file.endswith(self._only):
            return
        self.counts[kind] += 1
        if self._plan is None:
            return
        planned, number, times, make_error = self._plan
        if kind == planned and number <= self.counts[kind] < number + times:
            self.failed += 1
            raise make_error(kind)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  # SQLite's name
        return _FaultyFile(self, name, flags)


class _FaultyFile(apsw.VFSFile):
    def __init__(
        self, faults: Faults, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__("", name, flags)
        self._faults = faults
        self._file = _short(name)

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: TracebackType | None,
    ) -> bool:
        """The errors are on purpose: SQLite gets their codes, nobody else needs them."""
        return True

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802  # SQLite's name
        self._faults.check("read", self._file)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # SQLite's name
        self._faults.check("write", self._file)
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802  # SQLite's name
        self._faults.check("write", self._file)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802  # SQLite's name
        self._faults.check("sync", self._file)
        super().xSync(flags)


_IO_ERRORS: Final[dict[Kind, int]] = {
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
}


def no_room(_kind: Kind) -> Exception:
    return apsw.FullError("no space left on device")


def broken(kind: Kind) -> Exception:
    error = apsw.IOError("input/output error")
    error.extendedresult = _IO_ERRORS[kind]  # type: ignore[attr-defined]  # apsw's types lack it
    return error


@contextmanager
def mounted(vfs: apsw.VFS) -> Iterator[None]:
    """Take a file system away again when the test is done with it."""
    try:
        yield
    finally:
        vfs.unregister()
