"""Whole lines, bounded files, private modes, and never an exception into the caller."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.observe import EventLog, JsonLog, Logs, stdlib_handler, tail
from holdfast.observe import logs as logs_module
from holdfast.observe.logs import MAX_LINE_BYTES


class Clock:
    def __init__(self, now_s: float = 1_700_000_000.5) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class Disk:
    """Stands in for `os.write`: takes everything, nothing, or only the first bytes."""

    def __init__(self) -> None:
        self.room: int | None = None

    def __call__(self, fd: int, data: bytes) -> int:
        if self.room is None:
            return os.write(fd, data)
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(fd, data[: self.room])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "holdfast.log.jsonl"


@pytest.fixture
def log(path: Path, clock: Clock, disk: Disk) -> Iterator[JsonLog]:
    made = JsonLog(path, clock=clock, write=disk)
    yield made
    made.close()


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def only(path: Path) -> dict[str, Any]:
    (record,) = records(path)
    return record


def test_a_record_is_one_line_of_json(log: JsonLog, path: Path) -> None:
    log.info("snapshots.evicted", session="abc", bytes=12, reason=None)
    assert path.read_text() == (
        '{"at":"2023-11-14T22:13:20.500Z","level":"info","event":"snapshots.evicted",'
        '"session":"abc","bytes":12,"reason":null}\n'
    )
    assert (log.written, log.dropped) == (1, 0)


def test_records_below_the_level_are_not_written(log: JsonLog, path: Path) -> None:
    log.debug("not.this")
    log.info("a")
    log.warning("b")
    log.error("c")
    log.level = "error"
    log.warning("not.this")
    log.error("d")
    assert [(r["level"], r["event"]) for r in records(path)] == [
        ("info", "a"),
        ("warning", "b"),
        ("error", "c"),
        ("error", "d"),
    ]


def test_a_field_cannot_take_the_place_of_what_every_record_has(log: JsonLog, path: Path) -> None:
    log.info("a", level="mine", at="mine", event="mine")
    record = only(path)
    assert (record["level"], record["event"]) == ("info", "a")
    assert (record["level_"], record["at_"], record["event_"]) == ("mine", "mine", "mine")


class Grumpy:
    def __repr__(self) -> str:
        raise RuntimeError


def test_values_that_are_not_json_become_text(log: JsonLog, path: Path) -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    log.info(
        "a",
        error=ValueError("no"),
        path=Path("/tmp/x"),
        undecodable=os.fsdecode(b"/tmp/\xff"),
        undecodable_path=Path(os.fsdecode(b"/tmp/\xff")),
        cycle=cycle,
        grumpy=Grumpy(),
        good=[1, "två"],
    )
    record = only(path)
    assert record["error"] == "ValueError('no')"
    assert record["path"] == "/tmp/x"
    assert record["undecodable"] == record["undecodable_path"] == "/tmp/\\udcff"
    assert record["cycle"] == "[[...]]"
    assert record["grumpy"] == "<Grumpy whose repr raised RuntimeError>"
    assert record["good"] == [1, "två"]


def test_names_that_are_no_text_become_text(log: JsonLog, path: Path) -> None:
    log.info("a\udcff", **{"b\udcff": 1})
    assert only(path)["event"] == "a\\udcff"
    assert only(path)["b\\udcff"] == 1


@given(
    st.text(),
    st.dictionaries(
        st.text(st.characters(exclude_categories=[])),
        st.recursive(
            st.none() | st.floats() | st.integers() | st.binary() | st.complex_numbers()
            | st.text(st.characters(exclude_categories=[])),
            lambda inner: st.lists(inner) | st.dictionaries(st.integers(), inner),
        ),
    ),
)  # fmt: skip
def test_whatever_comes_in_one_json_line_comes_out(event: str, fields: dict[str, Any]) -> None:
    line = logs_module._line(0.0, "info", event, fields)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert len(line) <= MAX_LINE_BYTES
    assert json.loads(line)["level"] == "info"


@pytest.mark.parametrize(
    "fields",
    [
        {"big": "x" * 1_000_000},
        {"big": "\x00" * 16_000},
        {"big": ["x" * 100] * 1_000},
        {f"f{i}": "y" * 1_000 for i in range(40)},
        {"n": 10**4_000, "big": "ä" * 20_000},
    ],
)
def test_a_line_is_capped_and_says_which_fields_were_cut(
    log: JsonLog, path: Path, fields: dict[str, Any]
) -> None:
    log.info("a", small=7, **fields)
    assert path.stat().st_size <= MAX_LINE_BYTES
    record = only(path)
    assert record["small"] == 7
    assert record["truncated"]
    assert set(record["truncated"]) <= set(fields)
    for name in record["truncated"]:
        assert record[name].endswith("…")


def test_a_record_whose_fields_cannot_fit_keeps_its_event(log: JsonLog, path: Path) -> None:
    log.info("a" * 500, **{f"field{i}": i for i in range(5_000)})
    record = only(path)
    assert record["event"] == "a" * 200
    assert record["truncated"] == ["*"]


def test_a_line_of_exactly_the_cap_is_whole(log: JsonLog, path: Path) -> None:
    log.info("a", text="")
    room = MAX_LINE_BYTES - path.stat().st_size
    path.unlink()
    log.info("a", text="x" * room)
    assert path.stat().st_size == MAX_LINE_BYTES
    assert "truncated" not in only(path)


def test_only_the_owner_may_read_even_under_umask_0(tmp_path: Path) -> None:
    with umask(0):
        logs = Logs(tmp_path / "state" / "logs")
        logs.operational.info("a")
        logs.audit.info("b")
        logs.close()
    for directory in ("state", "state/logs"):
        assert mode(tmp_path / directory) == 0o700
    for file in ("holdfast.log.jsonl", "audit.jsonl"):
        assert mode(tmp_path / "state" / "logs" / file) == 0o600


def test_rotated_files_stay_private_under_umask_0(path: Path) -> None:
    with umask(0):
        log = JsonLog(path, max_bytes=200, keep_files=2)
        for _ in range(12):
            log.info("a", filler="x" * 80)
        log.close()
    assert {mode(file) for file in path.parent.iterdir()} == {0o600}


def test_modes_that_are_too_wide_are_narrowed_and_only_ours(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    directory = tmp_path / "logs"
    directory.mkdir(0o755)
    file = directory / "audit.jsonl"
    file.touch(0o644)
    file.chmod(0o644)
    logs = Logs(directory)
    logs.audit.info("a")
    logs.close()
    elsewhere = JsonLog(tmp_path / "one.jsonl")
    elsewhere.info("a")
    elsewhere.close()
    assert (mode(directory), mode(file), mode(tmp_path)) == (0o700, 0o600, 0o755)


def test_files_rotate_by_size_and_the_oldest_goes(path: Path) -> None:
    log = JsonLog(path, max_bytes=1_000, keep_files=3)
    for i in range(200):
        log.info("a", i=i)
    log.close()
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == [
        "holdfast.log.1.jsonl",
        "holdfast.log.2.jsonl",
        "holdfast.log.3.jsonl",
        "holdfast.log.jsonl",
    ]
    assert all(file.stat().st_size <= 1_000 for file in path.parent.iterdir())
    kept = [
        record["i"]
        for name in (names[2], names[1], names[0], names[3])
        for record in records(path.with_name(name))
    ]
    assert kept == list(range(kept[0], 200))
    assert log.dropped == 0


def test_without_older_files_the_log_begins_anew(path: Path) -> None:
    log = JsonLog(path, max_bytes=300, keep_files=0)
    for i in range(20):
        log.info("a", i=i)
    log.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.stat().st_size <= 300
    assert records(path)[-1]["i"] == 19


def test_files_beyond_a_lowered_keep_files_are_removed(path: Path) -> None:
    for keep_files in (4, 1):
        log = JsonLog(path, max_bytes=200, keep_files=keep_files)
        for i in range(30):
            log.info("a", i=i)
        log.close()
    assert len(list(path.parent.iterdir())) == 2


def test_lines_longer_than_max_bytes_have_a_file_each_and_no_file_is_empty(path: Path) -> None:
    log = JsonLog(path, max_bytes=10, keep_files=5)
    log.info("a")
    log.info("b")
    log.close()
    assert only(path)["event"] == "b"
    assert only(path.with_name("holdfast.log.1.jsonl"))["event"] == "a"
    assert len(list(path.parent.iterdir())) == 2


def test_two_logs_on_one_file_follow_each_others_rotation(path: Path) -> None:
    """What two processes do: each must find the file that the other one began."""
    one = JsonLog(path, max_bytes=400, keep_files=50)
    two = JsonLog(path, max_bytes=400, keep_files=50)
    for i in range(0, 100, 2):
        one.info("a", i=i)
        two.info("a", i=i + 1)
    one.close()
    two.close()
    assert [r["i"] for r in tail(path, 1_000)] == list(range(100))
    assert all(file.stat().st_size <= 400 for file in path.parent.iterdir())


def test_a_rotation_that_another_process_is_at_is_left_to_it(path: Path) -> None:
    one = JsonLog(path, max_bytes=100, keep_files=2)
    one.info("a", filler="x" * 100)
    script = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1])\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        one.info("b")
        assert [r["event"] for r in records(path)] == ["a", "b"]
        other.communicate(b"")
    one.info("c")
    one.close()
    assert [r["event"] for r in records(path)] == ["c"]
    assert one.dropped == 0


@pytest.mark.parametrize("begun", [True, False], ids=["new-file-there", "new-file-not-yet"])
def test_a_file_that_another_process_just_rotated_is_not_rotated_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    """The other one was done between our look at the file and our lock."""
    log = JsonLog(path, max_bytes=100, keep_files=5)
    log.info("a", filler="x" * 100)
    real = fcntl.flock

    def late(fd: int, how: int) -> None:
        path.rename(path.with_name("holdfast.log.1.jsonl"))
        if begun:
            path.write_text('{"event":"other"}\n')
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    log.info("b")
    log.close()
    assert [r["event"] for r in records(path)] == (["other", "b"] if begun else ["b"])
    assert only(path.with_name("holdfast.log.1.jsonl"))["event"] == "a"
    assert len(list(path.parent.iterdir())) == 2


def test_a_file_system_without_locks_still_rotates(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    small = JsonLog(path, max_bytes=100, keep_files=1)
    small.info("a", filler="x" * 100)
    small.info("b")
    small.close()
    assert only(path)["event"] == "b"


def test_threads_write_whole_lines(path: Path) -> None:
    log = JsonLog(path, max_bytes=20_000, keep_files=100)
    barrier = threading.Barrier(8)

    def write(worker: int) -> None:
        barrier.wait()
        for i in range(100):
            log.info("a", worker=worker, i=i, filler="x" * (i % 50))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    found = tail(path, 10_000)
    assert sorted((r["worker"], r["i"]) for r in found) == [
        (worker, i) for worker in range(8) for i in range(100)
    ]
    assert (log.written, log.dropped) == (800, 0)


WRITER = """
import sys
from pathlib import Path
from holdfast.observe import JsonLog
log = JsonLog(Path(sys.argv[1]), max_bytes=int(sys.argv[3]), keep_files=1000)
print("ready", flush=True)
sys.stdin.readline()
for i in range(500):
    log.info("a", worker=int(sys.argv[2]), i=i, filler="x" * (i % 500))
