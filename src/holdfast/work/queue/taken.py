"""Items that somebody in this process works on: confirmed when that went well, else given back."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Any, ClassVar, Final, Protocol, Self

import msgspec

from holdfast.errors import Exit, HoldfastError
from holdfast.journal.work import Claim, WorkItem

NAMED_MAX: Final = 5


class Outcome(Protocol):
    @property
    def done(self) -> int: ...
    @property
    def stale(self) -> list[Claim]: ...


class Giving(Protocol):
    """Who gives items and is told what became of them; `WorkQueue` is one."""

    async def take(
        self, queue: str, *, count: int, lease_secs: float | None, wait_secs: float
    ) -> list[WorkItem]: ...
    async def confirm(self, claims: Sequence[Claim]) -> Outcome: ...
    async def extend(self, claims: Sequence[Claim], lease_secs: float) -> Outcome: ...
    async def release(
        self,
        claims: Sequence[Claim],
        *,
        delay_secs: float | None = None,
        failed: bool = True,
        error: str = "",
    ) -> Outcome: ...


class StaleClaim(HoldfastError):
    """The item was given out again, or is a dead letter: somebody else decides about it."""

    exit: ClassVar[Exit] = Exit.CONFLICT

    def __init__(self, claims: Sequence[Claim]) -> None:
        named = ", ".join(map(str, claims[:NAMED_MAX]))
        more = " …" if len(claims) > NAMED_MAX else ""
        super().__init__(
            f"the claim {named}{more} is void: its lease ended before this came; extend leases in "
            "time, or claim with longer ones"
        )
        self.claims = claims


class Taken:
    """One item. As a context: confirmed at the end of the block, released when that raises."""

    __slots__ = ("_queue", "item", "settled")

    def __init__(self, queue: Giving, item: WorkItem) -> None:
        self._queue = queue
        self.item = item
        self.settled = False

    @property
    def id(self) -> int:
        return self.item.id

    @property
    def value(self) -> Any:
        return msgspec.json.decode(self.item.payload)

    async def confirm(self) -> None:
        settled = await self._queue.confirm([self.item.claim])
        self.settled = True
        if settled.stale:
            raise StaleClaim(settled.stale)

    async def release(self, *, delay_secs: float | None = None, error: str = "") -> None:
        """Without a delay it is left alone the longer the more often it failed."""
        self.settled = True
        await self._queue.release([self.item.claim], delay_secs=delay_secs, error=error)

    async def hand_back(self) -> None:
        """As if it had not been claimed."""
        self.settled = True
        await self._queue.release([self.item.claim], delay_secs=0, failed=False)

    async def extend(self, lease_secs: float) -> None:
        settled = await self._queue.extend([self.item.claim], lease_secs)
        if not settled.done:
            raise StaleClaim([self.item.claim])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
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
            await self.confirm()
            return False
        if not isinstance(error, Exception):  # cancelled: who knows whether it would have gone well
            await self.hand_back()
            return False
        self.settled = True
        return bool((await self._queue.release([self.item.claim], error=repr(error))).done)


class Taking:
    """What `claim` gives: to be awaited for a list, or entered for a block that settles all."""

    def __init__(
        self, queue: Giving, name: str, count: int, lease_secs: float | None, wait_secs: float
    ) -> None:
        self._queue = queue
        self._asked = name, count, lease_secs, wait_secs
        self._taken: list[Taken] = []

    def __await__(self) -> Generator[Any, None, list[Taken]]:
        return self._take().__await__()

    async def __aenter__(self) -> list[Taken]:
        self._taken = await self._take()
        return self._taken

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        claims = [each.item.claim for each in self._taken if not each.settled]
        if not claims:
            return
        if error is None:
            settled = await self._queue.confirm(claims)
            if settled.stale:
                raise StaleClaim(settled.stale)
        elif isinstance(error, Exception):
            await self._queue.release(claims, error=repr(error))
        else:
            await self._queue.release(claims, delay_secs=0, failed=False)

    async def _take(self) -> list[Taken]:
        name, count, lease_secs, wait_secs = self._asked
        items = await self._queue.take(
            name, count=count, lease_secs=lease_secs, wait_secs=wait_secs
        )
        return [Taken(self._queue, item) for item in items]
