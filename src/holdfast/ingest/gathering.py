"""Events of one session on their way into batches: numbered, encoded, their texts and tokens kept.

The import children hand out sealed blocks, the daemon's tail hands out lines.
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast import blocks
from holdfast.blobstore import BlobStore
from holdfast.events import Event, encode_onto
from holdfast.journal.index import text_of
from holdfast.journal.model import NO_USAGE, Batch, Cursor, Facts, ItemMark, Text

TEXTS_BYTES_MAX: Final = 1_000_000


class ReadingLimits(msgspec.Struct, frozen=True):
    block_bytes: int
    max_line_bytes: int


class Gathering:
    """What the next batch will hold."""

    def __init__(self, first_seq: int, block_bytes: int, blobs: BlobStore, *, sealed: bool) -> None:
        self.seq = first_seq
        self.lines = bytearray()
        self.text_bytes = 0
        self.items: list[ItemMark] = []
        self._first_seq = first_seq
        self._block_bytes = block_bytes
        self._blobs = blobs
        self._sealed = sealed
        self._texts: list[Text] = []
        self._usage = NO_USAGE

    @property
    def is_full(self) -> bool:
        return len(self.lines) >= self._block_bytes or self.text_bytes > TEXTS_BYTES_MAX

    def add(self, event: Event) -> None:
        """The event gets its number; its id is the caller's."""
        event.seq = self.seq
        encode_onto(event, self.lines)
        self.seq += 1
        if event.usage is not None:
            self._usage = self._usage.plus(event.usage)
        text = text_of(event)
        if text is not None:
            self._texts.append(text)
            self.text_bytes += len(text.text)

    def batch(self, facts: Facts, cursor: Cursor, unknown: dict[str, tuple[int, int]]) -> Batch:
        """All of it, with the cursor that is true once it is stored; `unknown` is emptied."""
        count = self.seq - self._first_seq
        batch = Batch(
            facts=facts,
            first_seq=self._first_seq,
            cursor=cursor,
            usage=self._usage,
            texts=self._texts,
            unknown_types=dict(unknown),
            blobs=self._blobs.take_stored(),
            items=self.items,
        )
        unknown.clear()
        if count and self._sealed:
            batch.blocks = [blocks.seal(self.lines, self._first_seq, count)]
        elif count:
            batch.lines, batch.line_count = bytes(self.lines), count
        self._first_seq = self.seq
        self.lines.clear()
        self._texts = []
        self.text_bytes = 0
        self.items = []
        self._usage = NO_USAGE
        return batch
