"""Runs of events <-> compressed bytes: the one format, in memory, on disk and on the wire.

A block is two zstd frames one after the other: a skippable frame with our header, then the
canonical lines. Every zstd tool passes over the first, so `zstd -d < block | jq` reads the events
without this program. The header carries a CRC-32 over itself and the compressed bytes, so damage is
found before the decompressor sees it.

    offset  bytes  what
    0       4      0x184D2A5B, a skippable frame of zstd
    4       4      24, the length of what follows
    8       3      "hfb"
    11      1      version of the format
    12      4      CRC-32 of bytes 16.. to the end
    16      8      sequence number of the first event
    24      4      how many events
    28      4      bytes of lines before compression
    32      ...    zstd frame

Rejected: a header of our own before the frame (no tool reads it), zstd's own checksum (it covers
the lines, so damage costs a decompression to find), one frame per event (1,050 B each, not 330).
"""

from __future__ import annotations

import struct
import threading
import weakref
from typing import ClassVar, Final
from zlib import crc32

import msgspec
import zstandard

from holdfast.errors import Exit, HoldfastError

VERSION: Final = 1
HEADER: Final = struct.Struct("<II3sBIQII")
HEADER_BYTES: Final = HEADER.size
COMPRESSION_LEVEL: Final = 3
# Of what the level looks back with: half of its own choice, which does not fit into the cache of a
# core. A block is a sixth faster so, and a thousandth larger.
HASH_LOG: Final = 16
CHAIN_LOG: Final = 15
_TYPICAL_BYTES: Final = 300_000

_SKIPPABLE_MAGIC: Final = 0x184D2A5B
_SKIPPABLE_BYTES: Final = HEADER_BYTES - 8
_CHECKED_FROM: Final = 16


class DamagedBlock(HoldfastError):
    """The bytes of a block are not what was written; only this block is lost."""

    exit: ClassVar[Exit] = Exit.JOURNAL


class NewerBlock(HoldfastError):
    """A newer holdfast wrote this block."""

    exit: ClassVar[Exit] = Exit.JOURNAL


class Block(msgspec.Struct, frozen=True, gc=False):
    """A sealed run of events; `data` is the whole of it, the rest is what its header says."""

    first_seq: int
    count: int
    raw_bytes: int
    data: bytes

    @property
    def next_seq(self) -> int:
        return self.first_seq + self.count


class _Held:
    """What the contexts of one thread take, as they said when they were last used."""

    __slots__ = ("__weakref__", "bytes")

    def __init__(self) -> None:
        self.bytes = 0


_all_held: Final[weakref.WeakSet[_Held]] = weakref.WeakSet()
_all_held_lock: Final = threading.Lock()


class _Contexts(threading.local):
    """zstd contexts are reused, and are not safe to share between threads."""

    def __init__(self) -> None:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            COMPRESSION_LEVEL,
            source_size=_TYPICAL_BYTES,
            hash_log=HASH_LOG,
            chain_log=CHAIN_LOG,
            write_checksum=False,
            write_content_size=True,
        )
        self.compressor = zstandard.ZstdCompressor(compression_params=parameters)
        self.decompressor = zstandard.ZstdDecompressor()
        self.held = _Held()  # ends with the thread
        with _all_held_lock:
            _all_held.add(self.held)

    def weigh(self) -> None:
        """On the thread itself: a context that is at work must not be looked into by another."""
        self.held.bytes = self.compressor.memory_size() + self.decompressor.memory_size()


_contexts: Final = _Contexts()


def contexts() -> tuple[int, int]:
    """How many threads have some, and the bytes that zstd keeps in them from block to block."""
    with _all_held_lock:
        sizes = [held.bytes for held in _all_held]
    return len(sizes), sum(sizes)


def seal(lines: bytes | bytearray | memoryview, first_seq: int, count: int) -> Block:
    frame = _contexts.compressor.compress(lines)
    _contexts.weigh()
    raw_bytes = len(lines)
    crc = crc32(frame, crc32(struct.pack("<QII", first_seq, count, raw_bytes)))
    header = HEADER.pack(
        _SKIPPABLE_MAGIC, _SKIPPABLE_BYTES, b"hfb", VERSION, crc, first_seq, count, raw_bytes
    )
    return Block(first_seq, count, raw_bytes, header + frame)


def parse(data: bytes) -> Block:
    """Check a block's header and checksum without decompressing it."""
    if len(data) < HEADER_BYTES:
        raise DamagedBlock(f"a block of {len(data)} bytes is shorter than its header")
    magic, length, name, version, crc, first_seq, count, raw_bytes = HEADER.unpack_from(data)
    if (magic, length, name) != (_SKIPPABLE_MAGIC, _SKIPPABLE_BYTES, b"hfb"):
        raise DamagedBlock("a block does not start with the header of a block")
    if version > VERSION:
        raise NewerBlock(
            f"a block has format {version}, this holdfast reads up to {VERSION}: upgrade holdfast"
        )
    if version < 1:
        raise DamagedBlock("a block has no version")
    if crc32(memoryview(data)[_CHECKED_FROM:]) != crc:
        raise DamagedBlock(f"the block of events {first_seq}.. fails its checksum")
    return Block(first_seq, count, raw_bytes, data)


def unseal(data: bytes) -> bytes:
    """The lines of a block, each with its newline; raises before it gives out a damaged one."""
    block = parse(data)
    try:
        lines = _contexts.decompressor.decompress(memoryview(data)[HEADER_BYTES:])
        _contexts.weigh()
    except zstandard.ZstdError as error:
        raise DamagedBlock(f"the block of events {block.first_seq}.. does not unpack") from error
    if len(lines) != block.raw_bytes:
        raise DamagedBlock(f"the block of events {block.first_seq}.. unpacks to a wrong length")
    return lines


def skip_lines(lines: bytes, count: int) -> int:
    """Where line number `count` starts; behind the last one when there are not so many."""
    position = 0
    for _ in range(count):
        newline = lines.find(b"\n", position)
        if newline < 0:
            return len(lines)
        position = newline + 1
    return position


def cut(lines: bytes, first_seq: int, from_seq: int, to_seq: int | None) -> bytes:
    """Of lines that start at `first_seq`, those of `from_seq` up to, not including, `to_seq`."""
    start = skip_lines(lines, from_seq - first_seq)
    if to_seq is None:
        return lines[start:]
    end = skip_lines(lines[start:], to_seq - max(first_seq, from_seq))
    return lines[start : start + end]
