"""Logs that are not as agents write them: each costs itself, and the session beside it goes on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest

from holdfast.demo import lines as demo
from holdfast.journal.model import Span
from tests.support import processes
from tests.support.home import PROJECT, Home, moment, sid, talk
from tests.support.waiting import until

FAST: Final = {"HOLDFAST_INGEST__RECONCILE_SECS": "1", "HOLDFAST_DAEMON__HEARTBEAT_MS": "200"}
SMALL_LINES: Final = {"HOLDFAST_INGEST__MAX_LINE_BYTES": "65536"}

Breaker = Callable[[Home], object]
Bytes = dict[str, int]


def texts(home: Home, name: str) -> list[str]:
    return [json.loads(line)["text"] for line in home.export(name).splitlines()]


def counts(home: Home) -> Bytes:
    found: Bytes = home.ok("status", "--json").json["sources"][0]["bytes"]
    return found


def add_up(found: Bytes) -> bool:
    return found["seen"] == sum(found[name] for name in ("parsed", "skipped", "unknown", "bad"))


# What may stand in the place of a log.


def make_pipe(home: Home) -> None:
    os.mkfifo(home.log_path("x"))


def make_socket(home: Home) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(home.log_path("x"))
    listening.close()


def make_device(home: Home) -> None:
    try:
        os.mknod(home.log_path("x"), stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("making a device needs root")


def link_to_device(home: Home) -> None:
    os.symlink("/dev/zero", home.log_path("x"))


def dangling_link(home: Home) -> None:
    os.symlink("/nowhere/at/all", home.log_path("x"))


def link_to_itself(home: Home) -> None:
    os.symlink(home.log_path("x"), home.log_path("x"))


def folder_of_that_name(home: Home) -> None:
    os.mkdir(home.log_path("x"))


def link_to_folder(home: Home) -> None:
    os.mkdir(os.path.join(home.folder, "elsewhere"))
    os.symlink(os.path.join(home.folder, "elsewhere"), home.log_path("x"))


def loop_of_links(home: Home) -> None:
    os.symlink(home.projects, os.path.join(home.projects, PROJECT, "loop"))
    os.symlink("..", os.path.join(home.projects, PROJECT, "up"))


def unreadable_file(home: Home) -> None:
    os.chmod(home.write_log("x", *talk(2)), 0)


def unreadable_folder(home: Home) -> None:
    home.write_log("x", *talk(2), project="-secret")
    os.chmod(os.path.join(home.projects, "-secret"), 0)


def file_for_a_folder(home: Home) -> None:
    with open(os.path.join(home.projects, "-file"), "wb") as file:
        file.write(b"not a project")


def binary(home: Home) -> None:
    home.write_log("x", Random(5).randbytes(300_000))


def zeros(home: Home) -> None:
    home.write_log("x", bytes(200_000), b"\n", bytes(100))


def empty(home: Home) -> None:
    home.write_log("x")


def blank_lines(home: Home) -> None:
    home.write_log("x", b"\n" * 5_000 + b"  \r\n" * 100)


def deep_json(home: Home) -> None:
    home.write_log("x", b'{"type":"user","message":' + b"[" * 60_000 + b"\n")


def wrong_shapes(home: Home) -> None:
    values = (b"null", b"[]", b"7", b'"x"', b"{}", b'{"type":7}', b'{"type":"user","message":7}')
    home.write_log("x", *(value + b"\n" for value in values))


def lone_surrogates(home: Home) -> None:
    home.write_log(
        "x", b'{"type":"user","message":{"role":"user","content":"\\ud800 \xed\xa0\x80"}}\n'
    )


def name_that_is_not_utf8(home: Home) -> None:
    folder = os.fsencode(os.path.join(home.projects, PROJECT))
    with open(os.path.join(folder, b"\xff\xfe.jsonl"), "wb") as file:
        file.writelines(talk(2))
    os.mkdir(os.path.join(os.fsencode(home.projects), b"-\xfe"))
    with open(os.path.join(os.fsencode(home.projects), b"-\xfe", b"y.jsonl"), "wb") as file:
        file.writelines(talk(2))


def name_with_a_newline(home: Home) -> None:
    home.write_log("x\ny\x1b[31m", *talk(2))


def name_of_the_greatest_length(home: Home) -> None:
    home.write_log("x" * 249, *talk(2))


NOT_LOGS: Final[list[Breaker]] = [
    make_pipe,
    make_socket,
    make_device,
    link_to_device,
    dangling_link,
    link_to_itself,
    folder_of_that_name,
    link_to_folder,
    loop_of_links,
    file_for_a_folder,
    empty,
]
NOT_READABLE: Final[list[Breaker]] = [
    unreadable_file,
    unreadable_folder,
    name_that_is_not_utf8,
]
NOT_SOUND: Final[list[Breaker]] = [
    binary,
    zeros,
    blank_lines,
    deep_json,
    wrong_shapes,
    lone_surrogates,
    name_with_a_newline,
    name_of_the_greatest_length,
]


def name_of(value: Any) -> str:
    return str(value.__name__)


@pytest.mark.parametrize("spoil", [*NOT_LOGS, *NOT_READABLE, *NOT_SOUND], ids=name_of)
def test_an_import_passes_what_it_cannot_read_and_reads_the_rest(
    home: Home, spoil: Breaker
) -> None:
    home.write_log("before", *talk(3))
    spoil(home)
    home.write_log("zz-after", *talk(4))
    done = home.run("import", "--json", "--quiet", preexec_fn=processes.obey_modes, timeout_s=60)
    assert done.code == 0, done
    sessions = home.sessions()
    assert (sessions["before"]["events"], sessions["zz-after"]["events"]) == (3, 4)
    assert add_up(done.json["bytes"])
    assert bool(done.json["problems"]) is (spoil in NOT_READABLE), done.json["problems"]
    if spoil in NOT_LOGS:
        assert {name for name in sessions if sessions[name]["events"]} == {"before", "zz-after"}
    if spoil in NOT_SOUND:
        size = os.path.getsize(home.log_path("before")) + os.path.getsize(home.log_path("zz-after"))
        assert done.json["bytes"]["seen"] > size, "it is in the ledger"
    again = home.run("import", "--json", "--quiet", preexec_fn=processes.obey_modes, timeout_s=60)
    assert again.json["imported_events"] == 0
    assert again.json["bytes"] == done.json["bytes"]


@pytest.mark.slow
def test_the_tail_meets_each_of_them_while_it_follows_another_session(home: Home) -> None:
    events = 3
    home.write_log("before", *talk(events))
    with home.daemon(FAST, processes.obey_modes) as daemon:
        for spoil in (*NOT_READABLE, *NOT_LOGS, *NOT_SOUND):
            spoil(home)
            if spoil in NOT_READABLE:
                until(lambda: daemon.status()["problems"], f"status tells of {spoil.__name__}")
            home.append_log("before", *talk(1, start=events))
            events += 1
            daemon.wait_for("before", events)
            after = f"after-{spoil.__name__}"
            home.write_log(after, *talk(4))
            daemon.wait_for(after, 4)
            clear_away(home)
        until(lambda: not daemon.status()["problems"], "what is gone is not told of any more")
        assert not [name for name in home.sessions() if "/" in name], "nothing is read twice"
        assert add_up(daemon.status()["sources"][0]["bytes"])
        assert daemon.terminate() == 0


def clear_away(home: Home) -> None:
    """Whatever was put there to spoil things."""
    folder = os.fsencode(os.path.join(home.projects, PROJECT))
    for name in os.listdir(folder):
        if not name.startswith((b"before", b"after")):
            remove(os.path.join(folder, name))
    for name in os.listdir(os.fsencode(home.projects)):
        if name != os.fsencode(PROJECT):
            remove(os.path.join(os.fsencode(home.projects), name))
    shutil.rmtree(os.path.join(home.folder, "elsewhere"), ignore_errors=True)


def remove(path: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        os.chmod(path, 0o700)
        shutil.rmtree(path)
    else:
        os.unlink(path)


@pytest.mark.parametrize(
    "spoil", [make_pipe, make_socket, link_to_device, link_to_folder], ids=name_of
)
def test_a_log_that_becomes_something_else_is_not_waited_for(home: Home, spoil: Breaker) -> None:
    """Opening a pipe to read from it waits for somebody who writes, for ever."""
    home.write_log("x", *talk(3))
    home.write_log("other", *talk(2))
    with home.daemon(FAST) as daemon:
        daemon.wait_for("x", 3)
        daemon.wait_for("other", 2)
        os.unlink(home.log_path("x"))
        spoil(home)
        until(lambda: daemon.status()["problems"], "status tells of it")
        home.append_log("other", *talk(2, start=2))
        daemon.wait_for("other", 4)
        assert home.run("import", "--quiet", timeout_s=60).code == 0
        assert daemon.terminate() == 0
    done = home.run("import", "--json", "--quiet", timeout_s=60)
    assert done.code == 0
    assert len(texts(home, "x")) == 3, "what was read stays"


# What happens to a log while it is followed.


def test_a_log_that_is_deleted_while_it_is_followed_stays_here(home: Home) -> None:
    home.write_log("x", *talk(3))
    home.write_log("other", *talk(1))
    with home.daemon(FAST) as daemon:
        daemon.wait_for("x", 3)
        before = home.export("x")
        os.unlink(home.log_path("x"))
        until(lambda: daemon.status()["sources"][0]["gone_files"] == 1, "it is gone")
        assert home.export("x") == before
        assert "1 deleted by the agent, kept here" in home.ok("status").text
        home.append_log("other", *talk(1, start=1))
        daemon.wait_for("other", 2)
        home.write_log("x", *talk(4))
        until(lambda: daemon.status()["sources"][0]["gone_files"] == 0, "it is back")
        daemon.wait_for("x", 4)
        assert texts(home, "x") == [f"word {number}" for number in range(4)]


def test_a_log_that_shrinks_and_is_written_anew_repeats_nothing(home: Home) -> None:
    path = home.write_log("x", *talk(6))
    with home.daemon(FAST) as daemon:
        daemon.wait_for("x", 6)
        os.truncate(path, len(b"".join(talk(2))))
        home.append_log("x", *talk(2, start=20))
        daemon.wait_for("x", 8)
        home.append_log("x", *talk(1, start=30))
        daemon.wait_for("x", 9)
        wanted = [f"word {number}" for number in (*range(6), 20, 21, 30)]
        assert texts(home, "x") == wanted
        assert add_up(counts(home))
        assert counts(home)["seen"] == os.path.getsize(path)


@pytest.mark.slow
def test_a_log_that_shrinks_while_it_is_read_is_no_trouble(home: Home) -> None:
    """Cut and written again and again, large enough for a child, while it is imported."""
    throw = Random(9)
    whole = talk(3_000, words="kelp " * 40)
    home.write_log("other", *talk(2))
    with home.daemon({**FAST, "HOLDFAST_INGEST__INLINE_BACKLOG_BYTES": "65536"}) as daemon:
        for _ in range(12):
            path = home.write_log("x", *whole[: throw.randrange(1_000, 3_000)])
            until(lambda: daemon.events("x") > throw.randrange(500), "it is being read")
            os.truncate(path, throw.randrange(os.path.getsize(path)))
        home.write_log("x", *whole)
        home.append_log("other", *talk(1, start=2))
        daemon.wait_for("other", 3)

        def all_read() -> bool:
            return daemon.events("x") >= len(whole) and counts(home)["seen"] == sum(
                os.path.getsize(home.log_path(name)) for name in ("x", "other")
            )

        until(all_read, "the whole log is read", detail=daemon.status)
        assert daemon.terminate() == 0
    found = texts(home, "x")
    assert set(found) >= {json.loads(line)["message"]["content"] for line in whole}
    with home.reader() as reader:
        assert reader.check() == []


def test_a_session_that_is_renamed_begins_with_the_first(
    home: Home,
) -> None:
    home.write_log("old", *talk(3))
    with home.daemon(FAST) as daemon:
        daemon.wait_for("old", 3)
        os.rename(home.log_path("old"), home.log_path("new"))
        home.append_log("new", *talk(1, start=3))
        daemon.wait_for("new", 1)
        until(lambda: daemon.status()["sources"][0]["gone_files"] == 1, "the old name is gone")
        assert (len(texts(home, "old")), len(texts(home, "new"))) == (3, 4)
        with home.reader() as reader:
            assert reader.lineage(sid("new")) == [Span(sid("old"), 0, 3)]


def test_a_session_that_moves_to_another_project_repeats_nothing(home: Home) -> None:
    home.write_log("x", *talk(3))
    with home.daemon(FAST) as daemon:
        daemon.wait_for("x", 3)
        os.makedirs(os.path.join(home.projects, "-other"))
        os.rename(home.log_path("x"), home.log_path("x", "-other"))
        home.append_log("x", *talk(2, start=3), project="-other")
        daemon.wait_for("x", 5)
        until(lambda: daemon.status()["sources"][0]["gone_files"] == 1, "the old place is empty")
        assert texts(home, "x") == [f"word {number}" for number in range(5)]


@pytest.mark.parametrize("live", [False, True], ids=["imported", "followed"])
def test_two_files_of_one_session_are_one_conversation(home: Home, *, live: bool) -> None:
    """A resumed session may lie in two project folders; what both hold is stored once."""

    def write() -> None:
        home.write_log("x", *talk(4), project="-first")
        home.write_log("x", *talk(4), *talk(3, start=4), project="-second")

    if live:
        with home.daemon(FAST) as daemon:
            write()
            daemon.wait_for("x", 7)
            home.append_log("x", *talk(1, start=7), project="-second")
            daemon.wait_for("x", 8)
    else:
        write()
        home.append_log("x", *talk(1, start=7), project="-second")
        home.ok("import", "--quiet")
    assert sorted(texts(home, "x")) == [f"word {number}" for number in range(8)]
    found = counts(home)
    assert (
        found["seen"]
        == found["parsed"]
        == sum(os.path.getsize(home.log_path("x", project)) for project in ("-first", "-second"))
    )


def test_a_project_folder_that_becomes_a_file_costs_itself(home: Home) -> None:
    home.write_log("x", *talk(3), project="-doomed")
    home.write_log("other", *talk(1))
    with home.daemon(FAST) as daemon:
        daemon.wait_for("x", 3)
        shutil.rmtree(os.path.join(home.projects, "-doomed"))
        with open(os.path.join(home.projects, "-doomed"), "wb") as file:
            file.write(b"surprise")
        home.append_log("other", *talk(1, start=1))
        daemon.wait_for("other", 2)
        assert len(texts(home, "x")) == 3


def test_a_root_that_goes_becomes_a_file_and_comes_back_is_followed_again(home: Home) -> None:
    home.write_log("x", *talk(3))
    with home.daemon({"HOLDFAST_INGEST__RECONCILE_SECS": "3600"}) as daemon:
        daemon.wait_for("x", 3)
        shutil.rmtree(home.projects)
        with open(home.projects, "wb") as file:
            file.write(b"surprise")
        until(
            lambda: not daemon.status()["sources"][0]["roots"][0]["exists"], "the root is no folder"
        )
        os.unlink(home.projects)
        home.write_log("y", *talk(2))
        daemon.wait_for("y", 2)
        home.append_log("y", *talk(1, start=2))
        daemon.wait_for("y", 3)
        assert len(texts(home, "x")) == 3


def test_a_folder_that_may_be_read_later_is_read_then(home: Home) -> None:
    unreadable_folder(home)
    secret = os.path.join(home.projects, "-secret")
    # A first import of some length, which must not put off the next look at everything.
    home.write_log("large", *talk(30_000, words="kelp " * 100))
    with home.daemon(FAST, processes.obey_modes) as daemon:
        daemon.wait_for("large", 30_000)
        until(lambda: any(secret in each for each in daemon.status()["problems"]), "it is told of")
        assert "Permission denied" in home.ok("status").text
        os.chmod(secret, 0o700)
        daemon.wait_for("x", 2)
        home.append_log("x", *talk(1, start=2), project="-secret")
        daemon.wait_for("x", 3)
        until(
            lambda: not daemon.status()["problems"],
            "what was mended is not told of any more",
            detail=lambda: daemon.status()["problems"],
        )


# Lines.


def test_lines_of_all_sizes_around_the_cap_are_kept(home: Home) -> None:
    cap = 65_536
    sizes = [cap - 1, cap, cap + 1, 2 * cap, 1_048_575, 1_048_576, 1_048_577, 3_000_000, 5]
    written = []
    for number, size in enumerate(sizes):
        line = demo.user_line("", at=moment(number))
        written.append(demo.user_line("x" * max(1, size - len(line)), at=moment(number)))
    home.write_log("x", *written)
    home.ok("import", "--quiet", env=SMALL_LINES)
    found = counts(home)
    assert found["seen"] == os.path.getsize(home.log_path("x"))
    assert (found["bad"], found["skipped"]) == (0, 0)
    over = sum(len(line) for line in written if len(line) - 1 > cap)
    assert found["unknown"] == over
    assert len(texts(home, "x")) == len(sizes)


def test_a_line_over_the_cap_is_followed_as_it_grows(home: Home) -> None:
    """It is not there before its end is, and costs nobody else anything meanwhile."""
    line = demo.user_line("x" * 400_000)
    home.write_log("x", *talk(1))
    home.write_log("other", *talk(1))
    with home.daemon({**FAST, **SMALL_LINES}) as daemon:
        daemon.wait_for("x", 1)
        for start in range(0, len(line), 50_000):
            home.append_log("x", line[start : start + 50_000])
        daemon.wait_for("x", 2)
        home.append_log("x", *talk(1, start=1))
        daemon.wait_for("x", 3)
        home.append_log("other", *talk(1, start=1))
        daemon.wait_for("other", 2)
    assert texts(home, "x")[1] == f"[a line of {len(line) - 1:,} bytes]"
