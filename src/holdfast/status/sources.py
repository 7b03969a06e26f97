"""What `holdfast sources` says of each agent: where its logs are, what was found, what waits."""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from holdfast.ingest.importer import ByteCounts, byte_counts
from holdfast.ingest.plan import make_plan
from holdfast.journal.model import FilesLedger, UnknownType
from holdfast.journal.protocol import JournalQuestions
from holdfast.sources.base import Source
from holdfast.status.expiry import ExpiryStatus, expiry_of

NOTHING = FilesLedger(0, 0, 0, 0, 0, 0, 0, 0, "")


class RootReport(msgspec.Struct, frozen=True):
    path: str
    exists: bool


class FileError(msgspec.Struct, frozen=True):
    path: str
    error: str


class SourceReport(msgspec.Struct, frozen=True):
    """One agent. Its logs are counted by the journal; what waits, by a look at its folders."""

    agent: str
    name: str
    enabled: bool
    origin: str  # who says where its logs are: a setting, a variable, or the agent's default
    roots: list[RootReport]
    files: int
    gone_files: int
    unreadable_files: int
    sessions: int
    events: int
    bytes: ByteCounts
    unread_files: int
    lag_bytes: int  # not read yet
    unknown_types: list[UnknownType]
    errors: list[FileError]
    expiring: ExpiryStatus | None


def source_reports(
    sources: Iterable[tuple[Source, bool]],
    reader: JournalQuestions | None,
    *,
    now_s: float,
    warn_days: int,
) -> list[SourceReport]:
    """In the order of names; without a journal, where each agent is looked for."""
    every = list(sources)
    totals = reader.agent_totals() if reader else {}
    unknown = reader.unknown_types() if reader else []
    waiting = _waiting([source for source, enabled in every if enabled], reader) if reader else {}
    reports = []
    for source, enabled in every:
        agent = source.agent
        ledger = reader.ledger(agent) if reader else NOTHING
        sessions, events = totals.get(agent, (0, 0))
        unread_files, lag_bytes = waiting.get(agent, (0, 0))
        reports.append(
            SourceReport(
                agent=agent,
                name=source.name,
                enabled=enabled,
                origin=source.place.origin,
                roots=[RootReport(root, os.path.isdir(root)) for root in source.roots()],
                files=ledger.files,
                gone_files=ledger.gone,
                unreadable_files=ledger.unreadable,
                sessions=sessions,
                events=events,
                bytes=byte_counts(ledger),
                unread_files=unread_files,
                lag_bytes=lag_bytes,
                unknown_types=[each for each in unknown if each.agent == agent],
                errors=[FileError(*each) for each in reader.file_errors(agent)] if reader else [],
                expiring=expiry_of(source, reader, now_s=now_s, warn_days=warn_days)
                if reader and enabled
                else None,
            )
        )
    return reports


def _waiting(sources: list[Source], reader: JournalQuestions) -> dict[str, tuple[int, int]]:
    """Of each agent the logs that changed since they were read, and their unread bytes."""
    found: dict[str, tuple[int, int]] = {}
    plan = make_plan({source.agent: source for source in sources}, reader)
    for pending in plan.pending:
        cursor = reader.cursor(pending.agent, pending.path)
        if cursor is not None and (cursor.excluded or not pending.unread_bytes):
            continue  # it is left alone, only its time changed, or it cannot be read
        files, lag_bytes = found.get(pending.agent, (0, 0))
        found[pending.agent] = files + 1, lag_bytes + pending.unread_bytes
    return found
