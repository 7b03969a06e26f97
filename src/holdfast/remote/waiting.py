"""The same for asyncio: a few connections that are kept open, each for one request at a time.

HTTP is h11's, over asyncio's own streams; a client library would weigh more than the daemon.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Final, Self, Unpack

import h11

from holdfast.client import NotRunning, problem_of
from holdfast.errors import Exit
from holdfast.journal.streams import NewEvent, WrongSequence
from holdfast.paths import Paths
from holdfast.remote import talk
from holdfast.remote.sse import EventParser
from holdfast.remote.talk import Ask, Asked, Followed, Heard, Placed, Told

RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 0.5
CHUNK_BYTES: Final = 65_536
CONNECTIONS_MAX: Final = 16
BAD_REQUEST: Final = 400
_LOST: Final = (OSError, EOFError, h11.ProtocolError)


class _Connection:
    """One conversation with the daemon."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, paths: Paths) -> Self:
        paths.check_socket_dir()
        return cls(*await asyncio.open_unix_connection(paths.socket))

    def close(self) -> None:
        self._writer.close()

    async def send(self, asked: Ask) -> None:
        body = asked.body or b""
        headers = [("Host", "localhost"), ("Content-Length", str(len(body)))]
        self._say(h11.Request(method=asked.method, target=asked.target, headers=headers))
        if body:
            self._say(h11.Data(data=body))
        self._say(h11.EndOfMessage())
        await self._writer.drain()

    async def begin(self) -> h11.Response:
        event = await self._next()
        if isinstance(event, h11.Response):
            return event
        raise EOFError

    async def body(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            return
        raise EOFError

    def again(self) -> bool:
        """Whether it can be used for another request."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def _say(self, event: h11.Event) -> None:
        said = self._http.send(event)
        if said:
            self._writer.write(said)

    async def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            chunk = await self._reader.read(CHUNK_BYTES)
            self._http.receive_data(chunk)
            if not chunk and self._http.their_state in (h11.IDLE, h11.ERROR):
                raise EOFError
        return event


class AsyncHoldfast:
    """`async with AsyncHoldfast() as holdfast: await holdfast.append("orders", …)`."""

    def __init__(
        self, environ: Mapping[str, str] | None = None, *, patience_s: float = 10.0
    ) -> None:
        """A daemon that is away is waited for, `patience_s` at most."""
        self._paths = Paths.from_env(os.environ if environ is None else environ)
        self._patience_s = patience_s
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def append(
        self, stream: str, *events: NewEvent, expected_seq: int | None = None
    ) -> Placed:
        """Store events; they are on disk when this returns."""
        return talk.placed(await self.request(talk.append(stream, events, expected_seq)))

    async def query(self, **wanted: Unpack[Asked]) -> list[Told]:
        """Some of what is stored, the oldest first."""
        return talk.found(await self.request(talk.query(wanted)))

    async def follow(self, **wanted: Unpack[Followed]) -> AsyncIterator[Told]:
        """What is stored from now on, or behind a position, for ever; goes on where it was when
        the daemon was away."""
        clock_s = asyncio.get_running_loop().time
        after = wanted.get("after")
        began_s: float | None = None
        while True:
            try:
                async for heard in self._follow_once(talk.follow(wanted, after)):
                    after, began_s = heard.after, None
                    if heard.told is not None:
                        yield heard.told
            except _LOST as error:
                began_s = clock_s() if began_s is None else began_s
                if clock_s() - began_s > self._patience_s:
                    raise _away() from error
            await asyncio.sleep(RETRY_FIRST_S)

    async def request(self, asked: Ask) -> bytes:
        """Ask, and ask again while nobody answers; only for what may be asked twice."""
        clock_s = asyncio.get_running_loop().time
        until_s, pause_s = clock_s() + self._patience_s, RETRY_FIRST_S
        while True:
            try:
                async with self._slots:
                    return await self._request_once(asked)
            except _LOST as error:
                self.close()  # those that lie idle were left by the same daemon
                if clock_s() + pause_s > until_s:
                    raise _away() from error
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_MAX_S)

    async def _request_once(self, asked: Ask) -> bytes:
        connection = self._idle.pop() if self._idle else await _Connection.open(self._paths)
        usable = False
        try:
            await connection.send(asked)
            response = await connection.begin()
            body = b"".join([part async for part in connection.body()])
            usable = connection.again()
        finally:
            if usable:
                self._idle.append(connection)
            else:
                connection.close()
        _refuse(response, body)
        return body

    async def _follow_once(self, asked: Ask) -> AsyncIterator[Heard]:
        connection = await _Connection.open(self._paths)
        try:
            await connection.send(asked)
            response = await connection.begin()
            if response.status_code >= BAD_REQUEST:
                _refuse(response, b"".join([part async for part in connection.body()]))
            parser = EventParser()
            async for chunk in connection.body():
                for event in parser.feed(chunk):
                    heard = talk.heard(event)
                    if heard is not None:
                        yield heard
        finally:
            connection.close()


def _refuse(response: h11.Response, body: bytes) -> None:
    if response.status_code < BAD_REQUEST:
        return
    later = next((value for name, value in response.headers if name == b"retry-after"), b"")
    problem = problem_of(body, response.status_code, later.decode())
    if problem.code == Exit.CONFLICT:
        raise WrongSequence(str(problem))
    raise problem


def _away() -> NotRunning:
    return NotRunning("holdfast is not running: start it with `holdfast start`")
