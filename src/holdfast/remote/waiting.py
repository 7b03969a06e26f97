"""The same for asyncio: a few connections that are kept open, each for one request at a time.

Answers are read by httptools, over asyncio's own streams: a client library would weigh more than
the daemon, and a parser in Python would take longer than the append that it asks for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Final, Self, Unpack

import httptools

from holdfast.client import PUT_OFF_MAX_S, NotRunning, PutOff, Refused, problem_of
from holdfast.journal.streams import NewEvent
from holdfast.paths import Paths
from holdfast.remote import talk
from holdfast.remote.sse import EventParser
from holdfast.remote.talk import Answer, Ask, Asked, Followed, Heard, Pages, Placed, Told

RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 0.5
CHUNK_BYTES: Final = 65_536
CONNECTIONS_MAX: Final = 16
BAD_REQUEST: Final = 400
_LOST: Final = (OSError, EOFError, httptools.HttpParserError)


class _Answer:
    """What `httptools` calls while it reads an answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status, self.keeps_open = 0, False
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.begun = self.ended = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower().decode("latin-1")] = value.decode("latin-1")

    def on_headers_complete(self) -> None:  # the parser forgets both at the end of the message
        self.status = self.parser.get_status_code()
        self.keeps_open = self.parser.should_keep_alive()
        self.begun = True

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        self.ended = True


class _Connection:
    """One conversation with the daemon."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._answer = _Answer()

    @classmethod
    async def open(cls, paths: Paths) -> Self:
        paths.check_socket_dir()
        return cls(*await asyncio.open_unix_connection(paths.socket))

    def close(self) -> None:
        self._writer.close()

    async def send(self, asked: Ask) -> None:
        self._answer = _Answer()
        body = asked.body or b""
        head = f"{asked.method} {asked.target} HTTP/1.1\r\nHost: localhost\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await self._writer.drain()

    async def begin(self) -> int:
        """The status of the answer."""
        while not self._answer.begun:
            await self._more()
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    async def body(self) -> AsyncIterator[bytes]:
        while True:
            parts, self._answer.parts = self._answer.parts, []
            for part in parts:
                yield part
            if self._answer.ended and not self._answer.parts:
                return
            if not self._answer.parts:
                await self._more()

    def again(self) -> bool:
        """Whether it can be used for another request."""
        return self._answer.ended and self._answer.keeps_open

    async def _more(self) -> None:
        chunk = await self._reader.read(CHUNK_BYTES)
        if not chunk:
            raise EOFError
        self._answer.parser.feed_data(chunk)


class AsyncHoldfast:
    """`async with AsyncHoldfast() as holdfast: await holdfast.append("orders", …)`."""

    def __init__(
        self, environ: Mapping[str, str] | None = None, *, patience_s: float = 10.0
    ) -> None:
        """A daemon that is away is waited for, `patience_s` at most.

        One that puts off an append or a query is asked again when it says, for ten seconds in all.
        """
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
        with talk.appending():
            answer = await self._admitted(talk.append(stream, events, expected_seq))
        return talk.placed(answer.body)

    async def query(self, **wanted: Unpack[Asked]) -> list[Told]:
        """What is stored, the oldest first, up to `limit`; asked for in parts."""
        pages = Pages(wanted)
        while pages.next is not None:
            pages.take(await self._admitted(talk.query(pages.next)))
        return pages.told

    async def follow(self, **wanted: Unpack[Followed]) -> AsyncIterator[Told]:
        """What is stored from now on, or behind a position, for ever; goes on where it was when
        the daemon was away."""
        clock_s = asyncio.get_running_loop().time
        after = wanted.get("after")
        began_s: float | None = None
        while True:
            pause_s = RETRY_FIRST_S
            try:
                async for heard in self._follow_once(talk.follow(wanted, after)):
                    after, began_s = heard.after, None
                    if heard.told is not None:
                        yield heard.told
            except (*_LOST, Refused) as error:
                began_s = clock_s() if began_s is None else began_s
                over = clock_s() - began_s > self._patience_s
                if isinstance(error, Refused) and (over or not talk.passes(error)):
                    raise
                if over:
                    raise _away() from error
                pause_s = talk.pause_s(error, pause_s)
            await asyncio.sleep(pause_s)

    async def request(self, asked: Ask) -> bytes:
        """Ask, and ask again while nobody answers; only for what may be asked twice.

        A daemon that stops, or is short of memory, is waited for as one that is away.
        """
        clock_s = asyncio.get_running_loop().time
        began_s: float | None = None
        while True:
            try:
                return (await self._answer(asked)).body
            except Refused as error:
                began_s = clock_s() if began_s is None else began_s
                pause_s = talk.pause_s(error, RETRY_MAX_S)
                if not talk.passes(error) or clock_s() + pause_s - began_s > self._patience_s:
                    raise
                await asyncio.sleep(pause_s)

    async def _admitted(self, asked: Ask) -> Answer:
        """Comes again for as long as is sensible while the daemon puts it off."""
        waited_s = 0.0
        while True:
            try:
                return await self._answer(asked)
            except PutOff as put_off:
                waited_s += put_off.retry_after_s
                if waited_s > PUT_OFF_MAX_S:
                    raise
                await asyncio.sleep(put_off.retry_after_s)

    async def _answer(self, asked: Ask) -> Answer:
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

    async def _request_once(self, asked: Ask) -> Answer:
        connection = self._idle.pop() if self._idle else await _Connection.open(self._paths)
        usable = False
        try:
            await connection.send(asked)
            status = await connection.begin()
            body = b"".join([part async for part in connection.body()])
            usable = connection.again()
        finally:
            if usable:
                self._idle.append(connection)
            else:
                connection.close()
        _refuse(connection, status, body)
        return Answer(connection.headers, body)

    async def _follow_once(self, asked: Ask) -> AsyncIterator[Heard]:
        connection = await _Connection.open(self._paths)
        try:
            await connection.send(asked)
            status = await connection.begin()
            if status >= BAD_REQUEST:
                _refuse(connection, status, b"".join([part async for part in connection.body()]))
            parser = EventParser()
            async for chunk in connection.body():
                for event in parser.feed(chunk):
                    heard = talk.heard(event)
                    if heard is not None:
                        yield heard
        finally:
            connection.close()


def _refuse(connection: _Connection, status: int, body: bytes) -> None:
    if status >= BAD_REQUEST:
        raise problem_of(body, status, connection.headers.get("retry-after", ""))


def _away() -> NotRunning:
    return NotRunning("holdfast is not running: start it with `holdfast start`")
