"""The routes of work queues: enqueue, claim, settle, dead letters.

Whoever waits, for room or for work, is let go of when its connection ends: nothing is enqueued or
claimed for somebody who is not there any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server.answers import BadRequest, Handler, answer, body_of, number_in
from holdfast.work.queue import (
    Claim,
    DeadItem,
    Moved,
    NewItem,
    QueueCounts,
    Settled,
    WorkItem,
    WorkQueue,
    claim_of,
)

QUEUE: Final = "/v1/queues/{queue:path}"  # no name has a slash in it, and who sends one is told so
ITEMS: Final = f"{QUEUE}/items"
CLAIM: Final = f"{QUEUE}/claim"
CONFIRM: Final = f"{QUEUE}/confirm"
RELEASE: Final = f"{QUEUE}/release"
EXTEND: Final = f"{QUEUE}/extend"
DEAD: Final = f"{QUEUE}/dead"
ALWAYS: Final = (CONFIRM, RELEASE, EXTEND)  # what is under way is finished, whatever the pressure
COSTLY: Final = (ITEMS,)
BODY_BYTES_MAX: Final = 8_000_000
WAIT_SECS_MAX: Final = 60
GONE: Final = 499  # nobody reads it

T = TypeVar("T")


class Queueing(Protocol):
    queue: WorkQueue


class Items(msgspec.Struct, forbid_unknown_fields=True):
    items: list[NewItem]


class _Kind(msgspec.Struct):
    items: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Claiming(msgspec.Struct, forbid_unknown_fields=True):
    count: int = 1
    lease_secs: float | None = None
    wait_secs: float = 0


class Claims(msgspec.Struct, forbid_unknown_fields=True):
    claims: list[str]


class Releasing(msgspec.Struct, forbid_unknown_fields=True):
    claims: list[str]
    delay_secs: float | None = None
    failed: bool = True
    error: str = ""


class Extending(msgspec.Struct, forbid_unknown_fields=True):
    claims: list[str]
    lease_secs: float


class Which(msgspec.Struct, forbid_unknown_fields=True):
    """Dead letters by id, or all of them."""

    ids: list[int] = []
    all: bool = False


class Given(msgspec.Struct):
    """A claimed item as it is told."""

    id: int
    claim: str
    payload: msgspec.Raw
    attempt: int
    max_attempts: int
    priority: int
    subject: str
    key: str
    enqueued_ms: int
    lease_ends_ms: int

    @classmethod
    def of(cls, item: WorkItem) -> Given:
        return cls(
            item.id,
            str(item.claim),
            msgspec.Raw(item.payload),
            item.attempt,
            item.max_attempts,
            item.priority,
            item.subject,
            item.key,
            item.enqueued_ms,
            item.lease_ends_ms,
        )


class Outcome(msgspec.Struct):
    """What became of claims, as it is told."""

    done: int
    gone: list[str]
    stale: list[str]

    @classmethod
    def of(cls, settled: Settled) -> Outcome:
        return cls(settled.done, [*map(str, settled.gone)], [*map(str, settled.stale)])


def routes(daemon: Queueing) -> list[tuple[str, str, Handler]]:
    async def listed(_request: Request) -> Response:
        return answer([_counts(each) for each in await daemon.queue.queues()])

    async def one(request: Request) -> Response:
        return answer(_counts(await daemon.queue.counts(_name(request))))

    async def enqueue(request: Request) -> Response:
        items = items_in(await body_of(request, BODY_BYTES_MAX))
        wait_secs = _wait_secs(float(number_in(request, "wait_secs") or 0))
        asked = daemon.queue.enqueue(_name(request), items, wait_secs=wait_secs)
        done = await unless_gone(request, asked)
        return Response(status_code=GONE) if done is None else answer(done)

    async def claim(request: Request) -> Response:
        wanted = await _body(request, Claiming)
        asked = daemon.queue.take(
            _name(request),
            count=wanted.count,
            lease_secs=wanted.lease_secs,
            wait_secs=_wait_secs(wanted.wait_secs),
        )
        items = await unless_gone(request, asked)
        if items is None:
            return Response(status_code=GONE)
        return answer({"items": [Given.of(item) for item in items]})

    async def confirm(request: Request) -> Response:
        wanted = await _body(request, Claims)
        settled = await daemon.queue.confirm(_claims(wanted.claims), queue=_name(request))
        return answer(Outcome.of(settled))

    async def release(request: Request) -> Response:
        wanted = await _body(request, Releasing)
        settled = await daemon.queue.release(
            _claims(wanted.claims),
            delay_secs=wanted.delay_secs,
            failed=wanted.failed,
            error=wanted.error,
            queue=_name(request),
        )
        return answer(Outcome.of(settled))

    async def extend(request: Request) -> Response:
        wanted = await _body(request, Extending)
        settled = await daemon.queue.extend(
            _claims(wanted.claims), wanted.lease_secs, queue=_name(request)
        )
        return answer(Outcome.of(settled))

    async def dead(request: Request) -> Response:
        after, limit = number_in(request, "after") or 0, number_in(request, "limit") or 100
        found = await daemon.queue.dead(_name(request), after=after, limit=limit)
        return answer([_letter(each) for each in found])

    async def dead_item(request: Request) -> Response:
        letter = await daemon.queue.dead_item(_name(request), request.path_params["id"])
        return answer({**_letter(letter), "payload": msgspec.Raw(letter.payload)})

    async def retry(request: Request) -> Response:
        which = _which(await _body(request, Which))
        moved: Moved = await daemon.queue.retry(_name(request), which)
        return answer(moved)

    async def drop(request: Request) -> Response:
        which = _which(await _body(request, Which))
        return answer(await daemon.queue.drop(_name(request), which))

    return [
        ("GET", "/v1/queues", listed),
        ("POST", ITEMS, enqueue),
        ("POST", CLAIM, claim),
        ("POST", CONFIRM, confirm),
        ("POST", RELEASE, release),
        ("POST", EXTEND, extend),
        ("GET", DEAD, dead),
        ("GET", f"{DEAD}/{{id:int}}", dead_item),
        ("POST", f"{DEAD}/retry", retry),
        ("POST", f"{DEAD}/drop", drop),
        ("GET", QUEUE, one),  # behind those whose paths are longer: it would take them too
    ]


def items_in(body: bytes) -> list[NewItem]:
    """One item, or an object with some in `items`."""
    try:
        if msgspec.json.decode(body, type=_Kind).items is msgspec.UNSET:
            return [msgspec.json.decode(body, type=NewItem)]
        return msgspec.json.decode(body, type=Items).items
    except msgspec.DecodeError as error:
        raise BadRequest(
            f"the body is no item: {error}; send "
            '{"payload": …, "key": "…"} or {"items": [{…}, {…}]}'
        ) from error


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """What it comes to; None when the client went away before. The body was read already."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await body_of(request, BODY_BYTES_MAX) or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body is not as this route wants it: {error}") from error


def _name(request: Request) -> str:
    name: str = request.path_params["queue"]
    return name


def _wait_secs(wait_secs: float) -> float:
    if not 0 <= wait_secs <= WAIT_SECS_MAX:
        raise BadRequest(f"wait_secs must be between 0 and {WAIT_SECS_MAX}, not {wait_secs}")
    return wait_secs


def _claims(texts: list[str]) -> list[Claim]:
    return [claim_of(text) for text in texts]


def _which(which: Which) -> list[int] | None:
    if which.all == bool(which.ids):
        raise BadRequest('name dead letters, {"ids": [1, 2]}, or all of them, {"all": true}')
    return None if which.all else which.ids


def _counts(counts: QueueCounts) -> dict[str, object]:
    return {**msgspec.structs.asdict(counts), "pending": counts.pending}


def _letter(letter: DeadItem) -> dict[str, object]:
    told = msgspec.structs.asdict(letter)
    begin = letter.payload.decode("utf-8", "replace")
    del told["payload"]
    return {**told, "preview": begin}
