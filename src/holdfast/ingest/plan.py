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
from holdfast.ingest.kinship import beginning, is_settled, peek, relatives
from holdfast.ingest.reading import (
    COMPARE_AHEAD_BYTES,
    fresh_incarnation,
    starting_cursor,
    was_rewritten,
)
from holdfast.journal.model import Cursor, Facts, Mark
from holdfast.journal.protocol import JournalQuestions, JournalReader
from holdfast.sources.base import (
    MEMBER,
    ItemSource,
    Log,
    Source,
    Stamp,
    is_compressed,
    is_utf8_path,
    store_of_key,
    tells_items,
    tells_lines,
)
from holdfast.sources.walk import walk_folders

NOTHING_EXCLUDED: Final[Mapping[str, tuple[str, ...]]] = {}
ANY_MEMBER: Final = "0"
NOT_UTF8: Final = "its name is not UTF-8: rename it"


class Pending(msgspec.Struct, frozen=True, order=True, gc=False):
    """A log with something to read; oldest first, so that the newest are the ones that stay."""

    mtime_ns: int
    path: str
    agent: str
    unread_bytes: int = 0


class Plan(msgspec.Struct):
    pending: list[Pending] = []
    unread_bytes: int = 0
    first_readings: int = 0  # of logs that are changed in place: each takes a child
    gone: list[tuple[str, str]] = []  # agent, path
    problems: dict[str, str] = {}  # path -> what the system said

    def add(self, pending: Pending) -> None:
        self.pending.append(pending)
        self.unread_bytes += pending.unread_bytes


def make_plan(
    sources: Mapping[str, Source],
    reader: JournalQuestions,
    excluded: Mapping[str, tuple[str, ...]] = NOTHING_EXCLUDED,
) -> Plan:
    plan = Plan()
    in_place: dict[str, dict[str, Mark]] = {agent: {} for agent in sources}
    for mark in reader.marks():
        source = sources.get(mark.agent)
        if source is None:
            continue
        if store_of_key(source, mark.path) is None:
            _look_at_known(mark, plan, excluded.get(mark.agent, ()))
        else:
            in_place[mark.agent][mark.path] = mark
    for source in sources.values():
        marks = in_place[source.agent]
        looked_into: set[str] = set()
        for root in source.roots():
            for folder, names in walk_folders(
                root, lambda path, error: _note(plan, path, error), enters=source.enters
            ):
                if is_utf8_path(folder):
                    _look_for_new(source, folder, names, reader, plan)
                    looked_into |= _look_into_stores(
                        source, folder, names, marks, plan, excluded.get(source.agent, ())
                    )
                else:
                    plan.problems[_shown(folder)] = NOT_UTF8
        _look_for_gone(source, marks, looked_into, plan)
    plan.pending.sort()
    return plan


def _look_into_stores(
    source: Source,
    folder: str,
    names: list[str],
    marks: dict[str, Mark],
    plan: Plan,
    excluded: tuple[str, ...],
) -> set[str]:
    """Logs that are changed in place; of `marks`, what is left at the end was not met.

    Gives the files of which every log was met.
    """
    looked_into: set[str] = set()
    if not tells_items(source):
        return looked_into
    for name in names:
        path = os.path.join(folder, name)
        if not is_utf8_path(path) or not _is_store(source, path):
            continue
        try:
            found = list(source.logs(path))
            share = os.path.getsize(path) // max(1, len(found))
            for log, stamp in found:
                _look_at_in_place(log, stamp, marks.pop(log.key, None), share, plan, excluded)
            looked_into.add(path)
        except FileNotFoundError:
            continue  # whether that is the file itself is found out at the end
        except OSError as error:
            _note(plan, path, error)
    return looked_into


def _is_store(source: ItemSource, path: str) -> bool:
    """Whether logs are in the file at a path: it is one, or there are keys of logs in it.

    Of a file that only belongs to a log, `store_of` may have to look for that log.
    """
    log = source.identify(path)
    if log is None:
        return source.identify(f"{path}{MEMBER}{ANY_MEMBER}") is not None
    return log.in_place and log.path == path


def _look_at_in_place(
    log: Log,
    stamp: Stamp,
    mark: Mark | None,
    share: int,
    plan: Plan,
    excluded: tuple[str, ...],
) -> None:
    if not is_changed(mark, stamp) and (mark is None or not _is_let_in(mark, excluded)):
        return
    is_first = mark is None or mark.mtime_ns <= 0
    plan.first_readings += is_first and bool(log.member)
    if mark is not None and _is_as_seen(mark, stamp):
        unread_bytes = 0  # it could not be read, or was left alone
    elif log.member:
        # Nobody has weighed one session among many: it is taken to have its share.
        unread_bytes = share if is_first else 1
    else:
        unread_bytes = stamp.size
    plan.add(Pending(stamp.mtime_ns, log.key, log.agent, unread_bytes))


