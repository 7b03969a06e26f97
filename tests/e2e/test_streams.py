"""Streams through the running daemon and the client that programs use."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from holdfast import AsyncHoldfast, Holdfast, NewEvent
from holdfast.client import NotRunning, Refused
from holdfast.errors import Exit
from holdfast.remote import Told
from holdfast.stream import WrongSequence
from tests.support.home import Home, talk


def happened(text: str = "", **about: Any) -> NewEvent:
    return NewEvent(kind="thing.happened", text=text, **about)


def test_what_is_appended_is_read_asked_for_and_followed(home: Home) -> None:
    with home.daemon(), Holdfast(home.env) as holdfast:
        placed = holdfast.append("orders", happened("one"), happened("two", actor="hana"))
        assert [each.seq for each in placed.events] == [0, 1]
        found = holdfast.query(stream="orders", actor="hana")
        assert [(each.position, each.event.text) for each in found] == [(2, "two")]
        followed = holdfast.follow(streams="orders", after=0)
        assert [next(followed).event.text for _ in range(2)] == ["one", "two"]
        with pytest.raises(WrongSequence, match="has 2 events, not 1"):
            holdfast.append("orders", happened(), expected_seq=1)
        with pytest.raises(Refused, match="choose a name"):
            holdfast.append("holdfast/own", happened())
        lines = home.ok("export", "stream/orders", "-f", "jsonl", "-o", "-").text.splitlines()
        assert [json.loads(line)["text"] for line in lines] == ["one", "two"]


def test_conversations_are_followed_as_they_are_written(home: Home) -> None:
    with home.daemon() as daemon, Holdfast(home.env) as holdfast:
        followed = holdfast.follow(streams="@conversations", kinds="message.*", after=0)
        home.write_log("one", *talk(2))
        daemon.wait_for("one", 2)
        kinds = [next(followed).event.kind for _ in range(2)]
        assert all(kind.startswith("message.") for kind in kinds)


def test_who_follows_and_appends_goes_on_when_the_daemon_was_killed(home: Home) -> None:
    seen: list[Told] = []

    def follow() -> None:
        with Holdfast(home.env, patience_s=60) as holdfast:
            for told in holdfast.follow(streams="orders", after=0):
                seen.append(told)
                if told.event.text == "last":
                    return

    with Holdfast(home.env, patience_s=60) as holdfast:
        with home.daemon() as daemon:
            following = threading.Thread(target=follow)
            following.start()
            for number in range(20):
                holdfast.append("orders", happened(str(number)))
            daemon.kill()
        with home.daemon():
            for number in range(20, 40):
                holdfast.append("orders", happened(str(number)))
            holdfast.append("orders", happened("last"))
            following.join(60)
    assert [each.event.text for each in seen] == [*map(str, range(40)), "last"]
    assert [each.event.seq for each in seen] == list(range(41))


def test_many_append_and_follow_at_once(home: Home) -> None:
    async def main() -> None:
        async with AsyncHoldfast(home.env) as holdfast:

            async def follow() -> list[int]:
                return [
                    told.position
                    async for told in _until(holdfast.follow(streams="busy", after=0), 80)
                ]

            async def append(number: int) -> None:
                for turn in range(10):
                    await holdfast.append("busy", happened(f"{number}.{turn}"))

            following = [asyncio.ensure_future(follow()) for _ in range(5)]
            await asyncio.gather(*map(append, range(8)))
            each = await asyncio.gather(*following)
            assert all(positions == each[0] for positions in each)
            assert len(set(each[0])) == 80
            assert len(await holdfast.query(stream="busy")) == 80

    with home.daemon():
        asyncio.run(main())


async def _until(events: AsyncIterator[Told], count: int) -> AsyncIterator[Told]:
    number = 0
    async for told in events:
        yield told
        number += 1
        if number == count:
            return


def test_a_stop_ends_what_is_followed_and_loses_nothing(home: Home) -> None:
    with home.daemon() as daemon, Holdfast(home.env, patience_s=0.1) as holdfast:
        holdfast.append("orders", happened("one"))
        followed = holdfast.follow(streams="orders", after=0)
        assert next(followed).event.text == "one"
        assert daemon.terminate() == 0
        with pytest.raises(NotRunning):
            next(followed)
    with home.daemon(), Holdfast(home.env) as holdfast:
        assert [each.event.text for each in holdfast.query()] == ["one"]


def test_what_is_private_never_reaches_the_journal(home: Home) -> None:
    with home.daemon() as daemon, Holdfast(home.env) as holdfast:
        holdfast.append("orders", happened("a <private>zanzibar</private> b"))
        [told] = holdfast.query()
        assert "zanzibar" not in told.event.text
        daemon.terminate()
    with open(home.paths.journal, "rb") as file:
        assert b"zanzibar" not in file.read()


def test_a_key_that_holds_something_private_is_refused(home: Home) -> None:
    """Cleaned, two of them would be one, and the second event a repeat that is not stored."""
    with home.daemon(), Holdfast(home.env) as holdfast:
        for word in ("one", "two"):
            with pytest.raises(Refused, match="take a key that says nothing"):
                holdfast.append("orders", happened(word, key=f"<private>{word}</private>"))
            added = home.run("queue", "add", "q", word, "--key", f"<private>{word}</private>")
            assert added.code == Exit.USAGE
            assert "take a key that says nothing" in added.err
        holdfast.append("orders", happened("<private>text</private>", key="1"))
        assert len(holdfast.query(stream="orders")) == 1


def test_a_pattern_or_number_that_says_nothing_is_refused(home: Home) -> None:
    with home.daemon():
        for path in (
            "/v1/events?kind=,",
            "/v1/events?after=x",
            "/v1/events?after=99999999999999999999",
            "/v1/events/live?on_lag=never",
        ):
            route, _, query = path.partition("?")
            name, _, value = query.partition("=")
            with pytest.raises(Refused) as refused:
                home.client.get(route, **{name: value})
            assert refused.value.code == Exit.USAGE


def test_a_field_that_is_spelt_wrong_is_refused_and_not_dropped(home: Home) -> None:
    with home.daemon():
        for body in ({"kind": "a", "txt": "lost"}, {"events": [{"kind": "a", "txt": "lost"}]}):
            with pytest.raises(Refused, match="unknown field `txt`"):
                list(home.client.stream("POST", "/v1/streams/a/events", body=body))


def test_a_time_is_a_time_in_any_zone_and_nothing_else(home: Home) -> None:
    with home.daemon(), Holdfast(home.env) as holdfast:
        holdfast.append("orders", happened("now"))
        now = datetime.now(UTC)
        east, west = timezone(timedelta(hours=14)), timezone(timedelta(hours=-11))
        for zone in (UTC, east, west):
            before = (now - timedelta(minutes=5)).astimezone(zone).isoformat()
            behind = (now + timedelta(minutes=5)).astimezone(zone).isoformat()
            assert len(holdfast.query(stream="orders", since=before, until=behind)) == 1
            assert not holdfast.query(stream="orders", since=behind)
            assert not holdfast.query(stream="orders", until=before)
        for name in ("since", "until"):
            with pytest.raises(Refused, match="no time"):
                home.client.get("/v1/events", **{name: "yesterday"})
        with pytest.raises(Refused, match="no time"):
            home.client.get("/v1/sessions", since="yesterday")


@pytest.mark.parametrize(
    ("path", "asked", "told"),
    [
        ("/v1/events", {"streams": "orders"}, "nothing is called 'streams' here; use stream"),
        ("/v1/events/live", {"kinds": "order.*"}, "nothing is called 'kinds' here; use stream"),
        ("/v1/events", {"limit": "0"}, "limit must be 1 or more"),
    ],
)
def test_an_argument_that_means_nothing_is_refused(
    home: Home, path: str, asked: dict[str, str], told: str
) -> None:
    """Without it the answer would be to another question."""
    with home.daemon(), pytest.raises(Refused, match=told):
        home.client.get(path, **asked)


def test_who_reads_a_stream_that_is_none_is_told_its_name(home: Home) -> None:
    with home.daemon(), pytest.raises(Refused, match="there is no stream 'claude/talk'"):
        home.client.get("/v1/streams/claude/talk/events")


def test_a_resume_from_nowhere_is_refused(home: Home) -> None:
    with home.daemon(), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(home.paths.socket)
        head = b"GET /v1/events/live HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: abc\r\n\r\n"
        connection.sendall(head)
        answer = connection.makefile("rb").readline()
    assert b" 400 " in answer
