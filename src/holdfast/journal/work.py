"""Work that waits to be done: what an item is, what a queue's table must offer, whose turn it is.

The table decides all that must survive: which items there are, who has them and until when. It
knows nothing of whoever waits for room or for work; that is `holdfast.work.queue`. Each method is
one step inside a transaction and gives back what it changed, so that nothing has to be counted.

**Turns.** Within a queue and a priority the subjects (say, sessions) take turns. An item that
becomes ready gets a number: the next behind its subject's last, at least the round that is being
served. Items are given out by that number, so one descent of an index finds the next, however many
subjects or items there are, and a subject that comes new is served before anybody's second item of
the round it joins. A list of ready items for each subject was rejected: it would have to be kept in
memory, or be rows that every claim rewrites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import ClassVar, Final, NamedTuple, Protocol

import msgspec

from holdfast.errors import Exit, HoldfastError
from holdfast.events import EMPTY

PREVIEW_BYTES: Final = 200
KEYS_KEPT: Final = 1_000_000  # items enqueued since: a key is known as long, and while its item is
FORGET_EVERY: Final = 10_000  # items
ATTEMPTS, EXPIRED, DEPENDENCY, DROPPED = "attempts", "expired", "dependency", "dropped"
LEASE_ENDED: Final = "the lease ended: nobody confirmed, released or extended it in time"


class ItemState(IntEnum):
    READY = 0
    DELAYED = 1
    WAITING = 2  # for other items
    CLAIMED = 3


class NewItem(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """An item as whoever enqueues it gives it."""

    payload: msgspec.Raw = EMPTY  # any JSON value
    key: str = ""  # the client's own name of it: the same one again is not enqueued twice
    priority: int = 0  # higher ones are given out first
    subject: str = ""  # whom it is for or about: subjects take turns
    after: Sequence[int | str] = ()  # ids, or keys of the same queue, that are confirmed first
    delay_secs: float = 0
    ttl_secs: float | None = None  # not given out any more after that
    max_attempts: int = 0  # 0: as it is set


class Claim(NamedTuple):
    """Names one giving out of one item; it is void once the item is given out again."""

    no: int
    number: int

    def __str__(self) -> str:
        return f"{self.no}.{self.number}"


class WorkItem(msgspec.Struct, kw_only=True, frozen=True):
    """An item that somebody has for as long as the lease lasts."""

    id: int
    claim: Claim
    queue: str
    payload: bytes
    priority: int
    subject: str
    key: str
    attempt: int
    max_attempts: int
    enqueued_ms: int
    lease_ends_ms: int


class DeadItem(msgspec.Struct, kw_only=True, frozen=True):
    """An item that is not tried again by itself."""

    id: int
    queue: str
    died_ms: int
    reason: str  # "attempts", "expired", "dependency" (it died), "dropped" (a dependency was)
    error: str
    attempts: int
    max_attempts: int
    priority: int
    subject: str
    key: str
    enqueued_ms: int
    payload_bytes: int
    payload: bytes  # or how it begins


class QueueCounts(msgspec.Struct, kw_only=True, frozen=True):
    queue: str
    ready: int = 0
    delayed: int = 0
    waiting: int = 0
    claimed: int = 0
    dead: int = 0
    oldest_ms: int | None = None  # when the oldest that is pending was enqueued

    @property
    def pending(self) -> int:
        return self.ready + self.delayed + self.waiting + self.claimed


class Died(NamedTuple):
    """An item that went to dead letters just now."""

    id: int
    queue: str
    reason: str
    attempts: int
    error: str


class Effects(msgspec.Struct):
    """What a step changed, besides what it was asked for."""

    pending: int = 0  # how many came, less those that went
    dead: int = 0
    ready: dict[str, int] = {}  # by queue, how many can be claimed that could not before
    died: list[Died] = []
    next_ms: int | None = None  # when something is due next


class Enqueued(msgspec.Struct):
    """The numbers of the items, those of a known key the ones they had."""

    ids: list[int]
    repeated: int
    effects: Effects


class Claimed(msgspec.Struct):
    items: list[WorkItem]
    effects: Effects


class Settled(msgspec.Struct):
    """What became of claims: done as asked, of items that are done already, or void."""

    done: int
    gone: list[Claim]
    stale: list[Claim]
    effects: Effects


class Moved(msgspec.Struct):
    """What became of dead letters. `held` wait for others that are dead letters themselves."""

    ids: list[int]
    held: list[int]
    effects: Effects


class UnknownItem(HoldfastError):
    exit: ClassVar[Exit] = Exit.NOT_FOUND


class DeadDependency(HoldfastError):
    exit: ClassVar[Exit] = Exit.USAGE


class WorkTable(Protocol):
    """The items of all queues; only within `transact`."""

    def enqueue(
        self, queue: str, items: Sequence[NewItem], now_ms: int, *, max_attempts: int
    ) -> Enqueued: ...
    def claim(self, queue: str, count: int, lease_ms: int, now_ms: int) -> Claimed:
        """The next items, in order; what is due by now is looked after before."""
        ...

    def elsewhere(self, queue: str, claims: Sequence[Claim]) -> set[Claim]:
        """Those whose items are pending in another queue."""
        ...

    def extend(self, claims: Sequence[Claim], lease_ms: int, now_ms: int) -> Settled: ...
    def confirm(self, claims: Sequence[Claim], now_ms: int) -> Settled: ...
    def release(
        self,
        claims: Sequence[Claim],
        now_ms: int,
        *,
        delay_ms: Callable[[int], int],
        failed: bool = True,
        error: str = "",
    ) -> Settled:
        """Give items back; `delay_ms` tells for how long, by the number of attempts.

        One that did not fail is given back as if it had not been claimed.
        """
        ...

    def advance(self, now_ms: int) -> Effects:
        """Delays and leases that ended, items that expired."""
        ...

    def held(self) -> tuple[int, int]:
        """How many items and how many dead letters there are, of all queues."""
        ...

    def retry(self, queue: str, ids: Sequence[int] | None, now_ms: int) -> Moved:
        """Dead letters of a queue become pending again, all of them when none are named."""
        ...

    def drop(self, queue: str, ids: Sequence[int] | None) -> Moved: ...


class _Lane:
    """The ready items of a queue and a priority: which round is served, who has which turn."""

    __slots__ = ("last", "round")

    def __init__(self) -> None:
        self.round = 0
        self.last: dict[str, int] = {}  # subject -> its last turn, not before the round


class Lanes:
    """Gives out turns. What it remembers can be made again from the turns of what is ready."""

    SPARE_ENTRIES: Final = 20_000  # subjects; about 100 bytes each

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._entries = 0
        self._needed = 0

    @classmethod
    def of(cls, turns: Iterable[tuple[str, int, str, int, int]]) -> Lanes:
        """From queue, priority, subject, lowest and highest turn."""
        lanes = cls()
        for queue, priority, subject, lowest, highest in turns:
            lane = lanes._lanes.get((queue, priority))
            if lane is None:
                lane = lanes._lanes[queue, priority] = _Lane()
                lane.round = lowest
            lane.round = min(lane.round, lowest)
            lane.last[subject] = highest
            lanes._entries += 1
        lanes._needed = lanes._entries
        return lanes

    @property
    def is_full(self) -> bool:
        """Too much is remembered of subjects that have nothing ready any more: make it again."""
        return self._entries > 2 * self._needed + self.SPARE_ENTRIES

    def turn(self, queue: str, priority: int, subject: str) -> int:
        """Of an item that becomes ready."""
        lane = self._lanes.get((queue, priority))
        if lane is None:
            lane = self._lanes[queue, priority] = _Lane()
        last = lane.last.get(subject)
        if last is None:
            self._entries += 1
            turn = lane.round
        else:
            turn = max(lane.round, last + 1)
        lane.last[subject] = turn
        return turn

    def served(self, queue: str, priority: int, turn: int) -> None:
        """Items up to this turn were given out: whoever comes now is in the round after it."""
        lane = self._lanes.get((queue, priority))
        if lane is not None:
            lane.round = max(lane.round, turn + 1)


def delay_of(item: NewItem) -> int:
    return round(item.delay_secs * 1_000)


def ttl_of(item: NewItem) -> int | None:
    return None if item.ttl_secs is None else round(item.ttl_secs * 1_000)


def unknown_item(what: int | str, queue: str) -> UnknownItem:
    name = f"item {what}" if isinstance(what, int) else f"key {what!r}"
    return UnknownItem(
        f"queue {queue!r} knows no {name} that others could wait for: enqueue it first"
    )


def dead_dependency(what: int | str) -> DeadDependency:
    return DeadDependency(
        f"item {what} is a dead letter, nothing can wait for it: retry it or drop it first"
    )
