"""Whose words are whose, and what tools were asked, in a line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from holdfast.sources.agents.claude.records import Content
from holdfast.sources.agents.claude.words import answers, own_words, proposal, text_of
from holdfast.sources.loose import NOTHING
from holdfast.sources.text import instant, one_line
from holdfast.sources.tools import BRIEF_CHARS, brief

WRAPPERS = [
    "system-reminder",
    "ide_opened_file",
    "ide_selection",
    "ide_diagnostics",
    "local-command-stdout",
    "local-command-stderr",
    "local-command-caveat",
    "command-message",
    "command-contents",
    "bash-stdout",
    "bash-stderr",
    "task-notification",
    "user-prompt-submit-hook",
    "session-start-hook",
    "post-tool-use-hook",
    "user-memory-input",
    "new-diagnostics",
]


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


@pytest.mark.parametrize("tag", WRAPPERS)
def test_what_programs_put_around_words_goes(tag: str) -> None:
    assert own_words(f"<{tag}>a\nb</{tag}>\n\nmine") == "mine"
    assert own_words(f"mine <{tag}></{tag}>") == "mine"
    assert own_words(f"<{tag}>only</{tag}>") == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("  nothing   around \n", "  nothing   around \n"),
        ("if a < b and c > d:", "if a < b and c > d:"),
        ("<b>bold</b> stays", "<b>bold</b> stays"),
        ("what does <system-reminder> mean?", "what does <system-reminder> mean?"),
        ("</system-reminder> a <system-reminder>b", "</system-reminder> a <system-reminder>b"),
        ("<ide_selection>x</ide_selection>one<ide_selection>y</ide_selection>two", "onetwo"),
        ("<system-reminder>1<system-reminder>2</system-reminder>3", "3"),
        (
            "<ide_selection>a <system-reminder>b</ide_selection>c</system-reminder>",
            "c</system-reminder>",
        ),
        ("<command-name>/clear</command-name>\n<command-args></command-args>", "/clear"),
        (
            "<command-name>/fix</command-name> <command-args> a\nb </command-args>",
            "/fix a\nb",
        ),
        ("<command-args>first</command-args><command-name>/x</command-name>", "first/x"),
        ("<bash-input>ls -la</bash-input>", "! ls -la"),
        ("<bash-input>ls</bash-input><bash-stdout>a.py</bash-stdout>", "! ls"),
        ("<command-name>/half", "<command-name>/half"),
    ],
)
def test_the_users_words(content: str, words: str) -> None:
    assert own_words(content) == words


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["a ", "<", ">", "</", "\n", *[f"<{t}>" for t in WRAPPERS[:4]]])
        | st.sampled_from([f"</{t}>" for t in WRAPPERS[:4]]),
        max_size=20,
    ).map("".join)
)
def test_words_are_never_made_up(content: str) -> None:
    """What is left is the content with stretches taken out."""
    position = 0
    for letter in own_words(content):
        position = content.index(letter, position) + 1


@pytest.mark.parametrize(
    "content",
    [
        "<system-reminder>" * 100_000,
        "<command-name>" * 100_000 + "</command-name>",
        "</bash-input>" + "<bash-input>" * 100_000,
        "<" + " " * 1_000_000 + "x",
        "<ide_selection></ide_selection>" * 50_000,
        "<command-args>" + " " * 1_000_000,
    ],
)
def test_hostile_words_take_time_for_their_size_only(content: str) -> None:
    """Patterns with a lazy middle took hours for these."""
    own_words(content)


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        (None, ""),
        ("", ""),
        ("2026-01-05T09:00:00.000Z", "2026-01-05T09:00:00.000Z"),
        ("2026-01-05T09:00:00Z", "2026-01-05T09:00:00.000Z"),
        ("2026-01-05T09:00:00.123456Z", "2026-01-05T09:00:00.123Z"),
        ("2026-01-05T09:00:00.000+02:00", "2026-01-05T07:00:00.000Z"),
        ("2026-01-05T09:00:00", "2026-01-05T09:00:00.000Z"),
        ("2026-01-05 09:00:00.000Z", "2026-01-05T09:00:00.000Z"),
        ("2026-01-05", "2026-01-05T00:00:00.000Z"),
        ("2026-W01-1T09:00:00.000Z", "2025-12-29T09:00:00.000Z"),
        ("2026-13-05T09:00:00.000Z", ""),
        ("zzzz-zz-zzTzz:zz:zz.zzzZ", ""),
        ("9999-12-31T23:59:59.000-10:00", ""),
        ("0001-01-01T00:00:00.000+10:00", ""),
        ("[trimmed for fixture]", ""),
    ],
)
def test_times_are_written_in_one_way_or_not_at_all(stamp: str | None, at: str) -> None:
    assert instant(stamp) == at


@settings(deadline=None)
@given(st.text(max_size=30))
def test_a_time_is_never_something_else(stamp: str) -> None:
    assert len(instant(stamp)) in (0, len("2026-01-05T09:00:00.000Z"))


def test_a_title_is_one_line() -> None:
    assert one_line("  a\n\tb  c ", 10) == "a b c"
    assert one_line("abcdefghijkl", 10) == "abcdefghi…"
    assert one_line("a" + " " * 100 + "b", 10) == "a"


@settings(deadline=None)
@given(st.text(max_size=80), st.integers(2, 20))
def test_a_title_is_no_longer_than_it_may_be(text: str, most: int) -> None:
    assert len(one_line(text, most)) <= most
    assert "\n" not in one_line(text, most)


@pytest.mark.parametrize(
    ("given_", "line"),
    [
        ({"command": "ls", "description": "List"}, "T: ls"),
        ({"file_path": "/a.py", "content": "x"}, "T: /a.py"),
        ({"pattern": "def ", "path": "src"}, "T: def "),
        ({"query": "tides"}, "T: tides"),
        ({"url": "https://x.invalid", "prompt": "?"}, "T: https://x.invalid"),
        ({"path": "src"}, "T: src"),
        ({"skill": "pdf"}, "T: pdf"),
        ({"description": "Look", "prompt": "for tides"}, "T: Look"),
        ({"prompt": "for tides"}, "T: for tides"),
        ({"other": 1}, "T"),
        ({"command": None}, "T"),
        ({"command": ["odd"]}, "T"),
        ({"command": "x" * 9_999}, "T: " + "x" * BRIEF_CHARS),
        (None, "T"),
        ([1], "T"),
        ("text", "T"),
    ],
)
def test_what_a_tool_was_asked(given_: Any, line: str) -> None:
    assert brief("T", raw(given_)) == line


def test_a_tool_that_was_asked_nothing() -> None:
    assert brief("T", NOTHING) == "T"


def test_questions_and_plans() -> None:
    questions = [{"question": "A?", "options": [{"label": "x"}, {}]}, {"question": "B?"}]
    assert proposal("AskUserQuestion", raw({"questions": questions})) == "A?\n- x\n- \nB?"
    assert proposal("ExitPlanMode", raw({"plan": "first"})) == "first"
    for odd in (None, 7, {"questions": 7}, {"plan": 7}):
        assert proposal("AskUserQuestion", raw(odd)) == ""
        assert proposal("ExitPlanMode", raw(odd)) == ""


def test_answers() -> None:
    assert answers({"A?": "x", "B?": ["y", "z"]}) == "A? -> x\nB? -> y, z"
    assert answers(None) == ""


def test_the_text_of_a_message() -> None:
    assert text_of(None) == ""
    assert text_of("plain") == "plain"
    assert text_of([Content(text="a"), Content(type="image"), Content(text="b")]) == "a\nb"
