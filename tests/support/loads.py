"""Loads that a daemon is killed under, and what must be true of them afterwards."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Final

from holdfast import Holdfast, NewEvent
from holdfast.events import stream_id
from holdfast.remote import Item, Queue, Told
from tests.support.home import Home

WRITERS: Final = 8
STREAMS: Final = 3  # several write to each
PRODUCERS: Final = 3
WORKERS: Final = 4
LEASE_SECS: Final = 2  # of work that is abandoned: it comes again soon
ABANDONED: Final = 0.05  # of the items that are given out
RELEASED: Final = 0.1
PATIENCE_S: Final = 120.0  # of who waits for the daemon to be there again
QUEUE: Final = "crash"


class _Thread(threading.Thread, ABC):
    """Something of a load; what it met is told when it is joined."""

    def __init__(self, home: Home) -> None:
        super().__init__(daemon=True)
        self._home = home
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            with Holdfast(self._home.env, patience_s=PATIENCE_S) as holdfast:
                self.work(holdfast)
        except Exception as error:  # noqa: BLE001  # told by `finish`
            self._error = error

    @abstractmethod
    def work(self, holdfast: Holdfast) -> None: ...

    def finish(self) -> None:
        self.join(PATIENCE_S)
        assert not self.is_alive(), f"{type(self).__name__} does not end"
        if self._error is not None:
            raise self._error


class _Writer(_Thread):
    """Appends one event after the other, and knows which were acknowledged."""

    def __init__(self, home: Home, number: int, done: threading.Event) -> None:
        super().__init__(home)
        self._number, self._done = number, done
        self.acknowledged: list[str] = []

    def work(self, holdfast: Holdfast) -> None:
        while not self._done.is_set():
            text = f"{self._number}.{len(self.acknowledged)}"
            stream = f"crash/{self._number % STREAMS}"
            holdfast.append(stream, NewEvent(kind="crash.test", text=text))
            self.acknowledged.append(text)


class _Follower(_Thread):
    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.seen: list[Told] = []

    def work(self, holdfast: Holdfast) -> None:
        for told in holdfast.follow(streams="crash/*", after=0):
            if told.event.text == "end":
                return
            self.seen.append(told)


class StreamLoad:
    """Those who write to streams, and one who follows all of them."""

    def __init__(self, home: Home) -> None:
        self._home, self._done = home, threading.Event()
        self._writers = [_Writer(home, number, self._done) for number in range(WRITERS)]
        self._follower = _Follower(home)

    def start(self) -> None:
        _start([*self._writers, self._follower])

    def stop(self) -> None:
        """Nothing new is begun; for whoever cannot wait for the rest."""
        self._done.set()

    def finish(self) -> None:
        self.stop()
        for writer in self._writers:
            writer.finish()
        with Holdfast(self._home.env, patience_s=PATIENCE_S) as holdfast:
            holdfast.append("crash/0", NewEvent(kind="crash.test", text="end"))
        self._follower.finish()

    def check(self, how: str) -> str:
        """Behind the daemon's end. All that was acknowledged is there, once, in its order."""
        acknowledged = [text for writer in self._writers for text in writer.acknowledged]
        with self._home.reader() as reader:
            assert reader.check() == []
            stored = [
                event.text
                for number in range(STREAMS)
                for event in reader.events(stream_id(f"crash/{number}"))
                if event.text != "end"
            ]
        assert Counter(stored) == Counter(acknowledged), f"{how}: lost, or stored twice"
        for number, writer in enumerate(self._writers):
            of_one = [text for text in stored if text.startswith(f"{number}.")]
            assert of_one == writer.acknowledged, f"{how}: the order of writer {number}"
        seen = self._follower.seen
        assert Counter(told.event.text for told in seen) == Counter(stored), f"{how}: not told"
        positions = [told.position for told in seen]
        assert positions == sorted(positions), f"{how}: told out of order"
        return f"{len(acknowledged):,} events acknowledged"


