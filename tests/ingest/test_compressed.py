"""Compressed logs in the running program: nothing lost, nothing repeated, every byte counted."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard

from holdfast.events import session_id
from tests.support import processes
from tests.support.codex import NAME, THREAD, assistant, meta, user
from tests.support.home import Home
from tests.support.waiting import until

SESSION: Final = session_id("codex", THREAD)


class Rollout:
    """One session of Codex CLI in a home, plain or compressed."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.folder = Path(home.folder) / ".codex" / "sessions" / "2026" / "01" / "05"
        self.folder.mkdir(parents=True)
        self.plain = self.folder / NAME
        self.packed = self.folder / f"{NAME}.zst"
        self.archived = Path(home.folder) / ".codex" / "archived_sessions" / NAME

    def said(self, *texts: str) -> bytes:
        records = [
            meta(),
            *(turn for text in texts for turn in (user(text), assistant(f"{text}!"))),
        ]
        return b"".join(json.dumps(record).encode() + b"\n" for record in records)

    def pack(self, content: bytes) -> int:
        """Put the compressed file where it belongs in one step, as Codex does."""
        partial = self.folder / "partial"
        partial.write_bytes(zstandard.ZstdCompressor().compress(content))
        partial.rename(self.packed)
        return self.packed.stat().st_size

    def texts(self) -> list[str]:
        shown = self.home.ok("show", THREAD, "--all", "--json").json["shown"]
        return [event["text"] for event in shown if event["kind"].startswith("message.")]

    def ledger(self) -> dict[str, Any]:
        sources = self.home.ok("status", "--json").json["sources"]
        found: dict[str, Any] = next(each for each in sources if each["agent"] == "codex")
        return found


@pytest.fixture
def rollout(home: Home) -> Rollout:
    return Rollout(home)


def imported(home: Home, *arguments: str, code: int = 0) -> Any:
    done = home.run("import", "--json", "--quiet", *arguments)
    assert done.code == code, done
    return done.json


def test_a_log_that_is_only_there_compressed(rollout: Rollout) -> None:
    content = rollout.said("a", "b")
    rollout.pack(content)
    report = imported(rollout.home)
    assert rollout.texts() == ["a", "a!", "b", "b!"]
    assert (report["bytes"]["seen"], report["bytes"]["parsed"]) == (len(content),) * 2
    assert report["problems"] == []
    assert imported(rollout.home)["imported_bytes"] == 0


def test_a_log_that_is_compressed_later_repeats_and_loses_nothing(rollout: Rollout) -> None:
    rollout.plain.write_bytes(rollout.said("a"))
    imported(rollout.home)
    rollout.pack(rollout.said("a", "b"))
    rollout.plain.unlink()
    report = imported(rollout.home)
    assert rollout.texts() == ["a", "a!", "b", "b!"]
    assert report["bytes"]["bad"] == 0
    assert report["sessions"] == 1
    rollout.plain.write_bytes(rollout.said("a", "b", "c"))  # it is taken up again
    rollout.packed.unlink()
    imported(rollout.home)
    assert rollout.texts() == ["a", "a!", "b", "b!", "c", "c!"]


def test_what_is_known_is_compared_to_the_end_of_what_is_inside(rollout: Rollout) -> None:
    """Long stretches that give no event must not make it forget to compare."""
    silent = json.dumps({"record_type": "state", "state": "x" * 300_000}).encode() + b"\n"
    content = rollout.said("a") + silent * 3 + rollout.said("b")
    rollout.plain.write_bytes(content)
    imported(rollout.home)
    before = rollout.texts()
    assert rollout.pack(content) < 10_000
    rollout.plain.unlink()
    imported(rollout.home)
    assert rollout.texts() == before


def test_a_log_that_is_archived_repeats_nothing(rollout: Rollout) -> None:
    rollout.plain.write_bytes(rollout.said("a", "b"))
    imported(rollout.home)
    rollout.archived.parent.mkdir()
    rollout.plain.rename(rollout.archived)
    imported(rollout.home)
    assert rollout.texts() == ["a", "a!", "b", "b!"]
    assert len(rollout.home.ok("sessions", "--json").json) == 1


def test_both_at_the_same_time_are_one_session(rollout: Rollout) -> None:
    rollout.plain.write_bytes(rollout.said("a"))
    rollout.pack(rollout.said("a"))
    imported(rollout.home)
    assert rollout.texts() == ["a", "a!"]


def test_a_compressed_log_that_changed_is_compared_by_content(rollout: Rollout) -> None:
    rollout.pack(rollout.said("a"))
    imported(rollout.home)
    rollout.pack(rollout.said("a", "b"))
    imported(rollout.home)
    assert rollout.texts() == ["a", "a!", "b", "b!"]
    assert rollout.ledger()["bytes"]["seen"] == len(rollout.said("a", "b"))


