"""OpenCode's plugin with the real daemon: what it tells is in a stream, once, whatever dies."""

from __future__ import annotations

import json
from typing import Any

from tests.support.home import Home
from tests.support.opencode import Plugin, opencode, text, told
from tests.support.waiting import until

S = "ses_1"


def events(home: Home, stream: str = f"opencode/{S}") -> list[dict[str, Any]]:
    """What the daemon has of a stream."""
    lines = b"".join(home.client.stream("GET", "/v1/events", stream=stream))
    return [json.loads(line)["event"] for line in lines.splitlines()]


def texts(home: Home) -> list[str]:
    return [each.get("text", "") for each in events(home)]


def test_what_opencode_tells_is_in_a_stream_of_its_session(home: Home) -> None:
    made = Plugin(home.folder, home.paths)
    with home.daemon(), opencode(made) as host:
        host.do(
            ("event", "session.created", {"info": {"id": S, "title": "Tides"}}, "evt_1"),
            text(S, "why?"),
            ("event", "session.created", {"info": {"id": S, "title": "Tides"}}, "evt_1"),
            ("event", "file.edited", {"file": "notes.md"}),
            told("session.idle", S),
        )
        until(lambda: len(events(home)) == 3 and events(home, "opencode/host"), "all of it")
        created, asked, idle = events(home)
        assert events(home, "opencode/host")[0]["kind"] == "file.edited"
    assert (created["kind"], created["key"]) == ("session.created", "evt_1")
    assert (asked["kind"], asked["text"]) == ("message.part.updated", "why?")
    assert asked["data"]["properties"]["part"]["sessionID"] == S
    assert idle["kind"] == "session.idle"
    assert made.files() == []


def test_a_daemon_that_is_killed_and_comes_back_has_everything_once(home: Home) -> None:
    made = Plugin(home.folder, home.paths)
    words = [str(number) for number in range(300)]
    with opencode(made) as host:
        host.say(S, *words[:50])  # before there is a daemon
        daemon = home.start()
        try:
            host.say(S, *words[50:100])
            until(lambda: texts(home), "some of it arrives")
            host.say(S, *words[100:200])
            daemon.kill()
            host.say(S, *words[200:])
        finally:
            daemon.stop()
        with home.daemon():
            until(lambda: len(texts(home)) >= 300 and not made.files(), "all of it arrives")
            assert texts(home) == words


def test_an_event_of_the_largest_size_that_the_plugin_sends_is_taken(home: Home) -> None:
    made = Plugin(home.folder, home.paths)
    with home.daemon(), opencode(made) as host:
        host.do(text(S, "x" * 260_000, part="p1"), text(S, "y" * 1_000_000, part="p2"))
        until(lambda: len(events(home)) == 2, "both arrive")
        whole, cut = texts(home)
        assert len(whole) == 260_000
        assert cut.endswith("more characters]")
