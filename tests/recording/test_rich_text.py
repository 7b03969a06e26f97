"""Messages as HTML: what is rendered, what is not, and that hostile ones come to an end."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.recording.rich_text import (
    _LANGUAGES,
    HIGHLIGHTED_CHARS_MAX,
    HIGHLIGHTED_LINE_CHARS_MAX,
    HIGHLIGHTED_TOTAL_CHARS_MAX,
    MARKDOWN_CHARS_MAX,
    RichText,
    language_of,
)

VOID: Final = {"br", "hr"}
ALLOWED: Final = {
    *("a", "blockquote", "br", "code", "div", "em", "h4", "h5", "h6", "hr", "li", "ol", "p"),
    *("pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
ATTRIBUTES: Final = {"class", "href", "rel", "start", "tabindex", "target", "title"}


class Reader(HTMLParser):
    """Checks that elements are known, closed in order, and have no attribute that acts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED
        assert {name for name, _value in attrs} <= ATTRIBUTES
        for name, value in attrs:
            if name == "href":
                assert re.match(r"(?i)https?://|mailto:", value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(markup: str) -> str:
    """The text of well-formed HTML."""
    reader = Reader()
    reader.feed(markup)
    reader.close()
    assert reader.open == []
    return "".join(reader.text)


PIECES: Final = st.sampled_from(
    [
        *("word", "other", " ", "\n", "\n\n", "# ", "- ", "1. ", "> ", "    ", "```", "~~~", "`"),
        *("*", "**", "_", "[", "](", ")", "!", "<", ">", "</p>", "<script>", "<!--", "&lt;", "&"),
        *("|", "|-|\n", "---\n", "===\n", "\\", "javascript:", "https://e.org", '"', "'", "\x00"),
        *("\x1b[1m", "\u202e", "日本", "🎉", "~~", "[a]: b\n", "data:,x", "onclick=", "\t", "\r"),
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join))
@settings(max_examples=400, deadline=None)
def test_whatever_a_message_holds_it_is_well_formed_and_harmless(text: str) -> None:
    read(RichText().prose(text))


@given(st.lists(PIECES.filter(lambda piece: "|" not in piece), max_size=30).map("".join))
@settings(max_examples=400, deadline=None)
def test_no_word_of_a_message_is_lost(text: str) -> None:
    shown = RichText().prose(text)
    for word in ("word", "other"):
        assert shown.count(word) >= text.count(word)


@given(st.lists(PIECES, max_size=20).map("".join), st.sampled_from(sorted(_LANGUAGES)))
@settings(max_examples=200, deadline=None)
def test_highlighting_changes_no_letter(text: str, language: str) -> None:
    assert read(RichText().code(text, language)) == read(RichText().code(text))


def test_markdown_is_rendered() -> None:
    shown = RichText().prose(
        "# Top\n\n*a* **b** ~~c~~ `d`\nnext\n\n3. one\n4. two\n\n> q\n\n"
        "| l | r |\n|---|--:|\n| 1 | 2 |\n\n```python x=1\ndef f(): pass\n```\n---\n"
    )
    for part in (
        "<h4>Top</h4>",
        "<em>a</em> <strong>b</strong> <s>c</s> <code>d</code><br>",
        '<ol start="3">',
        "<blockquote><p>q</p>",
        '<td class="right">2</td>',
        '<div class="language">python x=1</div>',
        '<span class="k">def</span> <span class="f">f</span>',
        "<hr>",
    ):
        assert part in shown


def test_pictures_and_bad_links_of_a_message_load_nothing() -> None:
    shown = RichText().prose(
        "![see](https://e.org/x.png) ![](data:image/png;base64,AAAA) [bad](javascript:alert(1))"
    )
    assert "<img" not in shown
    assert shown.count("href") == 1
    assert "javascript:alert(1)" in shown, "what it would have done can be read"


@pytest.mark.parametrize(
    "text",
    [
        "x" * (MARKDOWN_CHARS_MAX + 1),
        ">" * 200 + " deep",
        "\n".join("  " * depth + "- x" for depth in range(200)),
    ],
    ids=["long", "quotes", "lists"],
)
def test_what_is_too_long_or_too_deep_is_shown_as_it_was_written(text: str) -> None:
    shown = RichText().prose(text)
    assert shown.startswith('<div class="plain">')
    assert read(shown) == text


def test_long_code_long_lines_and_long_blanks_are_not_highlighted() -> None:
    line = "def f(): pass\n"
    assert "<span" in RichText().code(line, "python")
    for text in (
        line * (HIGHLIGHTED_CHARS_MAX // len(line) + 1),
        line + "x" * (HIGHLIGHTED_LINE_CHARS_MAX + 1),
        line + " \n" * 60 + line,
    ):
        assert "<span" not in RichText().code(text, "python")
        assert read(RichText().code(text, "python")) == text


def test_a_document_is_highlighted_up_to_a_limit() -> None:
    text = RichText()
    code = "x = 1\n" * (HIGHLIGHTED_CHARS_MAX // 6)
    blocks = HIGHLIGHTED_TOTAL_CHARS_MAX // len(code)
    text._left -= (blocks - 1) * len(code)
    assert "<span" in text.code(code, "python")
    assert "<span" not in text.code(code, "python")


def test_languages_are_known_by_names_and_by_the_endings_of_files() -> None:
    assert language_of("/a/b.py") == "py"
    assert language_of("/a/Dockerfile") == "dockerfile"
    assert language_of("/a.py/b.unknown") == ""
    assert language_of("") == ""
    assert "<span" in RichText().code("{}[1]", "JSON")
    assert "<span" not in RichText().code("1", "no-such-language")


HOSTILE_TIMEOUT_S: Final = 300  # for a hang; together they take some seconds

HOSTILE: Final = """
from holdfast.recording.rich_text import RichText, _LANGUAGES, HIGHLIGHTED_CHARS_MAX

units = [*"[]*_`>#-<&|~!(\\\\ \\t\\n", "[](", "![](", "*a_", "**a", "``a`", "> ", "- ", "- a\\n\\n",
         "|a", " |\\n", "<a", "&#", "~~a", "[a]: b\\n", "[[", "![[", "a\\n=\\n", "```\\n", "<!--"]
for size, hardest in ((49_000, units[-8:]), (1_000_000, units)):
    for unit in hardest:
        shown = RichText().prose((unit * size)[:size])
        assert len(shown) < 40 * size, (unit, size)
wide = "|" + "a|" * 1000 + "\\n|" + "-|" * 1000 + "\\n" + "|\\n" * 20_000
RichText().prose(wide)

units = ['\\\\"', "a b ", "<!--"]
for language in _LANGUAGES:
    for unit in units:
        text = (unit * HIGHLIGHTED_CHARS_MAX)[:HIGHLIGHTED_CHARS_MAX - 100]
        lines = "\\n".join(text[at : at + 300] for at in range(0, len(text), 300))
        RichText().code(lines, language)
print("done")
"""


@pytest.mark.slow
def test_hostile_messages_and_code_come_to_an_end() -> None:
    """In a process of its own: a parser that hangs cannot be interrupted from within."""
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE],
        capture_output=True,
        timeout=HOSTILE_TIMEOUT_S,
        check=False,
        text=True,
    )
    assert done.stdout == "done\n", done.stderr[-2_000:]
