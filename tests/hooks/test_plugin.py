"""The plugin of OpenCode, in a host that loads it and with a daemon that is there or is not."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.ingest.exclusion import path_expression
from holdfast.privacy.tags import cut_private
from tests.support import javascript
from tests.support.home import Home
from tests.support.opencode import Plugin, message, opencode, text, told
from tests.support.streams import HANGS, StreamsDaemon, listening
from tests.support.waiting import until

S: Final = "ses_1"
NEVER_MS: Final = 3_600_000

Made = Callable[..., Plugin]


@pytest.fixture
def plugin(home: Home) -> Made:
    return lambda **limits: Plugin(home.folder, home.paths, **limits)


@pytest.fixture
def daemon() -> StreamsDaemon:
    return StreamsDaemon()


@pytest.fixture(params=["node", "bun"])
def program(request: pytest.FixtureRequest) -> str:
    if request.param == "node":
        assert javascript.NODE is not None, "requirements.lock brings it"
        return javascript.NODE
    if javascript.BUN is None:
        pytest.skip("bun is not installed")
    return javascript.BUN


CONVERSATION: Final[list[Any]] = [
    ("event", "session.created", {"info": {"id": S, "title": "Tides"}}),
    message(S, "user", "msg_1"),
    text(S, "why?", message="msg_1"),
    message(S, "assistant", "msg_2"),
    ("stream", S, "msg_2", "prt_2", ["Be", "cause", " of the moon."]),
    ("tool", "before", {"tool": "bash", "sessionID": S, "callID": "c1"}, {"args": {"x": "ls"}}),
    (
        "tool",
        "after",
        {"tool": "bash", "sessionID": S, "callID": "c1"},
        {"title": "Lists", "output": "a\nb", "metadata": {}},
    ),
    message(S, "assistant", "msg_2", completed=True),
    ("event", "message.part.delta", {"sessionID": S, "delta": "Be"}),
    ("event", "lsp.updated", {}),
    told("session.idle", S),
    ("event", "session.deleted", {"info": {"id": S}}),
]
ARRIVED: Final = [
    ("session.created", "", "", "Tides"),
    ("message.updated", "user", "msg_1", ""),
    ("message.part.updated", "user", "msg_1", "why?"),
    ("message.updated", "assistant", "msg_2", ""),
    ("message.part.updated", "assistant", "msg_2", "Because of the moon."),
    ("session.deleted", "", "", ""),
    ("session.idle", "", "", ""),
    ("tool.execute.after", "assistant", "c1", "Lists"),
    ("tool.execute.before", "assistant", "c1", ""),
]


def told_of(events: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(each["kind"], each["actor"], each["correlation"], each["text"]) for each in events]


def test_a_conversation_arrives_in_the_stream_of_its_session(
    plugin: Made, daemon: StreamsDaemon, home: Home, program: str
) -> None:
    made = plugin(settle_ms=NEVER_MS)
    with listening(daemon, home.paths.socket), opencode(made, program=program) as host:
        host.do(*CONVERSATION)
        until(lambda: "session.deleted" in daemon.kinds(S), "all of it")
    events = daemon.events(S)
    assert sorted(told_of(events)) == sorted(ARRIVED)
    assert daemon.kinds(S)[0] == "session.created"
    assert daemon.kinds(S)[-2:] == ["session.idle", "session.deleted"]
    kinds = [(each["kind"], each["correlation"]) for each in events]
    asked, answered = ("message.part.updated", "msg_1"), ("message.part.updated", "msg_2")
    assert kinds.index(asked) < kinds.index(answered) < kinds.index(("message.updated", "msg_2"))
    assert len({each["key"] for each in events}) == len(events)
    before = next(each for each in events if each["kind"] == "tool.execute.before")
    assert before["data"]["properties"]["args"] == {"x": "ls"}
    assert made.files() == []


@pytest.mark.parametrize("loader", ["first", "second", "v2"])
def test_every_loader_of_opencode_takes_it(
    plugin: Made, daemon: StreamsDaemon, home: Home, program: str, loader: str
) -> None:
    with (
        listening(daemon, home.paths.socket),
        opencode(plugin(), loader=loader, program=program) as host,
    ):
        host.do(("event", "session.created", {"sessionID": S, "title": "Tides"}, "evt_1"))
        host.do(told("session.idle", S))
        until(lambda: len(daemon.kinds(S)) == 2, "both")
    assert daemon.kinds(S) == ["session.created", "session.idle"]
    assert daemon.events(S)[0]["key"] == "evt_1"


def test_a_file_that_is_in_two_folders_tells_everything_once(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    made = plugin()
    other = os.path.join(home.folder, "again.js")
    Path(other).write_bytes(Path(made.path).read_bytes())
    with listening(daemon, home.paths.socket), opencode(made, other) as host:
        host.say(S, "one", "two")
        host.do(told("session.idle", S))
        until(lambda: "session.idle" in daemon.kinds(S), "the last")
    assert daemon.texts(S) == ["one", "two", ""]
    assert daemon.repeated == 0


# What changes while it streams.


def test_of_a_text_that_streams_the_newest_version_is_sent_when_its_message_is_complete(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    pieces = [f"{number} " for number in range(200)]
    with listening(daemon, home.paths.socket), opencode(plugin(settle_ms=NEVER_MS)) as host:
        host.do(("stream", S, "msg_1", "prt_1", pieces), told("session.compacted", S))
        until(lambda: daemon.kinds(S) == ["session.compacted"], "what does not change")
        host.do(message(S, "assistant", "msg_1", completed=True))
        until(lambda: "message.updated" in daemon.kinds(S), "the message")
    assert daemon.texts(S) == ["", "".join(pieces), ""]


def test_a_text_that_rests_is_sent_though_nobody_says_that_it_is_complete(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    with listening(daemon, home.paths.socket), opencode(plugin()) as host:
        host.do(("stream", S, "msg_1", "prt_1", ["un", "finished"]))
        until(lambda: "unfinished" in daemon.texts(S), "the text")


@pytest.mark.parametrize("ending", [told("session.idle", S), message(S, "user", "msg_2")])
def test_a_text_that_streams_is_sent_before_what_ends_it(
    plugin: Made, daemon: StreamsDaemon, home: Home, ending: Any
) -> None:
    """The session rests, or its next message begins."""
    with listening(daemon, home.paths.socket), opencode(plugin(settle_ms=NEVER_MS)) as host:
        host.do(("stream", S, "msg_1", "prt_1", ["un", "finished"]), ending)
        until(lambda: daemon.texts(S)[:1] == ["unfinished"], "the text")


def test_what_changes_is_held_within_bounds(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    """What does not fit is sent early: the longest unchanged first."""
    made = plugin(settle_ms=NEVER_MS, pending_max=3)
    with listening(daemon, home.paths.socket), opencode(made) as host:
        host.do(*(("stream", S, "msg_1", f"prt_{number}", [str(number)]) for number in range(5)))
        until(lambda: len(daemon.texts(S)) == 2, "those that do not fit")
        assert daemon.texts(S) == ["0", "1"]
    made = plugin(settle_ms=NEVER_MS, pending_max_bytes=1_000)
    with listening(daemon, home.paths.socket), opencode(made) as host:
        host.do(*(("stream", "ses_2", "m", f"p{number}", [str(number) * 400]) for number in (1, 2)))
        until(lambda: daemon.texts("ses_2"), "the one that does not fit")
        assert daemon.texts("ses_2") == ["1" * 400]


# A daemon that does not take events.


def test_what_happens_while_the_daemon_is_away_arrives_later_and_once(
    plugin: Made, daemon: StreamsDaemon, home: Home, program: str
) -> None:
    made = plugin()
    words = [f"word {number}" for number in range(50)]
    with opencode(made, program=program) as host:
        for each in words[:40]:
            host.say(S, each)
        until(lambda: made.lines() == 40, "all of it is in files")
        assert os.stat(made.buffer).st_mode & 0o777 == 0o700
        assert {each.stat().st_mode & 0o777 for each in made.files()} == {0o600}
        with listening(daemon, home.paths.socket):
            host.say(S, *words[40:])
            until(lambda: len(daemon.texts(S)) >= 50, "all of it arrives")
            until(lambda: not made.files(), "the files are gone")
            host.say(S, "after that")
            until(lambda: "after that" in daemon.texts(S), "it goes on")
    assert daemon.texts(S) == [*words, "after that"]


def test_an_answer_that_is_lost_repeats_nothing(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    made = plugin()
    daemon.answers = False
    with listening(daemon, home.paths.socket), opencode(made) as host:
        host.say(S, "one", "two")
        until(lambda: daemon.repeated > 0, "it comes again")
        daemon.answers = True
        until(lambda: not made.files(), "it is taken")
    assert daemon.texts(S) == ["one", "two"]


@pytest.mark.parametrize("program", ["node", "bun"], indirect=True)
def test_hooks_return_while_the_daemon_hangs(
    plugin: Made, daemon: StreamsDaemon, home: Home, program: str
) -> None:
    """Nothing is ever answered: a hook that waited for it would not return within this test."""
    made = plugin(answer_timeout_ms=NEVER_MS)
    daemon.status = HANGS
    with listening(daemon, home.paths.socket), opencode(made, program=program) as host:
        host.say(S, "first")
        until(lambda: daemon.asked == 1, "the daemon is asked, and hangs")
        host.do(*CONVERSATION)
        host.say(S, *(str(number) for number in range(500)))
        assert not daemon.released.is_set()
        assert daemon.asked == 1


def test_what_a_hanging_daemon_was_asked_is_kept_and_sent_again(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    made = plugin(answer_timeout_ms=20)
    daemon.status = HANGS
    with listening(daemon, home.paths.socket), opencode(made) as host:
        host.say(S, "one", "two")
        until(lambda: made.lines() == 2, "both are in files")
        daemon.status = 200
        daemon.released.set()
        until(lambda: not made.files(), "both are taken")
    assert daemon.texts(S) == ["one", "two"]


def test_memory_is_bounded_while_the_daemon_hangs(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    """More than half of what may wait is not left to hang: it goes to the disk."""
    made = plugin(answer_timeout_ms=NEVER_MS, waiting_max_bytes=40_000)
    daemon.status = HANGS
    with listening(daemon, home.paths.socket), opencode(made) as host:
        host.say(S, "first")
        until(lambda: daemon.asked == 1, "the daemon is asked, and hangs")
        for number in range(20):
            host.say(S, f"{number} " + "x" * 2_000)
        until(lambda: made.lines() >= 12, "they are in files")
        host.say(S, *(f"{number} " + "y" * 2_000 for number in range(200)))  # at once
        daemon.status = 200
        daemon.released.set()
        until(lambda: "events.dropped" in daemon.kinds(S), "what was dropped is told")
        until(lambda: not made.files(), "all that was kept is taken")
    told_dropped = [each for each in daemon.events(S) if each["kind"] == "events.dropped"]
    dropped = sum(each["data"]["events"] for each in told_dropped)
    assert dropped + len(daemon.events(S)) - len(told_dropped) == 221
    assert all(set(each["data"]["reasons"]) == {"full"} for each in told_dropped)
    assert sum(each.startswith("19") for each in daemon.texts(S)) >= 1  # the newest are kept


def test_what_comes_all_at_once_is_bounded_too(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    with listening(daemon, home.paths.socket), opencode(plugin(arrived_max=50)) as host:
        host.say(S, *(str(number) for number in range(120)))
        until(lambda: daemon.events("host"), "what was dropped is told")
        until(lambda: len(daemon.texts(S)) == 50, "the rest arrives")
    assert daemon.texts(S) == [str(number) for number in range(70, 120)]
    assert daemon.events("host")[0]["data"]["reasons"] == {"full": 70}


@pytest.mark.parametrize("status", [429, 503, 500, 404])
def test_a_daemon_that_takes_nothing_now_is_asked_again(
    plugin: Made, daemon: StreamsDaemon, home: Home, status: int
) -> None:
    made = plugin()
    daemon.status = status
    daemon.headers = {"retry-after": "1"}
    with listening(daemon, home.paths.socket), opencode(made) as host:
        host.say(S, "one", "two")
        until(lambda: made.lines() == 2, "both are in files")
        until(lambda: daemon.asked > 1, "it is asked again")
        daemon.status = 200
        until(lambda: not made.files(), "both are taken")
    assert daemon.texts(S) == ["one", "two"]


def test_a_daemon_that_asks_for_time_gets_it(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    made = plugin(retry_max_ms=NEVER_MS)
    daemon.status = 503
    daemon.headers = {"retry-after": "3000"}
    with listening(daemon, home.paths.socket), opencode(made) as host:
        for number in range(30):
            host.say(S, str(number))
        until(lambda: made.lines() == 30, "all are in files")
        assert daemon.asked == 1


def test_an_event_that_is_refused_costs_itself_alone(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    daemon.refuses = lambda event: event["text"] == "bad"
    made = plugin(gather_ms=20)
    with listening(daemon, home.paths.socket), opencode(made) as host:
        host.say(S, "one", "two", "bad", "three")
        until(lambda: "events.dropped" in daemon.kinds(S), "what was refused is told")
    assert daemon.texts(S)[:3] == ["one", "two", "three"]
    assert daemon.events(S)[3]["data"]["reasons"] == {"refused": 1}
    assert made.files() == []


# The buffer.


def test_the_buffer_keeps_its_bound_and_tells_what_was_dropped(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    most, one = 20_000, 4_000
    made = plugin(buffer_max_bytes=most, segment_max_bytes=one)
    words = [f"{number} " + "x" * 500 for number in range(200)]
    with opencode(made) as host:
        for each in words:
            host.say(S, each)
            assert len(made.kept()) <= most + one  # one may go and one come while we read them
        until(lambda: b'"text":"199 ' in made.kept(), "the last is in a file")
        assert len(made.kept()) <= most
        with listening(daemon, home.paths.socket):
            until(lambda: not made.files() and words[-1] in daemon.texts(S), "all are taken")
    dropped = [each for each in daemon.events(S) if each["kind"] == "events.dropped"]
    count = sum(each["data"]["events"] for each in dropped)
    assert count > 100
    assert [each for each in daemon.texts(S) if "x" in each] == words[count:]  # the oldest went
    assert {reason for each in dropped for reason in each["data"]["reasons"]} == {"full"}


def test_what_is_too_old_is_dropped_and_told(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    made = plugin(buffer_max_age_ms=1_000_000, adopt_every_ms=20)
    with opencode(made) as host:
        host.say(S, "one", "two")
        until(lambda: made.lines() == 2, "both are in files")
        for file in made.files():
            os.utime(file, (1, 1))
        until(lambda: b"events.dropped" in made.kept(), "they are dropped")
        with listening(daemon, home.paths.socket):
            until(lambda: daemon.events(S), "that is told")
    assert [each["data"]["reasons"] for each in daemon.events(S)] == [{"old": 2}]


def test_two_hosts_at_once_keep_files_of_their_own(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    made = plugin(adopt_every_ms=5, segment_max_bytes=2_000)
    with opencode(made) as one, opencode(made) as other:
        for number in range(40):
            one.say("ses_1", f"one {number}")
            other.say("ses_2", f"other {number}")
        until(lambda: made.lines() == 80, "all of both is in files")
        with listening(daemon, home.paths.socket):
            until(lambda: not made.files(), "all are taken")
    assert daemon.texts("ses_1") == [f"one {number}" for number in range(40)]
    assert daemon.texts("ses_2") == [f"other {number}" for number in range(40)]
    assert daemon.events("host") == []


def test_what_a_killed_host_left_is_sent_by_the_next_and_before_what_is_new(
    plugin: Made, daemon: StreamsDaemon, home: Home, program: str
) -> None:
    made = plugin()
    with opencode(made, program=program) as killed:
        killed.say(S, "one", "two")
        until(lambda: made.lines() == 2, "both are in files")
        killed.kill()
        with made.files()[-1].open("ab") as file:
            file.write(b'{"stream":"opencode/ses_1","ev')  # torn by the kill
    with listening(daemon, home.paths.socket), opencode(made, program=program) as host:
        host.say(S, "three")
        until(lambda: daemon.events("host") and not made.files(), "all are taken")
    assert daemon.texts(S) == ["one", "two", "three"]
    assert [each["data"]["reasons"] for each in daemon.events("host")] == [{"torn": 1}]


def test_two_hosts_that_find_the_same_files_send_each_once(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    made = plugin(segment_max_bytes=2_000)
    with opencode(made) as killed:
        killed.say(S, *(str(number) for number in range(60)))
        until(lambda: made.lines() == 60, "all are in files")
    assert len(made.files()) > 4
    daemon.status = 503
    with listening(daemon, home.paths.socket), opencode(made) as one, opencode(made) as other:
        one.say("ses_2", "one")
        other.say("ses_2", "other")
        until(lambda: made.lines() == 62, "both have looked, and stored their own")
        daemon.status = 200
        until(lambda: not made.files() and len(daemon.texts("ses_2")) == 2, "all are taken")
    assert sorted(daemon.texts(S), key=int) == [str(number) for number in range(60)]
    assert daemon.repeated == 0


def test_what_is_older_is_sent_first_whoever_kept_it(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    made = plugin(adopt_every_ms=5)
    with opencode(made) as one, opencode(made) as other:
        one.say(S, "first")
        until(lambda: made.lines() == 1, "it is in a file")
        other.say(S, "second")
        until(lambda: made.lines() == 2, "and that in another")
        one.kill()
        until(lambda: len(made.owners()) == 1, "both are the other's")
        with listening(daemon, home.paths.socket):
            until(lambda: len(daemon.texts(S)) == 2, "both arrive")
    assert daemon.texts(S) == ["first", "second"]


def test_what_is_new_is_kept_while_much_is_sent_that_waited(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    made = plugin(segment_max_bytes=1_000, answer_timeout_ms=NEVER_MS, retry_max_ms=10)
    daemon.turns = threading.Semaphore(0)
    with opencode(made) as host:
        host.say(S, *(f"{number} " + "x" * 300 for number in range(3)))
        until(lambda: len(made.files()) == 3, "each is in a file of its own")
        with listening(daemon, home.paths.socket):
            until(lambda: daemon.asked == 1, "the first is being sent")
            host.say(S, "new")
            daemon.turns.release()
            until(lambda: daemon.asked == 2, "the second is being sent")
            assert b'"text":"new"' in made.kept()
            host.kill()


def test_files_of_a_host_that_lives_are_left_to_it(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    made = plugin(retry_first_ms=NEVER_MS, retry_max_ms=NEVER_MS, adopt_every_ms=5)
    with opencode(made) as one:
        one.say(S, "mine")
        until(lambda: made.lines() == 1, "it is in a file")
        [file] = made.files()
        with listening(daemon, home.paths.socket), opencode(made) as other:
            for number in range(20):
                other.say("ses_2", str(number))
            until(lambda: len(daemon.texts("ses_2")) == 20, "the other sends its own")
            assert made.files() == [file]
            one.kill()
            until(lambda: daemon.texts(S) == ["mine"], "the other sends it, now that it is free")


def test_a_host_that_exits_leaves_what_was_not_answered_to_the_next(
    plugin: Made, daemon: StreamsDaemon, home: Home, program: str
) -> None:
    made = plugin(answer_timeout_ms=NEVER_MS, settle_ms=NEVER_MS)
    daemon.status = HANGS
    with listening(daemon, home.paths.socket), opencode(made, program=program) as host:
        host.say(S, "asked")
        until(lambda: daemon.asked == 1, "the daemon is asked, and hangs")
        host.do(("stream", S, "msg_1", "prt_1", ["un", "finished"]), text(S, "last"), ("exit",))
        assert host.process.wait(60) == 0
        daemon.status = 200
        with opencode(made, program=program):
            until(lambda: daemon.events(S) and not made.files(), "the next sends it")
    assert sorted(daemon.texts(S)) == ["asked", "last", "unfinished"]


def test_a_host_is_not_kept_alive(
    plugin: Made, daemon: StreamsDaemon, home: Home, program: str
) -> None:
    """Its input ends while a request hangs and texts are held: it ends too."""
    made = plugin(answer_timeout_ms=NEVER_MS, settle_ms=NEVER_MS)
    daemon.status = HANGS
    with listening(daemon, home.paths.socket), opencode(made, program=program) as host:
        host.do(("stream", S, "msg_1", "prt_1", ["a"]), text(S, "b"), told("session.idle", S))
        until(lambda: daemon.asked == 1, "the daemon is asked, and hangs")
        assert host.close_input() == 0
        assert not daemon.released.is_set()
    assert made.lines() == 3


def test_a_disk_that_takes_nothing_costs_nothing_once_the_daemon_is_back(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    made = plugin()
    Path(made.buffer).parent.mkdir(parents=True)
    Path(made.buffer).write_text("in the way")
    with opencode(made) as host:
        host.say(S, "one")
        host.say(S, "two")
        with listening(daemon, home.paths.socket):
            until(lambda: len(daemon.texts(S)) == 2, "both arrive")
    assert daemon.texts(S) == ["one", "two"]


def test_a_socket_in_a_folder_of_somebody_else_is_not_asked(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    """They could read along."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    made = plugin()
    with listening(daemon, home.paths.socket), opencode(made) as host:
        os.chown(os.path.dirname(home.paths.socket), 12_345, 12_345)
        host.say(S, "one")
        until(lambda: made.lines() == 1, "it is kept")
        assert daemon.asked == 0


