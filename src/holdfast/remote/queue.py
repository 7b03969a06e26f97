"""A worker's way to the daemon's queues.

    with Holdfast() as holdfast:
        index = Queue(holdfast, "index")
        for item in index.work():
            with item:
                do(item.payload)

Every request may be asked again when its answer was lost: what is enqueued has a key, confirming
twice is once, and what was claimed for nobody comes again when its lease ends.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import Any, ClassVar, Final, Literal, Protocol, Self
from urllib.parse import quote

import msgspec

from holdfast.client import PutOff, Refused
from holdfast.errors import Exit, HoldfastError
from holdfast.journal.work import NewItem, QueueCounts
from holdfast.remote.talk import Ask, ask, passes, pause_s

WAIT_SECS: Final = 30
AWAY_PAUSE_S: Final = 0.5


class VoidClaim(HoldfastError):
    """The lease ended before the item was settled: somebody else decides about it."""

    exit: ClassVar[Exit] = Exit.CONFLICT


class Asking(Protocol):
    """Who asks the daemon: `Holdfast` does."""

    def request(self, asked: Ask, *, patience_s: float | None = None) -> bytes: ...


class Enqueued(msgspec.Struct, frozen=True):
    ids: list[int]
    repeated: int


class Outcome(msgspec.Struct, frozen=True):
    """What became of claims: settled, of items that are done already, void."""

    done: int
    gone: list[str]
    stale: list[str]


class Claimed(msgspec.Struct, frozen=True):
    """An item as the daemon tells it."""

    id: int
    claim: str
    payload: Any
    attempt: int
    max_attempts: int
    priority: int
    subject: str
    key: str
    enqueued_ms: int
    lease_ends_ms: int


class _Items(msgspec.Struct):
    items: list[Claimed]


class Item:
    """A claimed item; as a context it is confirmed at its end, or released when that raises."""

    def __init__(self, queue: Queue, told: Claimed) -> None:
        self._queue = queue
        self.told = told
        self.settled = False

    @property
    def id(self) -> int:
        return self.told.id

    @property
    def payload(self) -> Any:
        return self.told.payload

    def confirm(self) -> None:
        self.settled = True
        self._queue.confirm(self.told.claim)

    def release(self, *, delay_secs: float | None = None, error: str = "") -> None:
        """Without a delay it comes again later each time."""
        self.settled = True
        self._queue.release(self.told.claim, delay_secs=delay_secs, error=error)

    def extend(self, lease_secs: float) -> None:
        self._queue.extend(self.told.claim, lease_secs=lease_secs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """An error of the work itself ends with the item, which keeps it: whoever works goes on.

        One that no item keeps is raised: it came after the item was settled, or after its lease.
        """
        if self.settled:
            return False
        if error is None:
            self.confirm()
            return False
        self.settled = True
        if not isinstance(error, Exception):  # who knows whether it would have gone well
            self._queue.release(self.told.claim, delay_secs=0, failed=False)
            return False
        return bool(self._queue.settle("release", [self.told.claim], error=repr(error)).done)


class Queue:
    """One queue of the daemon, for code that waits."""

    def __init__(
        self,
        holdfast: Asking,
        name: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._sleep, self._clock_s = sleep, clock_s
        self._path = f"/v1/queues/{quote(name, safe='')}"
        self._holdfast = holdfast

    def add(self, payload: object, **fields: Any) -> int:
        """One item, of any value that JSON can hold; its id."""
        raw = msgspec.Raw(msgspec.json.encode(payload))
        return self.enqueue([NewItem(payload=raw, **fields)]).ids[0]

    def enqueue(self, items: Sequence[NewItem], *, wait_secs: int = WAIT_SECS) -> Enqueued:
        """All or none; they are on disk when this returns. Waits for room as long as it may."""
        keyed = [
            item if item.key else msgspec.structs.replace(item, key=uuid.uuid4().hex)
            for item in items
        ]
        ends_s = self._clock_s() + wait_secs
        while True:
            left_s = max(0.0, ends_s - self._clock_s())
            try:
                body = self._ask("items", {"items": keyed}, patience_s=0, wait_secs=round(left_s))
                return msgspec.json.decode(body, type=Enqueued)
            except Refused as error:  # it is full, or stops meanwhile
                if not passes(error) or self._clock_s() >= ends_s:
                    raise
                left_s = max(0.0, ends_s - self._clock_s())
                self._sleep(min(pause_s(error, AWAY_PAUSE_S), left_s))

    def claim(
        self, *, count: int = 1, lease_secs: float | None = None, wait_secs: float = 0
    ) -> list[Item]:
        asked = {"count": count, "lease_secs": lease_secs, "wait_secs": wait_secs}
        told = msgspec.json.decode(self._ask("claim", asked), type=_Items)
        return [Item(self, each) for each in told.items]

    def work(
        self, *, batch: int = 1, lease_secs: float | None = None
    ) -> Generator[Item, None, None]:
        """Items for ever; each is confirmed when the next is asked for, unless it was settled.

        A daemon that is short of memory is waited for, however long that takes.
        """
        while True:
            try:
                items = self.claim(count=batch, lease_secs=lease_secs, wait_secs=WAIT_SECS)
            except PutOff as put_off:
                self._sleep(put_off.retry_after_s)
                continue
            try:
                while items:
                    yield items[0]
                    item = items.pop(0)
                    if not item.settled:
                        item.confirm()
            finally:
                self._leave(items)

    def _leave(self, items: list[Item]) -> None:
        """Whoever worked went away: the first was begun, the others were not."""
        if items and not items[0].settled:
            items[0].release(error="whoever worked on it went away")
        rest = [item.told.claim for item in items[1:]]
        if rest:
            self.release(*rest, delay_secs=0, failed=False)

    def confirm(self, *claims: str) -> Outcome:
        """The work is done; VoidClaim when somebody else decides about it by now."""
        return _held(self.settle("confirm", claims))

    def release(
        self,
        *claims: str,
        delay_secs: float | None = None,
        failed: bool = True,
        error: str = "",
    ) -> Outcome:
        given = {"delay_secs": delay_secs, "failed": failed, "error": error}
        return _held(self.settle("release", claims, **given))

    def extend(self, *claims: str, lease_secs: float) -> Outcome:
        return _held(self.settle("extend", claims, lease_secs=lease_secs))

    def settle(
        self,
        how: Literal["confirm", "release", "extend"],
        claims: Sequence[str],
        **given: object,
    ) -> Outcome:
        """The same for who wants to look at what became of each claim."""
        return msgspec.json.decode(self._ask(how, {"claims": claims, **given}), type=Outcome)

    def counts(self) -> QueueCounts:
        asked = ask("GET", self._path)
        return msgspec.json.decode(self._holdfast.request(asked), type=QueueCounts)

    def _ask(
        self, action: str, body: object, *, patience_s: float | None = None, **query: object
    ) -> bytes:
        asked = ask("POST", f"{self._path}/{action}", query)
        asked = asked._replace(body=msgspec.json.encode(body))
        return self._holdfast.request(asked, patience_s=patience_s)


def _held(outcome: Outcome) -> Outcome:
    if outcome.stale:
        raise VoidClaim(
            f"void: {', '.join(outcome.stale)}; the lease ended before this came: extend leases in "
            "time, or claim with longer ones"
        )
    return outcome
