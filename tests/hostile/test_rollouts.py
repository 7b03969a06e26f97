"""Logs of Codex CLI in the shape of the largest one ever met take time and disk, not memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard

from bench.kit.giants import IMAGE_CHARS, write_rollout
from tests.support import processes
from tests.support.home import Home

FULL: Final = os.environ.get("HOLDFAST_TEST_FULL_SIZES") == "1"
ROLLOUT_BYTES: Final = 725_000_000 if FULL else 60_000_000
CEILING_BYTES: Final = 100 << 20
LONG_S: Final = 600.0


def write(home: Home) -> Path:
    root = Path(home.folder) / ".codex"
    write_rollout(root, ROLLOUT_BYTES)
    (path,) = (root / "sessions").rglob("*.jsonl")
    return path


def watched_import(home: Home) -> Any:
    importing = home.spawn("import", "--json", "--quiet")
    try:
        with processes.watch_memory(importing.pid) as peak:
            importing.communicate(timeout=LONG_S)
    finally:
        importing.kill()
        importing.communicate()
    print(f"peak {peak.bytes / 1e6:.1f} MB in {peak.samples} samples")
    assert importing.returncode == 0
    assert peak.samples > 3
    assert peak.bytes < CEILING_BYTES
    return home.ok("import", "--json").json


def check(home: Home, report: Any, size: int) -> None:
    counts = report["bytes"]
    assert counts["seen"] == size
    assert counts["skipped"] > 0.85 * size
    assert counts["unknown"] == counts["bad"] == 0
    with home.reader() as reader:
        (image,) = [blob for blob in reader.blobs() if blob.bytes > 100_000]
        assert image.bytes == IMAGE_CHARS * 3 // 4
        assert reader.totals().stored_bytes < 0.1 * size
    kept = sum(file.stat().st_size for file in Path(home.paths.data_dir).rglob("*"))
    assert kept < 0.25 * size


@pytest.mark.slow
def test_a_rollout_that_is_nearly_all_compactions_takes_little_memory(home: Home) -> None:
    path = write(home)
    check(home, watched_import(home), path.stat().st_size)


@pytest.mark.slow
def test_the_same_compressed(home: Home) -> None:
    path = write(home)
    size = path.stat().st_size
    with path.open("rb") as plain, path.with_suffix(".jsonl.zst").open("wb") as packed:
        zstandard.ZstdCompressor().copy_stream(plain, packed)
    path.unlink()
    check(home, watched_import(home), size)
