"""Audit records on their way into the journal.

Whoever notes something is on the event loop and must not wait for a disk. So notes are handed to
the writer's thread only while there is room in its mailbox; else they stay here, and the oldest go
when there are too many: the audit log has each of them too.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from holdfast.clock import instant
from holdfast.governor.protocol import Level, Usage
from holdfast.journal.model import AuditRecord
from holdfast.journal.service import JournalService

WAITING_MAX: Final = 256
HANDED_OVER_AT: Final = 64


class Notes:
    """Lives on the event loop; is a `Bounded`."""

    name: Final = "audit records"

    def __init__(self) -> None:
        self._waiting: Final[deque[AuditRecord]] = deque(maxlen=WAITING_MAX)
        self._bytes = 0
        self.dropped = 0  # since the start

    def usage(self) -> Usage:
        return Usage(
            bytes=self._bytes,
            items=len(self._waiting),
            limit_bytes=None,
            limit_items=WAITING_MAX,
        )

    def relieve(self, level: Level, target_bytes: int) -> int:  # noqa: ARG002 - the protocol's
        """Nothing: they are few, and leave as soon as the writer has time for them."""
        return 0

    def add(self, action: str, fields: object) -> None:
        record = AuditRecord(instant(), action, msgspec.Raw(msgspec.json.encode(fields)))
        if len(self._waiting) == WAITING_MAX:
            self._bytes -= _size(self._waiting[0])
            self.dropped += 1
        self._waiting.append(record)
        self._bytes += _size(record)

    @property
    def are_many(self) -> bool:
        return len(self._waiting) >= HANDED_OVER_AT

    def hand_over(self, journal: JournalService) -> None:
        """To the writer's thread if it has room; never waits."""
        records = list(self._waiting)
        if records and journal.offer(lambda writer: writer.audit(records)) is not None:
            self._forget()

    def store(self, journal: JournalService) -> None:
        """All of them, whatever waits before: for a thread."""
        records = list(self._waiting)
        if records:
            journal.audit(records)
            self._forget()

    def _forget(self) -> None:
        self._waiting.clear()
        self._bytes = 0


def _size(record: AuditRecord) -> int:
    return len(record.at) + len(record.action) + len(bytes(record.detail))
