"""Homes that are not as they should be: each gets a message that says what to do."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import apsw
import pytest

from holdfast.files import write_atomically
from holdfast.lock import JournalLock
from holdfast.paths import SOCKET_PATH_MAX_BYTES
from holdfast.status.lastrun import boot_id
from tests.support import processes
from tests.support.disks import fill, make_read_only, small_disk
from tests.support.home import Home, sid, talk, temporary_folder
from tests.support.waiting import until

WRITING: Final = [("start",), ("import",), ("up",)]
READING: Final = [("sessions",), ("search", "word"), ("export", "a"), ("show", "a")]


@pytest.fixture
def kept(home: Home) -> Home:
    """A home with one session in its journal."""
    home.write_log("a", *talk(3))
    home.ok("import", "--quiet")
    return home


@contextmanager
def homes_on(disk: str) -> Iterator[Home]:
    """holdfast's folders on a disk of their own, the logs elsewhere."""
    home = Home(temporary_folder())
    home.env["HOLDFAST_HOME"] = os.path.join(disk, "home")
    try:
        yield home
    finally:
        home.close()


def write_file(path: str, content: bytes = b"") -> None:
    with open(path, "wb") as file:
        file.write(content)


# The config.


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_config_with_errors_is_refused_with_everything_one_needs_to_mend_it(
    home: Home, command: tuple[str, ...]
) -> None:
    path = home.config(
        '[daemon]\nmax_memory_mb = -5\n\n[snapshots]\nmax_sesions = 3\nblock_bytes = "x"\n'
    )
    refused = home.run(*command)
    assert refused.code == 3
    assert refused.out == b""
    assert refused.err.splitlines() == [
        (
            f"holdfast: {path}:2: daemon.max_memory_mb = -5: is too small; "
            "allowed: whole number, 1 or more"
        ),
        (
            f"{path}:5: snapshots.max_sesions = 3: unknown setting; "
            'did you mean "snapshots.max_sessions"?'
        ),
        (
            f'{path}:6: snapshots.block_bytes = "x": is not a whole number; '
            "allowed: whole number from 16384 to 4194304"
        ),
    ]
    assert home.run("stop").code == 6


def test_a_config_that_breaks_while_a_daemon_runs_leaves_it_alone(kept: Home) -> None:
    with kept.daemon() as daemon:
        kept.config("[daemon\n")
        refused = kept.run("restart")
        assert refused.code == 3
        assert "config.toml:1: is not TOML" in refused.err
        assert processes.is_alive(daemon.pid)
        assert kept.run("sessions").code == 0, "asking needs no config"
        assert kept.ok("status", "--json").json["daemon"]["running"]


def test_a_config_that_cannot_be_read_says_so(home: Home) -> None:
    path = home.config("")
    os.chmod(path, 0)
    refused = home.run("start", preexec_fn=processes.obey_modes)
    assert refused.code == 3
    assert f"{path}: cannot be read: Permission denied" in refused.err
    os.unlink(path)
    os.mkdir(path)
    refused = home.run("import")
    assert refused.code == 3
    assert f"{path}: cannot be read: Is a directory" in refused.err


def test_a_config_of_nul_bytes_or_other_rubbish_is_refused(home: Home) -> None:
    path = home.config("")
    for rubbish in (b"\0" * 100, b"\xff\xfe[daemon]", b"[" * 10_000):
        with open(path, "wb") as file:
            file.write(rubbish)
        refused = home.run("start")
        assert refused.code == 3, refused
        assert path in refused.err
        assert "Traceback" not in refused.err


# Folders.


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_home_that_is_a_file_says_so(home: Home, command: tuple[str, ...]) -> None:
    write_file(home.home)
    refused = home.run(*command)
    assert refused.code == 3 if command == ("up",) else 1
    assert home.home in refused.err
    assert "HOLDFAST_HOME" in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_asking_a_home_that_is_a_file_or_empty_says_what_to_do(
    home: Home, command: tuple[str, ...]
) -> None:
    for exists in (False, True):
        if exists:
            write_file(home.home)
        refused = home.run(*command)
        assert refused.code == 8
        assert "holdfast up" in refused.err


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_home_that_may_not_be_written_says_so(home: Home, command: tuple[str, ...]) -> None:
    """By file modes, which root is made to obey here."""
    os.mkdir(home.home, 0o500)
    refused = home.run(*command, preexec_fn=processes.obey_modes)
    assert refused.code in {1, 3}
    assert home.home in refused.err
    assert "HOLDFAST_HOME" in refused.err
    assert "Traceback" not in refused.err


def test_a_home_in_proc_says_so(home: Home) -> None:
    refused = home.run("import", env={"HOLDFAST_HOME": "/proc/holdfast"})
    assert refused.code == 1
    assert "/proc/holdfast" in refused.err
    assert "HOLDFAST_HOME" in refused.err


