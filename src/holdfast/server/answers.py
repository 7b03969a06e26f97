"""What the routes share: what a handler is, how an answer is written, how a slip is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from holdfast.errors import Exit, HoldfastError
from holdfast.recording.view import canonical_time

T = TypeVar("T")

BODY_BYTES_MAX: Final = 1_000_000
DIGITS_MAX: Final = 18  # what SQLite takes

Handler = Callable[[Request], Awaitable[Response]]


class BadRequest(HoldfastError):
    """A parameter that no route understands."""

    exit = Exit.USAGE


def answer(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


async def body_of(request: Request, bytes_max: int) -> bytes:
    """The whole body, if it is not too large; one that is, is not read to its end."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise BadRequest(f"the body is larger than {bytes_max:,} bytes: send it in parts")
    return bytes(body)


def number_in(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not is_number(text):
        raise BadRequest(
            f"{name} must be a whole number of {DIGITS_MAX} digits at most, not {text[:100]!r}"
        )
    return int(text)


def count_in(request: Request, name: str, usual: int) -> int:
    """How many are wanted: one at least."""
    number = number_in(request, name)
    if number == 0:
        raise BadRequest(f"{name} must be 1 or more; leave it out for {usual:,}")
    return usual if number is None else number


def time_in(request: Request, name: str) -> str:
    """A time as events write it; "" when none was given."""
    text = request.query_params.get(name, "")
    return canonical_time(text) if text else ""


def only(request: Request, *known: str) -> None:
    """What is spelt wrong must not be passed over: the answer would be to another question."""
    for name in request.query_params:
        if name not in known:
            raise BadRequest(f"nothing is called {name[:100]!r} here; use {', '.join(known)}")


def is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= DIGITS_MAX


def words_in(request: Request, name: str, allowed: Sequence[str]) -> list[str]:
    """Some of the words that there are, with commas between them."""
    words = [word for word in request.query_params.get(name, "").split(",") if word]
    for word in words:
        if word not in allowed:
            raise BadRequest(f"{name} {word!r} is not one of: {', '.join(allowed)}")
    return words


async def decoded(request: Request, what: type[T], bytes_max: int = BODY_BYTES_MAX) -> T:
    """The body as what it must be; none at all is like an empty object."""
    body = await body_of(request, bytes_max)
    try:
        return msgspec.json.decode(body or b"{}", type=what)
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body is not as it must be: {error}") from error


def streamed(pieces: Iterator[bytes], kind: str) -> Response:
    return StreamingResponse(_on_thread(pieces), media_type=kind)


async def _on_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Pull a blocking iterator a piece at a time; nothing is read ahead of a slow client."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