sys.exit(1 if log.dropped else 0)
"""


@pytest.mark.parametrize("max_bytes", [20_000, 100_000_000])
def test_processes_write_whole_lines_and_lose_none(path: Path, max_bytes: int) -> None:
    """Two processes start together and write and rotate one log."""
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WRITER, str(path), str(worker), str(max_bytes)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for worker in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write(b"go\n")
            writer.stdin.flush()
        for writer in writers:
            writer.communicate()
            assert writer.returncode == 0
    found = [record for file in path.parent.iterdir() for record in records(file)]
    assert sorted((r["worker"], r["i"]) for r in found) == [
        (worker, i) for worker in range(2) for i in range(500)
    ]


def test_a_full_disk_drops_records_and_heals_when_there_is_room(
    log: JsonLog, path: Path, disk: Disk, clock: Clock
) -> None:
    log.info("before")
    disk.room = 0
    log.info("lost")
    disk.room = None
    clock.now_s += 0.5
    log.info("too soon to try again")
    assert log.dropped == 2
    clock.now_s += 0.5
    log.info("after")
    assert [r["event"] for r in records(path)] == ["before", "log.healed", "after"]
    assert records(path)[1]["dropped"] == 2
    log.info("later")
    assert [r["event"] for r in records(path)][3:] == ["later"]
    assert log.dropped == 2


def test_a_failing_file_is_tried_once_a_second(log: JsonLog, disk: Disk, clock: Clock) -> None:
    tries = 0
    disk.room = 0

    def counting(fd: int, data: bytes) -> int:
        nonlocal tries
        tries += 1
        return disk(fd, data)

    log._write = counting  # type: ignore[misc]  # Final for everybody else
    for _ in range(40):
        log.info("a")
        clock.now_s += 0.25
    assert tries == 10
    assert log.dropped == 40


def test_a_clock_that_is_set_back_does_not_keep_the_log_shut(
    log: JsonLog, path: Path, disk: Disk, clock: Clock
) -> None:
    disk.room = 0
    log.info("lost")
    disk.room = None
    clock.now_s -= 3_600
    log.info("after")
    assert [r["event"] for r in records(path)] == ["log.healed", "after"]


@pytest.mark.parametrize("room", [1, 20])
def test_a_line_that_was_cut_short_is_taken_back(
    log: JsonLog, path: Path, disk: Disk, clock: Clock, room: int
) -> None:
    log.info("before")
    before = path.read_bytes()
    disk.room = room
    log.info("cut")
    assert path.read_bytes() == before
    assert log.dropped == 1
    disk.room = None
    clock.now_s += 1
    log.info("after")
    assert [r["event"] for r in records(path)] == ["before", "log.healed", "after"]


def test_a_cut_line_stays_when_another_process_wrote_after_it(path: Path, clock: Clock) -> None:
    """Taking back what is not at the end any more would take the other one's line."""

    def cut_then_other(fd: int, data: bytes) -> int:
        count = os.write(fd, data[:5])
        with path.open("ab") as other:
            other.write(b'\n{"event":"other"}\n')
        return count

    log = JsonLog(path, clock=clock, write=cut_then_other)
    log.info("cut")
    log.close()
    assert [r["event"] for r in tail(path, 9)] == ["other"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_really_full_device_does_not_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    path.symlink_to("/dev/full")
    # Should the next test's promise break, root must not narrow the device of this machine.
    monkeypatch.setattr(os, "fchmod", lambda fd, mode: None)
    log = JsonLog(path)
    log.info("a")
    log.close()
    assert log.dropped == 1


def test_the_mode_of_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    """Someone may point a log at /dev/null; as root we could narrow it for everybody."""
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    path.chmod(0o644)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = JsonLog(path)
    log.info("a")
    log.close()
    assert json.loads(os.read(reader, 1_000))["event"] == "a"
    os.close(reader)
    assert mode(path) == 0o644


def test_a_folder_that_vanished_is_made_again(log: JsonLog, path: Path) -> None:
    log.info("a")
    path.unlink()
    path.parent.rmdir()
    log.info("b")
    assert only(path)["event"] == "b"
    assert log.dropped == 0


def test_a_file_that_was_replaced_is_followed(log: JsonLog, path: Path) -> None:
    log.info("a")
    path.rename(path.with_name("moved"))
    path.touch()
    log.info("b")
    assert only(path)["event"] == "b"
    assert only(path.with_name("moved"))["event"] == "a"


def test_a_folder_that_cannot_be_made_drops_and_heals(
    log: JsonLog, path: Path, clock: Clock
) -> None:
    path.parent.write_text("a file stands where the folder should be")
    log.info("lost")
    assert log.dropped == 1
    path.parent.unlink()
    clock.now_s += 1
    log.info("after")
    assert [r["event"] for r in records(path)] == ["log.healed", "after"]


def test_a_descriptor_that_went_bad_is_replaced(log: JsonLog, path: Path, clock: Clock) -> None:
    log.info("a")
    assert log._fd is not None
    os.close(log._fd)
    log.info("lost")
    assert log.dropped == 1
    clock.now_s += 1
    log.info("after")
    assert [r["event"] for r in records(path)] == ["a", "log.healed", "after"]


def test_logs_in_an_impossible_place_still_construct(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    logs = Logs(tmp_path / "file" / "logs")
    logs.audit.info("a")
    assert logs.audit.dropped == 1
    logs.close()


def test_a_rotation_that_fails_drops_rather_than_grows(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = JsonLog(path, max_bytes=100, keep_files=1, clock=clock)
    log.info("a", filler="x" * 100)
    size = path.stat().st_size

    def shift() -> None:
        raise PermissionError(errno.EACCES, "no")

    with monkeypatch.context() as patched:
        patched.setattr(log, "_shift", shift)
        log.info("lost")
        clock.now_s += 1
        log.info("lost too")
    assert path.stat().st_size == size
    assert log.dropped == 2
    clock.now_s += 1
    log.info("after")
    log.close()
    assert [r["event"] for r in records(path)] == ["log.healed", "after"]


def test_a_record_from_inside_a_write_is_dropped_and_does_not_hang(
    path: Path, clock: Clock
) -> None:
    """A finalizer or signal handler runs between any two steps of a write, on the same thread."""

    def interrupted(fd: int, data: bytes) -> int:
        if b"outer" in data:
            outer.info("inner")
            outer.close()
        return os.write(fd, data)

    outer = JsonLog(path, clock=clock, write=interrupted)
    outer.info("outer")
    outer.close()
    assert [r["event"] for r in records(path)] == ["outer"]
    assert outer.dropped == 1


def test_no_descriptor_is_left_open(path: Path, disk: Disk, clock: Clock) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    log = JsonLog(path, max_bytes=200, keep_files=2, clock=clock, write=disk)
    for i in range(60):
        disk.room = 0 if i % 7 == 0 else None
        log.info("a", i=i)
        clock.now_s += 1
        if i % 11 == 0:
            path.unlink(missing_ok=True)
    tail(path, 5)
    log.close()
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_record_after_close_is_still_written(log: JsonLog, path: Path) -> None:
    log.info("a")
    log.close()
    log.info("b")
    assert [r["event"] for r in records(path)] == ["a", "b"]


def test_operational_and_audit_are_two_files(tmp_path: Path) -> None:
    logs = Logs(tmp_path, level="error")
    logs.operational.info("not.this")
    logs.operational.error("a")
    logs.audit.info("b")  # the audit is whole whatever the level of the other
    logs.close()
    assert only(tmp_path / "holdfast.log.jsonl")["event"] == "a"
    assert only(tmp_path / "audit.jsonl")["event"] == "b"


@pytest.fixture
def library(log: JsonLog) -> Iterator[logging.Logger]:
    """The logger of some library, bridged into the log."""
    logger = logging.getLogger("holdfast-test-library")
    handler = stdlib_handler(log)
    logger.addHandler(handler)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)


def test_what_libraries_warn_of_lands_in_the_log(library: logging.Logger, path: Path) -> None:
    library.setLevel("DEBUG")
    library.info("not this")
    library.warning("Invalid %s received.", "HTTP request")
    try:
        os.environ["HOLDFAST_NOT_SET"]
    except KeyError:
        library.exception("it broke")
    warning, error = records(path)
    assert warning["event"] == error["event"] == "log.holdfast-test-library"
    assert (warning["level"], warning["message"]) == ("warning", "Invalid HTTP request received.")
    assert (error["level"], error["message"]) == ("error", "it broke")
    assert "KeyError: 'HOLDFAST_NOT_SET'" in error["traceback"]


def test_a_library_that_formats_wrongly_costs_nothing(log: JsonLog, path: Path) -> None:
    record = logging.LogRecord("lib", logging.ERROR, "", 0, "%d", ("no number",), None)
    stdlib_handler(log).handle(record)
    assert only(path)["event"] == "log.lib"
    assert only(path)["message"].startswith("'%d' with TypeError(")


def test_the_handler_passes_each_level_on(log: JsonLog, path: Path) -> None:
    log.level = "debug"
    handler = stdlib_handler(log, level="debug")
    for level in (logging.DEBUG, logging.INFO, logging.CRITICAL):
        handler.handle(logging.LogRecord("lib", level, "", 0, "m", None, None))
    assert [r["level"] for r in records(path)] == ["debug", "info", "error"]


def test_importing_the_logs_does_not_import_logging() -> None:
    script = "import sys, holdfast.observe; sys.exit('logging' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_tail_gives_the_newest_oldest_first_across_files(path: Path) -> None:
    log = JsonLog(path, max_bytes=500, keep_files=20)
    for i in range(50):
        log.info("a", i=i)
    log.close()
    for lines in (0, 1, 7, 49, 50, 51):
        assert [r["i"] for r in tail(path, lines)] == list(range(max(0, 50 - lines), 50))


def test_tail_reads_records_longer_than_its_blocks(path: Path) -> None:
    path.parent.mkdir()
    sizes = [1, 70_000, 200_000, 5]
    with path.open("w") as file:
        file.writelines(json.dumps({"x": "y" * size}) + "\n" for size in sizes)
    assert [len(r["x"]) for r in tail(path, 9)] == sizes


def test_tail_passes_over_what_is_no_record(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"i":1}\n\xff\xfe\n"\xff"\n\n[2]\n{"i":\n{"i":3}\n{"cut')
    assert [r["i"] for r in tail(path, 9)] == [1, 3]


def test_tail_of_a_log_that_was_just_rotated_reads_the_older_file(path: Path) -> None:
    path.parent.mkdir()
    path.with_name("holdfast.log.1.jsonl").write_text('{"i":1}\n')
    assert tail(path, 5) == [{"i": 1}]


def test_tail_counts_a_file_once_that_is_rotated_while_it_reads(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    path.write_text('{"i":1}\n{"i":2}\n')
    real = logs_module._lines_backwards

    def rotating(fd: int, end: int) -> Iterator[bytes]:
        yield from real(fd, end)
        if path.exists():
            path.rename(path.with_name("holdfast.log.1.jsonl"))

    monkeypatch.setattr(logs_module, "_lines_backwards", rotating)
    assert [r["i"] for r in tail(path, 9)] == [1, 2]


def test_tail_of_nothing_is_nothing(path: Path) -> None:
    assert tail(path, 5) == []


def test_the_log_is_what_other_rooms_ask_for(log: JsonLog) -> None:
    asked: EventLog = log  # mypy checks the protocol; at run time the methods are there
    methods: list[Callable[..., None]] = [asked.debug, asked.info, asked.warning, asked.error]
    assert all(callable(method) for method in methods)


def test_a_line_is_one_write(path: Path) -> None:
    sizes: list[int] = []

    def write(fd: int, data: bytes) -> int:
        sizes.append(len(data))
        return os.write(fd, data)

    log = JsonLog(path, write=write)
    log.info("a", text="x" * 8_000)
    log.close()
    assert sizes == [path.stat().st_size]
    assert io.BytesIO(path.read_bytes()).readlines() == [path.read_bytes()]
