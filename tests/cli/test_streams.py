"""`holdfast stream`, as a person types it."""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

import pytest

from holdfast.cli.context import Context
from holdfast.cli.streams import run_follow
from holdfast.client import NotRunning
from holdfast.errors import Exit
from tests.support.home import HOLDFAST, Home
from tests.support.waiting import DEADLINE_S, until

PLACED = ("stream", "append", "orders", "--kind", "order.placed")


def piped(home: Home, lines: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HOLDFAST, *arguments],
        env=home.env,
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_stream_from_its_first_event_to_the_last(home: Home) -> None:
    with home.daemon():
        assert "holdfast stream append" in home.ok("stream").err
        about = ("--text", "ten walnuts", "--data", '{"n": 10}', "--actor", "hana", "--key", "7")
        assert "Stored 1 in orders." in home.ok(*PLACED, *about).err
        again = home.ok(*PLACED, *about).err
        assert "Stored 0 in orders, 1 was there before." in again
        [listed] = home.ok("stream", "--json").json
        assert (listed["name"], listed["events"]) == ("orders", 1)
        shown = home.ok("stream", "query", "--kind", "order.*").text
        assert "order.placed hana  ten walnuts" in shown
        [event] = [
            json.loads(line) for line in home.ok("stream", "read", "orders").out.splitlines()
        ]
        assert (event["data"], event["key"]) == ({"n": 10}, "7")
        placed = home.ok(*PLACED, "--json", "--expected-seq", "1").json
        assert placed["seq"] == 1
        late = home.run(*PLACED, "--expected-seq", "1")
        assert late.code == Exit.CONFLICT
        assert "append with expected_seq 2" in late.err
        followed = home.ok("stream", "follow", "--after", "0", "--count", "2", "--json")
        positions = [json.loads(line)["position"] for line in followed.out.splitlines()]
        assert positions == [1, 2]
    assert home.ok("stream", "read", "orders", "--from", "1").json["seq"] == 1  # without a daemon


def test_lines_are_stored_and_one_that_is_none_stops_behind_those_before(home: Home) -> None:
    lines = "".join(f'{{"kind": "n", "text": "{number}"}}\n\n' for number in range(205))
    with home.daemon():
        done = piped(home, lines, "stream", "append", "many", "--lines")
        assert "Stored 205 in many." in done.stderr
        bad = piped(home, '{"kind": "n"}\n{"kin": 1}\n', "stream", "append", "many", "--lines")
        assert bad.returncode == Exit.USAGE
        assert "line 2 of standard input is no event" in bad.stderr
        slip = piped(home, '{"kind": "n", "txt": "lost"}\n', "stream", "append", "many", "--lines")
        assert slip.returncode == Exit.USAGE
        assert "unknown field `txt`" in slip.stderr
        [listed] = home.ok("stream", "--json").json
        assert listed["events"] == 206
        more = home.ok("stream", "query", "--stream", "many", "--limit", "5")
        assert "--after 5" in more.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("append", "orders"),
        ("append", "orders", "--kind", "two words"),
        ("append", "orders", "--kind", "a", "--data", "{"),
        ("append", "orders", "--kind", "a", "--expected-seq", "-1"),
        ("query", "--kind", ","),
        ("query", "--since", "yesterday"),
    ],
)
def test_slips_are_refused(home: Home, arguments: tuple[str, ...]) -> None:
    with home.daemon():
        assert home.run("stream", *arguments).code == Exit.USAGE


def test_without_a_daemon_the_way_to_one_is_told(home: Home) -> None:
    result = home.run(*PLACED)
    assert result.code == Exit.NOT_RUNNING
    assert "holdfast start" in result.err


def test_who_follows_a_daemon_that_is_not_there_does_not_wait_for_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = argparse.Namespace(kind="*", stream="*", actor="", after=None, count=None, json=False)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits"))
    with pytest.raises(NotRunning, match="holdfast start"):
        run_follow(Context(home.env), asked)


@pytest.mark.parametrize("told", [0, 1], ids=["nothing yet", "something"])
def test_who_follows_ends_quietly_when_nobody_reads_any_more(home: Home, told: int) -> None:
    """Also when nothing comes that it would find that out by."""
    with home.daemon() as daemon:
        home.ok(*PLACED)
        following = home.spawn("stream", "follow", *(("--after", "0") if told else ()))
        try:
            until(lambda: daemon.status()["streams"]["followers"], "it follows")
            assert following.stdout is not None
            for _ in range(told):
                assert b"order.placed" in following.stdout.readline()
            following.stdout.close()
            assert following.wait(DEADLINE_S) == 0
            assert following.stderr is not None
            assert following.stderr.read() == b""
        finally:
            following.kill()
            following.wait()
            assert following.stderr is not None
            following.stderr.close()


def test_what_is_followed_into_a_file_is_written_as_well(home: Home) -> None:
    with home.daemon():
        home.ok(*PLACED)
        file = Path(home.folder, "followed")
        with file.open("wb") as output:  # which nobody reads, and that is well
            subprocess.run(
                [*HOLDFAST, "stream", "follow", "--after", "0", "--count", "1"],
                env=home.env,
                stdout=output,
                check=True,
                timeout=120,
            )
        assert b"order.placed" in file.read_bytes()


def test_a_stream_that_is_not_there_goes_by_the_name_that_was_typed(home: Home) -> None:
    with home.daemon():
        asked = home.run("stream", "read", "ordres")
    for missing in (asked, home.run("stream", "read", "ordres")):  # without a daemon too
        assert missing.code == Exit.NOT_FOUND
        assert "there is no stream 'ordres'" in missing.err


def test_what_an_event_says_cannot_steer_the_terminal(home: Home) -> None:
    with home.daemon():
        home.ok(*PLACED, "--text", "a\x1b[2Jb\nc", "--actor", "x\x1b[0m")
        shown = home.ok("stream", "query").text
    assert "\x1b" not in shown
    assert shown.count("\n") == 1