# Privacy, and what is odd.

TEXTS: Final = [
    "plain",
    "a <private>SECRET</private> b",
    "a <private>SECRET",
    "a <PRIVATE >SECRET</ Private> b",
    "a <private><private>SECRET</private>SECRET</private> b",
    "a </private> b",
    "a <private/> b",
    "a <private b",
    "a <privateKey>kept</privateKey>",
    "a <private-note>kept</private-note>",
    "a &lt;private&gt;SECRET&lt;/private&gt; b",
    r"a \u003cprivate\u003eSECRET\u003c/private\u003e b",
    r"a <private>SECRET<\/private> b",
    r"a <\nprivate>SECRET</private> b",
    '<private reason="x">SECRET</private> b',
    "a <private>SECRET</private> b <private>SECRET</private> c",
    "a <private <b>SECRET</private> c",
]


def test_private_parts_are_never_written_and_never_sent(
    plugin: Made, daemon: StreamsDaemon, home: Home, program: str
) -> None:
    """And what is left is what the daemon's own door would leave."""
    made = plugin()
    hidden = {"command": ["<private>SECRET", "SECRET too"], "<private>SECRET</private>": 1}
    with opencode(made, program=program) as host:
        host.do(*(text(S, each, message=f"m{number}") for number, each in enumerate(TEXTS)))
        host.do(
            ("tool", "before", {"tool": "x", "sessionID": S, "callID": "c"}, {"args": hidden}),
            ("event", "session.created", {"info": {"id": S, "title": "<private>SECRET"}}),
            ("stream", S, "m", "p", ["half <private>SEC", "RET</private> done"]),
            told("session.idle", S),
        )
        until(lambda: made.lines() == len(TEXTS) + 4, "all of it is in files")
        assert b"SEC" not in made.kept()
        with listening(daemon, home.paths.socket):
            until(lambda: not made.files(), "it is sent")
    wanted = [cut_private(each.encode()).text.decode() for each in TEXTS]
    assert daemon.texts(S)[: len(TEXTS)] == wanted
    assert "half [private] done" in daemon.texts(S)
    assert "SEC" not in json.dumps(daemon.streams)
    called = next(each for each in daemon.events(S) if each["kind"] == "tool.execute.before")
    assert called["data"]["properties"]["callID"] == "c"


