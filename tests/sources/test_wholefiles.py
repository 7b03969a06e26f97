"""What tells that a file that is written anew as a whole has changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from holdfast.blobstore import BlobStore
from holdfast.journal.model import Facts
from holdfast.sources.base import Log, Means
from holdfast.sources.telling import Told
from holdfast.sources.wholefiles import YOUNG_NS, FileReader

HOUR_NS = 3_600_000_000_000


class Silent:
    """Tells nothing."""

    def __init__(self) -> None:
        self.facts = Facts(id="s", agent="claude", agent_session_id="s")
        self.unknown: dict[str, tuple[int, int]] = {}

    def parse(self, offset: int, line: bytes) -> Told:
        raise NotImplementedError(offset, line)

    def member(self, key: str, offset: int, content: bytes) -> Told:
        raise NotImplementedError(key, offset, content)


@pytest.mark.parametrize(("ahead_ns", "again"), [(0, 1), (HOUR_NS, 0), (-HOUR_NS, 0)])
def test_only_a_change_of_just_now_is_looked_at_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_ns: int, again: int
) -> None:
    """A clock that was ahead when the file was written must not have it read until then."""
    path = tmp_path / "a.json"
    path.write_text("{}")
    now_ns = time.time_ns()
    changed_ns = now_ns + ahead_ns
    os.utime(path, ns=(changed_ns, changed_ns))
    monkeypatch.setattr(time, "time_ns", lambda: now_ns + YOUNG_NS // 2)
    means = Means(BlobStore(str(tmp_path / "blobs")), bytes, 1_000)
    reader = FileReader(
        Log("claude", str(path), str(tmp_path), "s", in_place=True), means, Silent()
    )
    reader.close()
    assert reader.stamp.mtime_ns == changed_ns - again
