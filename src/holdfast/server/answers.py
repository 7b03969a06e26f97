"""What the routes share: what a handler is, how an answer is written, how a slip is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast.errors import Exit, HoldfastError

Handler = Callable[[Request], Awaitable[Response]]


class BadRequest(HoldfastError):
    """A parameter that no route understands."""

    exit = Exit.USAGE


def answer(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
