"""Logs that agents are going to delete, and whether each is kept: looked up, never assumed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

import msgspec

from holdfast.ingest.reading import was_rewritten
from holdfast.journal.model import Cursor
from holdfast.journal.protocol import JournalQuestions
from holdfast.sources.base import Expires, Expiring, Source

DAY_S: Final = 86_400
SHOWN_MAX: Final = 20


class NotKept(msgspec.Struct, frozen=True):
    path: str
    due_at: str
    why: str


class ExpiryStatus(msgspec.Struct, frozen=True):
    """What one agent deletes within `warn_days`."""

    warn_days: int
    retention: str
    files: int
    bytes: int
    due_files: int  # that may go now, at the agent's next start
    earliest_at: str  # from then on the first of them may go
    latest_at: str
    kept_files: int
    not_kept_files: int
    not_kept: list[NotKept]  # the first of them
    digest: str  # of which files these are, and which of them are kept


def expiry_of(
    source: Source, reader: JournalQuestions, *, now_s: float, warn_days: int
) -> ExpiryStatus | None:
    """None for an agent that deletes nothing, or nothing soon."""
    if not isinstance(source, Expires):
        return None
    files = due = kept = size = 0
    earliest_s, latest_s = float("inf"), 0.0
    lost: list[NotKept] = []
    digest = blake2b(digest_size=8)
    for log in source.expiring(now_s + warn_days * DAY_S):
        why = _missing(source, log, reader)
        files += 1
        size += log.size
        due += log.due_s <= now_s
        kept += not why
        earliest_s, latest_s = min(earliest_s, log.due_s), max(latest_s, log.due_s)
        digest.update(f"{log.path}\0{why}\0".encode("utf-8", "surrogateescape"))
        if why and len(lost) < SHOWN_MAX:
            shown = os.fsencode(log.path).decode("utf-8", "backslashreplace")
            lost.append(NotKept(shown, _instant(log.due_s), why))
    if not files:
        return None
    return ExpiryStatus(
        warn_days=warn_days,
        retention=source.retention(),
        files=files,
        bytes=size,
        due_files=due,
        earliest_at=_instant(earliest_s),
        latest_at=_instant(latest_s),
        kept_files=kept,
        not_kept_files=files - kept,
        not_kept=lost,
        digest=digest.hexdigest(),
    )


def expiry_by_agent(
    sources: Iterable[Source], reader: JournalQuestions, *, now_s: float, warn_days: int
) -> dict[str, ExpiryStatus]:
    found = {}
    for source in sources:
        expiry = expiry_of(source, reader, now_s=now_s, warn_days=warn_days)
        if expiry is not None:
            found[source.agent] = expiry
    return found


class Announced:
    """What was said of it last: once a day is enough, unless it is about other logs."""

    def __init__(self) -> None:
        self._day = ""
        self._digest = ""

    def is_new(self, day: str, found: Mapping[str, ExpiryStatus]) -> bool:
        """Whether it is to be said now; the next time it was."""
        before = self._day, self._digest
        self._day, self._digest = day, ",".join(each.digest for each in found.values())
        return before != (self._day, self._digest)


def _missing(source: Source, log: Expiring, reader: JournalQuestions) -> str:
    """Why a log is not kept as it is now; "" when the journal has all of it."""
    try:
        log.path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8: rename it"
    if source.identify(log.path) is None:
        return "it is none of the agent's logs"
    cursor = reader.cursor(source.agent, log.path)
    if cursor is None:
        return "it was never read"
    if cursor.error:
        return cursor.error
    if cursor.size != log.size:
        return "it changed since it was read"
    if cursor.torn:
        return f"its last {cursor.torn:,} bytes are no whole record"
    return _changed(log, cursor)


def _changed(log: Expiring, cursor: Cursor) -> str:
    """The size can be the same and the content another; the time, another without a change."""
    try:
        fd = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return error.strerror or str(error)
    try:
        return "it is no longer what was read" if was_rewritten(fd, cursor, log.size) else ""
    finally:
        os.close(fd)


def _instant(epoch_s: float) -> str:
    try:
        moment = datetime.fromtimestamp(epoch_s, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
