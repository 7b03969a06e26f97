"""Names that people gave to sessions: Codex writes them into one file for all, and not always
into the log.

They are facts of a session and no events: where its log is read, its name at that time is taken.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from holdfast.sources.loose import UNREADABLE

INDEX: Final = "session_index.jsonl"
INDEX_BYTES_MAX: Final = 262_144  # of the end, where the newest are


class _Named(Struct, gc=False):
    id: str = ""
    thread_name: str = ""


_read_named: Final = msgspec.json.Decoder(_Named).decode


def name_of(thread: str, home: str) -> str:
    """The newest name of a session; "" for none, or where nobody can say."""
    path = os.path.join(home, INDEX)
    try:
        about = os.stat(path)
        return _names(path, about.st_size, about.st_mtime_ns).get(thread, "")
    except OSError:
        return ""


@lru_cache(maxsize=4)
def _names(path: str, size: int, _mtime_ns: int) -> dict[str, str]:
    with open(path, "rb") as file:
        file.seek(max(0, size - INDEX_BYTES_MAX))
        lines = file.read(INDEX_BYTES_MAX).splitlines()
    names: dict[str, str] = {}
    for line in lines:
        try:
            named = _read_named(line)
        except UNREADABLE:
            continue  # one that is cut, or not a name
        if named.thread_name.strip():
            names[named.id] = named.thread_name.strip()
    return names
