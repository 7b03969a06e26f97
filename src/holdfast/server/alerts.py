"""The routes of alerts: what fires, a test of who is told, silence."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from holdfast.alerts import AlertDesk
from holdfast.server.answers import BadRequest, Handler, answer

SILENCE: Final = "/v1/alerts/{name}/silence"
SILENCE_MAX_S: Final = 366 * 86_400


class Alerting(Protocol):
    alerts: AlertDesk


def routes(daemon: Alerting) -> list[tuple[str, str, Handler]]:
    async def listed(_request: Request) -> Response:
        return answer(daemon.alerts.status())

    async def test(request: Request) -> Response:
        name = request.path_params["name"]
        sent = await asyncio.to_thread(daemon.alerts.test, name)
        return answer({"alert": name, "told": sent.told, "problem": "; ".join(sent.problems)})

    async def silence(request: Request) -> Response:
        text = request.query_params.get("seconds", "")
        if not text.isdecimal() or int(text) > SILENCE_MAX_S:
            raise BadRequest(f"seconds must be a whole number up to {SILENCE_MAX_S}, not {text!r}")
        daemon.alerts.silence(request.path_params["name"], int(text))
        return answer(daemon.alerts.status())

    return [
        ("GET", "/v1/alerts", listed),
        ("POST", "/v1/alerts/{name}/test", test),
        ("POST", SILENCE, silence),
    ]
