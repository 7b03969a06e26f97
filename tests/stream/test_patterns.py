"""What a pattern matches."""

from __future__ import annotations

import pytest

from holdfast.stream import BadPattern
from holdfast.stream.patterns import CONVERSATIONS, STREAMS, Pattern, pattern


@pytest.mark.parametrize(
    ("text", "name", "fits"),
    [
        ("*", "anything at all", True),
        ("message.*", "message.user", True),
        ("message.*", "message", False),
        ("message.*", "a message.user", False),
        ("task.completed, message.*", "task.completed", True),
        ("task.completed,message.*", "task.completedx", False),
        ("orders/*/lines", "orders/7/lines", True),
        ("orders/*/lines", "orders/lines", False),
        ("a.c", "abc", False),
        ("*.failed", "task.failed", True),
        ("a*b*c", "a b\nc", True),
    ],
)
def test_a_star_stands_for_any_run_of_characters(text: str, name: str, *, fits: bool) -> None:
    assert pattern(text).matches(name) is fits


def test_groups_tell_conversations_from_streams() -> None:
    assert Pattern(CONVERSATIONS).matches("claude/1", is_stream=False)
    assert not Pattern(CONVERSATIONS).matches("orders", is_stream=True)
    assert Pattern(STREAMS).matches("orders", is_stream=True)
    assert not Pattern(STREAMS).matches("claude/1", is_stream=False)
    assert Pattern(f"{CONVERSATIONS},{STREAMS}").everything
    assert Pattern(f"{CONVERSATIONS},orders").matches("orders", is_stream=True)
    assert not Pattern(f"{CONVERSATIONS},orders").matches("others", is_stream=True)


def test_a_single_name_is_known_to_be_one() -> None:
    assert Pattern("orders").exact == "orders"
    for several in ("orders,others", "orders/*", "*", CONVERSATIONS):
        assert Pattern(several).exact == ""


def test_names_without_stars_are_all_that_it_matches() -> None:
    assert Pattern("a.b, c.d").names == ("a.b", "c.d")
    for more in ("a.b,c.*", "*", f"a.b,{CONVERSATIONS}"):
        assert Pattern(more).names == ()


def test_nothing_asked_for_is_everything() -> None:
    assert pattern("").everything


@pytest.mark.parametrize("text", [",", "a,,b", " ", "x" * 1_001])
def test_what_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadPattern, match="is no pattern"):
        Pattern(text)
