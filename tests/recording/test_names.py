"""Names of exported files."""

from __future__ import annotations

import pytest

from holdfast.recording.names import file_name

SESSION = "0123456789abc"


def name(
    *, title: str = "Fix the cache", day: str = "2026-01-05", agent: str = "claude", form: str = ""
) -> str:
    return file_name(day=day, agent=agent, title=title, session=SESSION, form=form or "markdown")


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (name(), "2026-01-05-claude-fix-the-cache-0123456789abc.md"),
        (name(form="jsonl"), "2026-01-05-claude-fix-the-cache-0123456789abc.jsonl"),
        (name(form="html"), "2026-01-05-claude-fix-the-cache-0123456789abc.html"),
        (name(title=""), "2026-01-05-claude-0123456789abc.md"),
        (name(title="../../etc/passwd"), "2026-01-05-claude-etc-passwd-0123456789abc.md"),
        (name(title="-rf *"), "2026-01-05-claude-rf-0123456789abc.md"),
        (name(title="🎉\x00\n"), "2026-01-05-claude-0123456789abc.md"),
        (name(title="会話を保存"), "2026-01-05-claude-会話を保存-0123456789abc.md"),
        (name(day=""), "undated-claude-fix-the-cache-0123456789abc.md"),
        (name(day="../../../x"), "undated-claude-fix-the-cache-0123456789abc.md"),
        (name(agent="../x"), "2026-01-05-x-fix-the-cache-0123456789abc.md"),
    ],
)
def test_a_file_name_sorts_by_date_and_says_what_it_holds(found: str, wanted: str) -> None:
    assert found == wanted


@pytest.mark.parametrize("letter", ["word ", "会", "\U00020000", "ﬃ"])
def test_a_file_name_fits_a_file_system(letter: str) -> None:
    found = name(title=letter * 300, agent=letter * 300)
    assert len(found.encode()) <= 255
    assert found.endswith("-0123456789abc.md")
