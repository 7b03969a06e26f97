"""The whole program from outside: the real command line, the real daemon, files on a real disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

from holdfast.client import Refused
from holdfast.demo import generate
from holdfast.demo import lines as demo
from holdfast.events import KINDS
from holdfast.status import status_schema
from tests.support import hanging, processes
from tests.support.home import Home, RunningDaemon, moment, sid, talk
from tests.support.waiting import until

SESSION_KEYS: Final = {
    "id",
    "agent",
    "agent_session_id",
    "project",
    "title",
    "started_at",
    "updated_at",
    "events",
    "resident",
    "resident_bytes",
}
EVICTION_KEYS: Final = {
    "session",
    "reason",
    "events",
    "bytes_reclaimed",
    "resident_bytes_after",
}
LOGS: Final = ("holdfast.log.jsonl", "audit.jsonl")
WAKE_UPS_PER_BEAT_MAX: Final = 20  # 8 were seen: a beat is the work of several threads


@pytest.fixture
def corpus(home: Home) -> Home:
    """Realistic logs: subagents, forks, tools, titles."""
    generate(
        Path(home.claude),
        seed=11,
        now=datetime(2026, 1, 5, tzinfo=UTC),
        sessions=5,
        total_bytes=600_000,
    )
    return home


@pytest.fixture(params=["with a daemon", "without a daemon"])
def talked(home: Home, request: pytest.FixtureRequest) -> Iterator[Home]:
    """Two sessions in the journal, and whoever answers."""
    home.write_log("aaaa-1", *talk(3, words="barnacle"), demo.title_line("First", session="aaaa-1"))
    home.write_log(
        "aaaa-2",
        demo.user_line("about kelp", cwd="/home/hana/src/reef", at=moment(100)),
        demo.assistant_line("kelp grows fast", cwd="/home/hana/src/reef", at=moment(101)),
        project="-reef",
    )
    home.ok("import", "--quiet")
    if request.param == "with a daemon":
        with home.daemon():
            yield home
    else:
        yield home


# Starting and stopping.


def test_a_daemon_is_started_asked_restarted_and_stopped(home: Home) -> None:
    home.write_log("a", *talk(2))
    started = home.ok("start")
    assert started.out == b"", "talk goes to stderr"
    assert "holdfast started (pid " in started.err
    first = home.ok("status", "--json").json
    assert first["daemon"]["running"]
    assert f"pid {first['daemon']['pid']}" in started.err
    assert stat.S_IMODE(os.stat(home.paths.socket).st_mode) == 0o600

    again = home.run("start")
    assert again.code == 7
    assert "running already" in again.err

    restarted = home.ok("restart")
    assert "stopped" in restarted.err
    second = home.ok("status", "--json").json
    assert second["daemon"]["pid"] != first["daemon"]["pid"]
    assert not processes.is_alive(first["daemon"]["pid"])
    assert second["daemon"]["last_run"]["ending"] == "stopped"

    stopped = home.ok("stop")
    assert (stopped.out, "stopped" in stopped.err) == (b"", True)
    assert not os.path.exists(home.paths.socket)
    assert home.run("stop").code == 6
    assert home.ok("status", "--json").json["daemon"]["running"] is False


def test_two_daemons_started_at_once_leave_one(home: Home) -> None:
    both = [home.spawn("start") for _ in range(2)]
    codes = []
    for process in both:
        _, said = process.communicate(timeout=60)
        codes.append(process.returncode)
        if process.returncode:
            assert b"holdfast" in said
    assert sorted(codes) in ([0, 0], [0, 7]), "one may find the other running already"
    assert home.ok("status", "--json").json["daemon"]["running"]
    home.ok("stop")


def test_up_writes_a_config_imports_and_leaves_a_daemon(home: Home) -> None:
    home.write_log("a", *talk(4))
    up = home.ok("up")
    assert os.path.exists(home.paths.config_file)
    assert "1 sessions, 4 events" in up.err.replace("1 session,", "1 sessions,")
    assert "holdfast search" in up.err
    assert home.sessions()["a"]["events"] == 4
    assert home.ok("up").code == 0, "again at any time"
    home.ok("stop")


def test_up_without_logs_says_where_it_looked_and_points_to_the_demo(home: Home) -> None:
    up = home.ok("up")
    assert home.projects in up.err
    assert "holdfast demo" in up.err
    home.ok("stop")


def test_a_part_that_hangs_is_named_and_does_not_keep_the_daemon_alive(home: Home) -> None:
    program = (sys.executable, "-I", str(hanging.__file__))
    env = {"HOLDFAST_DAEMON__STOP_DEADLINE_MS": "1000"}
    home.write_log("a", *talk(3))
    with home.daemon(env, program=program) as daemon:
        daemon.wait_for("a", 3)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.wait(30)
    last = home.ok("status", "--json").json["daemon"]["last_run"]
    assert last["ending"] == "failed"
    assert "SIGTERM; journal did not stop within" in last["detail"]
    with home.daemon() as daemon:
        assert daemon.events("a") == 3


def test_the_way_down_goes_in_its_order_and_says_how_long_each_step_took(home: Home) -> None:
    with home.daemon() as daemon:
        assert daemon.terminate() == 0
    logged = log_records(home, "holdfast.log.jsonl")
    [stopped] = [record for record in logged if record["event"] == "daemon.stopped"]
    steps = list(stopped["took_ms"])
    ordered = ["observer", "tasks", "checkpoints", "intents", "learnings", "ledger", "streams"]
    assert [step for step in steps if step in ordered] == ordered
    assert steps[-4:] == ["heartbeat", "journal", "status", "readers"]
    assert steps.index("streams") < steps.index("server") < steps.index("queues")
    assert stopped["late"] == []


# Status.


def test_status_is_what_its_schema_says_at_every_moment_of_a_life(corpus: Home) -> None:
    home, schema = corpus, status_schema()

    def check(status: Any) -> None:
        jsonschema.validate(status, schema)

    check(home.ok("status", "--json").json)
    with home.daemon({"HOLDFAST_SNAPSHOTS__IDLE_EVICTION_MS": "60000"}) as daemon:
        check(home.ok("status", "--json").json)
        home.ok("import", "--quiet")
        check(home.ok("status", "--json").json)
        daemon.terminate()
    check(home.ok("status", "--json").json)
    with open(home.paths.status_file, "rb") as file:
        check(json.load(file))


def test_the_last_status_is_written_when_the_daemon_stops(home: Home) -> None:
    home.write_log("a", *talk(5))
    with home.daemon() as daemon:
        daemon.wait_for("a", 5)
        assert daemon.terminate() == 0
    with open(home.paths.status_file, "rb") as file:
        last = json.load(file)
    assert (last["daemon"]["running"], last["daemon"]["state"]) == (False, "stopped")
    assert last["sessions"]["events"] == 5
    assert last["memory"]["snapshots"]["resident_events"] == 5


def test_how_the_last_run_ended_is_told(home: Home) -> None:
    def ending() -> str:
        return str(home.ok("status", "--json").json["daemon"]["last_run"]["ending"])

    with home.daemon() as daemon:
        daemon.kill()
    assert ending() == "killed"
    assert "killed" in home.ok("status").text
    with home.daemon() as daemon:
        assert daemon.status()["daemon"]["last_run"]["ending"] == "killed"
        assert daemon.terminate() == 0
    assert ending() == "stopped"
    assert "Last run" not in home.ok("status").text, "nobody needs to hear of an orderly stop"


# Import, list, show, search.


@pytest.mark.parametrize("through_daemon", [False, True])
def test_an_import_reports_every_byte(corpus: Home, *, through_daemon: bool) -> None:
    home = corpus
    size = sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(home.projects)
        for name in names
        if name.endswith(".jsonl")
    )
    if through_daemon:
        with home.daemon():
            report = home.ok("import", "--json").json
    else:
        report = home.ok("import", "--json").json
    assert {"sessions", "events", "files", "bytes", "seconds"} <= set(report)
    counts = report["bytes"]
    assert {"seen", "parsed", "skipped", "unknown", "bad"} <= set(counts)
    assert counts["seen"] == size
    assert counts["seen"] == sum(counts[name] for name in ("parsed", "skipped", "unknown", "bad"))
    assert report["sessions"] == len(home.sessions())
    again = home.ok("import", "--json").json
    assert again["imported_events"] == 0
    assert (again["sessions"], again["events"]) == (report["sessions"], report["events"])


def test_sessions_are_listed_with_what_scripts_rely_on(talked: Home) -> None:
    found = talked.ok("sessions", "--json").json
    assert [each["agent_session_id"] for each in found] == ["aaaa-2", "aaaa-1"], "newest first"
    assert all(set(each) >= SESSION_KEYS for each in found)
    assert found[1]["title"] == "First"


FILTERS: Final[list[tuple[tuple[str, ...], set[str]]]] = [
    (("--agent", "claude"), {"aaaa-1", "aaaa-2"}),
    (("--agent", "codex"), set()),
    (("--project", "reef"), {"aaaa-2"}),
    (("--since", "2026-01-01T00:01:00+00:00"), {"aaaa-2"}),
    (("--since", "2027-01-01"), set()),
    (("--text", "barnacle"), {"aaaa-1"}),
    (("--text", "reef"), {"aaaa-2"}),
    (("--limit", "1"), {"aaaa-2"}),
]


def test_sessions_are_filtered(talked: Home) -> None:
    for arguments, expected in FILTERS:
        found = talked.ok("sessions", "--json", *arguments).json
        assert {each["agent_session_id"] for each in found} == expected, arguments


JSON_COMMANDS: Final = [
    ("status", "--json"),
    ("import", "--json"),
    ("sessions", "--json"),
    ("search", "--json", "kelp"),
    ("search", "--json", "nowhere-to-be-found"),
    ("show", "--json", "aaaa-1"),
    ("config", "show", "--json"),
    ("config", "schema"),
    ("clean", "--dry-run", "--json"),
]


def test_stdout_is_data_and_stderr_is_talk(talked: Home) -> None:
    for command in JSON_COMMANDS:
        done = talked.ok(*command)
        assert isinstance(done.json, dict | list), command
        assert done.err == "", command
    for refused in (
        talked.run("show", "zzzz"),
        talked.run("show", "aaaa"),
        talked.run("import", "x"),
    ):
        assert refused.code
        assert refused.out == b""
        assert refused.err


def test_sessions_are_told_apart_by_residency(home: Home) -> None:
    for name in ("a", "b", "c"):
        home.write_log(name, *talk(2, session=name))
    with home.daemon({"HOLDFAST_SNAPSHOTS__MAX_SESSIONS": "1"}) as daemon:
        for name in ("a", "b", "c"):
            daemon.wait_for(name, 2)
        resident = home.ok("sessions", "--json", "--resident").json
        others = home.ok("sessions", "--json", "--not-resident").json
        assert (len(resident), len(others)) == (1, 2)
        assert resident[0]["resident_bytes"] > 0
        assert {each["resident_bytes"] for each in others} == {0}


def test_a_conversation_is_shown(talked: Home) -> None:
    shown = talked.ok("show", "aaaa-2").text
    assert "about kelp" in shown
    assert "kelp grows fast" in shown
    answer = talked.ok("show", "aaaa-2", "--json").json
    assert answer["agent_session_id"] == "aaaa-2"
    assert [event["text"] for event in answer["shown"]] == ["about kelp", "kelp grows fast"]
    last = talked.ok("show", "aaaa-1", "--json", "-n", "2").json
    assert [event["seq"] for event in last["shown"]] == [2, 3]


def test_search_finds_words_with_what_scripts_rely_on(talked: Home) -> None:
    hits = talked.ok("search", "--json", "kelp").json
    assert hits
    assert all(
        set(hit) == {"session", "seq", "kind", "at", "score", "snippet", "exact"} for hit in hits
    )
    assert {hit["session"] for hit in hits} == {sid("aaaa-2")}
    assert all("**kelp**" in hit["snippet"].lower() for hit in hits)
    user = talked.ok("search", "--json", "kelp", "--kind", "message.user").json
    assert [hit["kind"] for hit in user] == ["message.user"]
    assert talked.ok("search", "--json", "nowhere-to-be-found").json == []


# Names.


def test_an_ambiguous_name_is_refused_with_the_candidates(talked: Home) -> None:
    refused = talked.run("show", "aaaa")
    assert refused.code == 5
    assert refused.out == b""
    assert sid("aaaa-1") in refused.err
    assert "claude/aaaa-2" in refused.err


@pytest.mark.parametrize("command", ["show", "export"])
def test_an_unknown_name_is_not_found(talked: Home, command: str) -> None:
    refused = talked.run(command, "zzzz")
    assert (refused.code, refused.out) == (4, b"")
    assert "holdfast sessions" in refused.err


def test_a_session_answers_to_each_of_its_names(talked: Home) -> None:
    names = [sid("aaaa-1"), sid("aaaa-1")[:6], "aaaa-1", "claude/aaaa-1", f"claude/{sid('aaaa-1')}"]
    exports = {talked.ok("export", name, "-f", "jsonl").out for name in names}
    assert len(exports) == 1


def test_a_wrong_command_line_is_told_apart(home: Home) -> None:
    assert home.run("no-such-command").code == 2
    assert home.run("search").code == 2
    assert home.run().code == 2


# Export.


def test_an_exported_line_is_a_canonical_event(talked: Home) -> None:
    lines = talked.export("aaaa-1").splitlines()
    events = [json.loads(line) for line in lines]
    required = {"id", "session", "seq", "kind", "at", "text", "data", "source"}
    assert all(set(event) >= required for event in events)
    assert [event["seq"] for event in events] == list(range(4))
    assert {event["kind"] for event in events} <= KINDS
    assert {event["session"] for event in events} == {sid("aaaa-1")}


@pytest.mark.slow
def test_exports_are_the_same_before_and_after_an_eviction_and_a_restart(corpus: Home) -> None:
    """K9, byte for byte, in both forms and for every session, search included."""
    home = corpus
    wanted: dict[str, Any] = {}

    def answers() -> dict[str, Any]:
        found: dict[str, Any] = {
            name: (home.export(name), home.ok("export", sid(name)).out) for name in home.sessions()
        }
        found["search"] = [
            (hit["session"], hit["seq"], hit["snippet"])
            for hit in home.ok("search", "--json", "-n", "200", "test").json
        ]
        return found

    with home.daemon() as daemon:
        report = home.ok("import", "--json", "--quiet").json
        wanted = answers()
        status = daemon.status()["memory"]["snapshots"]
        assert status["resident_sessions"] == report["sessions"], "nothing is evicted yet"
        assert wanted["search"]
        assert daemon.terminate() == 0
    assert answers() == wanted, "without a daemon"
    small = {"HOLDFAST_SNAPSHOTS__MAX_SESSIONS": "1"}
    fresh = os.path.join(home.folder, "fresh")
    home.env["HOLDFAST_HOME"] = fresh
    with home.daemon(small) as daemon:
        home.ok("import", "--quiet")
        snapshots = daemon.status()["memory"]["snapshots"]
        assert snapshots["resident_sessions"] == 1
        assert snapshots["evictions"]["max_sessions"] == report["sessions"] - 1
        assert len(home.sessions()) == report["sessions"], "evicted sessions stay listed"
        assert answers() == wanted, "after evictions"
        daemon.kill()
    with home.daemon(small):
        assert answers() == wanted, "after kill -9 and a restart"


def test_an_export_goes_where_it_may_and_nowhere_else(home: Home) -> None:
    home.write_log("a", *talk(3))
    home.ok("import", "--quiet")
    target = os.path.join(home.folder, "out")
    os.mkdir(target)
    elsewhere = os.path.join(home.folder, "elsewhere")
    os.mkdir(elsewhere)
    home.config(f'[recording]\nallowed_write_roots = ["{target}"]\n')

    written = home.ok("export", "a", "-f", "jsonl", "-o", os.path.join(target, "a.jsonl"))
    assert written.out == b""
    with open(os.path.join(target, "a.jsonl"), "rb") as file:
        assert file.read() == home.export("a")
    home.ok("export", "a", "-o", target)
    assert any(name.endswith(".md") for name in os.listdir(target))

    os.symlink(elsewhere, os.path.join(target, "link"))
    for path in (os.path.join(elsewhere, "a"), os.path.join(target, "link", "a"), "/tmp/hf-never"):
        refused = home.run("export", "a", "-o", path)
        assert refused.code == 9, refused
        assert "recording.allowed_write_roots" in refused.err
    assert os.listdir(elsewhere) == []


def test_the_socket_gives_the_views_that_the_command_gives(home: Home) -> None:
    home.write_log(
        "a",
        demo.user_line("fix it", session="a", at=moment(1)),
        demo.thinking_line("deep thoughts", session="a", at=moment(2)),
        demo.assistant_line("I look.", session="a", at=moment(3)),
        demo.assistant_line("Done.", session="a", at=moment(4)),
    )
    with home.daemon() as daemon:
        daemon.wait_for("a", 4)
        for asked, options in (
            ({"format": "jsonl"}, ["-f", "jsonl"]),
            ({"format": "jsonl", "kinds": "message.*"}, ["-f", "jsonl", "--kind", "message.*"]),
            ({"format": "jsonl", "since": moment(3)}, ["-f", "jsonl", "--since", moment(3)]),
            ({"format": "jsonl", "until": moment(3)}, ["-f", "jsonl", "--until", moment(3)]),
            ({"thinking": "true"}, ["--thinking"]),
            ({"commentary": "false"}, ["--no-commentary"]),
            ({}, []),
        ):
            given = b"".join(home.client.stream("GET", "/v1/sessions/a/export", **asked))
            assert given == home.ok("export", "a", *options).out, asked
        for wrong in ({"format": "html"}, {"thinking": "yes"}, {"since": "x"}, {"kinds": "x"}):
            with pytest.raises(Refused) as refused:
                list(home.client.stream("GET", "/v1/sessions/a/export", **wrong))
            assert refused.value.code == 2, wrong


# Following what is written.


def test_an_appended_line_is_seen(home: Home) -> None:
    home.write_log("a", *talk(1))
    with home.daemon() as daemon:
        daemon.wait_for("a", 1)
        home.append_log("a", *talk(1, start=1))
        daemon.wait_for("a", 2)
        half, rest = talk(1, start=2)[0][:50], talk(1, start=2)[0][50:]
        home.append_log("a", half)
        home.append_log("a", rest)
        daemon.wait_for("a", 3)
        home.write_log("b", *talk(4))
        daemon.wait_for("b", 4)
        assert home.export("a").count(b"\n") == 3


def test_a_root_that_appears_later_is_followed(home: Home) -> None:
    shutil.rmtree(home.claude)
    with home.daemon() as daemon:
        root = daemon.status()["sources"][0]["roots"][0]
        assert (root["path"], root["exists"]) == (home.projects, False)
        home.write_log("a", *talk(3))
        daemon.wait_for("a", 3)
        home.append_log("a", *talk(1, start=3))
        daemon.wait_for("a", 4)


def test_what_was_written_while_no_daemon_ran_is_read_at_the_start(home: Home) -> None:
    home.write_log("a", *talk(2))
    home.ok("import", "--quiet")
    home.append_log("a", *talk(3, start=2))
    home.write_log("b", *talk(1))
    with home.daemon() as daemon:
        daemon.wait_for("a", 5)
        daemon.wait_for("b", 1)


# Evictions are told (K6, K7).


def log_records(home: Home, name: str) -> list[dict[str, Any]]:
    with open(os.path.join(home.paths.logs, name), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_each_eviction_is_one_record_in_each_log_and_in_the_audit_table(home: Home) -> None:
    for name in ("a", "b", "c"):
        home.write_log(name, *talk(2, session=name))
    with home.daemon({"HOLDFAST_SNAPSHOTS__MAX_SESSIONS": "1"}) as daemon:
        for name in ("a", "b", "c"):
            daemon.wait_for(name, 2)
        until(
            lambda: daemon.status()["memory"]["snapshots"]["evictions"]["max_sessions"] == 2,
            "two sessions leave",
        )
        assert daemon.terminate() == 0
    operational = [
        record
        for record in log_records(home, "holdfast.log.jsonl")
        if record["event"] == "snapshots.evicted"
    ]
    audit = [
        record
        for record in log_records(home, "audit.jsonl")
        if record["event"] == "session.evicted"
    ]
    with home.reader() as reader:
        table = [
            json.loads(bytes(record.detail))
            for record in reader.audit()
            if record.action == "session.evicted"
        ]
    assert len(operational) == len(audit) == len(table) == 2
    for record in (*operational, *audit, *table):
        assert set(record) >= EVICTION_KEYS
        assert record["reason"] == "max_sessions"
        assert record["events"] == 2
        assert record["bytes_reclaimed"] > 0
    for log in LOGS:
        assert stat.S_IMODE(os.stat(os.path.join(home.paths.logs, log)).st_mode) == 0o600


@pytest.mark.parametrize(("mode", "resident"), [("observe", 1), ("enforce", 0)])
def test_idle_sessions_are_counted_or_evicted_as_set(home: Home, mode: str, resident: int) -> None:
    home.write_log("a", *talk(2))
    env = {
        "HOLDFAST_SNAPSHOTS__IDLE_EVICTION_MS": "1",
        "HOLDFAST_SNAPSHOTS__IDLE_EVICTION_MODE": mode,
        "HOLDFAST_DAEMON__HEARTBEAT_MS": "200",
    }
    with home.daemon(env) as daemon:
        daemon.wait_for("a", 2)

        def snapshots() -> dict[str, Any]:
            found: dict[str, Any] = daemon.status()["memory"]["snapshots"]
            return found

        if mode == "enforce":
            until(lambda: snapshots()["evictions"]["idle"] == 1, "the idle session leaves")
        else:
            until(lambda: snapshots()["idle_eviction"]["would_evict"] == 1, "it counts as idle")
        status = snapshots()
        assert status["resident_sessions"] == resident
        assert status["idle_eviction"]["active"] is (mode == "enforce")
        assert status["idle_eviction"]["mode"] == mode
        assert status["evictions"]["idle"] == 1 - resident
        people = home.ok("status").text
        assert ("configured but inactive" in people) is (mode == "observe")
        assert daemon.events("a") == 2


# The environment.


def test_holdfast_home_is_where_everything_goes(home: Home) -> None:
    home.write_log("a", *talk(2))
    other = os.path.join(home.folder, "other")
    home.env["HOLDFAST_HOME"] = other
    home.ok("config", "init")
    home.ok("start")
    home.ok("import", "--quiet")
    home.ok("stop")
    assert sorted(os.listdir(other)) == ["config.toml", "data", "run", "state"]
    assert not os.path.exists(home.home)
    assert home.ok("config", "show", "--json").json
    assert home.ok("clean", "--dry-run").code == 0


@pytest.mark.parametrize("command", ["import", "start", "up", "status"])
def test_claude_config_dir_says_where_the_logs_are(home: Home, command: str) -> None:
    home.write_log("elsewhere", *talk(2))
    moved = os.path.join(home.folder, "moved")
    os.rename(home.claude, moved)
    home.env["CLAUDE_CONFIG_DIR"] = moved
    try:
        if command == "status":
            home.ok("import", "--quiet")
            (root,) = home.ok("status", "--json").json["sources"][0]["roots"]
            assert root == {"path": os.path.join(moved, "projects"), "exists": True}
        else:
            home.ok(command)
            until(lambda: home.sessions().get("elsewhere", {}).get("events") == 2, "it is read")
    finally:
        home.run("stop")


def test_the_ceiling_comes_from_the_environment(home: Home) -> None:
    home.env["HOLDFAST_DAEMON__MAX_MEMORY_MB"] = "77"
    shown = home.ok("config", "show", "--origin", "--json").json["daemon.max_memory_mb"]
    assert shown == {"value": 77, "origin": "HOLDFAST_DAEMON__MAX_MEMORY_MB"}
    home.ok("start")
    try:
        memory = home.ok("status", "--json").json["memory"]
        assert memory["budget_bytes"] == 77 << 20
    finally:
        home.ok("stop")


@pytest.mark.parametrize(
    "command",
    [
        ("start",),
        ("restart",),
        ("up",),
        ("import",),
        ("config", "show"),
        ("config", "validate"),
        ("export", "a", "-o", "out.md"),
    ],
    ids=" ".join,
)
def test_a_wrong_ceiling_is_refused_by_every_command_that_reads_settings(
    home: Home, command: tuple[str, ...]
) -> None:
    home.write_log("a", *talk(2))
    home.ok("import", "--quiet")
    refused = home.run(*command, env={"HOLDFAST_DAEMON__MAX_MEMORY_MB": "-3"})
    assert refused.code == 3, refused
    assert "HOLDFAST_DAEMON__MAX_MEMORY_MB: daemon.max_memory_mb = -3: is too small" in refused.err
    assert "whole number, 1 or more" in refused.err
    assert home.run("stop").code == 6, "nothing was started"


# Quiet.


def test_an_idle_daemon_sleeps(home: Home) -> None:
    """Counted from heartbeat to heartbeat: between two of them next to nothing wakes it."""
    for number in range(20):
        home.write_log(f"session-{number}", *talk(3, session=f"session-{number}"))
    with home.daemon({"HOLDFAST_DAEMON__HEARTBEAT_MS": "1000"}) as daemon:
        home.ok("import", "--quiet")
        beats = [wake_ups_at_next_beat(home, daemon) for _ in range(4)]
        each = [after - before for before, after in pairwise(beats)]
        assert min(each) <= WAKE_UPS_PER_BEAT_MAX, each


def wake_ups_at_next_beat(home: Home, daemon: RunningDaemon) -> int:
    written = os.stat(home.paths.run_file).st_mtime_ns
    until(lambda: os.stat(home.paths.run_file).st_mtime_ns != written, "the heart beats")
    return processes.wake_ups(daemon.pid)


def test_a_fork_that_is_written_line_by_line_is_stored_once(home: Home) -> None:
    """Its file is empty when it is first seen, and begins with a record that has no id."""
    told = talk(6)
    begins = demo.snapshot_line()
    home.write_exactly("origin", begins, *told)
    with home.daemon() as daemon:
        daemon.wait_for("origin", 6)
        path = home.write_exactly("fork")
        size = 0
        for line in [begins, *told, *talk(1, start=6)]:  # each is seen by itself
            with open(path, "ab", buffering=0) as file:
                file.write(line)
            size += len(line)
            until(partial(is_read, home, path, size), "the line is read")
        daemon.wait_for("fork", 1)
        with home.reader() as reader:
            row = reader.session(sid("fork"))
        assert row is not None
        assert (row.events, row.inherited, row.forked_from) == (1, 6, sid("origin"))


def is_read(home: Home, path: str, size: int) -> bool:
    with home.reader() as reader:
        cursor = reader.cursor("claude", path)
    return cursor is not None and cursor.offset == size


def test_a_journal_that_was_emptied_is_made_anew_and_that_is_told(home: Home) -> None:
    home.write_log("alpha", *talk(4))
    with home.daemon() as daemon:
        assert not any("empty file" in each for each in daemon.status()["problems"])
    Path(home.paths.journal).write_bytes(b"")
    with home.daemon() as daemon:
        assert any("was an empty file" in each for each in daemon.status()["problems"])
        until(lambda: daemon.status()["sessions"]["total"] == 1, "the log is read again")
    assert "journal.emptied" in {record["event"] for record in log_records(home, LOGS[0])}
