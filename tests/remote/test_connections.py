"""Connections that break: nothing goes by whoever follows, and whoever asks is answered soon."""

from __future__ import annotations

import asyncio
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Unpack

import msgspec
import pytest

from holdfast import AsyncHoldfast, Holdfast, NewEvent
from holdfast.client import PutOff, Refused
from holdfast.errors import Exit
from holdfast.journal.streams import WrongSequence
from holdfast.journal.work import NewItem
from holdfast.paths import Paths
from holdfast.remote import Queue, Told
from holdfast.remote.talk import Answer, Ask, Asked

SUBSCRIBED = 'event: holdfast.subscribed\ndata: {"next_position": 5}\n\n'
_ABOUT = '"session": "s", "seq": 0, "kind": "thing.happened", "at": "", "text": ""'
LINE = f'{{"id": "i", {_ABOUT}, "data": null, "source": null}}'
FIFTH = f"id: 5\nevent: thing.happened\ndata: {LINE}\n\n"


class Whole(NamedTuple):
    """An answer that is said to its end."""

    body: str = ""
    status: str = "200 OK"
    headers: str = ""  # each with the end of its line


def problem(status: str, code: Exit, *, retry_after: str = "") -> Whole:
    later = f"Retry-After: {retry_after}\r\n" if retry_after else ""
    return Whole(f'{{"error": "not now", "exit": {int(code)}}}', status, later)


PLACED = Whole('{"stream": "a", "session": "s", "events": [], "repeated": 0}')


def page(*positions: int, after: int, complete: bool) -> Whole:
    """Of the answers to a query."""
    lines = [f'{{"position": {each}, "event": {LINE}}}\n' for each in positions]
    headers = f"Holdfast-After: {after}\r\nHoldfast-Complete: {complete}\r\n"
    return Whole("".join(lines), headers=headers)


class Script:
    """What each connection is told before it breaks."""

    def __init__(self, *says: str | Whole) -> None:
        self.says = list(says)
        self.asked: list[str] = []
        self.now_s = 0.0
        self.breaks: Callable[[], None] = lambda: None

    def clock_s(self) -> float:
        return self.now_s


