"""The main figures of the last hour and of the last day, in memory that does not grow.

Two rings of fixed arrays: a point for every ten seconds of an hour, and one for every minute of a
day. A point is the highest value that was seen in its time: what matters of memory is how near the
ceiling it came, and averages hide just that. Where nothing was seen, because no daemon ran or the
machine slept, there is a gap and not a line drawn through it.

Points stand at wall times, since that is what people compare them with. A clock that is set back
writes into the points of that time once more; one that is set back by more than the ring is long
makes the ring begin anew, and so does one set far ahead.

The file is written every few minutes and at the end, compressed and as a whole: every ten seconds
would write gigabytes a year for the sake of the minutes before a crash.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar, Final

import msgspec
import zstandard

from holdfast.clock import instant
from holdfast.errors import Exit, HoldfastError
from holdfast.files import write_atomically
from holdfast.governor.protocol import Level, Usage
from holdfast.metrics.figures import FIGURES
from holdfast.status.model import Status

KEPT: Final = {figure.name: figure for figure in FIGURES if figure.kept}
FINE_STEP_S: Final = 10
FINE_POINTS: Final = 360
COARSE_STEP_S: Final = 60
COARSE_POINTS: Final = 1_440
SAVE_INTERVAL_S: Final = 300.0
FILE_VERSION: Final = 1
FILE_BYTES_MAX: Final = 1 << 20  # unpacked: several times what it is
_POINT_BYTES: Final = 8


class UnknownFigure(HoldfastError):
    """A figure that has no history."""

    exit: ClassVar[Exit] = Exit.USAGE


class BadTime(HoldfastError):
    """A time that cannot be read."""

    exit: ClassVar[Exit] = Exit.USAGE


class Line(msgspec.Struct, frozen=True):
    """A figure over time; null where nothing was seen."""

    name: str
    unit: str
    values: list[float | None]


class Stretch(msgspec.Struct, frozen=True):
    """What `GET /v1/history` says: values at equal steps, the first at `first_at`."""

    first_at: str
    step_s: int
    lines: list[Line]


class _SavedRing(msgspec.Struct, frozen=True):
    step_s: int
    newest: int
    columns: dict[str, bytes]


class _Saved(msgspec.Struct, frozen=True):
    version: int
    rings: list[_SavedRing]


class Ring:
    """Points at equal steps. Slots are numbered from 1970 on, so a slot tells its time."""

    def __init__(self, step_s: int, points: int, names: Iterable[str]) -> None:
        self.step_s: Final = step_s
        self.points: Final = points
        self._columns: Final = {name: array("d", [math.nan]) * points for name in names}
        self._seen: Final = bytearray(points)  # 1 where a slot has anything
        self._newest = -1

    @property
    def bytes(self) -> int:
        return len(self._columns) * self.points * _POINT_BYTES

    @property
    def filled(self) -> int:
        """Points in time at which something was seen."""
        return self._seen.count(1)

    def record(self, at_s: float, values: dict[str, float]) -> None:
        slot = int(at_s) // self.step_s
        self._go_to(slot)
        place = slot % self.points
        self._seen[place] = 1
        for name, value in values.items():
            column = self._columns[name]
            if not column[place] >= value:  # also where nothing was seen yet
                column[place] = value

    def since(self, at_s: float) -> int:
        """The first slot to show of what was asked for."""
        return max(math.ceil(at_s / self.step_s), self._newest - self.points + 1, 0)

    def line(self, name: str, first: int) -> list[float | None]:
        column = self._columns[name]
        found = (column[slot % self.points] for slot in range(first, self._newest + 1))
        return [None if math.isnan(value) else value for value in found]

    def saved(self) -> _SavedRing:
        columns = {name: column.tobytes() for name, column in self._columns.items()}
        return _SavedRing(self.step_s, self._newest, columns)

    def restore(self, saved: _SavedRing) -> None:
        """Figures that are new since then begin with a gap; those that are gone are left out."""
        size = self.points * _POINT_BYTES
        if saved.step_s != self.step_s:
            return
        for name, column in self._columns.items():
            kept = saved.columns.get(name, b"")
            if len(kept) == size:
                column[:] = array("d", kept)
        self._newest = saved.newest
        for place in range(self.points):
            self._seen[place] = any(
                not math.isnan(column[place]) for column in self._columns.values()
            )

    def _go_to(self, slot: int) -> None:
        """Forget what the slots on the way held a turn ago."""
        ahead = slot - self._newest
        if ahead >= self.points or -ahead >= self.points:
            for column in self._columns.values():
                column[:] = array("d", [math.nan]) * self.points
            self._seen[:] = bytes(self.points)
            self._newest = slot
        elif ahead > 0:
            for gone in range(self._newest + 1, slot + 1):
                self._seen[gone % self.points] = 0
                for column in self._columns.values():
                    column[gone % self.points] = math.nan
            self._newest = slot


class History:
    """Of the figures that the catalogue marks. Lives on the event loop; is a `Bounded`."""

    name: Final = "history"

    def __init__(self, path: str, *, clock_s: Callable[[], float] = time.time) -> None:
        self._path: Final = path
        self._clock_s: Final = clock_s
        self._fine: Final = Ring(FINE_STEP_S, FINE_POINTS, KEPT)
        self._coarse: Final = Ring(COARSE_STEP_S, COARSE_POINTS, KEPT)
        self._saved_s = clock_s()

    @property
    def points(self) -> int:
        return self._fine.filled + self._coarse.filled

    def usage(self) -> Usage:
        total = self._fine.bytes + self._coarse.bytes
        return Usage(bytes=total, items=self.points, limit_bytes=total)

    def relieve(self, level: Level, target_bytes: int) -> int:  # noqa: ARG002 - the protocol's
        """Nothing: it is as small when it is empty, and it tells how the pressure came."""
        return 0

    def load(self) -> str:
        """Take up what the last run left; why not, when it could not be read."""
        try:
            with open(self._path, "rb") as file:
                packed = file.read(FILE_BYTES_MAX)
            content = zstandard.ZstdDecompressor().decompress(
                packed, max_output_size=FILE_BYTES_MAX
            )
            saved = msgspec.msgpack.decode(content, type=_Saved)
        except FileNotFoundError:
            return ""
        except (OSError, zstandard.ZstdError, msgspec.DecodeError) as error:
            return str(error)
        if saved.version != FILE_VERSION:
            return f"it has version {saved.version}"
        for ring in saved.rings:
            self._fine.restore(ring)
            self._coarse.restore(ring)
        return ""

    def record(self, status: Status) -> None:
        values = {
            name: float(point.value)
            for name, figure in KEPT.items()
            for point in figure.read(status)
        }
        at_s = self._clock_s()
        self._fine.record(at_s, values)
        self._coarse.record(at_s, values)

    def save_due(self) -> bool:
        # A clock that was set back must not keep it from being saved until it has caught up.
        return not 0 <= self._clock_s() - self._saved_s < SAVE_INTERVAL_S

    def save(self) -> None:
        """Raises OSError; the old file stays then."""
        self._saved_s = self._clock_s()
        saved = _Saved(FILE_VERSION, [self._fine.saved(), self._coarse.saved()])
        write_atomically(
            self._path, zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(saved))
        )

    def stretch(self, names: Iterable[str] = (), since: str = "") -> Stretch:
        """In steps of ten seconds when they reach back far enough, else of a minute."""
        wanted = list(names) or list(KEPT)
        for name in wanted:
            if name not in KEPT:
                raise UnknownFigure(f"{name!r} has no history; there is one of: {', '.join(KEPT)}")
        now_s = self._clock_s()
        since_s = _seconds(since) if since else now_s - FINE_STEP_S * FINE_POINTS
        is_fine = now_s - since_s <= FINE_STEP_S * FINE_POINTS
        ring = self._fine if is_fine else self._coarse
        first = ring.since(since_s)
        lines = [Line(name, KEPT[name].unit, ring.line(name, first)) for name in wanted]
        return Stretch(instant(first * ring.step_s), ring.step_s, lines)


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadTime(f"{text!r} is no time: write it as 2026-11-20T14:00:00Z") from error
