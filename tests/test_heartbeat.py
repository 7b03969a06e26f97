"""Each part of a heartbeat stands for itself; none that fails ends the daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from holdfast.heartbeat import Heartbeat, Living
from holdfast.journal.notes import Notes
from holdfast.notify import Notifier
from holdfast.status import Status
from tests.support.logs import RememberedLog
from tests.support.statuses import full_status


class Daemon:
    """As much of one as a heartbeat needs; `breaks` names the parts that fail."""

    def __init__(self, folder: Path) -> None:
        self.log = RememberedLog()
        self.logs = SimpleNamespace(operational=self.log)
        self.state, self.started_s, self.journal_problem = "running", 0.0, ""
        self.breaks: dict[str, Exception] = {}
        self.beaten: list[str] = []
        self.notes = Notes()
        self.paths = SimpleNamespace(
            history_file=str(folder / "history.zst"), status_file=str(folder / "status.json")
        )
        self.settings = SimpleNamespace(resources=SimpleNamespace(reader_held_secs=60))
        self.store = SimpleNamespace(sweep_idle=lambda: self._does("sweep"))
        self.alerts = SimpleNamespace(step=lambda _figures: None)
        self.allowance = SimpleNamespace(
            read_disk=lambda: self._does("disk"), keep_disk=lambda _check: None
        )
        self.machine = SimpleNamespace(oom_kills=dict)
        self.run_file = SimpleNamespace(beat=lambda _bytes, _kills: self._does("run file"))
        level = SimpleNamespace(label="normal")
        self.governor = SimpleNamespace(footprint_bytes=1, budget_bytes=1 << 20, level=level)
        self.journal = SimpleNamespace(offer=lambda _work: None)

    def _does(self, what: str) -> None:
        self.beaten.append(what)
        if what in self.breaks:
            raise self.breaks[what]

    async def memory(self) -> object:
        self._does("alerts")
        raise OSError("nothing of memory is needed here")

    async def status(self) -> Status:
        self._does("status")
        return full_status()


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path)


def heart_of(daemon: Daemon) -> Heartbeat:
    return Heartbeat(cast("Living", daemon), Notifier(None))


def told(daemon: Daemon, action: str) -> list[dict[str, Any]]:
    return [fields for _level, event, fields in daemon.log.records if event == action]


PARTS = ["sweep", "alerts", "status", "disk", "run file"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_a_disk_fails_leaves_the_others_beating(daemon: Daemon, part: str) -> None:
    daemon.breaks[part] = OSError(28, "No space left on device")
    asyncio.run(heart_of(daemon).beat())
    assert daemon.beaten == PARTS


def test_what_goes_on_failing_is_told_once_and_its_end_too(daemon: Daemon) -> None:
    heart = heart_of(daemon)
    daemon.breaks["disk"] = OSError("a disk is gone")
    for _beat in range(3):
        asyncio.run(heart.beat())
    failing = [each for each in told(daemon, "heartbeat.failing") if each["part"] == "the disk"]
    assert failing == [{"part": "the disk", "error": "a disk is gone"}]
    assert "cannot see to the disk with each heartbeat: a disk is gone" in heart.problems
    del daemon.breaks["disk"]
    asyncio.run(heart.beat())
    assert not any("disk" in each for each in heart.problems)
    assert told(daemon, "heartbeat.resumed") == [{"part": "the disk"}]


def test_an_error_of_ours_is_not_hidden(daemon: Daemon) -> None:
    daemon.breaks["sweep"] = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        asyncio.run(heart_of(daemon).beat())


def test_a_status_that_cannot_be_written_is_still_remembered(daemon: Daemon) -> None:
    Path(daemon.paths.status_file).mkdir()
    heart = heart_of(daemon)
    asyncio.run(heart.refresh())
    assert [each["part"] for each in told(daemon, "heartbeat.failing")] == [
        "the status and the history"
    ]
    assert heart.history.points


def test_the_last_record_is_saved_whatever_was_due(daemon: Daemon) -> None:
    heart = heart_of(daemon)
    asyncio.run(heart.record())
    assert not Path(daemon.paths.history_file).exists()
    asyncio.run(heart.record_last())
    assert Path(daemon.paths.history_file).exists()
    written = Path(daemon.paths.status_file).read_bytes()
    assert msgspec.json.decode(written, type=Status) == full_status()


def test_notes_that_had_to_go_are_told(daemon: Daemon) -> None:
    heart = heart_of(daemon)
    for number in range(300):
        daemon.notes.add("x", number)
    asyncio.run(heart.beat())
    asyncio.run(heart.beat())
    assert told(daemon, "audit.dropped") == [{"records": 44}]
