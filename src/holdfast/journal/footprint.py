"""What the journal holds in this process, as components of the governor.

SQLite counts its own allocations, all connections together: page caches, the index's buffers,
statements. Under pressure the writer gives its cache back between two groups. Beside SQLite wait
the batches that are not stored yet, and the texts of what is stored that the index has not been
fed.
"""

from __future__ import annotations

from typing import Final

import apsw

from holdfast.blocks import contexts
from holdfast.governor.protocol import Level, Usage
from holdfast.governor.readings import TreeMemory
from holdfast.journal.mailbox import WAITING_BYTES_MAX, WAITING_MAX
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import CHECKPOINTER_CACHE_KB, READER_CACHE_KB, WRITER_CACHE_KB
from holdfast.journal.unindexed import BYTES_MAX

# Beside its page caches: prepared statements, the index's hash table, lookaside memory.
WORKING_KB: Final = 4_096


class JournalFootprint:
    """A `Fleeting`: merging the index takes tens of megabytes for some milliseconds."""

    name: Final = "journal"

    def __init__(self, journal: JournalService, *, readers: int) -> None:
        self._journal = journal
        caches_kb = WRITER_CACHE_KB + READER_CACHE_KB * readers + CHECKPOINTER_CACHE_KB + WORKING_KB
        self._limit_bytes = caches_kb * 1024

    def reading_begins(self) -> None:
        apsw.memory_high_water(reset=True)

    def usage_in(self, _tree: TreeMemory) -> Usage:
        return self._usage(apsw.memory_high_water())

    def usage(self) -> Usage:
        return self._usage(apsw.memory_used())

    def _usage(self, size: int) -> Usage:
        return Usage(
            bytes=size, items=self._journal.connections_open, limit_bytes=self._limit_bytes
        )

    def relieve(self, level: Level, target_bytes: int) -> int:
        """Asks for it only: the writer answers between two groups, the next step sees it."""
        if level >= Level.HIGH and target_bytes > 0:
            self.release()
        return 0

    def release(self) -> None:
        if self._journal.waiting == 0:
            self._journal.offer(lambda writer: writer.release_memory())


class Compression:
    """What zstd keeps for the next block, for each thread that packs or unpacks some."""

    name: Final = "compression"

    def usage(self) -> Usage:
        threads, size = contexts()
        return Usage(bytes=size, items=threads, limit_bytes=None)

    def relieve(self, _level: Level, _target_bytes: int) -> int:
        """Nothing: it would be made anew with the next block."""
        return 0


class WaitingBatches:
    """What waits for the writer's thread. Its limit is kept by making whoever brings more wait."""

    name: Final = "waiting batches"

    def __init__(self, journal: JournalService) -> None:
        self._journal = journal

    def usage(self) -> Usage:
        return Usage(
            bytes=self._journal.waiting_bytes,
            items=self._journal.waiting,
            limit_bytes=WAITING_BYTES_MAX,
            limit_items=WAITING_MAX,
        )

    def relieve(self, _level: Level, _target_bytes: int) -> int:
        """Nothing of it can be let go of; it is written as fast as that can be done."""
        return 0


class UnindexedTexts:
    """What is stored and remembered for the index, which is fed when there is time for it."""

    name: Final = "unindexed texts"

    def __init__(self, journal: JournalService) -> None:
        self._journal = journal

    def usage(self) -> Usage:
        return Usage(
            bytes=self._journal.unindexed_bytes,
            items=self._journal.index_lag,
            limit_bytes=BYTES_MAX,
        )

    def relieve(self, _level: Level, _target_bytes: int) -> int:
        """Feeding the index takes more memory than it gives back: it waits."""
        return 0