def test_a_read_only_disk_is_read_and_not_written(home: Home) -> None:
    home.write_log("a", *talk(3))
    with small_disk(16) as disk, homes_on(disk) as other:
        other.env["CLAUDE_CONFIG_DIR"] = home.claude
        other.ok("import", "--quiet")
        exported = other.export("a")
        make_read_only(disk)
        for command in WRITING:
            refused = other.run(*command)
            assert refused.code != 0
            assert disk in refused.err
            assert "HOLDFAST_HOME" in refused.err, refused
            assert "Traceback" not in refused.err
        assert other.export("a") == exported
        assert other.ok("search", "--json", "word").json
        assert other.ok("status", "--json").json["sessions"]["total"] == 1


def test_a_home_with_a_long_name_has_its_socket_elsewhere(home: Home) -> None:
    home.env["HOLDFAST_HOME"] = os.path.join(home.folder, *["long" * 20] * 3)
    assert len(home.env["HOLDFAST_HOME"]) > SOCKET_PATH_MAX_BYTES
    home.write_log("a", *talk(2))
    with home.daemon() as daemon:
        daemon.wait_for("a", 2)
        assert home.ok("status", "--json").json["daemon"]["pid"] == daemon.pid
        folder = os.path.dirname(home.paths.socket)
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert home.ok("sessions", "--json").json[0]["events"] == 2


def test_a_home_with_a_name_that_no_file_system_takes_says_so(home: Home) -> None:
    refused = home.run("start", env={"HOLDFAST_HOME": os.path.join(home.folder, "x" * 300)})
    assert refused.code == 1
    assert "HOLDFAST_HOME" in refused.err
    assert "Traceback" not in refused.err


# What another run left.


def test_a_stale_socket_pid_and_run_file_are_no_obstacle(kept: Home) -> None:
    """As kill -9 and a power cut leave them."""
    paths = kept.paths
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(paths.socket)
    stale.close()
    with open(paths.lock, "w", encoding="ascii") as file:
        file.write(f"daemon {os.getpid()}\n")  # a process that lives, and is no daemon
    with open(paths.run_file, "w", encoding="utf-8") as file:
        json.dump(
            {
                "pid": os.getpid(),
                "version": "0",
                "started_at": "2026-01-01T00:00:00.000Z",
                "heartbeat_at": "2026-01-01T00:00:00.000Z",
                "boot_id": boot_id(),
            },
            file,
        )
    assert kept.ok("sessions", "--json").json, "the journal answers where no daemon does"
    assert kept.run("stop").code == 6, "and nobody is killed for a pid that stands somewhere"
    kept.ok("start")
    try:
        status = kept.ok("status", "--json").json["daemon"]
        assert status["last_run"]["ending"] == "killed"
        assert status["last_run"]["pid"] == os.getpid()
    finally:
        kept.ok("stop")


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"{}", b'{"pid": "x"}', b"[" * 5_000])
def test_a_run_file_of_rubbish_is_no_obstacle(kept: Home, content: bytes) -> None:
    with open(kept.paths.run_file, "wb") as file:
        file.write(content)
    with kept.daemon() as daemon:
        assert daemon.status()["daemon"]["last_run"] is None


@pytest.mark.parametrize("thing", ["file", "folder", "link"])
def test_what_stands_where_the_socket_belongs_is_named(kept: Home, thing: str) -> None:
    path = kept.paths.socket
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if thing == "file":
        write_file(path)
    elif thing == "folder":
        os.mkdir(path)
    else:
        os.symlink("/nowhere", path)
    refused = kept.run("start")
    assert refused.code == 1
    assert path in refused.err
    assert "Traceback" not in refused.err
    assert kept.ok("sessions", "--json").json, "reading does not need it"
    os.rmdir(path) if thing == "folder" else os.unlink(path)
    kept.ok("start")
    kept.ok("stop")


def test_a_second_daemon_is_refused_and_the_first_goes_on(kept: Home) -> None:
    with kept.daemon() as daemon:
        refused = kept.run("start")
        assert refused.code == 7
        second = kept.spawn_daemon()
        said = second.communicate(timeout=60)[1].decode()
        assert second.returncode == 7
        assert f"daemon {daemon.pid}" in said
        assert "holdfast stop" in said
        kept.append_log("a", *talk(1, start=3))
        daemon.wait_for("a", 4)