def test_a_touched_one_gives_nothing_new(rollout: Rollout) -> None:
    rollout.pack(rollout.said("a"))
    imported(rollout.home)
    os.utime(rollout.packed, (5, 5))
    imported(rollout.home)
    assert rollout.texts() == ["a", "a!"]


def test_a_damaged_one_is_kept_as_far_as_it_goes_and_reported(rollout: Rollout) -> None:
    content = rollout.said("a", "b")
    first = zstandard.ZstdCompressor().compress(content + b'{"half')
    rollout.packed.write_bytes(first + b"\xff" * 70)
    report = imported(rollout.home)
    assert rollout.texts() == ["a", "a!", "b", "b!"]
    (problem,) = report["problems"]
    assert "cannot be decompressed behind byte" in problem
    counts = report["bytes"]
    assert counts["parsed"] == len(content)
    assert (counts["bad"], counts["torn"]) == (len(b'{"half') + 70, 0)
    assert counts["seen"] == counts["parsed"] + counts["bad"]
    assert rollout.ledger()["unreadable_files"] == 1
    again = imported(rollout.home)  # it is as it was: not read again, and still reported
    assert again["imported_bytes"] == 0
    assert rollout.ledger()["unreadable_files"] == 1
    rollout.pack(rollout.said("a", "b", "c"))
    assert imported(rollout.home)["bytes"]["bad"] == 0
    assert rollout.texts() == ["a", "a!", "b", "b!", "c", "c!"]
    assert rollout.ledger()["unreadable_files"] == 0


def test_one_without_its_end(rollout: Rollout) -> None:
    packed = zstandard.ZstdCompressor().compress(rollout.said(*map(str, range(3_000))))
    rollout.packed.write_bytes(packed[: len(packed) // 2])
    (problem,) = imported(rollout.home)["problems"]
    assert "in the middle of a compressed frame" in problem
    assert rollout.ledger()["bytes"]["bad"] > 0


def test_one_without_its_end_of_which_nothing_comes_is_counted_too(rollout: Rollout) -> None:
    packed = zstandard.ZstdCompressor().compress(rollout.said("a", "b", "c"))
    rollout.packed.write_bytes(packed[: len(packed) // 2])
    counts = imported(rollout.home)["bytes"]
    assert counts["bad"] == counts["seen"] == len(packed) // 2


def test_one_that_is_too_large_says_what_to_do(rollout: Rollout) -> None:
    size = rollout.pack(rollout.said(*["long" * 1_000] * 1_000))
    small = {"HOLDFAST_INGEST__MAX_DECOMPRESSED_BYTES": "1048576"}
    done = rollout.home.run("import", "--json", "--quiet", env=small)
    (problem,) = done.json["problems"]
    assert "raise ingest.max_decompressed_bytes" in problem
    assert done.json["bytes"]["bad"] == size
    os.utime(rollout.packed)
    assert imported(rollout.home)["problems"] == []
    assert len(rollout.texts()) == 2_000


def test_a_daemon_reads_what_is_compressed_while_it_runs(rollout: Rollout) -> None:
    rollout.plain.write_bytes(rollout.said("a"))
    with rollout.home.daemon() as daemon:
        until(lambda: daemon.status()["sessions"]["events"] == 3, "the log is read")
        rollout.pack(rollout.said("a"))
        rollout.plain.unlink()
        until(lambda: rollout.ledger()["gone_files"] == 1, "the log is gone")
        rollout.pack(rollout.said("a", "b"))
        until(lambda: daemon.status()["sessions"]["events"] == 5, "what is new is read")
        assert daemon.terminate() == 0
    assert rollout.texts() == ["a", "a!", "b", "b!"]


def test_nothing_of_a_spool_is_left_when_everything_is_killed(rollout: Rollout) -> None:
    rollout.pack(rollout.said(*["x" * 4_000] * 20_000))
    importing = rollout.home.spawn("import", "--json", "--quiet")
    try:
        until(lambda: bool(_open_spools(importing.pid)), "a log is being decompressed")
        for pid in processes.children(importing.pid):
            os.kill(pid, signal.SIGKILL)
    finally:
        importing.kill()
        importing.communicate()
    left = sorted(os.listdir(rollout.home.paths.data_dir))
    assert not [name for name in left if name.startswith("tmp")], left
    imported(rollout.home)
    assert len(rollout.texts()) == 40_000


def _open_spools(pid: int) -> list[str]:
    """Files without a name that the children of a process hold open."""
    found = []
    for child in processes.children(pid):
        try:
            for fd in os.listdir(f"/proc/{child}/fd"):
                target = os.readlink(f"/proc/{child}/fd/{fd}")
                found += [target] if target.endswith("(deleted)") else []
        except OSError:
            continue
    return found
