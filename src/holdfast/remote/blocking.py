"""A program's way to the daemon's streams, for code that waits.

One connection that is kept open, opened again when the daemon was away. What was appended and not
answered is asked again; the key of each event sees to it that nothing is stored twice.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Self, Unpack

from holdfast.client import PUT_OFF_MAX_S, NotRunning, PutOff, Refused, UnixConnection, refused
from holdfast.journal.streams import NewEvent
from holdfast.paths import Paths
from holdfast.remote import talk
from holdfast.remote.sse import EventParser
from holdfast.remote.talk import Answer, Ask, Asked, Followed, Heard, Pages, Placed, Told

RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 0.5
CHUNK_BYTES: Final = 65_536
ANSWER_PATIENCE_S: Final = 60.0


class Holdfast:
    """`with Holdfast() as holdfast: holdfast.append("orders", NewEvent(kind="order.placed"))`.

    One request at a time: give each thread one of its own.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        patience_s: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """A daemon that is away is waited for, `patience_s` at most.

        One that puts off an append or a query is asked again when it says, for ten seconds in all.
        """
        self._paths = Paths.from_env(os.environ if environ is None else environ)
        self._patience_s = patience_s
        self._sleep, self._clock_s = sleep, clock_s
        self._connection: UnixConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def append(self, stream: str, *events: NewEvent, expected_seq: int | None = None) -> Placed:
        """Store events; they are on disk when this returns."""
        with talk.appending():
            return talk.placed(self._admitted(talk.append(stream, events, expected_seq)).body)

    def query(self, **wanted: Unpack[Asked]) -> list[Told]:
        """What is stored, the oldest first, up to `limit`; asked for in parts."""
        pages = Pages(wanted)
        while pages.next is not None:
            pages.take(self._admitted(talk.query(pages.next)))
        return pages.told

    def follow(self, **wanted: Unpack[Followed]) -> Iterator[Told]:
        """What is stored from now on, or behind a position, for ever; goes on where it was when
        the daemon was away."""
        after = wanted.get("after")
        began_s: float | None = None
        while True:
            pause_s = RETRY_FIRST_S
            try:
                for heard in self._follow_once(talk.follow(wanted, after)):
                    after, began_s = heard.after, None
                    if heard.told is not None:
                        yield heard.told
            except (OSError, http.client.HTTPException, NotRunning, Refused) as error:
                began_s = self._clock_s() if began_s is None else began_s
                over = self._clock_s() - began_s > self._patience_s
                if isinstance(error, Refused) and (over or not talk.passes(error)):
                    raise
                if over:
                    raise _away() from error
                pause_s = talk.pause_s(error, pause_s)
            self._sleep(pause_s)

    def request(self, asked: Ask, *, patience_s: float | None = None) -> bytes:
        """Ask, and ask again while nobody answers; only for what may be asked twice.

        A daemon that stops, or is short of memory, is waited for as one that is away.
        """
        patience_s = self._patience_s if patience_s is None else patience_s
        began_s: float | None = None
        while True:
            try:
                return self._answer(asked).body
            except Refused as error:
                began_s = self._clock_s() if began_s is None else began_s
                pause_s = talk.pause_s(error, RETRY_MAX_S)
                if not talk.passes(error) or self._clock_s() + pause_s - began_s > patience_s:
                    raise
                self._sleep(pause_s)

    def _admitted(self, asked: Ask) -> Answer:
        """Comes again for as long as is sensible while the daemon puts it off."""
        waited_s = 0.0
        while True:
            try:
                return self._answer(asked)
            except PutOff as put_off:
                waited_s += put_off.retry_after_s
                if waited_s > PUT_OFF_MAX_S:
                    raise
                self._sleep(put_off.retry_after_s)

    def _answer(self, asked: Ask) -> Answer:
        until_s, pause_s = self._clock_s() + self._patience_s, RETRY_FIRST_S
        while True:
            try:
                return self._request_once(asked)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if self._clock_s() + pause_s > until_s:
                    raise _away() from error
                self._sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_MAX_S)

    def _request_once(self, asked: Ask) -> Answer:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request(asked.method, asked.target, asked.body)
        response = self._connection.getresponse()
        if response.status >= http.client.BAD_REQUEST:
            raise refused(response)
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(headers, response.read())

    def _follow_once(self, asked: Ask) -> Iterator[Heard]:
        connection = self._connect()
        try:
            connection.request(asked.method, asked.target)
            response = connection.getresponse()
            if response.status >= http.client.BAD_REQUEST:
                raise refused(response)
            parser = EventParser()
            while chunk := response.read1(CHUNK_BYTES):
                for event in parser.feed(chunk):
                    heard = talk.heard(event)
                    if heard is not None:
                        yield heard
        finally:
            with suppress(OSError):
                connection.close()

    def _connect(self) -> UnixConnection:
        self._paths.check_socket_dir()
        return UnixConnection(self._paths.socket, ANSWER_PATIENCE_S)


def _away() -> NotRunning:
    return NotRunning("holdfast is not running: start it with `holdfast start`")