def test_a_tag_that_is_not_closed_hides_the_parts_that_follow_in_its_message(
    plugin: Made, daemon: StreamsDaemon, home: Home
) -> None:
    with listening(daemon, home.paths.socket), opencode(plugin()) as host:
        host.do(
            text(S, "before", message="m1", part="p1"),
            text(S, "a <private>b", message="m1", part="p2"),
            text(S, "hidden", message="m1", part="p3"),
            text(S, "other", message="m2", part="p4"),
            text(S, "a <private>b</private>", message="m1", part="p2"),
            text(S, "shown", message="m1", part="p5"),
        )
        until(lambda: len(daemon.texts(S)) == 6, "all arrive")
    wanted = ["before", "a [private]", "[private]", "other", "a [private]", "shown"]
    assert daemon.texts(S) == wanted


@pytest.mark.parametrize("loader", ["first", "second", "v2"])
def test_of_a_project_that_is_excluded_nothing_is_told(
    plugin: Made, daemon: StreamsDaemon, home: Home, loader: str
) -> None:
    excluded = os.path.join(home.folder, "clients")
    made = plugin(excluded=[path_expression(f"{home.folder}/cl?ents/**")])
    with (
        listening(daemon, home.paths.socket),
        opencode(made, loader=loader, cwd=os.path.join(excluded, "a")) as host,
        opencode(made, loader=loader, cwd=os.path.join(home.folder, "free")) as other,
    ):
        host.say(S, "kept to itself")
        other.say("ses_2", "told")
        until(lambda: daemon.texts("ses_2"), "what is not excluded arrives")
        host.do(("exit",))
        assert host.process.wait(60) == 0
    assert daemon.texts(S) == []
    assert made.files() == []