def test_while_an_import_holds_the_journal_nothing_else_writes(kept: Home) -> None:
    with JournalLock(kept.paths.lock).acquire("import"):
        for command in ("import", "start"):
            refused = kept.run(command)
            assert refused.code == 7, refused
            assert "import" in refused.err
            assert str(os.getpid()) in refused.err
        assert kept.ok("sessions", "--json").json, "reading needs no lock"
        assert kept.run("stop").code == 6, "an import is not a daemon to stop"
    kept.ok("import", "--quiet")


# The journal.


def edit(home: Home, *statements: str) -> None:
    connection = apsw.Connection(home.paths.journal)
    try:
        for statement in statements:
            connection.execute(statement)
    finally:
        connection.close()


@pytest.mark.parametrize("command", [*WRITING, *READING, ("status",)], ids=" ".join)
def test_a_journal_from_a_newer_version_is_left_alone(kept: Home, command: tuple[str, ...]) -> None:
    edit(kept, "PRAGMA user_version = 99")
    with open(kept.paths.journal, "rb") as file:
        before = file.read()
    refused = kept.run(*command)
    assert refused.code == 8, refused
    assert "a newer holdfast wrote it; upgrade holdfast" in refused.err
    with open(kept.paths.journal, "rb") as file:
        assert file.read() == before


@pytest.mark.parametrize("content", [b"this is not a database, " * 999, b"\0" * 50_000])
@pytest.mark.parametrize("command", [("start",), ("import",), ("sessions",)], ids=" ".join)
def test_a_journal_that_is_none_says_so(
    kept: Home, command: tuple[str, ...], content: bytes
) -> None:
    with open(kept.paths.journal, "wb") as file:
        file.write(content)
    refused = kept.run(*command)
    assert refused.code == 8, refused
    assert kept.paths.journal in refused.err
    assert "Traceback" not in refused.err
    with open(kept.paths.journal, "rb") as file:
        assert file.read() == content, "somebody may still want it"


def test_a_database_of_another_program_is_not_touched(home: Home) -> None:
    os.makedirs(home.paths.data_dir)
    edit(home, "CREATE TABLE other (x)")
    for command in ("start", "import"):
        refused = home.run(command)
        assert refused.code == 8
        assert "another program" in refused.err


