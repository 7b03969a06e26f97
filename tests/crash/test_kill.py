"""kill -9 at any moment loses nothing and repeats nothing.

The daemon and its import children are killed while they import and follow logs that are being
written. At the end the journal must be what one undisturbed import of the same files gives.
`HOLDFAST_TEST_KILLS` sets how often, `HOLDFAST_TEST_SEED` which moments.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Final

import pytest

from tests.support import processes
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


def settle(daemon: RunningDaemon, author: Author) -> None:
    """Until every byte of every log is accounted for and can be searched."""

    def is_settled() -> bool:
        status = daemon.status()
        counts = status["sources"][0]["bytes"]
        return bool(
            counts["seen"] == author.bytes
            and not counts["torn"]
            and not status["importing"]["running"]
            and not status["journal"]["index_lag_events"]
        )

    until(is_settled, "all is read", detail=lambda: (author.bytes, daemon.status()))


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
    print(f"killed: {dict(killed)}; {author.bytes:,} bytes of logs")
    until(lambda: not any(map(processes.is_alive, orphans)), "no child outlives its daemon")
    compare(home, undisturbed, tuple(author.needles[::11]))
