"""Which commands get their turn: each one once, ever, and none from before the first run.

What a message must be:

* Said by the user, in a session that people talk in. In a subagent's session, and on a side chain,
  the "user" is the agent.
* Dated at or after the first run of this journal, which the journal remembers. So the first import
  of years of history does nothing; what was typed while no daemon ran is done at the next start;
  in a new home, whose first run is now, old commands never act. A log without times cannot tell,
  so nothing in it acts. Times are the agent's: if its clock runs ahead, commands act all the same;
  if it runs behind, they are passed over until it has caught up with the first run.

What makes two readings the same command is not where it stands, for a log may be rewritten, moved
or replayed by a fork, but whose record it is: the agent's own id of the record and its time, the
part of the record, the line, and how often the same line came before it there. Records without an
id are told apart by their session instead. The key is stored before anything is done, and stays for
good.

A later version of a message, from a log that is changed in place, is the same message: what it said
before does nothing again, and a line that is new in it acts.

A record may keep a message in parts, an event each. What is quoted in one part may have begun in a
part above it, so those are read again where a part may hold a command. In a log that is changed in
place each part is an item of its own, which comes and changes by itself, and is read by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from holdfast.events import Event, Kind, decode, decode_lines
from holdfast.journal.model import SessionRow
from holdfast.recording.commands import Found, find_commands

PARTS_MAX: Final = 64  # above a part, that are looked at
_USER: Final = f'"{Kind.USER}"'.encode()


Read = Callable[[str, int, int], bytes]  # of a session, the lines from one event up to another


class Given(msgspec.Struct, frozen=True):
    """A command as it stands in a session."""

    key: str
    session: str
    seq: int
    at: str
    cwd: str
    found: Found


def instant_of(milliseconds: int) -> str:
    at = datetime.fromtimestamp(milliseconds / 1_000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def may_hold_commands(row: SessionRow, first_run: str) -> bool:
    """Whether a session is worth looking at; most of a first import is not."""
    return not row.parent and row.updated_at >= first_run


def commands_in(lines: bytes, first_run: str, read: Read) -> Iterator[Given]:
    """The commands of a run of events that may act."""
    if b"::" not in lines:
        return
    for line in lines.split(b"\n"):
        if b"::" in line and _USER in line:
            event = decode(line)
            if _speaks(event) and event.at >= first_run:
                yield from commands_of(event, read)


def commands_of(event: Event, read: Read) -> Iterator[Given]:
    for found in find_commands(event.text, _above(event, read)):
        yield Given(_key(event, found), event.session, event.seq, event.at, event.cwd, found)


def _above(event: Event, read: Read) -> list[str]:
    """What the same message says in its parts before this one."""
    count = min(_part(event), PARTS_MAX, event.seq)
    if not count:
        return []
    before = decode_lines(read(event.session, event.seq - count, event.seq))
    return [each.text for each in before if _speaks(each) and each.source == event.source]


def _part(event: Event) -> int:
    """The last field is a version where a log is changed in place; the first one is 0."""
    return 0 if event.supersedes is not None else int(event.id.rpartition(".")[2])


def _speaks(event: Event) -> bool:
    return event.kind == Kind.USER and event.actor == "user" and not event.sidechain


def _key(event: Event, found: Found) -> str:
    record = event.source.uuid if event.source else ""
    whose = f"{event.source.agent}/{record}" if event.source and record else event.session
    hasher = hashlib.blake2b(digest_size=16)
    for piece in (whose, event.at, str(_part(event)), found.text, str(found.nth)):
        hasher.update(piece.encode("utf-8", "surrogatepass"))
        hasher.update(b"\0")
    return hasher.hexdigest()