class _Record:
    """What producers and workers were told."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.acknowledged: dict[int, str] = {}  # id -> what was put in
        self.given: dict[int, list[int]] = {}  # id -> how often it was given out, as claims say
        self.payloads: dict[int, str] = {}  # as they were given out
        self.confirmed: dict[int, int] = {}  # id -> the claim under which it was
        self.gone: set[int] = set()  # confirmed, and the answer was lost


class _Producer(_Thread):
    def __init__(self, home: Home, number: int, record: _Record, done: threading.Event) -> None:
        super().__init__(home)
        self._number, self._record, self._done = number, record, done

    def work(self, holdfast: Holdfast) -> None:
        queue, count = Queue(holdfast, QUEUE), 0
        while not self._done.is_set():
            text = f"{self._number}.{count}"
            number = queue.add(text, subject=str(self._number), max_attempts=1_000)
            with self._record.lock:
                assert number not in self._record.acknowledged, "an id was given twice"
                self._record.acknowledged[number] = text
            count += 1


class _Worker(_Thread):
    def __init__(self, home: Home, seed: int, record: _Record, drained: threading.Event) -> None:
        super().__init__(home)
        self._record, self._drained = record, drained
        self._throw = Random(seed)

    def work(self, holdfast: Holdfast) -> None:
        queue = Queue(holdfast, QUEUE)
        while not self._drained.is_set():
            for item in queue.claim(count=5, lease_secs=LEASE_SECS, wait_secs=0.5):
                self._do(queue, item)

    def _do(self, queue: Queue, item: Item) -> None:
        record, number = self._record, int(item.told.claim.split(".")[1])
        with record.lock:
            record.given.setdefault(item.id, []).append(number)
            record.payloads[item.id] = item.payload
        chance = self._throw.random()
        if chance < ABANDONED:
            return
        if chance < ABANDONED + RELEASED:
            queue.settle("release", [item.told.claim], delay_secs=0, error="thrown")
            return
        outcome = queue.settle("confirm", [item.told.claim])
        with record.lock:
            if outcome.done:
                record.confirmed[item.id] = number
            elif outcome.gone:
                record.gone.add(item.id)


class QueueLoad:
    """Those who put items into a queue, and those who work on them."""

    def __init__(self, home: Home, seed: int) -> None:
        self._home, self._record = home, _Record()
        self._done, self._drained = threading.Event(), threading.Event()
        self._producers = [
            _Producer(home, number, self._record, self._done) for number in range(PRODUCERS)
        ]
        self._workers = [
            _Worker(home, seed + number, self._record, self._drained) for number in range(WORKERS)
        ]

    def start(self) -> None:
        _start([*self._producers, *self._workers])

    def stop(self) -> None:
        self._done.set()
        self._drained.set()

    def finish(self) -> None:
        self._done.set()
        for producer in self._producers:
            producer.finish()
        until_s = time.monotonic() + PATIENCE_S
        with Holdfast(self._home.env, patience_s=PATIENCE_S) as holdfast:
            while Queue(holdfast, QUEUE).counts().pending:
                assert all(worker.is_alive() for worker in self._workers), "a worker ended"
                assert time.monotonic() < until_s, "the queue does not empty"
                time.sleep(0.05)  # until the workers are done with it
        self._drained.set()
        for worker in self._workers:
            worker.finish()

    def check(self, how: str) -> str:
        """All that was acknowledged was worked on; what was confirmed never came again."""
        record = self._record
        assert record.payloads == record.acknowledged, f"{how}: lost, or put in twice"
        done = set(record.confirmed) | record.gone
        assert done == set(record.acknowledged), f"{how}: not worked on"
        again = {
            number: given
            for number, given in record.given.items()
            if max(given) > record.confirmed.get(number, max(given))
        }
        assert again == {}, f"{how}: given out after it was confirmed"
        twice = [each for each, given in record.given.items() if max(Counter(given).values()) > 1]
        assert twice == [], f"{how}: two had one claim"
        return f"{len(record.acknowledged):,} items, {len(record.confirmed):,} confirmed"


def _start(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
