"""What the daemon tells of itself, judged."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.governor.protocol import Level
from holdfast.journal.mailbox import WAITING_MAX, Call, Mailbox
from holdfast.journal.service import Connections, HeldReader
from holdfast.settings import Settings
from holdfast.status import health


def memory(*, used: int = 50, level: Level = Level.NORMAL) -> Any:
    return SimpleNamespace(
        footprint_bytes=used, budget_bytes=100, peak_footprint_bytes=60, level=level,
        tree=SimpleNamespace(exact=True), baseline_bytes=5, unaccounted_bytes=1,
        components=[SimpleNamespace(name="import children", bytes=7)],
    )  # fmt: skip


def daemon(*, lent_s: float = 0.0, waiting: int = 0) -> Any:
    mailbox = Mailbox()
    for _ in range(waiting):
        mailbox.put(Call(lambda _writer: None))
    return SimpleNamespace(
        settings=Settings(),
        journal=SimpleNamespace(
            connections=lambda held_s: Connections(
                2, 2, 1, 0, (HeldReader("thread", lent_s),) if lent_s > held_s else ()
            ),
            waiting=len(mailbox),
            waiting_bytes=mailbox.bytes,
            waiting_pct=mailbox.filled_pct,
        ),
        store=SimpleNamespace(
            status=lambda: SimpleNamespace(resident_sessions=1, resident_events=2)
        ),
        tail=SimpleNamespace(child_pids=list),
    )


def verdict(name: str, told: Any = None, **how: Any) -> str:
    checks = health.checks(daemon(**how), told or memory())
    return {check.id: check.verdict for check in checks}[name]


def test_a_daemon_that_is_well_says_so_with_figures() -> None:
    found = {check.id: check for check in health.checks(daemon(), memory())}
    assert verdict("footprint") == verdict("connections") == verdict("work") == "ok"
    assert found["footprint"].evidence["import_children_bytes"] == 7
    assert found["connections"].evidence["readers_lent"] == 1
    assert found["work"].evidence["resident_events"] == 2


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"level": Level.MODERATE}, "ok"),
        ({"level": Level.HIGH}, "warning"),
        ({"level": Level.CRITICAL}, "problem"),
        ({"used": 101}, "problem"),
    ],
)
def test_memory_is_judged_by_its_level_and_the_ceiling(how: dict[str, Any], expected: str) -> None:
    assert verdict("footprint", memory(**how)) == expected


def test_a_reader_that_is_never_given_back_is_a_leak() -> None:
    assert verdict("connections", lent_s=299.0) == "ok"
    assert verdict("connections", lent_s=301.0) == "warning"


def test_a_disk_that_cannot_keep_up_is_told() -> None:
    assert verdict("work", waiting=WAITING_MAX * 9 // 10 - 1) == "ok"
    assert verdict("work", waiting=WAITING_MAX) == "warning", "as many as a mailbox takes"


@pytest.mark.parametrize(("score", "expected"), [("0", "ok"), ("200", "ok"), ("700", "warning")])
def test_whom_the_kernel_ends_first_is_told(tmp_path: Path, score: str, expected: str) -> None:
    (tmp_path / "oom_score_adj").write_text(f"{score}\n")
    assert health.oom_score(str(tmp_path)).verdict == expected
    assert health.oom_score(str(tmp_path / "none")).verdict == "unknown"
