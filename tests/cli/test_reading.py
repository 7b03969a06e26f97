"""`sessions`, `show`, `search` and `export` as commands: what they print and where they write."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from holdfast.cli import reading
from holdfast.cli.context import _whole_lines
from holdfast.cli.reading import SESSIONS_LISTED, _one_event
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
    assert "No sessions of goose" in kept.ok("sessions", "--agent", "goose").err
    assert kept.ok("sessions", "--agent", "goose", "--json").json == []
    assert kept.ok("sessions", "--resident", "--json").json == []


@pytest.mark.parametrize("command", [["sessions"], ["search", "x"], ["export", "-o", "x/"]])
def test_an_agent_that_nobody_knows_is_a_mistake_that_names_the_known_ones(
    kept: Home, command: list[str]
) -> None:
    refused = kept.run(*command, "--agent", "clod")
    assert refused.code == Exit.USAGE
    assert "'clod' is no agent" in refused.err
    assert "claude, cline, codex" in refused.err


@pytest.mark.parametrize("running", [False, True])
def test_the_list_of_sessions_is_short_unless_asked_and_says_what_it_leaves_out(
    home: Home, running: bool
) -> None:
    for number in range(SESSIONS_LISTED + 3):
        home.write_log(f"log{number}", *talk(1, start=number, session=f"log{number}"))
    home.ok("import", "--quiet")
    with home.daemon() if running else nullcontext():
        listed = home.ok("sessions")
        assert len(listed.text.splitlines()) == SESSIONS_LISTED + 1
        assert listed.err.startswith("3 older sessions more: --all")
        assert home.ok("sessions", "--text", "word 7").err == ""
        assert home.ok("sessions", "-n", "52").err.startswith("1 older session more")
        assert len(home.ok("sessions", "--all").text.splitlines()) == SESSIONS_LISTED + 4
        assert home.ok("sessions", "-n", "2", "--not-resident").err.startswith("51 older sessions")
        told = home.ok("sessions", "--json")
        assert len(told.json) == SESSIONS_LISTED + 3
        assert told.out.count(b"\n") == 1
        assert len(home.ok("sessions", "--json", "-n", "4").json) == 4


def test_forks_and_subagents_are_marked_with_what_they_come_from(home: Home) -> None:
    first = lines.user_line("a question", uuid="u1", session="origin")
    home.write_exactly("origin", first, lines.user_line("more", uuid="u2", session="origin"))
    home.write_exactly("branch", first, lines.user_line("else", uuid="u3", session="branch"))
    home.write_exactly(
        "origin/subagents/agent-a1",
        lines.user_line("help out", uuid="u4", session="origin", agent="a1"),
    )
    home.ok("import", "--quiet")
    listed = home.ok("sessions").text
    kin = {
        name: each for name, each in home.sessions().items() if each["parent"] + each["forked_from"]
    }
    assert len(kin) == 2
    assert f"(subagent of {sid('origin')}) help out" in listed
    (forked,) = [each for each in kin.values() if each["forked_from"]]
    assert f"(fork of {forked['forked_from']}) " in listed
    assert listed.count(" of ") == 2


def test_a_title_is_found_with_the_time_of_its_session(home: Home) -> None:
    home.write_log(
        "alpha", lines.summary_line("All about walruses", leaf="x"), *talk(1, session="alpha")
    )
    home.ok("import", "--quiet")
    assert " -  " not in home.ok("search", "walruses").text.splitlines()[0]
    assert " d ago  " in home.ok("search", "walruses").text.splitlines()[0]


def test_a_search_shows_the_session_and_marks_the_word(kept: Home) -> None:
    text = kept.ok("search", "zebra").text
    assert "why is the zebra asleep" in text.splitlines()[0]
    assert "**zebra**" in text.splitlines()[1]


def test_a_search_without_hits_says_what_to_do_and_is_no_failure(kept: Home) -> None:
    found = kept.ok("search", "unfindable")
    assert not found.text
    assert "Nothing found" in found.err
    assert kept.ok("search", "unfindable", "--json").json == []


@pytest.mark.parametrize("form", ["markdown", "html", "jsonl"])
def test_an_export_of_which_nothing_is_left_says_so_and_is_no_failure(
    kept: Home, form: str
) -> None:
    far = kept.ok("export", "beta", "-f", form, "--since", "2999-01-01")
    assert "Nothing of" in far.err
    assert (far.out == b"") is (form == "jsonl"), "a document has its head all the same"
    assert "Nothing of" in kept.ok("export", "beta", "--kind", "tool.call", "-o", "none.md").err
    assert kept.ok("export", "beta", "-f", form, "--since", "2001-01-01").err == ""


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
    assert "Size     1 event, " in shown
    assert "word 3" in shown
