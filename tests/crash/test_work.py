"""What was answered to who works on tasks and asks people is there, whatever is killed whenever.

`HOLDFAST_TEST_KILLS` sets how often the daemon is killed, `HOLDFAST_TEST_SEED` at which moments.
"""

from __future__ import annotations

import os
import threading
import time
from random import Random
from typing import Any, Final

import pytest

from holdfast.client import NotRunning
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.writer import SqliteWriter
from holdfast.work.checkpoints import Checkpoints
from holdfast.work.projection import Projection, Projector
from holdfast.work.tasks import Tasks
from tests.support.home import Home
from tests.support.waiting import POLL_S

KILLS: Final = int(os.environ.get("HOLDFAST_TEST_KILLS", "36")) // 6
SEED: Final = int(os.environ.get("HOLDFAST_TEST_SEED", "20261130"))
WORKERS: Final = 4
TASK: Final = (("", "pending"), ("start", "running"), ("complete", "completed"))
CHECKPOINT: Final = (("", "pending"), ("approve", "approved"))


class Worker(threading.Thread):
    """Goes from one task or checkpoint to the next, each from its beginning to its end."""

    def __init__(self, home: Home, number: int, done: threading.Event) -> None:
        super().__init__()
        self._home, self._number, self._done = home, number, done
        self.family = "tasks" if number % 2 else "checkpoints"
        self._steps = TASK if self.family == "tasks" else CHECKPOINT
        self.answered: dict[str, str] = {}  # the state of each, as it was answered
        self.asked: dict[str, str] = {}  # and what it was to become then

    def run(self) -> None:
        count = 0
        while not self._done.is_set():
            entity = ""
            key = f"{self._number}.{count}"
            for action, state in self._steps:
                if entity:
                    self.asked[entity] = state
                entity = self._step(action, entity, key, state)
                self.answered[entity] = state
            count += 1

    def place(self, state: str) -> int:
        """Of a state, on the way that each goes."""
        return [each for _action, each in self._steps].index(state)

    def _step(self, action: str, entity: str, key: str, state: str) -> str:
        """Again until it is answered: who is not answered does not know whether it was heard."""
        while True:
            try:
                if not entity:
                    made = self._home.client.send(
                        f"/v1/{self.family}", {"title": "of the test", "key": key}
                    )
                    return str(made["id"])
                if self._home.client.get(f"/v1/{self.family}/{entity}")["state"] != state:
                    self._home.client.send(f"/v1/{self.family}/{entity}/{action}", {})
            except NotRunning:
                time.sleep(POLL_S)
            else:
                return entity


def states(home: Home, family: str) -> dict[str, str]:
    found: list[dict[str, Any]] = home.client.get(f"/v1/{family}", limit=100_000)
    return {each["id"]: each["state"] for each in found}


def from_the_log(home: Home, projection: Projection) -> None:
    """The state as it is made of the events alone."""
    path = home.paths.journal
    journal = JournalService(lambda: SqliteWriter(path), lambda: SqliteReader(path))
    try:
        projector = Projector(projection, journal)
        projector.catch_up()
    finally:
        journal.close()


@pytest.mark.slow
def test_killed_at_random_moments_every_command_that_was_answered_is_there(home: Home) -> None:
    throw, done = Random(SEED), threading.Event()
    workers = [Worker(home, number, done) for number in range(WORKERS)]
    daemon = home.start()
    try:
        for worker in workers:
            worker.start()
        for _ in range(KILLS):
            time.sleep(throw.uniform(0.1, 0.5))  # the moment of the kill, not a wait
            answered = [dict(worker.answered) for worker in workers]
            daemon.kill()
            daemon = home.start()
            for worker, before in zip(workers, answered, strict=True):
                now = states(home, worker.family)
                for entity, state in before.items():
                    # The worker goes on meanwhile: not behind what was answered before the kill,
                    # and not ahead of what was asked by now.
                    asked = worker.asked.get(entity, state)
                    assert worker.place(state) <= worker.place(now[entity]), (entity, state)
                    assert worker.place(now[entity]) <= worker.place(asked), (entity, asked)
    finally:
        done.set()
        for worker in workers:
            worker.join()
        known = {family: states(home, family) for family in ("tasks", "checkpoints")}
        daemon.stop()
    for worker in workers:
        assert len(worker.answered) > KILLS
        for entity, state in worker.answered.items():
            assert known[worker.family][entity] == state
    for projection in (
        Tasks(retain_ms=10**9, open_max=10**6),
        Checkpoints(retain_ms=10**9, open_max=10**6),
    ):
        from_the_log(home, projection)
        logged = {each.id: each.state for each in projection}
        assert {entity: logged[entity] for entity in known[projection.name]} == known[
            projection.name
        ]
