"""`/v1/debug/memory`: where memory is. Nothing of it is loaded until somebody asks.

These routes are part of the app behind the unix socket and of no other: names of types and lines of
code are for whoever runs the daemon.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from holdfast.governor.governor import Snapshot
from holdfast.server.answers import BadRequest, Handler, answer

if TYPE_CHECKING:
    from holdfast.profiling import Profiler


MEMORY: Final = "/v1/debug/memory"
TRACE: Final = "/v1/debug/memory/trace"


class Profiled(Protocol):
    async def memory(self) -> Snapshot: ...


def routes(daemon: Profiled) -> list[tuple[str, str, Handler]]:
    made: list[Profiler] = []  # one, from the first question on

    def profiler() -> Profiler:
        if not made:
            from holdfast.profiling import Profiler

            made.append(Profiler(asyncio.get_running_loop()))
        return made[0]

    async def memory(request: Request) -> Response:
        sites = asks_for_sites(request)
        asked, taken = profiler(), await daemon.memory()
        return answer(await asyncio.to_thread(lambda: asked.profile(taken, sites=sites)))

    async def trace(request: Request) -> Response:
        """`?on` begins or prolongs it, `?off` ends it, nothing tells how it stands."""
        ask = request.query_params
        if "on" in ask and "off" in ask:
            raise BadRequest("trace takes `on` or `off`, not both")
        if "off" in ask:
            return answer(profiler().stop())
        if "on" in ask:
            return answer(profiler().start(_seconds(ask.get("seconds"))))
        return answer(profiler().tracing())

    return [
        ("GET", MEMORY, memory),
        ("POST", TRACE, trace),
    ]


def asks_for_sites(request: Request) -> bool:
    """A snapshot of what was traced takes memory by itself: it is let in as costly work is."""
    return request.query_params.get("sites") == "true"


def _seconds(text: str | None) -> int:
    from holdfast.profiling import TRACE_SECONDS, TRACE_SECONDS_MAX

    if text is None:
        return TRACE_SECONDS
    if not text.isdecimal() or not 1 <= int(text) <= TRACE_SECONDS_MAX:
        raise BadRequest(
            f"seconds must be a whole number from 1 to {TRACE_SECONDS_MAX}, not {text!r}"
        )
    return int(text)
