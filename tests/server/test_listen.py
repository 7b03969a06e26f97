"""What is made of answers and not yet taken is counted, and gone when it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.governor import Level
from holdfast.server.listen import Answers, Listener, UnixPlace
from tests.support.waiting import DEADLINE_S, POLL_S

BODY_BYTES: Final = 8_000_000  # more than sockets and buffers hold


async def whole(_request: Request) -> Response:
    return Response(b"x" * BODY_BYTES)


async def settled(is_so: Callable[[], bool]) -> None:
    deadline_s = asyncio.get_running_loop().time() + DEADLINE_S
    while not is_so():
        assert asyncio.get_running_loop().time() < deadline_s
        await asyncio.sleep(POLL_S)


def test_an_answer_that_nobody_takes_weighs_until_it_is_taken(tmp_path: Path) -> None:
    path = str(tmp_path / "s")

    async def run() -> None:
        app = Starlette(routes=[Route("/", whole)])
        listener = Listener(app, UnixPlace(path), stop_grace_s=1)
        answers = Answers([listener])
        await listener.start()
        assert answers.usage().bytes == answers.usage().items == 0
        with socket.socket(socket.AF_UNIX) as asking:
            asking.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(asking, path)
            await loop.sock_sendall(asking, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await settled(lambda: answers.usage().bytes > BODY_BYTES // 2)
            assert answers.relieve(Level.CRITICAL, BODY_BYTES) == 0
            taken = 0
            while taken < BODY_BYTES:
                taken += len(await loop.sock_recv(asking, 1 << 20))
            await settled(lambda: answers.usage().bytes == answers.usage().items == 0)
        await listener.close()

    asyncio.run(run())
