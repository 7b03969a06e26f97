"""`sessions`, `show`, `search` and `export` as commands: what they print and where they write."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from holdfast.cli import reading
from holdfast.cli.context import _whole_lines
from holdfast.cli.reading import _one_event
from holdfast.demo import lines
from holdfast.errors import Exit
from tests.support.home import Home, sid, talk


@pytest.mark.parametrize("chunk", [1, 3, 7, 1_000])
def test_lines_are_whole_however_a_socket_cuts_them(chunk: int) -> None:
    told = b'{"a":1}\n{"b":"long enough"}\n{"c":3}\n'
    pieces = [told[start : start + chunk] for start in range(0, len(told), chunk)]
    joined = list(_whole_lines(pieces))
    assert b"".join(joined) == told
    assert all(piece.endswith(b"\n") for piece in joined)


def test_a_last_line_without_its_end_is_not_lost() -> None:
    assert list(_whole_lines([b"a\nb"])) == [b"a\n", b"b"]


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("tool.call", "Bash: ls\nmore", "  → Bash: ls"),
        ("tool.call", "", "  → "),
        ("tool.result", "first\nsecond\nthird", "  ← first (+2 lines)"),
        ("tool.result", "first\nsecond", "  ← first (+1 line)"),
        ("tool.result", "", "  ← "),
        ("thinking", "a\n  b", "  (a b)"),
        ("message.user", "as it is\n", "as it is\n"),
    ],
)
def test_events_are_shown_by_what_they_are(kind: str, text: str, shown: str) -> None:
    assert _one_event(kind, text) == shown


LONG = "a line that is long enough to be cut by the socket more than once " * 20


@pytest.fixture
def kept(home: Home) -> Home:
    home.write_log("alpha", *talk(400, session="alpha", words=LONG))
    home.write_log("beta", lines.user_line("why is the zebra asleep", session="beta"))
    home.ok("import", "--quiet")
    return home


def test_show_reads_a_long_conversation_with_and_without_a_daemon(kept: Home) -> None:
    """The daemon's answer comes in pieces that end anywhere."""
    without = kept.ok("show", "alpha", "--all").text
    with kept.daemon():
        assert kept.ok("show", "alpha", "--all").text == without
        shown = kept.ok("show", "alpha", "--all", "--json").json
    assert without.count(LONG.strip()) == 400
    assert [event["seq"] for event in shown["shown"]] == list(range(400))


def test_show_ends_with_the_newest_events_and_says_what_is_before(kept: Home) -> None:
    text = kept.ok("show", "alpha", "-n", "2").text
    assert "… 398 earlier events" in text
    assert f"{LONG} 398" in text
    assert f"{LONG} 397" not in text


def test_sessions_are_listed_newest_first_and_filtered(kept: Home) -> None:
    listed = kept.ok("sessions").text.splitlines()
    assert listed[0].split() == ["ID", "AGENT", "UPDATED", "EVENTS", "MEMORY", "PROJECT", "TITLE"]
    assert len(listed) == 3
    assert len(kept.ok("sessions", "-n", "1").text.splitlines()) == 2
    assert "zebra" in kept.ok("sessions", "--text", "zebra").text
    assert "No sessions" in kept.ok("sessions", "--agent", "nobody").err
    assert kept.ok("sessions", "--agent", "nobody", "--json").json == []
    assert kept.ok("sessions", "--resident", "--json").json == []


def test_a_search_shows_the_session_and_marks_the_word(kept: Home) -> None:
    text = kept.ok("search", "zebra").text
    assert "why is the zebra asleep" in text.splitlines()[0]
    assert "**zebra**" in text.splitlines()[1]


def test_a_search_without_hits_says_what_to_do_and_is_no_failure(kept: Home) -> None:
    found = kept.ok("search", "unfindable")
    assert not found.text
    assert "Nothing found" in found.err
    assert kept.ok("search", "unfindable", "--json").json == []


def test_an_export_goes_to_stdout_or_into_a_folder(kept: Home) -> None:
    told = kept.ok("export", "beta").out
    assert kept.ok("export", "beta", "-o", "-").out == told
    written = kept.ok("export", "beta", "-o", ".")
    assert not written.out
    (path,) = Path(kept.folder).glob("*.md")
    assert path.read_bytes() == told
    assert path.name in written.err


def test_an_exported_line_has_what_scripts_rely_on(kept: Home) -> None:
    (line,) = kept.ok("export", "beta", "-f", "jsonl").text.splitlines()
    event = json.loads(line)
    assert {"id", "session", "seq", "kind", "at", "text", "data", "source"} <= set(event)


def test_options_of_an_export_win_over_the_settings(kept: Home) -> None:
    thought = lines.thinking_line("deep thoughts", session="gamma")
    kept.write_log("gamma", lines.user_line("think", session="gamma"), thought)
    kept.ok("import", "--quiet")
    assert "deep thoughts" not in kept.ok("export", "gamma").text
    assert "deep thoughts" in kept.ok("export", "gamma", "--thinking").text
    kept.config("[recording]\ninclude_thinking = true\n")
    assert "deep thoughts" in kept.ok("export", "gamma").text
    assert "deep thoughts" not in kept.ok("export", "gamma", "--no-thinking").text


def test_a_kind_that_cannot_be_searched_is_refused_with_those_that_can() -> None:
    with pytest.raises(reading.UnknownKind, match=r"message\.user") as refused:
        reading._check_kind("message.usr")
    assert refused.value.exit == Exit.USAGE
    reading._check_kind("message.user")
    reading._check_kind("")


def test_a_fork_says_what_it_begins_with(home: Home) -> None:
    home.write_log("origin", *talk(3))
    home.ok("import", "--quiet")
    os.rename(home.log_path("origin"), home.log_path("fork"))
    home.append_log("fork", *talk(1, start=3))
    home.ok("import", "--quiet")
    shown = home.run("show", sid("fork")).text
    assert f"begins with 3 events of {sid('origin')}" in shown
    assert "word 3" in shown
