"""kill -9 while a session is recorded: nothing missing, nothing twice, each command once.

`HOLDFAST_TEST_KILLS` sets how often, `HOLDFAST_TEST_SEED` which moments.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final

import pytest

from holdfast.clock import instant
from holdfast.demo import lines
from tests.support.home import Home, RunningDaemon
from tests.support.recordings import body_of
from tests.support.waiting import until

KILLS: Final = int(os.environ.get("HOLDFAST_TEST_KILLS", "36")) // 2
SEED: Final = int(os.environ.get("HOLDFAST_TEST_SEED", "20261120"))
PAUSE_S: Final = 0.003
EXPORT_EVERY: Final = 60


class Talker:
    """Writes a session without a pause, and a command into it now and then."""

    def __init__(self, home: Home, cwd: str) -> None:
        self._home = home
        self._cwd = cwd
        self._count = 0
        self._lock = threading.Lock()
        self.exports: list[str] = []

    def say(self, text: str) -> None:
        with self._lock:
            self._append(lines.user_line(text, **self._place()))

    @contextmanager
    def talking(self) -> Iterator[None]:
        done = threading.Event()

        def talk() -> None:
            while not done.wait(PAUSE_S):
                with self._lock:
                    self._go_on()

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _go_on(self) -> None:
        self._count += 1
        if self._count % EXPORT_EVERY == 0:
            name = f"export-{self._count}.jsonl"
            self.exports.append(name)
            self._append(lines.user_line(f"::export {name}", **self._place()))
        elif self._count % 3:
            text = f"reply {self._count} {'word ' * (self._count % 90)}"
            self._append(lines.assistant_line(text, **self._place()))
        else:
            self._append(lines.user_line(f"question {self._count}", **self._place()))

    def _append(self, line: bytes) -> None:
        self._home.append_log("s", line)

    def _place(self) -> Any:
        return {"session": "s", "cwd": self._cwd, "at": instant(), "uuid": str(uuid.uuid4())}


def spoken(path: str) -> list[int]:
    with open(path, encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    return [each["seq"] for each in found if each["kind"] != "holdfast.note"]


@pytest.mark.slow
def test_killed_at_random_moments_recordings_are_as_if_undisturbed(home: Home) -> None:
    cwd = os.path.join(home.folder, "proj")
    os.makedirs(cwd)
    notes, canonical = (os.path.join(cwd, name) for name in ("notes.md", "lines.jsonl"))
    throw, talker = Random(SEED), Talker(home, cwd)
    daemon: RunningDaemon | None = home.start()
    try:
        talker.say("::capture notes.md\n::capture lines.jsonl")
        with talker.talking():
            for _ in range(KILLS):
                daemon = daemon or home.start()
                time.sleep(throw.expovariate(5))  # the moment of the kill, not a wait
                daemon.kill()
                daemon = None
        daemon = home.start()
        talker.say("the last word\n::stop")

        def stopped() -> bool:
            states = [each["state"] for each in listing(home)["recordings"]]
            return states.count("stopped") == 2

        until(stopped, "both are stopped", detail=lambda: listing(home)["recordings"][-2:])
        assert daemon.terminate() == 0
        with open(notes, encoding="utf-8") as file:
            recorded = file.read()
        exported = home.ok("export", "claude/s").text
        upto = exported.index("::stop") + len("::stop\n")
        assert body_of(recorded) == body_of(exported[:upto]), f"seed {SEED}"
        seqs = spoken(canonical)
        assert seqs == list(range(len(seqs))), f"seed {SEED}"
        given = listing(home)["commands"]
        assert {each["state"] for each in given} == {"done"}
        texts = [each["text"] for each in given if each["text"].startswith("::export")]
        assert sorted(texts) == sorted(f"::export {name}" for name in talker.exports)
        for text in texts:
            assert recorded.count(f"{text}: exported") == 1, f"{text}, seed {SEED}"
    finally:
        if daemon is not None:
            daemon.stop()


def listing(home: Home) -> Any:
    return home.ok("recordings", "--json", "--all").json
