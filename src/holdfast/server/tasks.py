"""The routes of tasks."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server.answers import Handler, answer, decoded, number_in, words_in
from holdfast.work import NewTask, TaskRegistry, Workroom
from holdfast.work.tasks import STATES

TASKS: Final = "/v1/tasks"
TASK: Final = "/v1/tasks/{name}"
LISTED_MAX: Final = 1_000  # in an answer, unless it says another limit
# What says how a task goes, or ends it, begins nothing new: it gets through when memory is scarce.
ENDING: Final = frozenset(f"{TASK}/{word}" for word in ("heartbeat", "complete", "fail", "cancel"))


class Working(Protocol):
    @property
    def work(self) -> Workroom: ...


class Who(msgspec.Struct, forbid_unknown_fields=True):
    by: str = ""


class Progress(Who, forbid_unknown_fields=True):
    pct: float | None = None
    note: str = ""


class Result(Who, forbid_unknown_fields=True):
    result: str = ""


class Failure(Who, forbid_unknown_fields=True):
    error: str = ""
    final: bool = False  # whether it is not to be tried again


class Reason(Who, forbid_unknown_fields=True):
    reason: str = ""


def routes(daemon: Working) -> list[tuple[str, str, Handler]]:
    def tasks() -> TaskRegistry:
        return daemon.work.tasks

    async def create(request: Request) -> Response:
        return answer(await tasks().create(await decoded(request, NewTask)))

    async def listed(request: Request) -> Response:
        ask = request.query_params
        found = tasks().listed(
            states=words_in(request, "state", STATES),
            session=ask.get("session", ""),
            parent=ask.get("parent", ""),
            limit=number_in(request, "limit") or LISTED_MAX,
        )
        return answer(found)

    async def show(request: Request) -> Response:
        return answer(tasks().get(request.path_params["name"]))

    async def start(request: Request) -> Response:
        who = await decoded(request, Who)
        return answer(await tasks().begin(request.path_params["name"], who.by))

    async def heartbeat(request: Request) -> Response:
        who = await decoded(request, Who)
        return answer(await tasks().heartbeat(request.path_params["name"], who.by))

    async def progress(request: Request) -> Response:
        made = await decoded(request, Progress)
        name = request.path_params["name"]
        return answer(await tasks().progress(name, made.pct, made.note, made.by))

    async def complete(request: Request) -> Response:
        done = await decoded(request, Result)
        return answer(await tasks().complete(request.path_params["name"], done.result, done.by))

    async def fail(request: Request) -> Response:
        failure = await decoded(request, Failure)
        failed = await tasks().fail(
            request.path_params["name"], failure.error, failure.by, final=failure.final
        )
        return answer(failed)

    async def block(request: Request) -> Response:
        why = await decoded(request, Reason)
        return answer(await tasks().block(request.path_params["name"], why.reason, why.by))

    async def unblock(request: Request) -> Response:
        who = await decoded(request, Who)
        return answer(await tasks().unblock(request.path_params["name"], who.by))

    async def cancel(request: Request) -> Response:
        why = await decoded(request, Reason)
        return answer(await tasks().cancel(request.path_params["name"], why.reason, why.by))

    commands = (start, heartbeat, progress, complete, fail, block, unblock, cancel)
    return [
        ("POST", TASKS, create),
        ("GET", TASKS, listed),
        ("GET", TASK, show),
        *(("POST", f"{TASK}/{command.__name__}", command) for command in commands),
    ]
