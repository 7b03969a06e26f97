"""Text stays text, wherever it stands."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.recording.markup import Markup, address, element, escape, joined, link, opening


@given(st.text())
def test_text_comes_back_out_of_an_element_and_an_attribute(text: str) -> None:
    written = element("p", text, title=text)
    assert re.fullmatch(r'<p title="[^<>"]*">[^<>]*</p>', written)
    written.encode()
    inside = re.sub(r"<[^>]*>", "", written)
    assert html.unescape(inside) == html.unescape(escape(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x00\x07", "\u2400\u2407"),
        ("\x1b", "\u241b"),
        ("\x7f", "\u2421"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\u202egnp.exe\u202c", "⟨U+202E⟩gnp.exe⟨U+202C⟩"),
        ("\u2066x\u2069", "⟨U+2066⟩x⟨U+2069⟩"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("\ud800", "\ufffd"),
        ("\x85", "⟨U+0085⟩"),
        ("tab\tline\n", "tab\tline\n"),
        ("👩\u200d💻 日本語", "👩\u200d💻 日本語"),
    ],
)
def test_what_acts_is_made_seen(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_markup_is_not_escaped_again() -> None:
    assert joined("<", element("b", "<"), ">") == "&lt;<b>&lt;</b>&gt;"
    assert isinstance(joined("<"), Markup)


def test_attributes_that_are_none_or_false_are_left_out() -> None:
    written = opening("p", class_="a", hidden=True, title=None, data_x=False, aria_label="b")
    assert written == '<p class="a" hidden aria-label="b">'


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example/x",
        "src/relative.py",
        "https:/\\evil.example",
        "http://a b",
        "",
        "https://" + "a" * 3_000,
    ],
)
def test_a_link_that_may_not_lead_anywhere_is_text(target: str) -> None:
    assert address(target) is None
    written = link(target, "words")
    assert "href" not in written
    assert "words" in written


@pytest.mark.parametrize("target", ["https://e.org/?a=1&b=2", "HTTP://e.org", "mailto:a@e.org"])
def test_a_link_to_the_web_or_into_a_mail_leads_there(target: str) -> None:
    written = link(target, "words")
    assert f'href="{html.escape(target)}"' in written
    assert "noopener" in written
