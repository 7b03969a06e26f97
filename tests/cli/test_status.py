"""The status as people see it: everything that is wrong is said, nothing that is not there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.cli.output import width
from holdfast.cli.status import render
from holdfast.governor.admission import Requests
from holdfast.governor.machine import MachineReading
from holdfast.governor.tracker import ComponentMemory, TaskCounts
from holdfast.ingest.importer import ByteCounts
from holdfast.journal.model import UnknownType
from holdfast.journal.service import Connections
from holdfast.recording.listing import RecordingsStatus
from holdfast.snapshots import SessionStore, StoreLimits
from holdfast.status.model import (
    DaemonStatus,
    ImportStatus,
    JournalStatus,
    LastRun,
    MemoryStatus,
    PressureReading,
    PressureStatus,
    PrivacyStatus,
    ProcessStatus,
    QueuesStatus,
    RootStatus,
    SessionBrief,
    SessionsStatus,
    SourceStatus,
    Status,
)

MIB = 1 << 20
Json = dict[str, Any]


def sample() -> Json:
    """A healthy daemon that has nothing to complain about."""
    store = SessionStore(StoreLimits(budget_bytes=60 * MIB)).status()
    status = Status(
        schema_version=1,
        daemon=DaemonStatus(
            running=True,
            state="running",
            pid=4711,
            version="0.1.0",
            started_at="2026-01-01T00:00:00.000Z",
            heartbeat_at="2026-01-01T01:02:03.000Z",
            uptime_s=3_723.4,
            data_dir="/data",
            last_run=None,
        ),
        memory=MemoryStatus(
            level="normal",
            pressure=PressureStatus(
                level="normal",
                own_level="normal",
                for_s=3_723.0,
                cause="budget",
                readings=(
                    PressureReading("budget", 25.0, "normal", True, 70, 85, 95, 3_723.0),
                    PressureReading("system", 30.0, "normal", False, 40, 60, 80, 3_723.0),
                ),
                holding=(),
                actions=(),
                paused=(),
                requests=Requests(False, False, 0, 0),
            ),
            budget_bytes=200 * MIB,
            over_budget=False,
            process=ProcessStatus(
                tree_bytes=50 * MIB,
                peak_tree_bytes=80 * MIB,
                exact=True,
                rss_bytes=52 * MIB,
                pss_bytes=50 * MIB,
                swap_bytes=0,
                peak_rss_bytes=82 * MIB,
                python_allocated_blocks=1,
                malloc_in_use_bytes=None,
                children=(),
            ),
            machine=MachineReading(None, None, None, None, None, None, ()),
            snapshots=store,
            components=(ComponentMemory("snapshots", 0, 0, 60 * MIB, 200, 0),),
            baseline_bytes=30 * MIB,
            unaccounted_bytes=20 * MIB,
            near_limit=(),
            tasks=TaskCounts(3, 3, 0, 0),
            connections=Connections(2, 1, 0, 0, ()),
        ),
        health=None,
        streams=None,
        work=None,
        sources=[
            SourceStatus(
                agent="claude",
                roots=[RootStatus("/claude/projects", exists=True)],
                files=3,
                gone_files=0,
                unreadable_files=0,
                excluded_files=0,
                bytes=ByteCounts(seen=3_072, parsed=2_048, skipped=1_024),
                unknown_types=[],
                lag_bytes=0,
                last_error="",
                expiring=None,
            )
        ],
        sessions=SessionsStatus(1, 12, 4_096, 1_024, [brief("one", "A title")]),
        journal=JournalStatus("/data/journal.db", 2 * MIB, 0, 0, 0, 0, ""),
        importing=ImportStatus(running=False, done_bytes=0, total_bytes=0, sessions=0, events=0),
        recordings=RecordingsStatus(0, 0, 0, 0, 0, 0, 0, 0, 0, []),
        alerts=None,
        privacy=PrivacyStatus(private_tags=True, secrets=True, redactions={}),
        queues=QueuesStatus(0, 0, 0, 0, 0, 0, 0, 10_000, None, 0, 0),
        problems=[],
    )
    plain: Json = msgspec.to_builtins(status)
    return plain


def brief(name: str, title: str, resident_bytes: int = 0) -> SessionBrief:
    return SessionBrief(
        name, "claude", title, "2026-01-01T00:00:00.000Z", 12, resident_bytes > 0, resident_bytes
    )


def put(status: Json, path: str, value: object) -> Json:
    """The status with one value changed, and not one more key."""
    *above, last = path.split(".")
    at: Any = status
    for key in above:
        at = at[int(key) if key.isdigit() else key]
    assert last in at, path
    at[last] = value
    return status


def test_a_healthy_daemon_is_said_in_a_few_lines() -> None:
    assert render(sample()).splitlines()[:6] == [
        "holdfast 0.1.0  running, pid 4711, up 1 h 2 min",
        "Memory    ████████░░░░░░░░░░░░░░░░░░░░░░ 50.0 MiB of 200.0 MiB, normal, peak 80.0 MiB",
        "  program 30.0 MiB, unexplained 20.0 MiB",
        "Resident  0 of at most 200 sessions, 0 events, 0 B of 60.0 MiB",
        (
            "Source    claude: 3 files, 3.0 KiB seen = 2.0 KiB parsed + 1.0 KiB skipped + "
            "0 B unknown + 0 B bad"
        ),
        "Journal   1 session, 12 events, 2.0 MiB on disk",
    ]


def test_without_a_daemon_it_says_so_and_what_is_kept() -> None:
    status = put(put(sample(), "memory", None), "daemon.running", value=False)
    text = render(status)
    assert "not running (start it with: holdfast start)" in text
    assert "Memory" not in text
    assert "Journal   1 session" in text


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("stopped", False),
        ("killed", True),
        ("failed", True),
        ("machine restarted", True),
    ],
)
def test_an_unclean_last_run_is_told(ending: str, *, told: bool) -> None:
    last = LastRun(1, "0.1.0", "", "2026-01-01T00:00:00.000Z", ending, "what happened")
    text = render(put(sample(), "daemon.last_run", msgspec.to_builtins(last)))
    assert ("what happened" in text) is told


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("memory.level", "critical", "critical"),
        ("memory.snapshots.dropped_events", 1_234, "1,234 old"),
        ("memory.snapshots.spilled_events", 77, "77 spilled"),
        ("sources.0.gone_files", 2, "2 deleted by the agent, kept here"),
        ("sources.0.unreadable_files", 1, "1 cannot be read"),
        ("journal.index_lag_events", 5_000, "5,000 events not searchable yet"),
        ("journal.blobs", 1, "1 payload beside it"),
        ("journal.blobs", 9, "9 payloads beside it"),
        ("problems", ["the disk is full"], "Problem   the disk is full"),
    ],
)
def test_what_is_not_as_usual_is_told(path: str, value: object, told: str) -> None:
    assert told not in render(sample())
    assert told in render(put(sample(), path, value))


def test_evictions_are_told_with_their_reasons_and_bytes() -> None:
    status = sample()
    put(status, "memory.snapshots.evictions.memory_budget", 3)
    put(status, "memory.snapshots.bytes_reclaimed.memory_budget", 6 * MIB)
    text = render(status)
    assert "evicted: 3 memory_budget (6.0 MiB)" in text
    assert "max_sessions (" not in text


@pytest.mark.parametrize(
    ("active", "told"),
    [
        (True, "idle after 60,000 ms: evicts 4 now"),
        (False, "idle after 60,000 ms: configured but inactive (observe): would evict 4 now"),
    ],
)
def test_idle_eviction_says_whether_it_acts(*, active: bool, told: str) -> None:
    status = put(sample(), "memory.snapshots.idle_eviction.idle_ms", 60_000)
    put(status, "memory.snapshots.idle_eviction.active", active)
    put(status, "memory.snapshots.idle_eviction.would_evict", 4)
    assert told in render(status)


def test_unknown_record_types_are_listed_with_their_counts() -> None:
    unknown = [UnknownType("claude", "new-thing", 1, 10), UnknownType("claude", "other", 2, 20)]
    text = render(put(sample(), "sources.0.unknown_types", msgspec.to_builtins(unknown)))
    assert "unknown type new-thing: 1 record, kept raw" in text
    assert "unknown type other: 2 records, kept raw" in text


def test_a_root_that_does_not_exist_yet_is_named() -> None:
    assert "/claude/projects does not exist yet" in render(
        put(sample(), "sources.0.roots.0.exists", value=False)
    )


def test_a_running_import_shows_how_far_it_is() -> None:
    importing = ImportStatus(
        running=True, done_bytes=MIB, total_bytes=2 * MIB, sessions=1, events=7
    )
    text = render(put(sample(), "importing", msgspec.to_builtins(importing)))
    assert "███████████████░░░░░░░░░░░░░░░ 1.0 MiB of 2.0 MiB, 7 events" in text


def test_sessions_say_whether_they_are_in_memory() -> None:
    newest = [brief("one", "In memory", 2_048), brief("two", "Not there")]
    lines = render(put(sample(), "sessions.newest", msgspec.to_builtins(newest))).splitlines()
    assert any("2.0 KiB  In memory" in line for line in lines)
    assert any("on disk  Not there" in line for line in lines)


def test_more_sessions_than_are_shown_are_counted() -> None:
    newest = [brief(f"s{number}", "t") for number in range(12)]
    status = put(sample(), "sessions.newest", msgspec.to_builtins(newest))
    put(status, "sessions.total", 1_012)
    text = render(status)
    assert "and 1,002 more: holdfast sessions" in text
    assert "  s9 " in text
    assert "  s10 " not in text


def test_a_title_is_cut_to_its_columns_and_cannot_steer_the_terminal() -> None:
    newest = [brief("one", "会話" * 60), brief("two", "a\x1b[2Jb"), brief("three", "")]
    text = render(put(sample(), "sessions.newest", msgspec.to_builtins(newest)))
    assert "\x1b" not in text
    assert "(no title)" in text
    (long,) = [line for line in text.splitlines() if "会" in line]
    assert width(long[long.index("会") :]) <= 60


def test_what_waits_for_a_person_is_told_and_nothing_where_nothing_does() -> None:
    states = dict.fromkeys(("pending", "running", "blocked", "stale", "completed"), 0)
    work: Json = {
        "tasks": {"states": states},
        "checkpoints": {"pending": 0},
        "intents": {"active": 0},
    }
    assert "Waiting" not in render(put(sample(), "work", work))
    work["checkpoints"]["pending"] = 2
    states["stale"] = 1
    text = render(put(sample(), "work", work))
    assert "2 checkpoints for an answer (holdfast checkpoints); tasks: 1 stale" in text


def test_problems_stand_first_and_no_number_of_them_hides_the_rest() -> None:
    problems = [f"trouble {number}" for number in range(11)]
    lines = render(put(sample(), "problems", problems)).splitlines()
    assert lines[0].startswith("holdfast 0.1.0  running")
    assert lines[1:9] == [f"Problem   trouble {number}" for number in range(8)]
    assert lines[9] == "  and 3 more: holdfast doctor"
    assert lines[10].startswith("Memory")


def test_parts_are_named_when_they_weigh_something_and_add_up() -> None:
    parts = [("snapshots", 12), ("journal", 1), ("tail", 0)]
    status = sample()
    put(status, "memory.unaccounted_bytes", 7 * MIB)
    components = [ComponentMemory(name, size * MIB, 0, None, None, 0) for name, size in parts]
    components += [ComponentMemory("small", 100 * 1024, 0, None, None, 0)] * 2
    put(status, "memory.components", msgspec.to_builtins(components))
    assert (
        "program 30.0 MiB, snapshots 12.0 MiB, journal 1.0 MiB, small parts 200.0 KiB, "
        "unexplained 7.0 MiB"
    ) in render(status)


def test_parts_that_weigh_more_than_the_whole_leave_nothing_unaccounted() -> None:
    assert ", unexplained 0 B" in render(put(sample(), "memory.unaccounted_bytes", -5_000))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "up 0 s"), (59.9, "up 59 s"), (61, "up 1 min 1 s"), (90_000, "up 1 d 1 h")],
)
def test_the_time_since_the_start_is_rounded_down(seconds: float, told: str) -> None:
    assert told in render(put(sample(), "daemon.uptime_s", seconds))


def test_who_records_is_told_how_it_stands_and_who_does_not_is_told_nothing() -> None:
    status = sample()
    assert "Recorded" not in render(status)
    status["recordings"] |= {"active": 2, "paused": 1, "commands_refused": 1}
    status["recordings"]["last_problems"] = ["no room", "::recrod: there is no ::recrod"]
    said = "Recorded  2 active, 1 paused, 1 command refused\n  no room\n  ::recrod: there is"
    assert said in render(status)


def test_what_was_taken_out_and_what_is_left_alone_is_said() -> None:
    status = put(sample(), "privacy.redactions", {"private": 1_200, "github-token": 3})
    status = put(status, "sources.0.excluded_files", 2)
    text = render(status)
    assert "taken out: 1,200 private, 3 github-token" in text
    assert "2 of excluded projects, left alone" in text
    off = render(put(sample(), "privacy.secrets", value=False))
    assert "switched off: privacy.secrets" in off
    assert "Privacy" not in render(sample())
