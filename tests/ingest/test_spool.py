"""A compressed log is read as far as it can be, within bounds, and leaves nothing behind."""

from __future__ import annotations

import os
import random
import tracemalloc
from pathlib import Path
from typing import Final

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ingest import spool as spool_module
from holdfast.ingest.spool import FREE_BYTES_MIN, NoRoom, SpoolLimits, spooled

MIB: Final = 1 << 20
PLENTY: Final = 1 << 40


def pack(content: bytes, *, level: int = 3, **how: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(level, **how)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(content)


class Folder:
    """Where a compressed file is, and its spool."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.free = PLENTY
        self.problem = ""
        self.lost_bytes = 0

    def read(self, compressed: bytes, max_bytes: int = PLENTY) -> bytes:
        file = self.path / "x.jsonl.zst"
        file.write_bytes(compressed)
        fd = os.open(file, os.O_RDONLY)
        try:
            limits = SpoolLimits(str(self.path), max_bytes)
            with spooled(fd, limits, lambda _folder: self.free) as spool:
                assert os.listdir(self.path) == ["x.jsonl.zst"], "a spool has no name"
                self.problem, self.lost_bytes = spool.problem, spool.lost_bytes
                content = os.pread(spool.fd, spool.bytes + 1, 0)
                assert len(content) == spool.bytes
                return content
        finally:
            os.close(fd)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"a", b"line\n" * 100_000, os.urandom(300_000)])
def test_what_was_compressed_is_read(folder: Folder, content: bytes) -> None:
    assert folder.read(pack(content)) == content
    assert (folder.problem, folder.lost_bytes) == ("", 0)


def test_frames_stand_one_behind_the_other(folder: Folder) -> None:
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    whole = pack(b"one\n") + skippable + pack(b"") + pack(b"two\n" * 50_000) + pack(b"three")
    assert folder.read(whole) == b"one\n" + b"two\n" * 50_000 + b"three"
    assert folder.problem == ""


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=2_000), max_size=4), st.integers(1, 100_000))
def test_frames_are_read_wherever_they_are_cut(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], cut: int
) -> None:
    folder = Folder(tmp_path_factory.mktemp("spool"))
    whole = b"".join(map(pack, contents))
    assert folder.read(whole) == b"".join(contents)
    short = whole[: cut % (len(whole) + 1)]
    assert b"".join(contents).startswith(folder.read(short))


def test_a_frame_without_its_end_is_read_as_far_as_it_goes(folder: Folder) -> None:
    content = random.Random(1).randbytes(1_000_000)
    found = folder.read(pack(content)[:700_000])
    assert len(found) > 500_000
    assert content.startswith(found)
    assert "in the middle" in folder.problem
    assert folder.lost_bytes == 0


@pytest.mark.parametrize("before", [b"", b"first"])
def test_a_frame_without_its_end_of_which_nothing_comes_is_lost(
    folder: Folder, before: bytes
) -> None:
    packed = pack(random.Random(1).randbytes(20_000).hex().encode())[:12_000]
    assert folder.read((pack(before) if before else b"") + packed) == before
    assert folder.lost_bytes == 12_000


def test_what_is_damaged_costs_what_comes_behind_it(folder: Folder) -> None:
    first = random.Random(1).randbytes(500_000)
    damaged = pack(first) + b"\xff" * 1_000
    assert folder.read(damaged) == first
    assert "cannot be decompressed behind byte" in folder.problem
    assert folder.lost_bytes >= 1_000


def test_no_zstd_at_all(folder: Folder) -> None:
    assert folder.read(b"plain text\n" * 10) == b""
    assert folder.lost_bytes == 110


def test_a_bomb_is_not_read(folder: Folder) -> None:
    bomb = pack(bytes(64 * MIB))
    assert len(bomb) < 10_000
    assert folder.read(bomb, max_bytes=16 * MIB) == b""
    assert "ingest.max_decompressed_bytes" in folder.problem
    assert folder.lost_bytes == len(bomb)
    assert len(folder.read(bomb, max_bytes=64 * MIB)) == 64 * MIB


def test_a_bomb_takes_no_memory(folder: Folder) -> None:
    bomb = pack(bytes(256 * MIB), window_log=20)
    tracemalloc.start()
    try:
        folder.read(bomb, max_bytes=200 * MIB)
        assert tracemalloc.get_traced_memory()[1] < 24 * MIB
    finally:
        tracemalloc.stop()


def test_a_window_is_bounded(folder: Folder) -> None:
    content = os.urandom(MIB) * 65
    folder.read(pack(content, window_log=27))
    assert "window" in folder.problem


def test_room_is_left_on_the_disk(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.free = FREE_BYTES_MIN
    with pytest.raises(NoRoom, match="free some space"):
        folder.read(pack(b"x" * 100))
    monkeypatch.setattr(spool_module, "CHECK_BYTES", MIB)
    folder.free = FREE_BYTES_MIN + MIB - 1
    with pytest.raises(NoRoom):
        folder.read(pack(bytes(8 * MIB)))
