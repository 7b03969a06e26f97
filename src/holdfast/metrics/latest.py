"""The figures of a moment ago: whoever asks within a second gets the same ones.

A status reads the journal and the process tree. Scrapers that come at once, or an exporter beside
them, must not make the daemon do that several times over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import msgspec

from holdfast.metrics.figures import Kind, Reading, read_all
from holdfast.status.model import Status

FRESH_S: Final = 1.0


class Taken(NamedTuple):
    """All figures of one status."""

    at: str
    started_at: str
    version: str
    readings: list[Reading]


class PointEntry(msgspec.Struct, frozen=True):
    labels: dict[str, str]
    value: int | float


class FigureEntry(msgspec.Struct, frozen=True):
    name: str
    kind: Kind
    unit: str
    help: str
    points: list[PointEntry]


class FigureList(msgspec.Struct, frozen=True):
    """What `GET /v1/figures` and `holdfast metrics --json` say."""

    at: str
    started_at: str
    version: str
    figures: list[FigureEntry]


class Latest:
    """Lives on the event loop; one status at a time is gathered, and all who wait share it."""

    def __init__(
        self,
        status: Callable[[], Awaitable[Status]],
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._status: Final = status
        self._clock_s: Final = clock_s
        self._taken: Taken | None = None
        self._taken_s = 0.0
        self._gathering: asyncio.Task[Taken] | None = None

    async def take(self) -> Taken:
        if self._taken is not None and self._clock_s() - self._taken_s < FRESH_S:
            return self._taken
        if self._gathering is None or self._gathering.done():
            self._gathering = asyncio.get_running_loop().create_task(self._gather())
        return await asyncio.shield(self._gathering)  # who goes away leaves it to the others

    async def _gather(self) -> Taken:
        asked_s = self._clock_s()
        status = await self._status()
        about = status.daemon
        self._taken = Taken(about.heartbeat_at, about.started_at, about.version, read_all(status))
        self._taken_s = asked_s
        return self._taken


def listed(taken: Taken) -> FigureList:
    return FigureList(
        taken.at,
        taken.started_at,
        taken.version,
        [
            FigureEntry(
                figure.name,
                figure.kind,
                figure.unit,
                figure.help,
                [
                    PointEntry(dict(zip(figure.labels, each.labels, strict=True)), each.value)
                    for each in points
                ],
            )
            for figure, points in taken.readings
            if points
        ],
    )
