"""`LEDGER.md`: what it looks like, and that no text gets out of its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from holdfast.work import ledger_page
from holdfast.work.ledger import Ledger
from holdfast.work.ledger_page import page
from tests.work.test_ledger import event, found, ledger

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def test_a_small_ledger_looks_like_this() -> None:
    made = ledger(
        event(0, "epic.created", "", "e", title="Parsers"),
        event(1, "task.created", "", "a", title="Read the log", epic="e"),
        event(2, "task.completed", "", "a"),
        event(3, "task.created", "", "b", title="Write the index", epic="e"),
        event(4, "task.blocked", "", "b", reason="no disk"),
        event(5, "task.created", "", "c", title="Sweep"),
        event(6, "decision.accepted", "Use one table", "d"),
        found(7, "this"),
        found(8, "this", "two", said_at="2026-11-20T10:00:00.000Z"),
        event(9, "epic.created", "", "f", title="Old"),
        event(10, "epic.completed", "", "f"),
    )
    assert (
        page(made.state)
        == """\
# Ledger

*2 tasks open, 1 finished, 1 decision, 1 learning*

## Epics

### ○ Parsers, 1 of 2 tasks done

- [ ] **blocked** Write the index: no disk
- [x] Read the log, 2026\\-11\\-01

### ✓ Old, completed, 2026\\-11\\-01

## Tasks

- [ ] Sweep

## Decisions

- 2026\\-11\\-01 Use one table (hana)

## Learnings

### Preferences

- Always do this. *(2 times, last 2026\\-11\\-20 in two, one)*

---

*Made from holdfast's log up to 2026\\-11\\-01T10:00:10. What is changed here is overwritten.*
"""
    )


def test_an_empty_ledger_says_so() -> None:
    assert "which has nothing of the kind yet" in page(Ledger().state)


def blocks(text: str) -> list[str]:
    """What a reader of Markdown takes it for, without the words."""
    return [token.type for token in MARKDOWN.parse(text)]


def inner(text: str) -> set[str]:
    """Markup inside of lines."""
    tokens = [each for token in MARKDOWN.parse(text) for each in token.children or []]
    return {token.type for token in tokens}


def with_text(text: str) -> str:
    made = ledger(
        event(0, "epic.created", text, "e"),
        event(1, "task.created", text, "t", epic="e"),
        event(2, "task.blocked", "", "t", reason=text),
        event(3, "task.created", text, "u"),
        event(4, "decision.proposed", text, "d"),
        event(5, "learning.found", text, "l", type="pattern", session=text, said_at=text),
        event(6, "learning.found", text, "m", type=text),
    )
    return page(made.state)


PLAIN = with_text("plain words")


@pytest.mark.parametrize(
    "text",
    [
        "# heading",
        "plain\n\n# heading",
        "- item",
        "+ item",
        "1. item",
        "12) item",
        "> quote",
        "```",
        "~~~",
        "---",
        "===",
        "| a | b |",
        "<script>alert(1)</script>",
        "<!-- ",
        "**bold** _it_ `code` ~~gone~~",
        "[link](https://x.example) ![picture](https://x.example)",
        "[x]: https://x.example",
        "&lt;b&gt;",
        "\x1b[31mred",
        "trailing \\",
        "- [x] done",
        ": definition",
        "    code",
        "\u2028# heading",
        "a" * 1_000,
    ],
)
def test_no_text_breaks_the_frame(text: str) -> None:
    made = with_text(text)
    assert blocks(made) == blocks(PLAIN)
    assert inner(made) <= inner(PLAIN)
    assert "\x1b" not in made


@given(st.text(alphabet="#-+*_>`~|=[]()<>!&:\\ \n\t1.ax\u2028\x85\x0c", max_size=24))
def test_no_combination_of_markup_breaks_the_frame(text: str) -> None:
    made = with_text(f"a{text}")  # entries without a word have words of ours
    assert blocks(made) == blocks(PLAIN)
    made = with_text(f"{text}a")
    assert blocks(made) == blocks(PLAIN)


def test_long_lists_say_what_they_leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FINISHED_SHOWN", "DECISIONS_SHOWN", "LEARNINGS_SHOWN"):
        monkeypatch.setattr(ledger_page, name, 2)
    events = []
    for number in range(5):
        events += [
            event(number, "task.created", f"task {number}", f"t{number}"),
            event(number, "task.completed", "", f"t{number}"),
            event(number, "decision.accepted", f"decision {number}", f"d{number}"),
            found(number, f"thing {number}", f"s{number}"),
        ]
    made = page(ledger(*events).state)
    assert made.count("3 more that are finished") == 1
    assert made.count("and 3 older ones") == 2
    assert "task 4" in made
    assert "task 2" not in made
    assert "decision 4" in made
    assert "decision 2" not in made
