"""The routes of streams: append, read, query, and following what happens as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from holdfast.events import STREAM_AGENT, stream_id
from holdfast.journal.model import SessionFilter
from holdfast.journal.streams import GivenEvent
from holdfast.library import Library, SessionNotFound
from holdfast.server.answers import (
    BadRequest,
    Handler,
    answer,
    body_of,
    count_in,
    is_number,
    number_in,
    only,
    streamed,
    time_in,
)
from holdfast.stream import (
    ON_LAG,
    Frame,
    Lagged,
    Query,
    Streams,
    Subscription,
    id_of,
    subscribe,
)

APPEND: Final = "/v1/streams/{name:path}/events"
LIVE: Final = "/v1/events/live"
NDJSON: Final = "application/x-ndjson"
BODY_BYTES_MAX: Final = 8_000_000
CHUNK_BYTES: Final = 2_048
KEEP_ALIVE: Final = b": still here\n\n"


class Streaming(Protocol):
    library: Library
    streams: Streams


class Several(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an append of more than one event."""

    events: list[GivenEvent]
    expected_seq: int | None = None


class Place(msgspec.Struct):
    seq: int
    position: int
    id: str


class Placed(msgspec.Struct):
    """The answer to an append."""

    stream: str
    session: str
    events: list[Place]
    repeated: int


class Listed(msgspec.Struct):
    name: str
    id: str
    events: int
    stored_bytes: int
    started_at: str
    updated_at: str


class Positioned(msgspec.Struct):
    """A line of the answer to a query."""

    position: int
    stream: str
    event: msgspec.Raw


class _Kind(msgspec.Struct):
    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_several: Final = msgspec.json.Decoder(Several)
_one: Final = msgspec.json.Decoder(GivenEvent)
_kind: Final = msgspec.json.Decoder(_Kind)


def parsed(body: bytes) -> Several:
    """One event, or an object with some in `events`."""
    try:
        if _kind.decode(body).events is msgspec.UNSET:
            return Several([_one.decode(body)])
        return _several.decode(body)
    except msgspec.DecodeError as error:
        raise BadRequest(
            f"the body is no event: {error}; send "
            '{"kind": "task.done", "text": "…", "data": {…}} or {"events": [{…}, {…}]}'
        ) from error


def routes(daemon: Streaming) -> list[tuple[str, str, Handler]]:
    async def append(request: Request) -> Response:
        wanted = parsed(await body_of(request, BODY_BYTES_MAX))
        name: str = request.path_params["name"]
        appended = await daemon.streams.append(
            name, wanted.events, expected_seq=wanted.expected_seq
        )
        places = zip(appended.seqs, appended.positions, strict=True)
        events = [
            Place(seq, position, id_of(appended, number))
            for number, (seq, position) in enumerate(places)
        ]
        return answer(Placed(name, appended.session, events, appended.repeated))

    async def listed(_request: Request) -> Response:
        wanted = SessionFilter(agent=STREAM_AGENT)
        rows = await asyncio.to_thread(daemon.library.sessions, wanted)
        return answer(
            [
                Listed(
                    row.agent_session_id,
                    row.id,
                    row.events,
                    row.stored_bytes,
                    row.started_at,
                    row.updated_at,
                )
                for row in rows
            ]
        )

    async def read(request: Request) -> Response:
        name: str = request.path_params["name"]
        try:
            entry = await asyncio.to_thread(daemon.library.session, stream_id(name))
        except SessionNotFound as error:
            raise SessionNotFound(
                f"there is no stream {name!r}: GET /v1/streams lists them; a conversation is at "
                "/v1/sessions/{id}/events"
            ) from error
        first, last = number_in(request, "from") or 0, number_in(request, "to")
        return streamed(daemon.library.lines(entry.id, first, last), NDJSON)

    async def query(request: Request) -> Response:
        ask = request.query_params
        only(request, *Query.__struct_fields__)
        found = await daemon.streams.query(
            Query(
                stream=ask.get("stream", "*"),
                kind=ask.get("kind", "*"),
                actor=ask.get("actor", ""),
                correlation=ask.get("correlation", ""),
                since=time_in(request, "since"),
                until=time_in(request, "until"),
                after=number_in(request, "after") or 0,
                limit=count_in(request, "limit", 1_000),
            )
        )
        body = b"".join(
            msgspec.json.encode(Positioned(each.position, each.stream, msgspec.Raw(each.line)))
            + b"\n"
            for each in found.frames
        )
        more = {"Holdfast-After": str(found.next_after), "Holdfast-Complete": str(found.complete)}
        return Response(body, headers=more, media_type=NDJSON)

    async def live(request: Request) -> Response:
        ask = request.query_params
        only(request, "stream", "kind", "actor", "correlation", "after", "on_lag")
        on_lag = ask.get("on_lag", "catch_up")
        if on_lag not in ON_LAG:
            raise BadRequest(f"on_lag must be one of {', '.join(ON_LAG)}, not {on_lag!r}")
        last = request.headers.get("last-event-id", "")
        if last and not is_number(last):
            raise BadRequest(
                f"Last-Event-ID is the id of the last frame that came, not {last[:100]!r}; without "
                "it only what comes from now on is told"
            )
        after = int(last) if last else number_in(request, "after")
        events = subscribe(
            daemon.streams,
            after=after,
            kinds=ask.get("kind", "*"),
            streams=ask.get("stream", "*"),
            actor=ask.get("actor", ""),
            correlation=ask.get("correlation", ""),
            on_lag=on_lag,
        )
        return StreamingResponse(
            server_sent(events),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return [
        ("GET", "/v1/streams", listed),
        ("POST", APPEND, append),
        ("GET", APPEND, read),
        ("GET", "/v1/events", query),
        ("GET", LIVE, live),
    ]


async def server_sent(events: Subscription) -> AsyncIterator[bytes]:
    """The first frame says from where it listens: what is asked for behind that misses nothing."""
    async with events:
        yield told("holdfast.subscribed", {"next_position": events.position})
        async for batch in events.batches():
            if isinstance(batch, Lagged):
                yield told("holdfast.lagged", batch)
            elif batch:
                for chunk in chunks(batch):
                    yield chunk
            else:
                yield KEEP_ALIVE


def chunks(frames: list[Frame]) -> Iterator[bytes]:
    """A little at a time: what a client does not take stays in the ring, not with each of them."""
    chunk = bytearray()
    for frame in frames:
        chunk += frame.sse()
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


def told(event: str, about: object) -> bytes:
    """What is no event of the journal, and has no position."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), msgspec.json.encode(about))
