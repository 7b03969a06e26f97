"""What is going on, and what ended lately: how much of a family is in memory.

What is open never leaves. What ended is kept for a while, for whoever asks how it went, and leaves
by its time, by number, or because memory is scarce; the log keeps it. How long that is goes by the
times of the events themselves, so a state that is made of a million events never holds more than
one that was there all along.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

import msgspec

from holdfast.events import Event


class Entity(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def created_ms(self) -> int: ...
    @property
    def ended_ms(self) -> int: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def bytes(self) -> int: ...


E = TypeVar("E", bound=Entity)


class Shelf(ABC, Generic[E]):
    """A projection, less `apply`. Entities are frozen: a change is another one of the same id."""

    name: str
    version: int
    streams: tuple[str, ...]

    def __init__(self, of: type[E], *, retain_ms: int, open_max: int) -> None:
        """As many may have ended as may be open."""
        self._decoder = msgspec.msgpack.Decoder(tuple[list[of], list[of]])  # type: ignore[valid-type]  # known at run time
        self._retain_ms, self.open_max = retain_ms, open_max
        self._open: dict[str, E]
        self._ended: OrderedDict[str, E]  # the first to end first
        self.counts: Counter[str]  # by state
        self.bytes: int
        self.clear()

    @abstractmethod
    def apply(self, event: Event) -> None: ...

    def __iter__(self) -> Iterator[E]:
        yield from self._open.values()
        yield from self._ended.values()

    def __len__(self) -> int:
        return len(self._open) + len(self._ended)

    def get(self, entity: str) -> E | None:
        return self._open.get(entity) or self._ended.get(entity)

    @property
    def open(self) -> list[E]:
        return list(self._open.values())

    @property
    def open_count(self) -> int:
        return len(self._open)

    @property
    def items_max(self) -> int:
        return 2 * self.open_max

    @property
    def ended_count(self) -> int:
        return len(self._ended)

    def keep(self, entity: E) -> None:
        """As it is now, whatever it was before."""
        before = self._open.pop(entity.id, None)
        if before is None:
            before = self._ended.pop(entity.id, None)  # one that was taken up again
        if before is not None:
            self._count(before, -1)
        (self._open if entity.is_open else self._ended)[entity.id] = entity
        self._count(entity, 1)

    def next_forgotten_ms(self) -> int | None:
        """When the first that ended leaves."""
        first = next(iter(self._ended.values()), None)
        return None if first is None else first.ended_ms + self._retain_ms

    def forgettable(self, now_ms: int) -> int:
        """How many have ended so long ago."""
        return sum(each.ended_ms + self._retain_ms <= now_ms for each in self._ended.values())

    def forget(self, now_ms: int) -> int:
        """Let go of what ended long ago, or is too much; how many that were."""
        before = len(self._ended)
        while (first := self.next_forgotten_ms()) is not None and (
            first <= now_ms or len(self._ended) > self.open_max
        ):
            self._drop_first()
        return before - len(self._ended)

    def drop_ended(self, target_bytes: int) -> int:
        """The same when memory is scarce; how many bytes that were."""
        before = self.bytes
        while self._ended and before - self.bytes < target_bytes:
            self._drop_first()
        return before - self.bytes

    def dump(self) -> bytes:
        return msgspec.msgpack.encode([self.open, list(self._ended.values())])

    def load(self, state: bytes) -> None:
        kept: tuple[list[E], list[E]] = self._decoder.decode(state)
        self.clear()
        for entities in kept:
            for each in entities:
                self.keep(each)

    def clear(self) -> None:
        self._open, self._ended, self.counts, self.bytes = {}, OrderedDict(), Counter(), 0

    def _drop_first(self) -> None:
        _id, forgotten = self._ended.popitem(last=False)
        self._count(forgotten, -1)

    def _count(self, entity: E, times: int) -> None:
        self.counts[entity.state] += times
        self.bytes += times * entity.bytes
