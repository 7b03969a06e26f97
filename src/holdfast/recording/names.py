"""What exported files are called: sorted by date, safe everywhere, one name for each session."""

from __future__ import annotations

from typing import Final

SLUG_CHARS: Final = 60
SLUG_BYTES: Final = 120  # of 255 that a name may have
AGENT_CHARS: Final = 20
ENDINGS: Final = {"markdown": "md", "jsonl": "jsonl", "html": "html"}


def file_name(*, day: str, agent: str, title: str, session: str, form: str) -> str:
    """Ends with the session's id, so that no two sessions share one, whatever they are called."""
    begin = day if day.replace("-", "").isdecimal() else "undated"
    parts = (begin, _slug(agent)[:AGENT_CHARS], _slug(title), session)
    return "-".join(part for part in parts if part) + f".{ENDINGS[form]}"


def _slug(text: str) -> str:
    """Letters and digits of any script, which no shell and no file system takes for more."""
    kept = "".join(char if char.isalnum() else " " for char in text.casefold())
    slug = "-".join(kept.split())[:SLUG_CHARS]
    return slug.encode("utf-8", "ignore")[:SLUG_BYTES].decode("utf-8", "ignore").strip("-")
