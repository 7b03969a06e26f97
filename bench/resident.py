"""What sealed history takes in memory, against plain zstd over the same events.

Every log of the full corpus goes through the real reader into a session store without limits. The
ceiling compresses each session's lines by themselves in blocks of 256 KB at level 3, as anybody
would who keeps nothing but the bytes.
"""

from __future__ import annotations

from typing import Final

import zstandard

from bench.kit.corpora import BLOCK_BYTES, described, read_log
from bench.kit.figures import Bar, Ceiling, Outcome, row
from bench.kit.setting import Setting
from holdfast import blocks
from holdfast.snapshots import SessionStore, StoreLimits

TITLE: Final = "Resident bytes of sealed history"

ZSTD_LEVEL: Final = 3
BUDGET_BYTES: Final = 1 << 40


def run(setting: Setting) -> Outcome:
    corpus = setting.corpora.full
    store = SessionStore(
        StoreLimits(
            budget_bytes=BUDGET_BYTES,
            max_sessions=len(corpus.files),
            max_events_per_session=10**9,
            block_bytes=BLOCK_BYTES,
        )
    )
    compress = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress
    lines_bytes = packed_bytes = sealed = 0
    for file in corpus.files:
        unpacked = bytearray()
        for batch in read_log(corpus.root, file.path, sealed=True):
            for block in batch.blocks:
                store.append_block(batch.facts.id, block)
                unpacked += blocks.unseal(block.data)
                sealed += 1
        lines_bytes += len(unpacked)
        packed_bytes += sum(len(compress(piece)) for piece in _pieces(unpacked))
    status = store.status()
    events, resident_bytes = status.resident_events, status.accounted_bytes
    store.close()
    packed = Ceiling(packed_bytes / 1e6, "zstd level 3 over the same events, 256 KB at a time")
    return Outcome(
        rows=[
            row(
                "resident, with all that it costs to find it",
                resident_bytes / 1e6,
                "MB",
                ceiling=packed,
                bar=Bar(1.15, "ratio"),
            ),
            row("as a share of the raw log", 100 * resident_bytes / corpus.bytes, "%"),
            row("as a share of the canonical events", 100 * resident_bytes / lines_bytes, "%"),
            row("per event", resident_bytes / events, "B"),
        ],
        corpus=described(corpus),
        notes=[
            (
                f"{events:,} events in {sealed:,} blocks of {len(corpus.files):,} sessions "
                "(files of sub-agents are sessions of their own). Images are not in it: they lie "
                "beside the journal and are never resident."
            )
        ],
    )


def _pieces(lines: bytearray) -> list[bytes]:
    """Whole lines, just as many as make 256 KB."""
    pieces = []
    start = 0
    while start < len(lines):
        end = lines.find(b"\n", min(start + BLOCK_BYTES, len(lines)) - 1) + 1
        pieces.append(bytes(lines[start:end]))
        start = end
    return pieces
