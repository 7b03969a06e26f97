"""What there is to read: every log of every source against what the journal knows of it.

The plan holds names only, so that a hundred thousand logs cost a name each; how to read one is
worked out when its turn comes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from holdfast.events import session_id
from holdfast.ingest.child import Job
from holdfast.ingest.exclusion import is_excluded
from holdfast.ingest.reading import fresh_incarnation, starting_cursor, was_rewritten
from holdfast.journal.model import Cursor, Mark
from holdfast.journal.protocol import JournalReader
from holdfast.sources.base import Log, Source, is_utf8_path
from holdfast.sources.walk import walk_folders

PROJECT_BYTES_MAX: Final = 1_048_576  # of a log's beginning: its project stands there
NOTHING_EXCLUDED: Final[Mapping[str, tuple[str, ...]]] = {}
NOT_UTF8: Final = "its name is not UTF-8: rename it"


class Pending(msgspec.Struct, frozen=True, order=True, gc=False):
    """A log with something to read; oldest first, so that the newest are the ones that stay."""

    mtime_ns: int
    path: str
    agent: str


class Plan(msgspec.Struct):
    pending: list[Pending] = []
    unread_bytes: int = 0
    gone: list[tuple[str, str]] = []  # agent, path
    problems: dict[str, str] = {}  # path -> what the system said


def make_plan(
    sources: Mapping[str, Source],
    reader: JournalReader,
    excluded: Mapping[str, tuple[str, ...]] = NOTHING_EXCLUDED,
) -> Plan:
    plan = Plan()
    for mark in reader.marks():
        if mark.agent in sources:
            _look_at_known(mark, plan, excluded.get(mark.agent, ()))
    for source in sources.values():
        for root in source.roots():
            for folder, names in walk_folders(root, lambda path, error: _note(plan, path, error)):
                if is_utf8_path(folder):
                    _look_for_new(source, folder, names, reader, plan)
                else:
                    plan.problems[_shown(folder)] = NOT_UTF8
    plan.pending.sort()
    return plan


def _look_at_known(mark: Mark, plan: Plan, excluded: tuple[str, ...]) -> None:
    try:
        about = os.stat(mark.path)
    except FileNotFoundError:
        if not mark.gone_at:
            plan.gone.append((mark.agent, mark.path))
        return
    except OSError as error:
        _note(plan, mark.path, error)
        return
    if not stat.S_ISREG(about.st_mode):
        plan.problems[mark.path] = "is no longer a file"
        return
    if (mark.size, mark.mtime_ns) == (about.st_size, about.st_mtime_ns):
        if not mark.gone_at and not mark.error and not _is_let_in(mark, excluded):
            return
    elif about.st_size > mark.size:
        plan.unread_bytes += about.st_size - mark.size
    plan.pending.append(Pending(about.st_mtime_ns, mark.path, mark.agent))


def _is_let_in(mark: Mark, excluded: tuple[str, ...]) -> bool:
    """Whether a log that was left alone is to be read now."""
    return bool(mark.excluded) and not is_excluded(mark.excluded, excluded)


def _look_for_new(
    source: Source, folder: str, names: list[str], reader: JournalReader, plan: Plan
) -> None:
    paths = [os.path.join(folder, name) for name in names if name.endswith(source.suffixes())]
    if not paths:
        return
    known = reader.known_paths(source.agent, folder)
    for path in paths:
        if not is_utf8_path(path):
            plan.problems[_shown(path)] = NOT_UTF8
            continue
        if path in known or source.identify(path) is None:
            continue
        try:
            about = os.stat(path)
        except FileNotFoundError:
            continue  # gone since it was listed, or a link to nothing
        except OSError as error:
            _note(plan, path, error)
            continue
        if stat.S_ISREG(about.st_mode):
            plan.pending.append(Pending(about.st_mtime_ns, path, source.agent))
            plan.unread_bytes += about.st_size


def _note(plan: Plan, path: str, error: OSError) -> None:
    plan.problems[_shown(path)] = error.strerror or str(error)


def _shown(path: str) -> str:
    """A path that can be told to people, whatever its bytes are."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def make_job(log: Log, reader: JournalReader) -> Job:
    """How to read a log on from where it was left, or anew when it was rewritten."""
    session = session_id(log.agent, log.agent_session_id)
    row = reader.session(session)
    events = row.events if row else 0
    cursor = _cursor(log, reader)
    # Another log may have given this session its events: what both hold is stored once.
    unread = not cursor.offset and not cursor.compare_until
    if (events and unread) or _is_rewritten(log.path, cursor):
        cursor = _anew(log, cursor, reader)
    return Job(log, cursor, events)


def _cursor(log: Log, reader: JournalReader) -> Cursor:
    """Where a log was left; every log of a session has an origin of its own."""
    session = session_id(log.agent, log.agent_session_id)
    known = reader.cursor(log.agent, log.path)
    return known or starting_cursor(log, session, reader.next_origin(session))


def _anew(log: Log, cursor: Cursor, reader: JournalReader) -> Cursor:
    origin = reader.next_origin(cursor.session)
    return fresh_incarnation(cursor, origin, os.path.getsize(log.path))


def unreadable(log: Log, reader: JournalReader, problem: str) -> Cursor:
    """The cursor of a log that cannot be read now: it says why, and moves nowhere."""
    return replace(_cursor(log, reader), error=problem)


def excluded_cursor(
    source: Source, log: Log, reader: JournalReader, excluded: tuple[str, ...]
) -> Cursor | None:
    """The cursor of a log of which nothing is kept: it says why, and moves nowhere."""
    if not excluded:
        return None
    fd = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        about = os.fstat(fd)
        names = source.projects_of(log, os.pread(fd, PROJECT_BYTES_MAX, 0))
    finally:
        os.close(fd)
    project = next((name for name in names if is_excluded(name, excluded)), "")
    if not project:
        return None
    return replace(
        _cursor(log, reader),
        size=about.st_size,
        mtime_ns=about.st_mtime_ns,
        gone_at="",
        error="",
        excluded=project,
    )


def gone(cursor: Cursor) -> Cursor:
    """The log was deleted; what was read of it stays."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return replace(cursor, gone_at=now, size=cursor.offset)


def _is_rewritten(path: str, cursor: Cursor) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return was_rewritten(fd, cursor, os.fstat(fd).st_size)
    finally:
        os.close(fd)