def test_a_damaged_block_costs_itself_alone(home: Home) -> None:
    """Export gives the rest and says what is missing; search and everything else goes on."""
    home.write_log("hurt", *talk(300, words="barnacle " + "reef " * 40, session="hurt"))
    home.write_log("well", *talk(3, words="kelp", session="well"))
    home.ok("import", "--quiet", env={"HOLDFAST_SNAPSHOTS__BLOCK_BYTES": "16384"})
    sound = home.export("hurt").splitlines()
    connection = apsw.Connection(home.paths.journal)
    rows = connection.execute(
        "SELECT pos, first_seq, count, data FROM blocks WHERE session_no = "
        "(SELECT no FROM sessions WHERE id = ?) ORDER BY first_seq",
        (sid("hurt"),),
    ).fetchall()
    assert len(rows) > 3
    position, first, count, data = rows[1]
    assert isinstance(first, int)
    assert isinstance(count, int)
    assert isinstance(data, bytes)
    turned = bytearray(data)
    turned[len(turned) // 2] ^= 8
    connection.execute("UPDATE blocks SET data = ? WHERE pos = ?", (bytes(turned), position))
    connection.close()

    def check() -> None:
        exported = [json.loads(line) for line in home.export("hurt").splitlines()]
        kept = {event["seq"]: event for event in exported if event["kind"] == "message.user"}
        assert set(kept) == set(range(300)) - set(range(first, first + count))
        assert all(kept[seq] == json.loads(sound[seq]) for seq in kept)
        (notice,) = (event for event in exported if event["seq"] == first)
        assert f"{count} events from number {first} on are damaged" in notice["text"]
        assert (
            f"{count} events from number {first} on are damaged"
            in home.ok("export", "hurt", "--system").text
        )
        assert {hit["session"] for hit in home.ok("search", "--json", "kelp").json} == {sid("well")}
        hits = home.ok("search", "--json", "barnacle", "-n", "500").json
        assert {hit["session"] for hit in hits} == {sid("hurt")}
        assert home.ok("show", "hurt", "--all").text
        with home.reader() as reader:
            (problem,) = reader.check()
            assert sid("hurt") in problem

    check()
    with home.daemon() as daemon:
        check()
        home.append_log("hurt", *talk(2, start=300, words="barnacle", session="hurt"))
        daemon.wait_for("hurt", 302)


# Disks without room.


@pytest.mark.slow
def test_a_full_disk_stops_writing_not_reading_and_heals(home: Home) -> None:
    env = {"HOLDFAST_DAEMON__HEARTBEAT_MS": "200", "HOLDFAST_INGEST__RECONCILE_SECS": "1"}
    home.write_log("a", *talk(5))
    with small_disk(12) as disk, homes_on(disk) as other:
        other.env["CLAUDE_CONFIG_DIR"] = home.claude
        with other.daemon(env) as daemon:
            daemon.wait_for("a", 5)
            until(lambda: other.ok("search", "--json", "word").json, "what is there is found")
            filler = fill(disk)
            big = talk(400, start=5, words="kelp " * 200)
            home.append_log("a", *big)
            until(
                lambda: any("no room" in problem for problem in daemon.status()["problems"]),
                "status says that the disk is full",
                detail=daemon.status,
            )
            assert "free some space" in other.ok("status").text
            assert other.export("a").count(b"\n") >= 5, "reading goes on"
            assert other.ok("search", "--json", "word").json
            os.unlink(filler)
            daemon.wait_for("a", 405)
            until(lambda: other.ok("search", "--json", "kelp").json, "what came meanwhile is found")
            assert daemon.terminate() == 0
        with other.reader() as reader:
            assert reader.check() == []
        ids = [json.loads(line)["id"] for line in other.export("a").splitlines()]
        assert len(set(ids)) == len(ids) == 405


@pytest.mark.slow
def test_a_first_import_that_the_disk_has_no_room_for_is_done_when_there_is(home: Home) -> None:
    """By the daemon itself, which looks at everything again and again."""
    env = {"HOLDFAST_DAEMON__HEARTBEAT_MS": "200", "HOLDFAST_INGEST__RECONCILE_SECS": "1"}
    write_what_does_not_shrink(home)
    with small_disk(24) as disk, homes_on(disk) as other:
        other.env["CLAUDE_CONFIG_DIR"] = home.claude
        filler = fill(disk, leave_bytes=4 << 20)
        with other.daemon(env) as daemon:
            until(
                lambda: any("no room" in problem for problem in daemon.status()["problems"]),
                "status says that the disk is full",
                detail=daemon.status,
            )
            os.unlink(filler)
            until(
                lambda: daemon.status()["sessions"]["events"] == 24_000,
                "all is read",
                detail=daemon.status,
            )
            until(
                lambda: all(" free on the disk" in each for each in daemon.status()["problems"]),
                "nothing is wrong any more but that the disk is small",
                detail=lambda: daemon.status()["problems"],
            )
            assert daemon.terminate() == 0
        with other.reader() as reader:
            assert reader.check() == []


def write_what_does_not_shrink(home: Home) -> None:
    """24,000 events in eight sessions, which take their size on the disk."""
    throw = Random(3)
    for number in range(8):
        lines = (f"{throw.randbytes(60).hex()} kelp" for _ in range(3_000))
        home.write_log(f"session-{number}", *(talk(1, words=text)[0] for text in lines))


def test_a_file_about_a_run_is_whole_or_the_one_before(tmp_path: Path) -> None:
    with small_disk(1) as disk:
        path = os.path.join(disk, "run.json")
        write_atomically(path, b"before")
        filler = fill(disk, leave_bytes=4_096)
        with pytest.raises(OSError, match="space"):
            write_atomically(path, b"x" * 100_000)
        with open(path, "rb") as file:
            assert file.read() == b"before"
        os.unlink(filler)
        write_atomically(path, b"after")
        with open(path, "rb") as file:
            assert file.read() == b"after"


@pytest.mark.slow
def test_an_import_that_fills_the_disk_says_so_and_goes_on_when_there_is_room(home: Home) -> None:
    write_what_does_not_shrink(home)
    with small_disk(8) as disk, homes_on(disk) as other:
        other.env["CLAUDE_CONFIG_DIR"] = home.claude
        refused = other.run("import", "--quiet")
        assert refused.code == 8, refused
        assert "free some space" in refused.err
        assert "Traceback" not in refused.err
        sessions = other.sessions()
        assert sum(each["events"] for each in sessions.values()) < 24_000
        os.makedirs(os.path.join(home.folder, "moved"))
        shutil.copytree(
            other.env["HOLDFAST_HOME"], os.path.join(home.folder, "moved"), dirs_exist_ok=True
        )
    home.env["HOLDFAST_HOME"] = os.path.join(home.folder, "moved")
    report = home.ok("import", "--json", "--quiet").json
    assert (report["events"], report["problems"]) == (24_000, [])
    with home.reader() as reader:
        assert reader.check() == []


@pytest.mark.slow
def test_a_daemon_that_starts_on_a_full_disk_says_so(home: Home) -> None:
    with small_disk(4) as disk, homes_on(disk) as other:
        filler = fill(disk)
        refused = other.run("start")
        assert refused.code in {1, 8}
        assert disk in refused.err
        assert "space" in refused.err
        assert "Traceback" not in refused.err
        os.unlink(filler)
        other.ok("start")
        other.ok("stop")
