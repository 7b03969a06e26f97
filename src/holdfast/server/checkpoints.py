"""The routes of checkpoints: ask, wait, decide; and of what work lets go of."""

from __future__ import annotations

from typing import Final, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server.answers import BadRequest, Handler, answer, decoded, number_in, words_in
from holdfast.server.tasks import LISTED_MAX, Working
from holdfast.work import TEMPLATES, CheckpointDesk, NewCheckpoint
from holdfast.work.checkpoints import Answer, State

CHECKPOINTS: Final = "/v1/checkpoints"
CHECKPOINT: Final = "/v1/checkpoints/{name}"
COMPACT: Final = "/v1/work/compact"
WAIT_MAX_S: Final = 60  # whoever waits for longer asks again
# A decision ends something: it gets through when memory is scarce, and so does waiting for one.
ENDING: Final = frozenset(
    {CHECKPOINT, *(f"{CHECKPOINT}/{word}" for word in ("approve", "reject", "cancel"))}
)


class Decision(msgspec.Struct, forbid_unknown_fields=True):
    by: str = ""
    comment: str = ""
    option: str = ""


class Withdrawal(msgspec.Struct, forbid_unknown_fields=True):
    by: str = ""
    comment: str = ""


class ListedTemplate(msgspec.Struct):
    name: str
    about: str
    fields: tuple[str, ...]
    title: str
    question: str
    options: tuple[str, ...]


def routes(daemon: Working) -> list[tuple[str, str, Handler]]:
    def desk() -> CheckpointDesk:
        return daemon.work.checkpoints

    async def ask(request: Request) -> Response:
        return answer(await desk().ask(await decoded(request, NewCheckpoint)))

    async def listed(request: Request) -> Response:
        wanted = request.query_params
        found = desk().listed(
            states=words_in(request, "state", get_args(State)),
            session=wanted.get("session", ""),
            task=wanted.get("task", ""),
            limit=number_in(request, "limit") or LISTED_MAX,
        )
        return answer(found)

    async def show(request: Request) -> Response:
        wait_s = number_in(request, "wait_secs") or 0
        if wait_s > WAIT_MAX_S:
            raise BadRequest(f"wait_secs is {WAIT_MAX_S} at most: ask again after that")
        return answer(await desk().wait(request.path_params["name"], wait_s))

    async def templates(_request: Request) -> Response:
        return answer(
            [
                ListedTemplate(
                    each.name, each.about, each.fields, each.title, each.question, each.options
                )
                for each in TEMPLATES
            ]
        )

    async def decide(request: Request, how: Answer) -> Response:
        decision = await decoded(request, Decision)
        decided = await desk().resolve(
            request.path_params["name"],
            how,
            by=decision.by,
            comment=decision.comment,
            option=decision.option,
        )
        return answer(decided)

    async def approve(request: Request) -> Response:
        return await decide(request, "approved")

    async def reject(request: Request) -> Response:
        return await decide(request, "rejected")

    async def cancel(request: Request) -> Response:
        why = await decoded(request, Withdrawal)
        name = request.path_params["name"]
        return answer(await desk().cancel(name, by=why.by, comment=why.comment))

    async def compact(request: Request) -> Response:
        dry_run = request.query_params.get("dry_run") == "true"
        return answer(await daemon.work.compact(dry_run=dry_run))

    return [
        ("POST", CHECKPOINTS, ask),
        ("GET", CHECKPOINTS, listed),
        ("GET", f"{CHECKPOINTS}/templates", templates),
        ("GET", CHECKPOINT, show),
        ("POST", f"{CHECKPOINT}/approve", approve),
        ("POST", f"{CHECKPOINT}/reject", reject),
        ("POST", f"{CHECKPOINT}/cancel", cancel),
        ("POST", COMPACT, compact),
    ]
