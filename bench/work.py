"""Work: how long a state takes to be there after a start, and an answer to reach who waits.

Answers come first: while the disk still writes what a journal of a million events left in memory,
every sync waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from bench.kit.figures import Bar, Outcome, p50, p99, row
from bench.kit.homes import Home, fresh_home, running_daemon
from bench.kit.setting import Setting
from holdfast.client import Client
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.streams import Append, NewEvent
from holdfast.journal.writer import SqliteWriter
from holdfast.work.entities import changed, new_id
from holdfast.work.projection import Projector
from holdfast.work.tasks import STREAM, Change, Tasks

TITLE: Final = "Tasks and checkpoints: starting again, answering"

EVENTS: Final = 1_000_000
OPEN: Final = 1_000  # tasks that are not finished
LIFE: Final = ("created", "started", "progress", "heartbeat", "completed")
BATCH: Final = 5_000
RETAIN_MS: Final = 3_600_000
TASK_MS: Final = 1_000  # between the beginnings of two tasks
SINCE: Final = 500  # events that came behind the snapshot
STARTS: Final = 5
ANSWERS: Final = 200
WAITING_S: Final = 0.02  # until who asked surely waits


class _Starts:
    def __init__(self) -> None:
        self.with_snapshot_ms: list[float] = []
        self.without_ms = 0.0
        self.events = self.tasks = 0


def run(setting: Setting) -> Outcome:
    with (
        setting.folder("no-logs") as logs,
        fresh_home(setting, logs) as home,
        running_daemon(home),
    ):
        answers_ms = list(_answer(home, setting))
    with setting.folder("work") as folder:
        starts = _start_again(folder, setting)
    return Outcome(
        rows=[
            row(
                "tasks are there after a start, with a snapshot",
                p99(starts.with_snapshot_ms),
                "ms",
                bar=Bar(1_000.0),
            ),
            row("the same, when all events are read again", starts.without_ms, "ms"),
            row("a decision to who waits for it, p99", p99(answers_ms), "ms", bar=Bar(50.0)),
            row("its p50", p50(answers_ms), "ms"),
        ],
        corpus=(
            f"{starts.events:,} events of tasks, {starts.tasks:,} of them in memory at the end, "
            f"{SINCE} events behind the snapshot; {len(answers_ms)} checkpoints over HTTP"
        ),
        notes=[
            (
                f"Without a snapshot {starts.events / starts.without_ms * 1_000:,.0f} events a "
                "second. A decision is stored, synced and answered before the time ends."
            )
        ],
    )


def _start_again(folder: Path, setting: Setting) -> _Starts:
    found = _Starts()
    path = str(folder / "journal.db")
    journal = JournalService(partial(SqliteWriter, path), partial(SqliteReader, path))
    events = _lives(setting.count(EVENTS, least=SINCE + 4 * len(LIFE)))
    try:
        while batch := [event for event, _ in zip(events, range(BATCH), strict=False)]:
            journal.append([Append(STREAM, batch)]).result()
            found.events += len(batch)
        journal.settle()
        started_s = time.perf_counter()
        first = _tasks(journal)
        found.without_ms = (time.perf_counter() - started_s) * 1_000
        first.save().result()
        journal.append([Append(STREAM, list(_lives(SINCE)))]).result()
        for _ in range(STARTS):
            started_s = time.perf_counter()
            again = _tasks(journal)
            found.with_snapshot_ms.append((time.perf_counter() - started_s) * 1_000)
            assert isinstance(again.projection, Tasks)
            found.tasks = len(again.projection)
    finally:
        journal.close()
    return found


def _tasks(journal: JournalService) -> Projector:
    projector = Projector(Tasks(retain_ms=RETAIN_MS, open_max=10_000), journal)
    projector.resume()
    return projector


def _lives(count: int) -> Iterator[NewEvent]:
    """Tasks from their beginnings to their ends, one after the other; the last have none."""
    tasks = count // len(LIFE)
    for number in range(tasks):
        task = new_id()
        for step, kind in enumerate(LIFE):
            if kind == "completed" and number >= tasks - OPEN:
                continue
            at_ms = 1_767_261_600_000 + number * TASK_MS + step
            change = Change(at_ms, timeout_s=14_400, heartbeat_s=300, retries=2)
            yield changed(f"task.{kind}", task, change, text=f"task {number} of the bench")


def _answer(home: Home, setting: Setting) -> Iterator[float]:
    """From the moment in which somebody decides to the one in which who waits knows it."""
    person = Client(home.paths)
    with ThreadPoolExecutor(1) as agent:
        for _ in range(setting.count(ANSWERS)):
            asked = person.send("/v1/checkpoints", {"title": "Go on?"})
            waiting = agent.submit(_wait, Client(home.paths), asked["id"])
            while not person.get("/v1/status")["work"]["checkpoints"]["waiting"]:
                time.sleep(WAITING_S)
            decided_s = time.perf_counter()
            person.send(f"/v1/checkpoints/{asked['id']}/approve", {"by": "hana"})
            yield (waiting.result() - decided_s) * 1_000


def _wait(client: Client, checkpoint: str) -> float:
    decided = client.get(f"/v1/checkpoints/{checkpoint}", wait_secs=30)
    assert decided["state"] == "approved"
    return time.perf_counter()