def test_nothing_that_a_host_tells_is_too_odd(
    plugin: Made, daemon: StreamsDaemon, home: Home, program: str
) -> None:
    made = plugin()
    with listening(daemon, home.paths.socket), opencode(made, program=program) as host:
        host.do(("hostile",))
        host.say(S, "still there")
        until(lambda: daemon.texts(S) == ["still there"], "it goes on")
        until(lambda: "events.dropped" in daemon.kinds("host"), "what was unreadable is told")
    told_dropped = [each for each in daemon.events("host") if each["kind"] == "events.dropped"]
    assert sum(each["data"]["reasons"]["unreadable"] for each in told_dropped) > 0


def test_an_event_that_is_too_large_is_cut(plugin: Made, daemon: StreamsDaemon, home: Home) -> None:
    made = plugin(event_max_bytes=30_000, text_max_chars=10_000)
    output = {"title": "Reads", "output": "o" * 100_000, "metadata": {"small": "kept"}}
    many = {"title": "Lists", "output": ["o" * 3_000] * 100}
    with listening(daemon, home.paths.socket), opencode(made) as host:
        host.say(S, "t" * 100_000)
        host.do(
            ("tool", "after", {"tool": "read", "sessionID": S, "callID": "c1"}, output),
            ("tool", "after", {"tool": "read", "sessionID": S, "callID": "c2"}, many),
        )
        until(lambda: len(daemon.events(S)) == 3, "all arrive")
    words, one, other = daemon.events(S)
    assert words["text"] == "t" * 10_000 + " [90000 more characters]"
    assert one["data"]["properties"]["output"] == "o" * 4_096 + " [95904 more characters]"
    assert one["data"]["properties"]["metadata"] == {"small": "kept"}
    assert [each["data"]["cut"] for each in (words, one, other)] == [True, True, True]
    assert set(other["data"]) == {"at", "cut"}
    assert max(len(json.dumps(each)) for each in (words, one, other)) < 31_000
