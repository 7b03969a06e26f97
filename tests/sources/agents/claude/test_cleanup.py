"""When Claude Code deletes which logs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.sources.agents.claude import Agent
from holdfast.sources.agents.claude.cleanup import DAY_S, Retention, retention_of
from holdfast.sources.base import Expires, Expiring

NOW_S = 1_800_000_000.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "claude").mkdir()
    (tmp_path / "managed" / "managed-settings.d").mkdir(parents=True)
    return tmp_path / "claude"


def days(root: Path) -> float:
    return retention_of(str(root), str(root.parent / "managed")).days


def test_thirty_days_unless_somebody_says_otherwise(root: Path) -> None:
    assert retention_of(str(root), "/nowhere") == Retention(30.0, "")


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ('{"cleanupPeriodDays": 7}', 7.0),
        ('{"cleanupPeriodDays": 0.5}', 0.5),
        ('{"cleanupPeriodDays": 0}', 0.0),  # to be expected is the worse
        ('{"cleanupPeriodDays": 99999}', 99_999.0),
        ('{"cleanupPeriodDays": 1e300}', 1_000_000.0),
        ('{"cleanupPeriodDays": -1}', 30.0),
        ('{"cleanupPeriodDays": "7"}', 30.0),
        ('{"cleanupPeriodDays": null}', 30.0),
        ('{"cleanupPeriodDays": true}', 30.0),
        ('{"model": "opus"}', 30.0),
        ("{", 30.0),
        ("", 30.0),
        ("[]", 30.0),
        ('{"a": ' + "[" * 100_000, 30.0),
    ],
)
def test_what_the_settings_say(root: Path, settings: str, kept: float) -> None:
    (root / "settings.json").write_text(settings)
    assert days(root) == kept


def test_the_strongest_settings_win(root: Path) -> None:
    managed = root.parent / "managed"
    files = [
        root / "settings.json",
        root / "settings.local.json",
        managed / "managed-settings.json",
        managed / "managed-settings.d" / "10-first.json",
        managed / "managed-settings.d" / "20-second.json",
    ]
    for number, file in enumerate(files, start=1):
        file.write_text(f'{{"cleanupPeriodDays": {number}}}')
        assert days(root) == number
    assert retention_of(str(root), str(managed)).says == str(files[-1])


def test_settings_that_cannot_be_read_say_nothing(root: Path) -> None:
    (root / "settings.json").mkdir()
    assert days(root) == 30.0


def write(root: Path, name: str, age_days: float) -> Path:
    path = root / "projects" / "-home-hana" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"{}\n")
    os.utime(path, (NOW_S, NOW_S - age_days * DAY_S))
    return path


def expiring(root: Path, within_days: float) -> dict[str, Expiring]:
    source = Agent([str(root)])
    assert isinstance(source, Expires)
    found = source.expiring(NOW_S + within_days * DAY_S)
    return {os.path.basename(each.path): each for each in found}


def test_logs_go_by_the_time_of_their_last_line(root: Path) -> None:
    for name, age_days in (("new", 1), ("soon", 25), ("due", 31)):
        write(root, f"{name}.jsonl", age_days)
    write(root, "old.txt", 99)
    assert set(expiring(root, 0)) == {"due.jsonl"}
    found = expiring(root, 7)
    assert set(found) == {"due.jsonl", "soon.jsonl"}
    assert found["soon.jsonl"].due_s == NOW_S + 5 * DAY_S
    assert found["soon.jsonl"].size == 3


def test_a_longer_period_spares_them(root: Path) -> None:
    write(root, "due.jsonl", 31)
    (root / "settings.json").write_text('{"cleanupPeriodDays": 365}')
    assert expiring(root, 7) == {}
    assert "365 days" in Agent([str(root)]).retention()
