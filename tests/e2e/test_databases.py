"""An agent that keeps its sessions in a database, the real daemon, and what may happen to both."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.demo.opencode import MODEL, OpenCode
from holdfast.events import Event, decode_lines, session_id
from tests.support.home import Home, RunningDaemon
from tests.support.waiting import until

A: Final = "ses_a"
QUICK: Final = {"HOLDFAST_INGEST__RECONCILE_SECS": "1"}
CHANGES: Final = 120  # of one text while it is written


def now_ms() -> int:
    return int(time.time() * 1_000)


@pytest.fixture
def store(home: Home) -> str:
    folder = Path(home.folder) / ".local" / "share" / "opencode"
    folder.mkdir(parents=True)
    return str(folder / "opencode.db")


def events(home: Home, name: str = A) -> list[Event]:
    return decode_lines(home.ok("export", session_id("opencode", name), "-f", "jsonl").out)


def texts(home: Home, name: str = A) -> list[str]:
    return [event.text for event in events(home, name)]


def _stream(path: str, said: Any) -> None:
    """One text after another, each changed many times before it is finished."""
    with OpenCode(path) as opencode:
        for number in range(5):
            opencode.now_ms = now_ms()
            message = opencode.message(A, {"role": "assistant", **MODEL})
            over: dict[str, int] = {"start": opencode.now_ms}
            part = opencode.part(A, message, {"type": "text", "text": "", "time": over})
            for length in range(CHANGES):
                words = f"answer {number} " + "x" * length
                opencode.now_ms = now_ms()
                opencode.change("part", part, {"type": "text", "text": words, "time": over})
                time.sleep(0.002)
            over["end"] = now_ms()
            opencode.change("part", part, {"type": "text", "text": words, "time": over})
    said.send("done")


def test_answers_that_are_streamed_are_kept_once_each(home: Home, store: str) -> None:
    with OpenCode(store, now_ms=now_ms()) as opencode:
        opencode.session(A)
        opencode.asks(A, "Where is the tide?")
    with home.daemon() as daemon:
        daemon.wait_for(A, 1)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_stream, args=(store, theirs))
        process.start()
        try:
            assert ours.poll(60)
            daemon.wait_for(A, 6)
        finally:
            process.join(30)
            if process.is_alive():
                process.kill()
        status = daemon.status()
    told = [each.split()[1] for each in texts(home)[1:]]
    assert told == ["0", "1", "2", "3", "4"]
    assert all(len(event.text) > CHANGES for event in events(home)[1:])
    assert [source["bytes"]["bad"] for source in status["sources"]] == [0] * len(status["sources"])


def test_a_change_in_place_is_seen_by_search_and_the_old_text_is_not(
    home: Home, store: str
) -> None:
    with OpenCode(store, now_ms=now_ms()) as opencode:
        opencode.session(A)
        message = opencode.message(A, {"role": "user"})
        part = opencode.part(A, message, {"type": "text", "text": "anemone"})
        with home.daemon() as daemon:
            daemon.wait_for(A, 1)
            opencode.change("part", part, {"type": "text", "text": "barnacle"})
            daemon.wait_for(A, 2)
            until(lambda: home.ok("search", "barnacle", "--json").json, "the new text is found")
            assert not home.run("search", "anemone", "--json").json
    assert [event.supersedes for event in events(home)] == [None, 0]


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.15, 0.3, 0.45, 0.6, 0.9])
def test_an_import_that_is_killed_is_finished_by_the_next_and_repeats_nothing(
    home: Home, store: str, delay_s: float
) -> None:
    wanted: Counter[str] = Counter()
    with OpenCode(store) as opencode:
        opencode.connection.execute("BEGIN")
        for number in range(12):
            name = opencode.session(f"ses_{number}")
            for turn in range(60):
                opencode.asks(name, f"question {turn} {'x' * 2_000}")
                opencode.answers(name, f"answer {turn}", tool="bash")
                wanted[name] += 6
        opencode.connection.execute("COMMIT")
    importing = home.spawn("import", "--quiet")
    time.sleep(delay_s)  # wherever it is then: each place is another case
    importing.send_signal(signal.SIGKILL)
    importing.communicate()
    report = home.ok("import", "--json", "--quiet").json
    assert report["problems"] == []
    assert {name: each["events"] for name, each in home.sessions().items()} == wanted
    for name in wanted:
        told = events(home, name)
        assert len({event.id for event in told}) == len(told)
        assert not any(event.supersedes for event in told)
        assert [event.text.split()[1] for event in told if event.kind == "message.user"] == [
            str(turn) for turn in range(60)
        ]


def test_a_session_that_is_deleted_there_stays_here(home: Home, store: str) -> None:
    with OpenCode(store, now_ms=now_ms()) as opencode:
        for name in (A, "ses_b"):
            opencode.session(name)
            opencode.asks(name, "Where is the tide?")
        with home.daemon(QUICK) as daemon:
            daemon.wait_for(A, 1)
            opencode.delete(A)
            until(lambda: _opencode(daemon.status())["gone_files"] == 1, "it is found to be gone")
            assert daemon.events(A) == 1
    assert texts(home) == ["Where is the tide?"]


def test_a_database_that_is_replaced_by_another_is_read_and_nothing_is_lost(
    home: Home, store: str
) -> None:
    with OpenCode(store, now_ms=now_ms()) as opencode:
        opencode.session(A)
        opencode.asks(A, "Where is the tide?")
    with OpenCode(f"{store}.new", now_ms=now_ms()) as opencode:
        opencode.session("ses_b")
        opencode.asks("ses_b", "And the kelp?")
    with home.daemon(QUICK) as daemon:
        daemon.wait_for(A, 1)
        os.replace(f"{store}.new", store)
        daemon.wait_for("ses_b", 1)
        until(lambda: _opencode(daemon.status())["gone_files"] == 1, "the first is found gone")
    assert texts(home) == ["Where is the tide?"]
    assert texts(home, "ses_b") == ["And the kelp?"]


def test_a_database_in_rollback_mode_is_followed(home: Home, store: str) -> None:
    with OpenCode(store, wal=False, now_ms=now_ms()) as opencode:
        opencode.session(A)
        opencode.asks(A, "one")
        with home.daemon() as daemon:
            daemon.wait_for(A, 1)
            opencode.now_ms = now_ms()
            opencode.asks(A, "two")
            daemon.wait_for(A, 2)
    assert texts(home) == ["one", "two"]
    assert sorted(os.listdir(os.path.dirname(store))) == ["opencode.db"]


def wrong(daemon: RunningDaemon) -> str:
    status = daemon.status()
    return json.dumps([status["problems"], status["sources"]])


def test_a_database_that_is_locked_is_told_and_read_when_it_is_free(home: Home, store: str) -> None:
    with OpenCode(store, wal=False, now_ms=now_ms()) as opencode:
        opencode.session(A)
        opencode.asks(A, "one")
        with home.daemon(QUICK) as daemon:
            daemon.wait_for(A, 1)
            opencode.asks(A, "two")
            opencode.connection.execute("BEGIN EXCLUSIVE")
            until(lambda: "locked" in wrong(daemon), "the status says why")
            opencode.connection.execute("COMMIT")
            daemon.wait_for(A, 2)
            until(lambda: "locked" not in wrong(daemon), "nothing is wrong any more")
    assert texts(home) == ["one", "two"]


def test_a_database_that_appears_later_is_found(home: Home) -> None:
    with home.daemon() as daemon:
        folder = Path(home.folder) / ".local" / "share" / "opencode"
        folder.mkdir(parents=True)
        with OpenCode(str(folder / "opencode.db"), now_ms=now_ms()) as opencode:
            opencode.session(A)
            opencode.asks(A, "Where is the tide?")
            daemon.wait_for(A, 1)


def test_what_is_no_database_is_told_and_the_rest_goes_on(home: Home, store: str) -> None:
    Path(store).write_bytes(b"no database at all " * 90)
    with OpenCode(store.replace("opencode.db", "opencode-dev.db"), now_ms=now_ms()) as opencode:
        opencode.session(A)
        opencode.asks(A, "Where is the tide?")
    report = home.ok("import", "--json", "--quiet").json
    assert report["events"] == 1
    assert [problem.split(": ")[0] for problem in report["problems"]] == [store]


def _opencode(status: Any) -> Any:
    return next(source for source in status["sources"] if source["agent"] == "opencode")
