"""A small file that is written as a whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from holdfast.files import write_atomically


def test_what_cannot_be_written_whole_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.json"
    write_atomically(str(file), b"before")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    write = os.write

    def half(fd: int, content: bytes) -> int:
        return write(fd, content[: len(content) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="no space"):
        write_atomically(str(file), b"after")
    monkeypatch.undo()
    assert file.read_bytes() == b"before"
    write_atomically(str(file), b"after")
    assert file.read_bytes() == b"after"
