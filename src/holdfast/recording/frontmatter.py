"""The front matter of a recording, kept up to date without touching what a person wrote into it.

A recording's title, participants and time of change are not known when it begins, and a file grows
at its end only. So the front matter has room to spare: spaces behind one of its lines, which YAML
does not see. What changes is written over it in place; only when that room is used up, or an editor
has taken it away, the file is written anew as a whole.

A line is ours as long as it says what we wrote there. One that a person changed is theirs from then
on, as is every key that we never wrote.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from holdfast.journal.model import SessionRow
from holdfast.recording.markdown import SessionHead, head_lines, list_line

HEAD_MAX_BYTES: Final = 65_536  # a longer front matter is left alone
SPARE_CHARS: Final = 240
_KEY: Final = re.compile(r"([A-Za-z_][\w-]*)[ \t]*:")
_ENDS: Final = ("---", "...")

Owned = dict[str, str]  # key -> the line as we wrote it


class Change(msgspec.Struct, frozen=True):
    """The first `old_bytes` of a file become `new`; in place, where both are of one length."""

    old_bytes: int
    new: bytes


def head_of(row: SessionRow, participants: list[str]) -> SessionHead:
    about = [part for part in (row.project, row.branch, row.model) if part]
    return SessionHead(
        id=row.id,
        title=row.title or row.agent_session_id,
        desc=" · ".join(about),
        created=row.started_at,
        updated=row.updated_at,
        participants=participants,
        session=f"{row.agent}/{row.agent_session_id}",
        tags=[row.agent],
    )


def fresh(head: SessionHead) -> tuple[bytes, Owned]:
    """The front matter of a new file."""
    owned = head_lines(head)
    lines = [_padded(line) if key == "participants" else line for key, line in owned.items()]
    return _encoded("\n".join(["---", *lines, "---", ""])), owned


def renewed(
    begins: bytes, head: SessionHead, owned: Owned, former: Owned
) -> tuple[Change | None, Owned]:
    """What is to change in a file that begins so, and which lines are ours then.

    `former` is what `owned` was before: a crash may have come between the two.
    """
    found = _split(begins)
    if found is None:
        return None, {}
    lines, old_bytes = found
    wanted = head_lines(head)
    still: Owned = {}
    changed = False
    for number, line in enumerate(lines):
        key = _key(line)
        mine = line.rstrip() in (owned.get(key), former.get(key))
        if mine and key not in still:
            still[key] = wanted[key]
            changed = changed or line.rstrip() != wanted[key]
            lines[number] = wanted[key]
    return (_fitted(lines, still, old_bytes) if changed else None), still


def adopted(begins: bytes, head: SessionHead) -> tuple[Change | None, Owned]:
    """For a file that was there before: it gets the keys that it lacks, and keeps the others."""
    found = _split(begins)
    wanted = head_lines(head)
    if found is None:
        new, owned = fresh(head)
        return Change(0, new + b"\n" if begins.strip() else new), owned
    lines, old_bytes = found
    there = {_key(line): line.rstrip() for line in lines}
    ours = there.get("session") == wanted["session"]  # an earlier recording of the same session
    owned = {key: there.get(key, line) for key, line in wanted.items() if ours or key not in there}
    missing = [line for key, line in wanted.items() if key not in there]
    if not missing:
        return None, owned
    return _fitted([*lines, *missing], owned, old_bytes), owned


def lacks_speakers(owned: Owned, participants: list[str]) -> bool:
    """Whether somebody speaks whom the front matter, where that line is ours, does not name."""
    line = owned.get("participants")
    return line is not None and line != list_line("participants", participants)


def names_session(begins: bytes, session: str) -> bool:
    """Whether a file's front matter is that of a recording of this session."""
    found = _split(begins)
    return found is not None and any(_key(line) == "id" and session in line for line in found[0])


def _split(begins: bytes) -> tuple[list[str], int] | None:
    """The lines between the marks, and where the front matter ends; None when there is none."""
    if not re.match(rb"---[ \t]*\r?\n", begins):
        return None
    place = 0
    lines: list[str] = []
    for line in begins.splitlines(keepends=True):
        place += len(line)
        if not line.endswith(b"\n"):
            return None  # cut off, or nothing but the beginning of a front matter
        text = line.decode("utf-8", "surrogateescape").rstrip("\n").rstrip("\r")
        if lines and text.rstrip() in _ENDS:
            return lines[1:], place
        lines.append(text)
    return None


def _fitted(lines: list[str], owned: Owned, old_bytes: int) -> Change:
    """As long as the old one if it fits, else with room to spare."""
    bare = [line.rstrip() if _key(line) in owned else line for line in lines]
    size = len(_encoded("\n".join(["---", *bare, "---", ""])))
    room = old_bytes - size
    place = max(
        (number for number, line in enumerate(bare) if _key(line) in owned), default=len(bare) - 1
    )
    bare[place] += " " * (room if room >= 0 else SPARE_CHARS)
    return Change(old_bytes, _encoded("\n".join(["---", *bare, "---", ""])))


def _padded(line: str) -> str:
    return line + " " * SPARE_CHARS


def _key(line: str) -> str:
    found = _KEY.match(line)
    return found[1] if found else ""


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