@contextmanager
def listening(script: Script, socket: str) -> Iterator[None]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            script.asked.append(self.rfile.readline().split()[1].decode())
            size = 0
            while line := self.rfile.readline().strip().lower():
                if line.startswith(b"content-length:"):
                    size = int(line.partition(b":")[2])
            self.rfile.read(size)
            said = script.says.pop(0)
            whole = Whole(said) if isinstance(said, str) else said
            chunk = f"{len(whole.body):x}\r\n{whole.body}\r\n" if whole.body else ""
            end = "" if isinstance(said, str) else "0\r\n\r\n"
            head = f"HTTP/1.1 {whole.status}\r\n{whole.headers}Transfer-Encoding: chunked\r\n\r\n"
            self.wfile.write((head + chunk + end).encode())
            script.breaks()

    os.makedirs(os.path.dirname(socket), mode=0o700, exist_ok=True)
    with socketserver.UnixStreamServer(socket, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOLDFAST_HOME": str(tmp_path)}


def _follow(environ: dict[str, str]) -> Told:
    with Holdfast(environ) as holdfast:
        return next(holdfast.follow())


def _task(environ: dict[str, str]) -> object:
    with Holdfast(environ) as holdfast:
        return holdfast.request(Ask("POST", "/v1/tasks/t/start"))


def _task_async(environ: dict[str, str]) -> object:
    async def main() -> object:
        async with AsyncHoldfast(environ) as holdfast:
            return await holdfast.request(Ask("POST", "/v1/tasks/t/start"))

    return asyncio.run(main())


def _query(environ: dict[str, str], **wanted: Unpack[Asked]) -> list[Told]:
    with Holdfast(environ) as holdfast:
        return holdfast.query(**wanted)


def _query_async(environ: dict[str, str], **wanted: Unpack[Asked]) -> list[Told]:
    async def main() -> list[Told]:
        async with AsyncHoldfast(environ) as holdfast:
            return await holdfast.query(**wanted)

    return asyncio.run(main())


def _append(environ: dict[str, str]) -> object:
    with Holdfast(environ) as holdfast:
        return holdfast.append("a", NewEvent(kind="k"))


def _append_async(environ: dict[str, str]) -> object:
    async def main() -> object:
        async with AsyncHoldfast(environ) as holdfast:
            return await holdfast.append("a", NewEvent(kind="k"))

    return asyncio.run(main())


def _follow_async(environ: dict[str, str]) -> Told:
    async def main() -> Told:
        async with AsyncHoldfast(environ) as holdfast:
            return await anext(holdfast.follow())

    return asyncio.run(main())


@pytest.mark.parametrize("follow", [_follow, _follow_async], ids=["blocking", "asyncio"])
def test_what_came_while_the_connection_was_broken_is_told_though_nothing_came_before(
    follow: Callable[[dict[str, str]], Told], environ: dict[str, str]
) -> None:
    script = Script(SUBSCRIBED, SUBSCRIBED + FIFTH)
    with listening(script, Paths.from_env(environ).socket):
        assert follow(environ).position == 5
    assert script.asked == ["/v1/events/live", "/v1/events/live?after=4"]


def test_patience_counts_from_the_last_connection_that_was_there(environ: dict[str, str]) -> None:
    script = Script(SUBSCRIBED, SUBSCRIBED, SUBSCRIBED + FIFTH)

    def an_hour_later() -> None:
        script.now_s += 3_600

    script.breaks = an_hour_later
    with (
        listening(script, Paths.from_env(environ).socket),
        Holdfast(environ, clock_s=script.clock_s) as holdfast,
    ):
        assert next(holdfast.follow()).position == 5


STOPPING: Final = problem("503 Service Unavailable", Exit.JOURNAL)


@pytest.mark.parametrize("follow", [_follow, _follow_async], ids=["blocking", "asyncio"])
def test_a_daemon_that_stops_or_is_short_of_memory_is_waited_for_as_one_that_is_away(
    follow: Callable[[dict[str, str]], Told], environ: dict[str, str]
) -> None:
    short = problem("503 Service Unavailable", Exit.BUSY, retry_after="0")
    script = Script(SUBSCRIBED, STOPPING, short, SUBSCRIBED + FIFTH)
    with listening(script, Paths.from_env(environ).socket):
        assert follow(environ).position == 5
    assert script.asked[1:] == ["/v1/events/live?after=4"] * 3


@pytest.mark.parametrize("follow", [_follow, _follow_async], ids=["blocking", "asyncio"])
def test_a_slip_of_one_who_follows_is_told_at_once(
    follow: Callable[[dict[str, str]], Told], environ: dict[str, str]
) -> None:
    script = Script(problem("400 Bad Request", Exit.USAGE))
    with listening(script, Paths.from_env(environ).socket), pytest.raises(Refused, match="not now"):
        follow(environ)


def test_one_who_followed_in_vain_is_told_what_the_daemon_said(environ: dict[str, str]) -> None:
    script = Script(STOPPING, STOPPING)

    def wait_an_hour(_pause_s: float) -> None:
        script.now_s += 3_600

    with (
        listening(script, Paths.from_env(environ).socket),
        Holdfast(environ, clock_s=script.clock_s, sleep=wait_an_hour) as holdfast,
        pytest.raises(Refused, match="not now"),
    ):
        next(holdfast.follow())


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (_append, WrongSequence),
        (_append_async, WrongSequence),
        (_task, Refused),
        (_task_async, Refused),
    ],
    ids=["append", "append, asyncio", "other", "other, asyncio"],
)
def test_only_a_conflict_of_an_append_is_one_of_sequence(
    ask: Callable[[dict[str, str]], object], error: type[Exception], environ: dict[str, str]
) -> None:
    script = Script(problem("409 Conflict", Exit.CONFLICT))
    with listening(script, Paths.from_env(environ).socket), pytest.raises(error) as told:
        ask(environ)
    assert type(told.value) is error


