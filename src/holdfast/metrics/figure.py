"""What a figure is, and how one is read from a status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, NamedTuple

from holdfast.governor.machine import MachineReading
from holdfast.status.model import (
    HealthStatus,
    MemoryStatus,
    Status,
)

Kind = Literal["gauge", "counter"]
Number = int | float

UNITS: Final = ("bytes_per_second", "bytes", "seconds", "ratio")


class Point(NamedTuple):
    labels: tuple[str, ...]  # values, in the order of the figure's labels
    value: Number


Read = Callable[[Status], Iterable[Point]]


class Figure(NamedTuple):
    name: str
    kind: Kind
    help: str
    read: Read
    labels: tuple[str, ...] = ()
    kept: bool = False  # in the history

    @property
    def unit(self) -> str:
        """By the end of its name; "" for what counts things."""
        counted = self.name.removesuffix("_total")
        return next((unit for unit in UNITS if counted.endswith(f"_{unit}")), "")


def single(read: Callable[[Status], Number | None]) -> Read:
    def points(status: Status) -> Iterator[Point]:
        value = read(status)
        if value is not None:
            yield Point((), value)

    return points


def from_memory(read: Callable[[MemoryStatus], Number | None]) -> Read:
    return single(lambda status: None if status.memory is None else read(status.memory))


def from_health(read: Callable[[HealthStatus], Number]) -> Read:
    return single(lambda status: None if status.health is None else read(status.health))


def from_machine(read: Callable[[MachineReading], Number | None]) -> Read:
    return from_memory(lambda memory: read(memory.machine))


def each_of_memory(read: Callable[[MemoryStatus], Iterable[tuple[str, Number | None]]]) -> Read:
    def points(status: Status) -> Iterator[Point]:
        for label, value in read(status.memory) if status.memory is not None else ():
            if value is not None:
                yield Point((label,), value)

    return points


def one_of(labels: Iterable[str], current: str) -> list[tuple[str, Number]]:
    return [(label, int(label == current)) for label in labels]


def share(part: Number, whole: Number) -> float | None:
    return part / whole if whole else None
