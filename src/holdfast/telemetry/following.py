"""Reading the operational log on from where it was read before, through rotation and restarts.

A position is a file by its identity, not its name, and an offset: rotation renames files, and what
was written before it is then read to its end under the new name. When the file of a position is
gone, because nothing could be sent for so long, what is left is read from its beginning.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

CHUNK_BYTES: Final = 256 * 1024  # several times the longest line


class Position(msgspec.Struct, frozen=True):
    device: int
    inode: int
    offset: int


class Follower:
    """Of one log and its older files. Keeps nothing open between two looks."""

    def __init__(self, path: Path, position_path: Path, *, since: str) -> None:
        self._path: Final = path
        self._position_path: Final = position_path
        self._position = self._saved_position()
        self._since: Final = since if self._position is None else ""

    def read(self, records_max: int) -> tuple[list[dict[str, Any]], Position | None]:
        """The next records, and the position behind them, which `done` makes ours."""
        records: list[dict[str, Any]] = []
        position = self._position
        with _files(self._path) as files:
            for file, begin in _ahead(files, position):
                end = begin
                for line in _lines(file, begin):
                    if len(records) == records_max:
                        break
                    end += len(line)
                    record = _record(line)
                    if record is not None and record["at"] >= self._since:
                        records.append(record)
                position = Position(*_identity(file), end)
                if len(records) == records_max:
                    break
        return records, position

    def done(self, position: Position | None) -> None:
        """What was read up to there need not be read again. Raises OSError."""
        if position is None or position == self._position:
            return
        self._position = position
        partial = self._position_path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(position))
        partial.chmod(0o600)
        partial.replace(self._position_path)

    def _saved_position(self) -> Position | None:
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(self._position_path.read_bytes(), type=Position)
        return None


@contextmanager
def _files(path: Path) -> Iterator[list[int]]:
    """All files of a log, open, the oldest first; each once, though it be renamed meanwhile."""
    found: dict[tuple[int, int], int] = {}
    number = 0
    try:
        while True:
            name = path.with_name(f"{path.stem}.{number}{path.suffix}") if number else path
            try:
                file = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                if number:
                    break
                number += 1  # between a rotation and the next record the newest has number 1
                continue
            if _identity(file) in found:
                os.close(file)
            else:
                found[_identity(file)] = file
            number += 1
        yield list(reversed(found.values()))
    finally:
        for file in found.values():
            os.close(file)


def _ahead(files: list[int], position: Position | None) -> Iterator[tuple[int, int]]:
    """The file of the position from there on, then all that are newer; all when it is gone."""
    begin, offset = 0, 0
    for number, file in enumerate(files):
        if position is not None and _identity(file) == (position.device, position.inode):
            begin, offset = number, position.offset
    for file in files[begin:]:
        yield file, offset
        offset = 0


def _lines(file: int, offset: int) -> Iterator[bytes]:
    """Whole lines only: the end of one is written with it, or it is not there yet."""
    while whole := (chunk := os.pread(file, CHUNK_BYTES, offset)).rfind(b"\n") + 1:
        yield from chunk[:whole].splitlines(keepends=True)
        offset += whole


def _identity(file: int) -> tuple[int, int]:
    facts = os.fstat(file)
    return facts.st_dev, facts.st_ino


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = msgspec.json.decode(line)
    except ValueError:  # not JSON, or not UTF-8
        return None
    return record if isinstance(record, dict) and isinstance(record.get("at"), str) else None
