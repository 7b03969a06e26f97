"""The list of what a folder of exports holds."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from holdfast.events import Usage
from holdfast.recording.index import IndexRow, index_name, render_index

ROW = IndexRow(
    file="2026-01-05-claude-会話-0123456789abc.html",
    id="0123456789abc",
    agent="claude",
    agent_session_id="1111-2222",
    project="/home/hana/src/tidepool",
    title="Fix [the](javascript:x) <b>cache</b> \u202e",
    started_at="2026-01-05T09:00:00.000Z",
    updated_at="2026-01-05T10:00:00.000Z",
    events=1_234,
    model="m",
    branch="main",
    parent="",
    forked_from="",
    usage=Usage(input=5),
    bytes=20_480,
)


def index(form: str, **change: Any) -> str:
    row = msgspec.structs.replace(ROW, **change)
    return b"".join(render_index(form, [row])).decode()


def test_a_line_for_each_file() -> None:
    (line,) = index("jsonl").splitlines()
    assert json.loads(line) == msgspec.to_builtins(ROW)
    assert index_name("jsonl") == "index.jsonl"


def test_a_title_is_text_in_markdown() -> None:
    text = index("markdown", title="a\n# b *c* [d](e) `f` <g>")
    assert text.count("\n# ") == 0
    assert r"\# b \*c\* \[d\]\(e\) \`f\` \<g\>" in text
    assert "(<2026-01-05-claude-%E4%BC%9A%E8%A9%B1-0123456789abc.html>)" in text


def test_one_event_is_one_event() -> None:
    assert r"tidepool · 1 event" + "\n" in index("markdown", events=1)
    assert "1,234 events\n" in index("markdown")


def test_a_title_is_text_in_a_page() -> None:
    page = index("html")
    assert "Fix [the](javascript:x) &lt;b&gt;cache&lt;/b&gt; ⟨U+202E⟩" in page
    assert 'href="2026-01-05-claude-%E4%BC%9A%E8%A9%B1-0123456789abc.html"' in page
    assert 'data-key="1234"' in page
    assert "Content-Security-Policy" in page


def test_a_session_without_a_title_can_be_told() -> None:
    assert "1111-2222" in index("html", title="")
    assert "0123456789abc" in index("markdown", title="", agent_session_id="")