def test_of_many_connections_that_were_closed_meanwhile_one_is_tried(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(*[page(after=0, complete=True)] * 5)
    tries = 0
    once = AsyncHoldfast._request_once

    async def counted(self: AsyncHoldfast, asked: Ask) -> Answer:
        nonlocal tries
        tries += 1
        return await once(self, asked)

    monkeypatch.setattr(AsyncHoldfast, "_request_once", counted)

    async def main() -> None:
        async with AsyncHoldfast(environ) as holdfast:
            await asyncio.gather(*(holdfast.query() for _ in range(4)))
            assert tries == 4
            assert await holdfast.query() == []
            assert tries == 6

    with listening(script, Paths.from_env(environ).socket):
        asyncio.run(main())


@pytest.mark.parametrize("query", [_query, _query_async], ids=["blocking", "asyncio"])
@pytest.mark.parametrize("is_all", [True, False], ids=["until there is no more", "up to a limit"])
def test_a_query_goes_on_over_answers_in_which_nothing_was_found(
    query: Callable[..., list[Told]], environ: dict[str, str], *, is_all: bool
) -> None:
    script = Script(
        page(after=900, complete=False),
        page(901, after=1_500, complete=False),
        page(1_501, after=1_501, complete=is_all),
    )
    with listening(script, Paths.from_env(environ).socket):
        told = query(environ, stream="rare", limit=9 if is_all else 2)
    assert [each.position for each in told] == [901, 1_501]
    left = [9, 9, 8] if is_all else [2, 2, 1]
    afters = ["", "&after=900", "&after=1500"]
    assert [sorted(each.partition("?")[2].split("&")) for each in script.asked] == [
        sorted(f"stream=rare&limit={limit}{after}".split("&"))
        for limit, after in zip(left, afters, strict=True)
    ]


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (_append, PLACED),
        (_append_async, PLACED),
        (_query, page(after=0, complete=True)),
        (_query_async, page(after=0, complete=True)),
    ],
    ids=["append", "append, asyncio", "query", "query, asyncio"],
)
def test_what_is_put_off_is_asked_again_when_the_daemon_says_for_a_while(
    ask: Callable[[dict[str, str]], object], answer: Whole, environ: dict[str, str]
) -> None:
    again = problem("429 Too Many Requests", Exit.BUSY, retry_after="0")
    too_late = problem("503 Service Unavailable", Exit.BUSY, retry_after="11")
    script = Script(again, again, answer, again, too_late)
    with listening(script, Paths.from_env(environ).socket):
        ask(environ)
        with pytest.raises(PutOff, match="not now"):
            ask(environ)
    assert script.says == []


@pytest.mark.parametrize("ask", [_task, _task_async], ids=["blocking", "asyncio"])
def test_a_daemon_that_stops_is_asked_again_what_may_be_asked_twice(
    ask: Callable[[dict[str, str]], object], environ: dict[str, str]
) -> None:
    short = problem("503 Service Unavailable", Exit.BUSY, retry_after="0")
    script = Script(STOPPING, short, Whole("{}"))
    with listening(script, Paths.from_env(environ).socket):
        ask(environ)
    assert script.says == []


def test_a_worker_waits_out_a_daemon_that_is_short_of_memory(environ: dict[str, str]) -> None:
    """However long that takes: longer than whoever asks once would."""
    short = problem("503 Service Unavailable", Exit.BUSY, retry_after="11")
    claimed = '{"items":[{"claim":"1.1","id":1,"payload":7,"attempt":1,"max_attempts":3,'
    claimed += '"priority":0,"subject":"","key":"","enqueued_ms":0,"lease_ends_ms":0}]}'
    script = Script(short, short, Whole(claimed))
    waited: list[float] = []
    with listening(script, Paths.from_env(environ).socket), Holdfast(environ) as holdfast:
        working = Queue(holdfast, "q", sleep=waited.append).work()
        item = next(working)
        item.settled = True  # nobody listens any longer
        working.close()
    assert item.payload == 7
    assert waited == [11, 11]


def test_who_adds_to_a_queue_that_stops_meanwhile_goes_on_for_as_long_as_it_would_wait(
    environ: dict[str, str],
) -> None:
    placed = Whole('{"ids":[1],"repeated":0}')
    script = Script(STOPPING, placed, STOPPING)
    with listening(script, Paths.from_env(environ).socket), Holdfast(environ) as holdfast:
        assert Queue(holdfast, "q").add(1) == 1
        with pytest.raises(Refused, match="not now"):
            Queue(holdfast, "q").enqueue([NewItem(payload=msgspec.Raw(b"1"))], wait_secs=0)
