"""Sources and recordings: what cannot be read, waits, is bad, or is about to go."""

from __future__ import annotations

import os
import shutil
from typing import Any

import msgspec
import pytest

from holdfast.journal.model import UnknownType
from holdfast.status.expiry import ExpiryStatus, NotKept
from holdfast.status.sources import FileError, RootReport, SourceReport
from tests.support import doctors
from tests.support.home import Home, talk


@pytest.fixture
def kept(home: Home) -> Home:
    home.write_log("alpha", *talk(3))
    home.ok("import", "--quiet")
    return home


def with_source(home: Home, **other: Any) -> dict[str, Any]:
    """The checks, when what is known of Claude Code's logs were otherwise."""
    found = doctors.evidence(home)
    assert found.sources is not None

    def changed(report: SourceReport) -> SourceReport:
        if report.agent != "claude":
            return report
        counts = msgspec.structs.replace(report.bytes, **other.get("bytes", {}))
        return msgspec.structs.replace(report, **{**other, "bytes": counts})

    sources = [changed(report) for report in found.sources]
    return doctors.checks(msgspec.structs.replace(found, sources=sources))


def expiring(*, not_kept: int) -> ExpiryStatus:
    lost = [NotKept("/secret/log.jsonl", "2026-01-01", "never read")] * not_kept
    return ExpiryStatus(7, "30 days", 5, 500, 2, "a", "b", 5 - not_kept, not_kept, lost, "d")


def test_logs_that_are_all_read_are_well(kept: Home) -> None:
    found = doctors.look(kept)
    assert found["source-claude"].verdict == "ok"
    assert found["source-claude"].evidence["files"] == 1
    assert found["source-claude"].evidence["events"] == 3
    assert found["agents"].evidence["found"] == "claude"


def test_no_agent_at_all_is_a_warning_with_where_to_look(kept: Home) -> None:
    shutil.rmtree(kept.claude)
    os.unlink(kept.paths.journal)
    found = doctors.look(kept)
    assert found["agents"].verdict == "warning"
    assert "holdfast sources -v" in found["agents"].remedies[0]


def test_folders_that_went_away_are_told_and_what_was_read_is_kept(kept: Home) -> None:
    shutil.rmtree(kept.claude)
    assert doctors.look(kept)["source-claude"].verdict == "warning"


@pytest.mark.parametrize(
    ("other", "verdict", "words"),
    [
        ({"unreadable_files": 2}, "warning", "2 cannot be read"),
        ({"lag_bytes": 5, "unread_files": 1}, "ok", "5 B in 1 log not read yet"),
        ({"bytes": {"bad": 1}}, "ok", "1 B could not be understood"),
        ({"bytes": {"bad": 1_000}}, "warning", "could not be understood"),
        ({"bytes": {"bad": 50, "torn": 50}}, "ok", "claude"),
        ({"unknown_types": [UnknownType("claude", "odd", 3, 30)]}, "ok", "1 unknown type of"),
        ({"expiring": expiring(not_kept=0)}, "ok", "all are kept"),
        ({"expiring": expiring(not_kept=2)}, "problem", "2 are not kept"),
        ({"enabled": False}, "ok", "(off)"),
    ],
)
def test_each_trouble_has_its_verdict(
    kept: Home, other: dict[str, Any], verdict: str, words: str
) -> None:
    check = with_source(kept, **other)["source-claude"]
    assert check.verdict == verdict
    assert words in check.said
    assert (verdict == "ok") or check.remedies


def test_names_of_logs_are_particulars_and_nowhere_else(kept: Home) -> None:
    errors = [FileError("/secret/log.jsonl", "Permission denied")]
    unknown = [UnknownType("claude", "secret-type", 3, 30)]
    check = with_source(
        kept, unreadable_files=1, errors=errors, unknown_types=unknown,
        expiring=expiring(not_kept=1), roots=[RootReport("/secret", exists=False)],
    )["source-claude"]  # fmt: skip
    assert len(check.particulars) == 4
    assert all("secret" in each for each in check.particulars)
    shown = msgspec.json.encode(msgspec.structs.replace(check, particulars=()))
    assert b"secret" not in shown


def test_a_folder_that_cannot_be_read_is_a_problem(kept: Home) -> None:
    if not os.getuid():
        pytest.skip("root may read everything")
    os.chmod(kept.projects, 0)
    try:
        assert doctors.look(kept)["source-claude"].verdict == "problem"
    finally:
        os.chmod(kept.projects, 0o700)


@pytest.mark.parametrize(
    ("counts", "now", "over"),
    [
        ({}, "ok", "ok"),
        ({"active": 2, "stopped": 3, "commands_refused": 1}, "ok", "ok"),
        ({"paused": 1}, "problem", "ok"),
        ({"lost": 1}, "ok", "warning"),
        ({"failed": 1}, "ok", "warning"),
        ({"paused": 1, "lost": 1, "failed": 1}, "problem", "warning"),
    ],
)
def test_recordings_that_are_not_written_are_told(
    kept: Home, counts: dict[str, int], now: str, over: str
) -> None:
    """What goes on by itself apart from what is over, each with its own problems."""
    found = doctors.evidence(kept)
    assert found.status is not None
    paused = ["secret.md: no room"] if now == "problem" else []
    recordings = msgspec.structs.replace(
        found.status.recordings, **counts, last_problems=[*paused, "secret.md was deleted"]
    )
    status = msgspec.structs.replace(found.status, recordings=recordings)
    checks = doctors.checks(msgspec.structs.replace(found, status=status))
    assert checks["recordings"].verdict == now
    assert checks["recordings"].particulars == tuple(paused)
    assert checks["recordings-over"].verdict == over
    assert checks["recordings-over"].particulars == ("secret.md was deleted",)
    assert "secret" not in checks["recordings"].said + checks["recordings-over"].said
    said = checks["recordings-over"].said
    assert ("went away" in said) == ("lost" in counts)
    assert ("could not be made" in said) == ("failed" in counts)


def test_one_recording_that_is_paused_is_one_recording(kept: Home) -> None:
    found = doctors.evidence(kept)
    assert found.status is not None
    recordings = msgspec.structs.replace(found.status.recordings, paused=1)
    status = msgspec.structs.replace(found.status, recordings=recordings)
    check = doctors.checks(msgspec.structs.replace(found, status=status))["recordings"]
    assert check.said == "1 recording cannot be written now"
