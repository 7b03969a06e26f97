"""The routes of intents."""

from __future__ import annotations

from typing import Final, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server.answers import Handler, answer, decoded, number_in, words_in
from holdfast.server.tasks import LISTED_MAX, Reason, Result, Who, Working
from holdfast.work import IntentRegistry, NewIntent
from holdfast.work.intents import State

INTENTS: Final = "/v1/intents"
INTENT: Final = "/v1/intents/{name}"
ENDING: Final = frozenset({f"{INTENT}/complete", f"{INTENT}/fail"})


class Progress(msgspec.Struct, forbid_unknown_fields=True):
    pct: float | None = None
    note: str = ""
    memo: str = ""
    by: str = ""


def routes(daemon: Working) -> list[tuple[str, str, Handler]]:
    def intents() -> IntentRegistry:
        return daemon.work.intents

    async def create(request: Request) -> Response:
        return answer(await intents().create(await decoded(request, NewIntent)))

    async def listed(request: Request) -> Response:
        found = intents().listed(
            states=words_in(request, "state", get_args(State)),
            session=request.query_params.get("session", ""),
            limit=number_in(request, "limit") or LISTED_MAX,
        )
        return answer(found)

    async def show(request: Request) -> Response:
        return answer(intents().get(request.path_params["name"]))

    async def progress(request: Request) -> Response:
        made = await decoded(request, Progress)
        progressed = await intents().progress(
            request.path_params["name"], pct=made.pct, note=made.note, memo=made.memo, by=made.by
        )
        return answer(progressed)

    async def complete(request: Request) -> Response:
        done = await decoded(request, Result)
        return answer(await intents().complete(request.path_params["name"], done.result, done.by))

    async def fail(request: Request) -> Response:
        why = await decoded(request, Reason)
        return answer(await intents().fail(request.path_params["name"], why.reason, why.by))

    async def resume(request: Request) -> Response:
        who = await decoded(request, Who)
        return answer(await intents().resume(request.path_params["name"], who.by))

    return [
        ("POST", INTENTS, create),
        ("GET", INTENTS, listed),
        ("GET", INTENT, show),
        ("POST", f"{INTENT}/progress", progress),
        ("POST", f"{INTENT}/complete", complete),
        ("POST", f"{INTENT}/fail", fail),
        ("POST", f"{INTENT}/resume", resume),
    ]
