"""What SQLite holds in this process, as a component of the governor.

SQLite counts its own allocations, all connections together: page caches, the index's buffers,
statements. Beside them wait the batches that are not stored yet. Under pressure the writer gives
its cache back between two groups.
"""

from __future__ import annotations

from typing import Final

import apsw

from holdfast.governor.protocol import Level, Usage
from holdfast.journal.mailbox import WAITING_BYTES_MAX
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import READER_CACHE_KB, WRITER_CACHE_KB

# Beside its page caches: prepared statements, the index's hash table, lookaside memory.
WORKING_KB: Final = 4_096


class JournalFootprint:
    name: Final = "journal"

    def __init__(self, journal: JournalService, *, readers: int) -> None:
        self._journal = journal
        caches_kb = WRITER_CACHE_KB + READER_CACHE_KB * readers + WORKING_KB
        self._limit_bytes = caches_kb * 1024 + WAITING_BYTES_MAX

    def usage(self) -> Usage:
        return Usage(
            bytes=apsw.memory_used() + self._journal.waiting_bytes,
            items=self._journal.waiting,
            limit_bytes=self._limit_bytes,
        )

    def relieve(self, level: Level, target_bytes: int) -> int:
        """Asks for it only: the writer answers between two groups, the next step sees it."""
        if level >= Level.HIGH and target_bytes > 0 and self._journal.waiting == 0:
            self._journal.call(lambda writer: writer.release_memory())
        return 0
