"""What a person marks as private, however the marks are written."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.privacy.tags import cut_private
from tests.support.doors import door

DOOR: Final = door()

TAGS: Final = st.sampled_from(
    ["<private>", "</private>", "<PRIVATE >", "< private a='1'>", "</ private>", "&lt;private&gt;"]
)
WORDS: Final = st.text("abc <>/&;\\n\u00e9", max_size=8)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a <private>b</private> c", "a [private] c"),
        ("a <PRIVATE>b</Private> c", "a [private] c"),
        ("a < private >b</ private > c", "a [private] c"),
        ("a <private\n>b</private\t> c", "a [private] c"),
        ('a <private why="mine">b</private> c', "a [private] c"),
        ("a <private>b<private>c</private>d</private> e", "a [private] e"),
        ("a <private>b", "a [private]"),
        ("a <private>b</private> c <private>d", "a [private] c [private]"),
        ("a <private b", "a [private]"),
        ("a <private>b</private c", "a [private] c"),
        ("a </private> b", "a [private] b"),
        ("<priv</private>ate>a", "<priv[private]ate>a"),
        ("a <private/> b", "a [private] b"),
        ("a `<private>b</private>` c", "a `[private]` c"),
        ("a &lt;private&gt;b&lt;/private&gt; c", "a [private] c"),
        (r"a \u003cprivate\u003eb\u003c/private\u003e c", "a [private] c"),
        (r"a <\nprivate>b<\/private> c", "a [private] c"),
        ("a <privateKey>b</privateKey> c", "a <privateKey>b</privateKey> c"),
        ("a <private-note>b", "a <private-note>b"),
        ("a private b > c", "a private b > c"),
        ("<private></private>", "[private]"),
    ],
)
def test_what_is_marked_is_gone(text: str, clean: str) -> None:
    assert DOOR.clean_text(text) == clean


@given(st.lists(st.tuples(WORDS, TAGS), max_size=8), WORDS)
def test_only_what_stands_outside_of_all_marks_is_kept(
    pieces: list[tuple[str, str]], last: str
) -> None:
    """Against a naive reading of the same marks."""
    kept, depth = "", 0
    for words, tag in pieces:
        kept += words if depth == 0 else ""
        depth = max(0, depth - 1) if "/" in tag else depth + 1
    kept += last if depth == 0 else ""
    text = "".join(words + tag for words, tag in pieces) + last
    plain = "".join(words for words, _tag in pieces) + last
    if "private" in re.sub(r"\W", "", plain) or "<" in plain or "&" in plain or ">" in plain:
        return  # words that make a tag of their own
    cut = cut_private(text.encode())
    assert cut.text.decode().replace("[private]", "") == kept
    assert cut.depth == depth


@given(st.lists(st.one_of(WORDS, TAGS)).map("".join))
def test_what_is_clean_has_no_marks_left(text: str) -> None:
    once = cut_private(text.encode())
    assert cut_private(once.text) == (once.text, 0, 0)


@given(st.lists(st.one_of(WORDS, TAGS)), st.lists(st.one_of(WORDS, TAGS)))
def test_a_tag_that_is_open_goes_on(before: list[str], after: list[str]) -> None:
    one = cut_private("".join(before).encode())
    both = cut_private(
        b"".join((*(part.encode() for part in before), b"\x00", "".join(after).encode()))
    )
    other = cut_private("".join(after).encode(), one.depth)
    assert both.depth == other.depth