def _look_for_gone(
    source: Source, marks: Mapping[str, Mark], looked_into: set[str], plan: Plan
) -> None:
    """Only what is known not to be there is gone: a folder may just refuse to be listed."""
    for mark in marks.values():
        store = store_of_key(source, mark.path)
        if mark.gone_at or store is None:
            continue
        if store in looked_into or _is_missing(store, plan):
            plan.gone.append((mark.agent, mark.path))


def _is_missing(path: str, plan: Plan) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        _note(plan, path, error)
    return False


def is_changed(mark: Mark | Cursor | None, stamp: Stamp) -> bool:
    """Whether a log is not as it was when it was last read."""
    if mark is None or mark.gone_at or mark.error:
        return True
    return not _is_as_seen(mark, stamp)


def _is_as_seen(mark: Mark | Cursor, stamp: Stamp) -> bool:
    return (mark.size, mark.mtime_ns) == (stamp.size, stamp.mtime_ns)


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
    unread_bytes = 0
    if (mark.size, mark.mtime_ns) == (about.st_size, about.st_mtime_ns):
        let_in = _is_let_in(mark, excluded)
        # What is wrong with a compressed log does not change while the file does not.
        if not mark.gone_at and not let_in and (not mark.error or is_compressed(mark.path)):
            return
    elif about.st_size > mark.size:
        unread_bytes = about.st_size - mark.size
    elif about.st_size < mark.size:
        unread_bytes = about.st_size  # it was written anew
    plan.add(Pending(about.st_mtime_ns, mark.path, mark.agent, unread_bytes))


def _is_let_in(mark: Mark, excluded: tuple[str, ...]) -> bool:
    """Whether a log that was left alone is to be read now."""
    return bool(mark.excluded) and not is_excluded(mark.excluded, excluded)


def _look_for_new(
    source: Source, folder: str, names: list[str], reader: JournalQuestions, plan: Plan
) -> None:
    paths = [os.path.join(folder, name) for name in names if name.endswith(source.suffixes())]
    if not paths:
        return
    known = reader.known_paths(source.agent, folder)
    for path in paths:
        if not is_utf8_path(path):
            plan.problems[_shown(path)] = NOT_UTF8
            continue
        log = source.identify(path) if path not in known else None
        if log is None or log.in_place:
            continue
        try:
            about = os.stat(path)
        except FileNotFoundError:
            continue  # gone since it was listed, or a link to nothing
        except OSError as error:
            _note(plan, path, error)
            continue
        if stat.S_ISREG(about.st_mode):
            plan.add(Pending(about.st_mtime_ns, path, source.agent, about.st_size))


def _note(plan: Plan, path: str, error: OSError) -> None:
    plan.problems[_shown(path)] = error.strerror or str(error)


def _shown(path: str) -> str:
    """A path that can be told to people, whatever its bytes are."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def make_job(source: Source, log: Log, reader: JournalReader, facts: Facts | None = None) -> Job:
    """How to read a log on from where it was left, or anew when it was rewritten.

    `facts` are what `peek` gives of it, for who has looked already.
    """
    session = session_id(log.agent, log.agent_session_id)
    row = reader.session(session)
    events = row.events if row else 0
    cursor = _cursor(log, reader)
    if log.in_place:  # its items are known by their names, wherever they were read
        return Job(log, cursor, events)
    # Another log may have given this session its events: what both hold is stored once.
    unread = not cursor.offset and not cursor.compare_until
    if is_compressed(log.path):
        if events or cursor.offset:  # it is another one than before, or what another log was
            cursor = _anew(log, cursor, reader)
    elif events if unread else _is_rewritten(log.path, cursor):
        cursor = _anew(log, cursor, reader)
    elif cursor.gone_at:  # it was elsewhere meanwhile, or compressed, and may have been read there
        until = os.path.getsize(log.path) + COMPARE_AHEAD_BYTES
        cursor = replace(cursor, compare_until=max(cursor.compare_until, until))
    settled = row is not None and is_settled(row, row.events)
    if not settled and not cursor.must_compare and _has_relatives(source, log, reader, facts):
        cursor = replace(cursor, compare_until=max(os.path.getsize(log.path), 1))
    return Job(log, cursor, events, settled=settled)


def _has_relatives(source: Source, log: Log, reader: JournalReader, facts: Facts | None) -> bool:
    assert tells_lines(source)
    return bool(relatives(peek(source, log) if facts is None else facts, reader))


def _cursor(log: Log, reader: JournalReader) -> Cursor:
    """Where a log was left; every log of a session has an origin of its own."""
    session = session_id(log.agent, log.agent_session_id)
    known = reader.cursor(log.agent, log.key)
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
    if not excluded or log.in_place:  # of those, whoever reads them finds out
        return None
    about = os.stat(log.path)
    names = source.projects_of(log, beginning(log.path))
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
