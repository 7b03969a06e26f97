"""The routes of the ledger and of learnings: made of the journal when they are asked for."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from holdfast.events import stream_id
from holdfast.journal.service import JournalService
from holdfast.library import resolve
from holdfast.recording.view import canonical_time
from holdfast.server.answers import BadRequest, Handler, answer, number_in

LEDGER: Final = "/v1/ledger"
LEARNINGS: Final = "/v1/learnings"


class Working(Protocol):
    journal: JournalService


def routes(daemon: Working) -> list[tuple[str, str, Handler]]:
    """What they need of `work` is imported when somebody asks."""

    async def ledger(request: Request) -> Response:
        form = request.query_params.get("format", "json")
        if form not in {"json", "markdown"}:
            raise BadRequest(f"format must be json or markdown, not {form!r}")
        kind = "application/json" if form == "json" else "text/markdown"
        return Response(await asyncio.to_thread(_ledger, daemon.journal, form), media_type=kind)

    async def learnings(request: Request) -> Response:
        return answer(await asyncio.to_thread(_learnings, daemon.journal, request))

    return [("GET", LEDGER, ledger), ("GET", LEARNINGS, learnings)]


def _ledger(journal: JournalService, form: str) -> bytes:
    from holdfast.work.ledger import Ledger
    from holdfast.work.ledger_page import page
    from holdfast.work.replay import bring_up_to_date

    made = Ledger()
    with journal.reader() as reader:
        bring_up_to_date(reader, made)
    return made.dump() if form == "json" else page(made.state).encode()


def _learnings(journal: JournalService, request: Request) -> object:
    from holdfast.work.learnings import STREAM, TYPES, LearningFilter, list_learnings

    asked = request.query_params
    chosen, since = asked.get("type", ""), asked.get("since", "")
    if chosen and chosen not in TYPES:
        raise BadRequest(f"type must be one of {', '.join(TYPES)}, not {chosen!r}")
    with journal.reader() as reader:
        wanted = LearningFilter(
            type=chosen,
            session=resolve(reader, asked["session"]) if asked.get("session") else "",
            since=canonical_time(since) if since else "",
            limit=number_in(request, "limit"),
        )
        return list_learnings(reader.events(stream_id(STREAM)), wanted)
