"""What was acknowledged to a producer is worked on, what was confirmed is not given out again.

`HOLDFAST_TEST_KILLS` sets how often the daemon is killed, `HOLDFAST_TEST_SEED` at which moments.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from random import Random
from typing import Final

import pytest

from holdfast import Holdfast
from holdfast.remote import Item, Queue
from holdfast.remote.talk import Answer, Ask
from tests.support.home import Home

KILLS: Final = int(os.environ.get("HOLDFAST_TEST_KILLS", "36")) // 3
SEED: Final = int(os.environ.get("HOLDFAST_TEST_SEED", "20261120"))
PRODUCERS: Final = 3
WORKERS: Final = 4
LEASE_SECS: Final = 2  # of work that is abandoned: it comes again soon
PATIENCE_S: Final = 120.0
QUEUE: Final = "crash"


class Record:
    """What producers and workers were told."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.acknowledged: dict[int, str] = {}  # id -> what was put in
        self.given: dict[int, list[int]] = {}  # id -> how often it was given out, as claims say
        self.payloads: dict[int, str] = {}  # as they were given out
        self.confirmed: dict[int, int] = {}  # id -> the claim under which it was
        self.gone: set[int] = set()  # confirmed, and the answer was lost


class Producer(threading.Thread):
    def __init__(self, home: Home, number: int, record: Record, done: threading.Event) -> None:
        super().__init__()
        self._home, self._number, self._record, self._done = home, number, record, done

    def run(self) -> None:
        with Holdfast(self._home.env, patience_s=PATIENCE_S) as holdfast:
            queue, count = Queue(holdfast, QUEUE), 0
            while not self._done.is_set():
                text = f"{self._number}.{count}"
                number = queue.add(text, subject=str(self._number), max_attempts=1_000)
                with self._record.lock:
                    assert number not in self._record.acknowledged, "an id was given twice"
                    self._record.acknowledged[number] = text
                count += 1


class Worker(threading.Thread):
    def __init__(self, home: Home, number: int, record: Record, drained: threading.Event) -> None:
        super().__init__()
        self._home, self._record, self._drained = home, record, drained
        self._throw = Random(SEED + number)

    def run(self) -> None:
        with Holdfast(self._home.env, patience_s=PATIENCE_S) as holdfast:
            queue = Queue(holdfast, QUEUE)
            while not self._drained.is_set():
                for item in queue.claim(count=5, lease_secs=LEASE_SECS, wait_secs=0.5):
                    self._work(queue, item)

    def _work(self, queue: Queue, item: Item) -> None:
        record, number = self._record, int(item.told.claim.split(".")[1])
        with record.lock:
            record.given.setdefault(item.id, []).append(number)
            record.payloads[item.id] = item.payload
        chance = self._throw.random()
        if chance < 0.05:  # abandoned
            return
        if chance < 0.15:
            queue.settle("release", [item.told.claim], delay_secs=0, error="thrown")
            return
        outcome = queue.settle("confirm", [item.told.claim])
        with record.lock:
            if outcome.done:
                record.confirmed[item.id] = number
            elif outcome.gone:
                record.gone.add(item.id)


@pytest.mark.slow
def test_a_daemon_that_is_killed_loses_nothing_and_repeats_nothing_that_was_confirmed(
    home: Home,
) -> None:
    throw, record = Random(SEED), Record()
    done, drained = threading.Event(), threading.Event()
    producers = [Producer(home, number, record, done) for number in range(PRODUCERS)]
    workers = [Worker(home, number, record, drained) for number in range(WORKERS)]
    daemon = home.start()
    try:
        for thread in (*producers, *workers):
            thread.start()
        for _ in range(KILLS):
            time.sleep(throw.uniform(0.05, 0.5))  # the moment of the kill, not a wait
            daemon.kill()
            daemon = home.start()
        done.set()
        for producer in producers:
            producer.join(PATIENCE_S)
        until_s = time.monotonic() + PATIENCE_S
        with Holdfast(home.env, patience_s=PATIENCE_S) as holdfast:
            while Queue(holdfast, QUEUE).counts().pending:
                assert time.monotonic() < until_s, "the queue does not empty"
                time.sleep(0.05)  # until the workers are done with it
        drained.set()
        for worker in workers:
            worker.join(PATIENCE_S)
        assert daemon.terminate() == 0
    finally:
        done.set()
        drained.set()
        daemon.stop()
    how = f"seed {SEED}, {KILLS} kills"
    print(f"{how}: {len(record.acknowledged):,} acknowledged, {len(record.confirmed):,} confirmed")
    assert record.payloads == record.acknowledged, f"{how}: lost, or put in twice"
    assert set(record.confirmed) | record.gone == set(record.acknowledged), f"{how}: not worked on"
    again = {
        number: given
        for number, given in record.given.items()
        if max(given) > record.confirmed.get(number, max(given))
    }
    assert again == {}, f"{how}: given out after it was confirmed"
    twice = [number for number, given in record.given.items() if max(Counter(given).values()) > 1]
    assert twice == [], f"{how}: two had one claim"


def test_an_answer_that_was_lost_is_asked_for_again_without_harm(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above rests on: keys for what is put in, `gone` for what was confirmed."""
    lost: list[int] = []
    ask = Holdfast._request_once

    def loses(self: Holdfast, asked: Ask) -> Answer:
        answer = ask(self, asked)
        if not lost:
            lost.append(1)
            raise ConnectionResetError
        return answer

    monkeypatch.setattr(Holdfast, "_request_once", loses)
    with home.daemon(), Holdfast(home.env) as holdfast:
        queue = Queue(holdfast, QUEUE)
        number = queue.add("once")
        [item] = queue.claim(count=5)
        assert (item.id, item.payload) == (number, "once")
        lost.clear()
        outcome = queue.confirm(item.told.claim)
        assert (outcome.done, outcome.gone) == (0, [item.told.claim])
        assert queue.counts().pending == 0
