"""kill -9 at any moment loses nothing and repeats nothing.

The daemon and its import children are killed while they import and follow logs that are being
written. At the end the journal must be what one undisturbed import of the same files gives.
`HOLDFAST_TEST_KILLS` sets how often, `HOLDFAST_TEST_SEED` which moments.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Final

import pytest

from holdfast.journal.sqlite import JournalMissing
from tests.support import dying, processes
from tests.support.author import MAX_LINE_BYTES, Author
from tests.support.home import Home, RunningDaemon, sid, talk
from tests.support.pictures import differences, picture
from tests.support.waiting import until

KILLS: Final = int(os.environ.get("HOLDFAST_TEST_KILLS", "36"))
SEED: Final = int(os.environ.get("HOLDFAST_TEST_SEED", "20261120"))

# Small limits, so that little data takes all roads: blocks, children, payloads over the cap.
SMALL: Final = {
    "HOLDFAST_SNAPSHOTS__BLOCK_BYTES": "16384",
    "HOLDFAST_INGEST__INLINE_BACKLOG_BYTES": "65536",
    "HOLDFAST_INGEST__MAX_LINE_BYTES": str(MAX_LINE_BYTES),
    "HOLDFAST_INGEST__RECONCILE_SECS": "1",
    "HOLDFAST_DAEMON__HEARTBEAT_MS": "200",
}


@pytest.fixture
def small(home: Home) -> Home:
    home.env.update(SMALL)
    return home


@pytest.fixture
def undisturbed(home: Home) -> Iterator[Home]:
    """Another home for the same logs, which nobody kills."""
    other = Home(os.path.join(home.folder, "undisturbed"))
    other.env.update(SMALL)
    other.env["CLAUDE_CONFIG_DIR"] = home.claude
    try:
        yield other
    finally:
        other.close()


def compare(home: Home, undisturbed: Home, words: tuple[str, ...] = ()) -> None:
    undisturbed.ok("import", "--quiet")
    wanted = picture(undisturbed, words)
    assert wanted["problems"] == []
    assert all(wanted["found"].values()), "the words to look for are there"
    differing = differences(picture(home, words), wanted)
    assert not differing, f"seed {SEED}, {KILLS} kills:\n" + "\n".join(differing[:40])


def all_ended(pids: list[int]) -> bool:
    return not any(map(processes.is_alive, pids))


def stored_events(home: Home) -> int:
    try:
        with home.reader() as reader:
            return reader.totals().events
    except JournalMissing:
        return 0


def settle(daemon: RunningDaemon, author: Author) -> None:
    """Until every byte of every log is accounted for and can be searched."""

    def is_settled() -> bool:
        status = daemon.status()
        counts = status["sources"][0]["bytes"]
        return bool(
            counts["seen"] == author.size
            and not counts["torn"]
            and not status["importing"]["running"]
            and not status["journal"]["index_lag_events"]
        )

    until(is_settled, "all is read", detail=lambda: (author.size, daemon.status()))


@pytest.mark.slow
def test_killed_at_random_moments_the_journal_is_as_if_undisturbed(
    small: Home, undisturbed: Home
) -> None:
    home, throw, author = small, Random(SEED), Author(small, SEED)
    killed: Counter[str] = Counter()
    orphans: list[int] = []
    daemon: RunningDaemon | None = None
    author.bulk(6, 120)
    try:
        with author.writing():
            while killed.total() < KILLS:
                if daemon is None:
                    author.bulk(2, 150)
                    daemon = home.start()
                time.sleep(throw.expovariate(4))  # the moment of the kill, not a wait for something
                children = processes.children(daemon.pid)
                if children and throw.random() < 0.4:
                    processes.kill(throw.choice(children))
                    killed["child"] += 1
                else:
                    orphans += children
                    killed["daemon, importing" if children else "daemon"] += 1
                    daemon.kill()
                    daemon = None
                    if killed.total() % 10 == 0:
                        with home.reader() as reader:
                            assert reader.check() == [], f"seed {SEED}, after {killed}"
        daemon = daemon or home.start()
        settle(daemon, author)
        assert daemon.terminate() == 0
    finally:
        if daemon is not None:
            daemon.stop()
    print(f"killed: {dict(killed)}; {author.size:,} bytes of logs")
    until(partial(all_ended, orphans), "no child outlives its daemon")
    compare(home, undisturbed, tuple(author.needles[::11]))


@pytest.mark.slow
def test_killed_at_chosen_writes_the_journal_is_as_if_undisturbed(
    small: Home, undisturbed: Home
) -> None:
    """Between any two writes: of the events, of their cursor, of the index, of a checkpoint."""
    home, throw, author = small, Random(SEED), Author(small, SEED)
    program = (sys.executable, "-I", str(dying.__file__))
    deaths = 0
    while deaths < max(24, KILLS // 2):
        author.bulk(1, 80)
        last = throw.randrange(1, 90)
        importing = home.spawn("import", "--quiet", program=(*program, str(last)))
        importing.communicate(timeout=60)
        deaths += importing.returncode == -signal.SIGKILL
        assert importing.returncode in {0, -signal.SIGKILL}, f"seed {SEED}, write {last}"
    home.ok("import", "--quiet")
    compare(home, undisturbed, tuple(author.needles[::7]))


@pytest.mark.slow
def test_an_import_without_a_daemon_goes_on_where_it_was_killed(
    small: Home, undisturbed: Home
) -> None:
    home, throw, author = small, Random(SEED), Author(small, SEED)
    kills = max(6, KILLS // 8)
    killed = 0
    while killed < kills:
        author.bulk(3, 200)
        importing = home.spawn("import", "--quiet")
        try:
            importing.wait(0.1 + throw.random() * 0.4)
        except subprocess.TimeoutExpired:
            killed += 1
        children = processes.children(importing.pid)
        importing.kill()
        importing.communicate()
        until(partial(all_ended, children), "its children end")
    report = home.ok("import", "--json", "--quiet").json
    assert report["bytes"]["seen"] == author.size
    assert report["problems"] == []
    compare(home, undisturbed, tuple(author.needles[::11]))


def test_an_import_child_that_dies_costs_the_log_that_it_was_reading(
    small: Home, undisturbed: Home
) -> None:
    home = small
    home.env["HOLDFAST_INGEST__WORKERS"] = "1"
    for number in range(12):
        home.write_log(f"session-{number}", *talk(2_000, words="kelp " * 60))
    importing = home.spawn("import", "--json", "--quiet")
    try:
        until(lambda: stored_events(home) > 2_000, "the second log is being read")
        (child,) = processes.children(importing.pid)
        processes.kill(child)
        out, _ = importing.communicate(timeout=60)
    finally:
        importing.kill()
        importing.communicate()
    report = json.loads(out)
    assert importing.returncode == 0
    (problem,) = report["problems"]
    assert "session-" in problem
    assert "run `holdfast import` again" in problem
    assert report["sessions"] == 12
    assert 22_000 <= report["events"] < 24_000
    assert home.ok("status", "--json").json["sources"][0]["unreadable_files"] == 1
    again = home.ok("import", "--json", "--quiet").json
    assert (again["events"], again["problems"]) == (24_000, [])
    compare(home, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
def test_sigterm_in_the_middle_of_an_import_stops_in_order_and_the_next_run_goes_on(
    small: Home, undisturbed: Home, signals: int
) -> None:
    home = small
    home.env["HOLDFAST_INGEST__WORKERS"] = "1"
    content = b"".join(talk(4_000, words="kelp " * 60))
    total = 0
    for number in range(24):
        home.write_log(f"session-{number}", content)
        total += len(content)
    with home.daemon() as daemon:
        until(lambda: daemon.status()["importing"]["events"] > 4_000, "the import is under way")
        for _ in range(signals):
            daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(60) == 0
    report = home.ok("status", "--json").json
    last_run = report["daemon"]["last_run"]
    assert (last_run["ending"], last_run["detail"]) == ("stopped", "SIGTERM"), "nothing was late"
    assert 4_000 <= report["sessions"]["events"] < 96_000
    assert home.ok("import", "--json", "--quiet").json["bytes"]["parsed"] == total
    compare(home, undisturbed)


def test_a_session_that_goes_on_after_a_kill_continues_its_numbers(home: Home) -> None:
    home.write_log("a", *talk(3))
    with home.daemon() as daemon:
        daemon.wait_for("a", 3)
        daemon.kill()
    home.append_log("a", *talk(2, start=3))
    with home.daemon() as daemon:
        daemon.wait_for("a", 5)
        ids = [line.split(b'"')[3] for line in home.export("a").splitlines()]
    assert len(set(ids)) == 5
    assert all(each.startswith(sid("a").encode()) for each in ids)
