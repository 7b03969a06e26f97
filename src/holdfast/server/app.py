"""The daemon's HTTP interface. Thin: each route parses, asks the daemon, and encodes.

Everything that may take longer than a moment runs on a thread, in pieces, so that the loop, and
with it the tail, never waits for a reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import chain
from typing import Final, Protocol, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from holdfast.alerts import AlertDesk
from holdfast.checks import Check
from holdfast.errors import Exit, HoldfastError
from holdfast.governor.admission import Admission, Cost, PutOff
from holdfast.governor.governor import Governor, Snapshot
from holdfast.ingest.tail import Tail
from holdfast.journal.model import BlobFilter, SearchQuery, SessionFilter
from holdfast.journal.service import JournalService
from holdfast.library import FORMATS, Library, SessionEntry
from holdfast.metrics import History, Latest, dialect_for, exposition, listed
from holdfast.payloads import Dropped, PayloadReport
from holdfast.recording.listing import Listing
from holdfast.recording.recorder import OUTSIDE_COMMANDS, Answer, Recorder
from holdfast.recording.view import EVERYTHING, View, canonical_time, checked_kinds
from holdfast.redaction import RedactProgress, RedactReport, RedactRequest
from holdfast.server import (
    alerts,
    checkpoints,
    debug,
    intents,
    ledger,
    queues,
    streams,
    tasks,
)
from holdfast.server.answers import (
    BadRequest,
    Handler,
    answer,
    number_in,
    streamed,
    time_in,
)
from holdfast.snapshots import SessionStore
from holdfast.status import Status
from holdfast.status.sources import SourceReport
from holdfast.stream import Streams
from holdfast.work import Workroom
from holdfast.work.queue import WorkQueue

T = TypeVar("T")

PROGRESS_INTERVAL_S: Final = 0.1
RECORDINGS: Final = "/v1/sessions/{name:path}/recordings"
NDJSON: Final = "application/x-ndjson"
LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost")
FROM_MEMORY_EVENTS_MAX: Final = 500  # more would keep the event loop from its work
FROM_MEMORY_BYTES_MAX: Final = 1 << 20  # more is sent from the journal, a piece at a time
_HTTP_STATUS: Final = {
    Exit.NOT_FOUND: 404,
    Exit.AMBIGUOUS: 409,
    Exit.USAGE: 400,
    Exit.REFUSED: 403,
    Exit.JOURNAL: 503,
    Exit.CONFLICT: 409,
    Exit.BUSY: 429,
}

# What a request costs, by the path of its route; what is in neither is cheap.
_ALWAYS: Final = frozenset(
    {
        "/v1/health",
        "/v1/status",
        "/v1/doctor",
        "/v1/figures",
        "/v1/history",
        "/metrics",
        "/v1/alerts",
        alerts.SILENCE,
        debug.MEMORY,
        *queues.ALWAYS,
        *tasks.ENDING,
        *checkpoints.ENDING,
        *intents.ENDING,
    }
)
_COSTLY: Final = frozenset(
    {
        debug.TRACE,
        "/v1/sources",
        "/v1/sessions/{name:path}/events",
        "/v1/sessions/{name:path}/export",
        RECORDINGS,
        "/v1/search",
        "/v1/blobs",
        "/v1/blobs/{digest}",
        "/v1/blobs/drop",
        "/v1/import",
        "/v1/redact",
        streams.APPEND,
        "/v1/events",
        streams.LIVE,
        *queues.COSTLY,
        ledger.LEDGER,
        ledger.LEARNINGS,
    }
)


class Served(Protocol):
    """Who answers; the daemon is one."""

    state: str
    admission: Admission
    library: Library
    governor: Governor
    store: SessionStore
    tail: Tail
    recorder: Recorder
    figures: Latest
    history: History
    alerts: AlertDesk
    streams: Streams
    queue: WorkQueue
    journal: JournalService

    @property
    def work(self) -> Workroom: ...
    def payloads(self, wanted: BlobFilter) -> PayloadReport: ...
    def payload(self, digest: str) -> Iterator[bytes]: ...
    def drop_payloads(self, wanted: BlobFilter, *, dry_run: bool) -> Dropped: ...
    def recordings(self, limit: int | None) -> Listing: ...
    def report(self, error: BaseException, doing: str) -> None: ...
    async def status(self) -> Status: ...
    async def memory(self) -> Snapshot: ...
    async def checks(self) -> list[Check]: ...
    def source_reports(self) -> list[SourceReport]: ...
    async def redact(
        self, asked: RedactRequest, on_progress: Callable[[RedactProgress], None]
    ) -> RedactReport: ...


class Problem(msgspec.Struct):
    """The body of every answer that is not a success."""

    error: str
    exit: int


def make_app(daemon: Served) -> Starlette:
    return Starlette(
        routes=[
            Route(path, _admitted(daemon, path, handler), methods=[method])
            for method, path, handler in _routes(daemon)
        ],
        exception_handlers={HoldfastError: _explain, Exception: _report(daemon)},
    )


def make_loopback_app(daemon: Served) -> Starlette:
    """What any local user and, through a browser, any web page may come to: figures only.

    A page that points its own name at 127.0.0.1 comes with that name in the Host header; it is
    refused, so figures can be read by programs of this machine alone.
    """
    routes = _figure_routes(daemon)
    return Starlette(
        routes=[Route(path, handler, methods=["GET"]) for _method, path, handler in routes],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_HOSTS, www_redirect=False)
        ],
        exception_handlers={HoldfastError: _explain, Exception: _report(daemon)},
    )


def _figure_routes(daemon: Served) -> list[tuple[str, str, Handler]]:
    async def health(_request: Request) -> Response:
        return answer({"state": daemon.state})

    async def metrics(request: Request) -> Response:
        dialect = dialect_for(request.headers.get("accept", ""))
        taken = await daemon.figures.take()
        return Response(exposition(taken.readings, dialect), media_type=dialect.content_type)

    return [("GET", "/v1/health", health), ("GET", "/metrics", metrics)]


def _admitted(daemon: Served, path: str, handler: Handler) -> Handler:
    """What begins no new work is let in whatever the pressure: to join an import, to stop."""
    usual = Cost.COSTLY if path in _COSTLY else Cost.CHEAP
    usual = Cost.ALWAYS if path in _ALWAYS else usual

    async def admitted(request: Request) -> Response:
        joins = path == "/v1/import" and daemon.tail.importing
        stops = path == RECORDINGS and request.query_params.get("command") == "stop"
        stops = stops or (path == debug.TRACE and "on" not in request.query_params)
        cost = Cost.COSTLY if path == debug.MEMORY and debug.asks_for_sites(request) else usual
        daemon.admission.check(Cost.ALWAYS if joins or stops else cost)
        return await handler(request)

    return admitted


def _routes(daemon: Served) -> list[tuple[str, str, Handler]]:
    library = daemon.library

    async def figures(_request: Request) -> Response:
        return answer(listed(await daemon.figures.take()))

    async def history(request: Request) -> Response:
        ask = request.query_params
        names = [name for name in ask.get("figure", "").split(",") if name]
        return answer(daemon.history.stretch(names, ask.get("since", "")))

    async def status(_request: Request) -> Response:
        return answer(await daemon.status())

    async def doctor(_request: Request) -> Response:
        return answer(await daemon.checks())

    async def sources(_request: Request) -> Response:
        return answer(await asyncio.to_thread(daemon.source_reports))

    async def sessions(request: Request) -> Response:
        ask = request.query_params
        wanted = SessionFilter(
            agent=ask.get("agent", ""),
            project=ask.get("project", ""),
            since=time_in(request, "since"),
            text=ask.get("text", ""),
            limit=number_in(request, "limit"),
        )
        resident = {"true": True, "false": False}.get(ask.get("resident", ""))
        if ask.get("count") == "true":
            count = library.count_sessions
            return answer({"count": await asyncio.to_thread(count, wanted, resident=resident)})
        pieces = library.sessions_json(wanted, resident=resident)
        first = await asyncio.to_thread(next, pieces)  # what fails, fails before the answer begins
        return streamed(chain([first], pieces), "application/json")

    async def session(request: Request) -> Response:
        return answer(await asyncio.to_thread(library.session, _name(request)))

    async def events(request: Request) -> Response:
        entry = await asyncio.to_thread(library.session, _name(request))
        first, last = number_in(request, "from") or 0, number_in(request, "to")
        held = resident_lines(daemon.store, entry, first, last)
        if held is not None:
            return Response(held, media_type=NDJSON)
        return streamed(library.lines(entry.id, first, last), NDJSON)

    async def export(request: Request) -> Response:
        ask = request.query_params
        form = ask.get("format", "markdown")
        if form not in FORMATS:
            raise BadRequest(
                f"format {form!r} is not one of: {', '.join(FORMATS)} "
                "(HTML is made by `holdfast export -f html`)"
            )
        view = _view(request, EVERYTHING if form == "jsonl" else View())
        entry = await asyncio.to_thread(library.session, _name(request))
        kind = "text/markdown" if form == "markdown" else NDJSON
        return streamed(library.export(entry.id, form, view), kind)

    async def search(request: Request) -> Response:
        ask = request.query_params
        query = SearchQuery(
            words=ask.get("words", ""),
            agent=ask.get("agent", ""),
            project=ask.get("project", ""),
            kind=ask.get("kind", ""),
            since=time_in(request, "since"),
            limit=number_in(request, "limit") or 20,
        )
        return answer(await asyncio.to_thread(library.search, query))

    async def blobs(request: Request) -> Response:
        wanted = _blob_filter(request)
        return answer(await asyncio.to_thread(lambda: daemon.payloads(wanted)))

    async def blob(request: Request) -> Response:
        pieces = await asyncio.to_thread(daemon.payload, request.path_params["digest"])
        return streamed(pieces, "application/octet-stream")

    async def drop_blobs(request: Request) -> Response:
        wanted = _blob_filter(request)
        dry_run = request.query_params.get("dry_run") == "true"
        return answer(
            await asyncio.to_thread(lambda: daemon.drop_payloads(wanted, dry_run=dry_run))
        )

    async def recordings(request: Request) -> Response:
        limit = None if request.query_params.get("all") == "true" else number_in(request, "limit")
        return answer(await asyncio.to_thread(daemon.recordings, limit))

    async def command(request: Request) -> Response:
        ask = request.query_params
        name = ask.get("command", "")
        if name not in OUTSIDE_COMMANDS:
            raise BadRequest(f"command {name!r} is not one of: {', '.join(OUTSIDE_COMMANDS)}")
        entry = await asyncio.to_thread(library.session, _name(request))
        asked = daemon.recorder.ask(entry.id, name, ask.get("path", ""), ask.get("cwd", ""))
        outcome: Answer = await asyncio.wrap_future(asked)
        return answer(outcome)

    async def redact(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=RedactRequest)
        except msgspec.DecodeError as error:
            raise BadRequest(f"the body is no request to redact: {error}") from error
        return StreamingResponse(_redact(daemon, asked), media_type=NDJSON)

    async def imports(_request: Request) -> Response:
        return StreamingResponse(_import(daemon), media_type=NDJSON)

    return [  # routes are tried in turn: those that are asked for thousands of times a second first
        *streams.routes(daemon),
        *queues.routes(daemon),
        *_figure_routes(daemon),
        ("GET", "/v1/status", status),
        ("GET", "/v1/doctor", doctor),
        ("GET", "/v1/figures", figures),
        ("GET", "/v1/history", history),
        ("GET", "/v1/sources", sources),
        ("GET", "/v1/sessions", sessions),
        ("GET", "/v1/sessions/{name:path}/events", events),
        ("GET", "/v1/sessions/{name:path}/export", export),
        ("POST", RECORDINGS, command),
        ("GET", "/v1/sessions/{name:path}", session),
        ("GET", "/v1/recordings", recordings),
        ("GET", "/v1/search", search),
        ("GET", "/v1/blobs", blobs),
        ("GET", "/v1/blobs/{digest}", blob),
        ("POST", "/v1/blobs/drop", drop_blobs),
        ("POST", "/v1/import", imports),
        ("POST", "/v1/redact", redact),
        *debug.routes(daemon),
        *alerts.routes(daemon),
        *ledger.routes(daemon),
        *tasks.routes(daemon),
        *checkpoints.routes(daemon),
        *intents.routes(daemon),
    ]


async def _import(daemon: Served) -> AsyncIterator[bytes]:
    """Progress lines while an import runs, then its report, or the error that ended it."""
    running = asyncio.ensure_future(daemon.tail.import_all())
    while not running.done():
        await asyncio.wait([running], timeout=PROGRESS_INTERVAL_S)
        step = {"progress": daemon.tail.progress, "tree_bytes": daemon.governor.footprint_bytes}
        yield msgspec.json.encode(step) + b"\n"
    try:
        last: object = {"report": running.result()}
    except HoldfastError as error:
        last = {"problem": Problem(str(error), int(error.exit))}
    yield msgspec.json.encode(last) + b"\n"


async def _redact(daemon: Served, asked: RedactRequest) -> AsyncIterator[bytes]:
    """Progress lines while stored sessions are rewritten, then the report, or what ended it."""
    progress: RedactProgress | None = None

    def step(now: RedactProgress) -> None:
        nonlocal progress
        progress = now

    running = asyncio.ensure_future(daemon.redact(asked, step))
    while not running.done():
        await asyncio.wait([running], timeout=PROGRESS_INTERVAL_S)
        yield msgspec.json.encode({"progress": progress}) + b"\n"
    try:
        last: object = {"report": running.result()}
    except HoldfastError as error:
        last = {"problem": Problem(str(error), int(error.exit))}
    yield msgspec.json.encode(last) + b"\n"


def resident_lines(
    store: SessionStore, entry: SessionEntry, first: int, last: int | None
) -> bytes | None:
    """A short stretch of a session from memory; None when the journal is to be asked."""
    held = store.resident(entry.id)
    stop = entry.events if last is None else min(last, entry.events)
    if held is None or not held.first_seq <= first or held.next_seq < stop:
        return None
    if stop - first > FROM_MEMORY_EVENTS_MAX:
        return None
    pieces, size = [], 0
    for piece in store.read(entry.id, first, stop):
        pieces.append(piece)
        size += len(piece)
        if size > FROM_MEMORY_BYTES_MAX:
            return None
    return b"".join(pieces)


def _blob_filter(request: Request) -> BlobFilter:
    ask = request.query_params
    return BlobFilter(
        session=ask.get("session", ""),
        used_before=ask.get("used_before", ""),
        min_bytes=number_in(request, "min_bytes") or 0,
        dropped=ask.get("dropped") == "true",
        limit=number_in(request, "limit"),
    )


def _view(request: Request, usual: View) -> View:
    """What the request asks to be shown; what it does not mention is as usual."""
    ask = request.query_params

    def shown(name: str) -> bool:
        text = ask.get(name)
        if text not in (None, "true", "false"):
            raise BadRequest(f"{name} must be true or false, not {text!r}")
        return bool(getattr(usual, name)) if text is None else text == "true"

    return View(
        thinking=shown("thinking"),
        tools=shown("tools"),
        system=shown("system"),
        commentary=shown("commentary"),
        since=canonical_time(ask["since"]) if ask.get("since") else "",
        until=canonical_time(ask["until"]) if ask.get("until") else "",
        kinds=checked_kinds([kind for kind in ask.get("kinds", "").split(",") if kind]),
    )


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _report(daemon: Served) -> Callable[[Request, Exception], Awaitable[Response]]:
    """What nobody foresaw is written down with its trace, and told without it."""

    async def report(request: Request, error: Exception) -> Response:
        daemon.report(error, f"{request.method} {request.url.path}")
        problem = Problem(
            f"holdfast failed inside ({error!r}): the trace is in its log; please report it",
            int(Exit.FAILURE),
        )
        return Response(msgspec.json.encode(problem), 500, media_type="application/json")

    return report


async def _explain(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HoldfastError)
    body = msgspec.json.encode(Problem(str(error), int(error.exit)))
    if isinstance(error, PutOff):
        later = {"Retry-After": str(error.retry_after_s)}
        return Response(body, error.status, headers=later, media_type="application/json")
    return Response(body, _HTTP_STATUS.get(error.exit, 500), media_type="application/json")
