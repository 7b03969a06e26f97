"""What was acknowledged to a writer of a stream is there, once, whatever is lost or cut off.

`HOLDFAST_TEST_SEED` sets what is written, `HOLDFAST_TEST_STATES` in how many states of the disk the
power is cut. Kills of the daemon are in `test_together.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import pytest

from holdfast import Holdfast, NewEvent
from holdfast.client import NotRunning
from holdfast.events import stream_id
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.reader import SqliteReader
from holdfast.journal.streams import Append, Appended
from holdfast.journal.writer import SqliteWriter
from holdfast.remote.talk import Answer
from tests.support.home import Home
from tests.support.vfs import Disk, Recorder, mounted

KILLS: Final = int(os.environ.get("HOLDFAST_TEST_KILLS", "36")) // 3
SEED: Final = int(os.environ.get("HOLDFAST_TEST_SEED", "20261120"))
STATES: Final = int(os.environ.get("HOLDFAST_TEST_STATES", "3600")) // 6
WRITERS: Final = 8
PATIENCE_S: Final = 120.0  # of who waits for the daemon to be there again


def test_without_keys_the_same_loop_would_find_repeats(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kill loop rests on, and that it can fail: without a key it comes twice."""
    lost: list[int] = []
    ask: Callable[..., Answer] = Holdfast._request_once

    def loses(self: Holdfast, asked: object) -> Answer:
        answer = ask(self, asked)
        if not lost:
            lost.append(1)
            raise ConnectionResetError
        return answer

    monkeypatch.setattr(Holdfast, "_request_once", loses)
    with home.daemon(), Holdfast(home.env) as holdfast:
        placed = holdfast.append("a", NewEvent(kind="k", text="keyed"))
        assert placed.repeated == 1
        lost.clear()
        monkeypatch.setattr("holdfast.remote.talk.new_key", lambda: "")
        assert holdfast.append("a", NewEvent(kind="k", text="keyless")).repeated == 0
        texts = [each.event.text for each in holdfast.query(stream="a")]
    assert texts == ["keyed", "keyless", "keyless"]


def test_a_client_that_is_not_answered_says_so(home: Home) -> None:
    with Holdfast(home.env, patience_s=0) as holdfast, pytest.raises(NotRunning):
        holdfast.append("a", NewEvent(kind="k"))


class Appends:
    """Transactions of appends, some of which fail and leave nothing."""

    def __init__(self, recorder: Recorder, path: str, seed: int) -> None:
        self._recorder, self._throw = recorder, Random(seed)
        self._writer = SqliteWriter(path, block_bytes=4_096, vfs=recorder.name)
        self.acknowledged: list[str] = []

    def run(self) -> None:
        for number in range(60):
            stream, count = f"s{self._throw.randrange(3)}", self._throw.randrange(1, 6)
            names = [f"{number}.{each}" for each in range(count)]
            self._recorder.mark(("asked", [*self.acknowledged, *names]))
            [outcomes] = self._writer.transact([_appending(stream, names)])
            assert isinstance(outcomes, list)
            assert isinstance(outcomes[0], Appended)
            self.acknowledged += names
            self._recorder.mark(("acknowledged", list(self.acknowledged)))
            if self._throw.random() < 0.1:
                self._writer.feed_index()
            if self._throw.random() < 0.1:
                self._writer.checkpoint()
        self._writer.close()


def _appending(stream: str, names: list[str]) -> Callable[[JournalWriter], object]:
    events = [NewEvent(kind="power.cut", text=f"{name} {'.' * 100}", key=name) for name in names]
    return lambda writer: writer.append([Append(stream, events)], 1_767_261_600.0)


def _noted(disk: Disk, name: str) -> list[str]:
    return next((names for note, names in reversed(disk.notes) if note == name), [])


def _verdict(folder: Path, disk: Disk, throw: Random) -> list[str]:
    """What is wrong with the journal that a power cut left."""
    for file in folder.iterdir():
        file.unlink()
    for name, content in disk.power_loss(throw):
        (folder / name).write_bytes(content)
    acknowledged, asked = _noted(disk, "acknowledged"), _noted(disk, "asked")
    path = str(folder / "journal.db")
    writer = SqliteWriter(path, block_bytes=4_096)
    reader = SqliteReader(path)
    try:
        problems = reader.check()
        texts = [
            event.text.split()[0]
            for number in range(3)
            for event in reader.events(stream_id(f"s{number}"))
        ]
        problems += [f"{name} was lost" for name in acknowledged if name not in set(texts)]
        problems += [f"{name} is there twice" for name, n in Counter(texts).items() if n > 1]
        problems += [f"{name} was never appended" for name in texts if name not in set(asked)]
        if len(texts) not in (len(acknowledged), len(asked)):
            problems.append(f"{len(texts)} events: a transaction is there in part")
    finally:
        reader.close()
        writer.close()
    return problems


@pytest.mark.slow
def test_a_power_cut_costs_no_append_that_was_acknowledged(tmp_path: Path) -> None:
    written, found = tmp_path / "written", tmp_path / "found"
    written.mkdir()
    found.mkdir()
    recorder = Recorder(f"appends-{SEED}")
    problems: list[str] = []
    with mounted(recorder):
        Appends(recorder, str(written / "journal.db"), SEED).run()
        disk, throw = Disk(recorder.log), Random(SEED)
        share, due, seen = STATES / len(recorder.log), 0.0, 0
        while disk.advance():
            due += share
            while due >= 1:
                due, seen = due - 1, seen + 1
                wrong = _verdict(found, disk, Random(throw.getrandbits(64)))
                problems += [f"seed {SEED}, step {disk.step}: {each}" for each in wrong]
    print(f"{seen} states")
    assert seen >= STATES - 1
    assert not problems, "\n".join(problems[:20])
