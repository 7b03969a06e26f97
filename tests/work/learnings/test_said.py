"""What of a message counts as said, and where one sentence ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.work.learnings.said import DOCUMENT_HEADINGS, MESSAGE_MAX_CHARS, sentences


def said(message: str, *, typed: bool = True) -> list[str]:
    return [sentence.text for sentence in sentences(message, typed=typed)]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Use tabs. Never spaces!", ["Use tabs.", "Never spaces!"]),
        ("It fails, e.g. in CI. Look there.", ["It fails, e.g. in CI.", "Look there."]),
        ("take option 1. it is better", ["take option 1.", "it is better"]),
        ("you said: 1. it is slow", ["you said: 1. it is slow"]),
        ("version 1.2 is out. take it", ["version 1.2 is out.", "take it"]),
        (
            "a line that\ngoes on here.\n\nAnother one.",
            ["a line that goes on here.", "Another one."],
        ),
        ("- use **ruff**\n- drop [flake8](https://x.example)", ["use ruff", "drop flake8"]),
        ("run `a. b` first. then stop", ["run `a. b` first.", "then stop"]),
        ("it\u2019s fine.", ["it's fine."]),
        ("1. first thing\n2. second thing", ["first thing", "second thing"]),
    ],
)
def test_messages_become_sentences(message: str, expected: list[str]) -> None:
    assert said(message) == expected


@pytest.mark.parametrize(
    "passed_on",
    [
        "```\nwe should always use tabs here\n```",
        "- ~~~python\n  we should always use tabs\n  ~~~",
        "    we should always use tabs here",
        "> we should always use tabs here",
        "| we should | always use tabs |",
        "# We should always use tabs",
        "<system-reminder>\nWe should always use tabs.\n</system-reminder>",
        "<command-message>always use tabs</command-message>",
        '{"text": "we should always use tabs"}',
        "2026-11-20 10:00:01 we should always use tabs",
        "10:00:01 we should always use tabs",
        "ERROR: we should always use tabs",
        "$ echo we should always use tabs",
        "ValueError: we should always use tabs",
        'File "tabs.py", line 3, in always',
        "+++ we should always use tabs",
        "[Request interrupted by user]",
        "This session is being continued from a previous conversation. We should always use tabs.",
        "Base directory for this skill: /home/hana/x. We should always use tabs.",
        "we should always use tabs " * 60,  # one line that nobody typed
        "x9$%&/()=?{}[]#+*~ 01234567890123456789 tabs",
    ],
)
def test_what_is_passed_on_is_not_said(passed_on: str) -> None:
    assert said(passed_on) == []
    around = said(f"Look at this.\n\n{passed_on}\n\nThat is all.", typed=False)
    if not passed_on.startswith(("This session", "Base directory")):
        assert around == ["Look at this.", "That is all."]


def test_of_a_pasted_document_only_what_stands_before_it_is_the_persons() -> None:
    document = "Do the following.\n\n# Plan\n\nWe always use tabs.\n\n## Steps\n\nNever use spaces."
    assert document.count("\n#") == DOCUMENT_HEADINGS
    assert said(document) == ["Do the following."]
    assert "We always use tabs." in said(document, typed=False)


def test_json_behind_words_on_one_line_is_cut_off() -> None:
    assert said('this still fails: {"level":"DEBUG","msg":"always use tabs"}') == [
        "this still fails"
    ]


def test_a_tag_without_an_end_hides_nothing() -> None:
    assert said("compare a <b and list <item> here. use the second") == [
        "compare a <b and list <item> here.",
        "use the second",
    ]


def test_questions_and_introductions_are_told_apart() -> None:
    (asked, introduced) = sentences("should we use tabs? The cause is:", typed=True)
    assert (asked.asks, asked.introduces) == (True, False)
    assert (introduced.asks, introduced.introduces) == (False, True)


def test_what_is_far_into_a_message_is_not_looked_at() -> None:
    assert said("ab.\n\n" * (MESSAGE_MAX_CHARS // 5)) == said("ab.\n\n" * MESSAGE_MAX_CHARS)
    assert said("\n" * MESSAGE_MAX_CHARS + "we use tabs") == []


@given(st.text(alphabet="a.!? `*_<>/\n-#|'\"[](){}:;0\u2019", max_size=400))
def test_no_message_is_too_odd(message: str) -> None:
    for sentence in sentences(message, typed=True):
        assert sentence.text
        assert "\n" not in sentence.text


@pytest.mark.parametrize("piece", ["<a>", "`", "**a", "_a", "[", "- ", "a. ", "<b></b>", "a<a "])
def test_a_hostile_message_is_answered(piece: str) -> None:
    """Each of these took a time that grew with the square of its length in one draft or another."""
    assert isinstance(said(piece * 200_000), list)
