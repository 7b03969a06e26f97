"""A block gives back what was put in, or says that it cannot; every zstd tool reads it."""

from __future__ import annotations

import gc
import io
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import blocks
from holdfast.blocks import (
    DamagedBlock,
    NewerBlock,
    contexts,
    cut,
    parse,
    seal,
    skip_lines,
    unseal,
)

line = st.binary(max_size=40).map(lambda content: content.replace(b"\n", b" ") + b"\n")
runs = st.lists(line, max_size=12)
LINES = b"".join(b'{"seq":%d,"text":"hello"}\n' % seq for seq in range(7, 27))
BLOCK = seal(LINES, 7, 20)


@settings(deadline=None)
@given(runs, st.integers(0, 2**63))
def test_what_is_sealed_comes_back(lines: list[bytes], first_seq: int) -> None:
    raw = b"".join(lines)
    block = seal(raw, first_seq, len(lines))
    assert parse(block.data) == block
    assert (block.first_seq, block.count, block.raw_bytes) == (first_seq, len(lines), len(raw))
    assert block.next_seq == first_seq + len(lines)
    assert unseal(block.data) == raw


def test_views_and_buffers_are_sealed_as_bytes_are() -> None:
    assert seal(bytearray(LINES), 7, 20) == seal(memoryview(LINES), 7, 20) == BLOCK


@pytest.mark.parametrize("at", range(len(BLOCK.data)))
def test_each_changed_byte_is_found(at: int) -> None:
    for flip in (0x01, 0x80, 0xFF):
        changed = bytearray(BLOCK.data)
        changed[at] ^= flip
        with pytest.raises((DamagedBlock, NewerBlock)):
            unseal(bytes(changed))


@pytest.mark.parametrize("length", range(len(BLOCK.data)))
def test_each_missing_end_is_found(length: int) -> None:
    with pytest.raises(DamagedBlock):
        unseal(BLOCK.data[:length])


def test_what_stands_behind_a_block_is_found() -> None:
    with pytest.raises(DamagedBlock):
        parse(BLOCK.data + b"\0")


def test_a_block_of_a_newer_version_is_refused_with_what_to_do() -> None:
    newer = bytearray(BLOCK.data)
    newer[11] = blocks.VERSION + 1
    with pytest.raises(NewerBlock, match="upgrade holdfast"):
        parse(bytes(newer))


def test_a_checksum_that_fits_bytes_that_do_not_unpack_is_still_no_block() -> None:
    """Whoever makes the checksum right can only be a bug of ours: it is found all the same."""
    for frame in (b"no frame at all", zstandard.compress(LINES + b"more")):
        forged = bytearray(BLOCK.data[: blocks.HEADER_BYTES] + frame)
        forged[12:16] = crc32(forged[16:]).to_bytes(4, "little")
        parse(bytes(forged))
        with pytest.raises(DamagedBlock, match=r"events 7\.\."):
            unseal(bytes(forged))


def test_any_zstd_library_reads_a_block() -> None:
    with zstandard.ZstdDecompressor().stream_reader(
        io.BytesIO(BLOCK.data), read_across_frames=True
    ) as reader:
        assert reader.read() == LINES


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs the zstd program")
def test_the_zstd_program_reads_blocks_one_behind_the_other() -> None:
    several = BLOCK.data + seal(b'{"seq":27}\n', 27, 1).data
    done = subprocess.run(["zstd", "-dc"], input=several, capture_output=True, check=True)
    assert done.stdout == LINES + b'{"seq":27}\n'


@settings(deadline=None, max_examples=300)
@given(runs, st.integers(0, 5), st.integers(0, 20), st.none() | st.integers(0, 20))
def test_a_range_of_lines_is_what_slicing_a_list_gives(
    lines: list[bytes], first: int, start: int, stop: int | None
) -> None:
    numbered = list(enumerate(lines, first))
    wanted = [text for seq, text in numbered if seq >= start and (stop is None or seq < stop)]
    assert cut(b"".join(lines), first, start, stop) == b"".join(wanted)


def test_lines_are_counted_to_where_they_end() -> None:
    assert [skip_lines(b"a\nbb\n", count) for count in range(4)] == [0, 2, 5, 5]


def test_what_zstd_keeps_is_told_for_each_thread_and_goes_with_it() -> None:
    gc.collect()  # threads of other tests
    with ThreadPoolExecutor(1) as pool:
        before, _bytes = contexts()
        pool.submit(seal, b'{"seq":0}\n' * 1_000, 0, 1_000).result()
        threads, size = contexts()
        assert threads == before + 1
        assert size > 100_000, "zstd's tables"
    gc.collect()
    assert contexts()[0] == before
