"""Names of recordings that nobody named: `recording.filename_template`, filled in.

What comes from a session is text of anybody's: only letters, digits and single hyphens of it get
into a name, so that it can be no path, no option and no hidden file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Final

from holdfast.journal.model import SessionRow

TITLE_CHARS: Final = 60
NAME_BYTES_MAX: Final = 200
TRIES_MAX: Final = 1_000
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_NEVER_IN_A_NAME: Final = re.compile(r"[/\x00-\x1f\x7f]+")


def file_name(template: str, row: SessionRow, at: str, ending: str) -> str:
    """A file's name; `at` is the time at which the recording begins."""
    values = {
        "date": at[:10],
        "time": f"{at[11:13]}{at[14:16]}{at[17:19]}",
        "agent": slug(row.agent),
        "title": slug(row.title)[:TITLE_CHARS].strip("-"),
        "project": slug(os.path.basename(row.project.rstrip("/")))[:TITLE_CHARS].strip("-"),
        "session": row.id,
    }
    name = _PLACEHOLDER.sub(lambda found: values[found[1]], template)
    name = _NEVER_IN_A_NAME.sub("-", name)
    name = re.sub(r"-{2,}", "-", name).strip("-_. ")  # what an empty value leaves behind
    return _cut(name or row.id) + ending


def numbered(path: str, is_taken: Callable[[str], bool]) -> str:
    """The path, or with -2, -3 … the first one that is free."""
    stem, ending = os.path.splitext(path)
    for number in range(1, TRIES_MAX + 1):
        candidate = path if number == 1 else f"{stem}-{number}{ending}"
        if not is_taken(candidate):
            return candidate
    return f"{stem}-{TRIES_MAX + 1}{ending}"


def slug(text: str) -> str:
    kept = "".join(char if char.isalnum() else " " for char in text.casefold())
    return "-".join(kept.split())


def _cut(name: str) -> str:
    while len(name.encode("utf-8", "replace")) > NAME_BYTES_MAX:
        name = name[:-1]
    return name
