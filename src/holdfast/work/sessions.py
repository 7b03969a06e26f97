"""Sessions that end, as whoever runs them says in a stream: what was only for them is freed.

A plugin or a program appends `session.end` or `session.deleted` to a stream and names the session:
as `session` in the data, in `correlation`, or by the stream, whose name then ends in it, as
`opencode/ses_1` does. Then the open tasks of that session are cancelled, and the checkpoints that
it waits for. Intents stay: they outlive whoever runs them.

How far the log was read is kept, so an end that was stored just before a crash is acted on after
it. Acting on one again changes nothing, unless the session went on meanwhile; so the position is
kept right after each. While the journal fails, an end waits: it is tried again from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import msgspec

from holdfast.errors import HoldfastError
from holdfast.journal.sqlite import JournalError
from holdfast.journal.streams import Projection as Kept
from holdfast.stream import Frame, Lagged, Streams, subscribe
from holdfast.work.projection import Journal

KINDS: Final = "session.end,session.deleted"
KEEP_EVERY: Final = 50_000  # positions: so much is looked through again after a crash, at most
RETRY_S: Final = 5.0
_NAME: Final = "session ends"


class _Data(msgspec.Struct):
    session: str = ""


class _Line(msgspec.Struct):
    correlation: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


def session_of(stream: str, line: bytes) -> str:
    """Which session an event is about."""
    data, correlation = _Data(), ""
    with suppress(msgspec.DecodeError):
        event = msgspec.json.decode(line, type=_Line)
        correlation = event.correlation
        data = msgspec.json.decode(event.data, type=_Data)
    return data.session or correlation or stream.rpartition("/")[2]


class SessionEnds:
    """Follows streams, as a task of its own."""

    def __init__(
        self,
        journal: Journal,
        streams: Streams,
        on_end: Callable[[str], Awaitable[object]],
        *,
        on_problem: Callable[[str], None],
        retry_s: float = RETRY_S,
    ) -> None:
        self._journal = journal
        self._streams = streams
        self._retry_s = retry_s
        self._on_end = on_end
        self._on_problem = on_problem
        self._kept = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        position = await asyncio.to_thread(self._position)
        if position is None:  # whatever was stored before the first start is none of ours
            self._keep(self._streams.end - 1)
        else:
            self._kept = position
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _position(self) -> int | None:
        """Up to which the ends were acted on."""
        with self._journal.reader() as reader:
            kept = reader.projection(_NAME)
        return kept.position if kept is not None else None

    async def _run(self) -> None:
        while True:
            try:
                await self._follow(self._kept)
            except HoldfastError as error:
                self._on_problem(f"sessions that end are not seen to for a while: {error}")
                await asyncio.sleep(self._retry_s)
            else:
                return

    async def _follow(self, after: int) -> None:
        """Until streams end. Fails as the journal does."""
        ends = subscribe(
            self._streams, after=after, kinds=KINDS, streams="@streams", background=True
        )
        async with ends:
            async for batch in ends.batches():
                if not isinstance(batch, Lagged):
                    for frame in batch:
                        await self._act(frame)
                if ends.position - 1 - self._kept >= KEEP_EVERY:
                    self._keep(ends.position - 1)

    async def _act(self, frame: Frame) -> None:
        session = session_of(frame.name, frame.line)
        try:
            await self._on_end(session)
        except JournalError:
            raise  # it is acted on when the journal works
        except Exception as error:  # noqa: BLE001  # the next end must be acted on
            self._on_problem(f"what belonged to the session {session} stays: {error}")
        self._keep(frame.position)

    def _keep(self, position: int) -> None:
        self._kept = position
        kept = Kept(position, b"")
        self._journal.transact(lambda writer: writer.save_projection(_NAME, kept), wait=False)
