"""The alerts of a daemon: who is told, where it is written, what a restart keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.alerts.desk import AlertDesk, NoSuchAlert
from holdfast.alerts.engine import Alerts, Notice
from holdfast.alerts.paging import Pager, Sent
from holdfast.alerts.rules import AlertRule
from holdfast.files import write_atomically
from tests.support.logs import RememberedLog

RULES = [
    AlertRule(name="quiet-one", condition="threads > 10", actions=("page",)),
    AlertRule(
        name="loud-one",
        condition="threads > 10",
        severity="critical",
        actions=("log", "throttle", "restart_recommended"),
    ),
]


def told(log: RememberedLog) -> list[tuple[str, str, str]]:
    return [
        (level, fields["rule"], fields["what"])
        for level, event, fields in log.records
        if event == "alert"
    ]


class Phone(Pager):
    def __init__(self) -> None:
        super().__init__("http://localhost:9", (), {})
        self.rang: list[tuple[str, str, bool]] = []
        self.broken = False

    def send(self, notice: Notice, *, at: str, test: bool = False) -> Sent:
        if self.broken:
            return Sent([], ["the line is dead"])
        self.rang.append((notice.rule, notice.what, test))
        return Sent(["webhook"], [])


class Bench:
    def __init__(self, folder: Path) -> None:
        self.phone, self.log, self.audit = Phone(), RememberedLog(), RememberedLog()
        self.now_s = 50.0  # never jumps
        self.wall_s = 1_000_000.0
        self.alerts: Alerts | None = None  # else new ones of RULES
        self.file = folder / "alerts.json"
        self.write: Callable[[str, bytes], None] = write_atomically
        self.desk = self.open()

    def open(self) -> AlertDesk:
        return AlertDesk(
            self.alerts or Alerts(RULES, repeat_s=0),
            self.phone,
            silences_file=str(self.file),
            later=lambda work: work(),
            log=self.log,
            audit=self.audit,
            clock_s=lambda: self.now_s,
            wall_s=lambda: self.wall_s,
            instant=lambda: "now",
            write=self._write,
        )

    def _write(self, path: str, content: bytes) -> None:
        self.write(path, content)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_fires_is_audited_logged_and_paged_as_its_rule_says(bench: Bench) -> None:
    bench.desk.step({"threads": 11})
    bench.desk.step({"threads": 9})
    both = ["quiet-one", "loud-one"]
    assert told(bench.audit) == [
        *[("info", rule, "began") for rule in both],
        *[("info", rule, "ended") for rule in both],
    ]
    assert told(bench.log) == [("error", "loud-one", "began"), ("info", "loud-one", "ended")]
    assert bench.phone.rang == [("quiet-one", "began", False), ("quiet-one", "ended", False)]


def test_it_says_who_asks_to_throttle_and_who_recommends_a_restart(bench: Bench) -> None:
    assert not bench.desk.throttles
    bench.desk.step({"threads": 11})
    status = bench.desk.status()
    assert (bench.desk.throttles, status.throttles) == (True, True)
    assert status.restart_recommended == ["loud-one"]
    bench.desk.step({"threads": 9})
    assert not bench.desk.throttles


def test_a_page_that_does_not_get_through_is_shown_until_one_does(bench: Bench) -> None:
    bench.phone.broken = True
    bench.desk.step({"threads": 11})
    assert bench.desk.status().problem == "now quiet-one, nobody was told: the line is dead"
    assert ("error", "alert.not_paged") in [record[:2] for record in bench.log.records]
    bench.phone.broken = False
    bench.desk.step({"threads": 9})
    assert bench.desk.status().problem == ""


def test_silence_outlives_a_restart_and_ends_by_itself(bench: Bench) -> None:
    bench.desk.silence("quiet-one", 60)
    bench.desk = bench.open()
    bench.desk.step({"threads": 11})
    assert bench.phone.rang == []
    assert [each.silenced_s for each in bench.desk.status().rules] == [60, 0]
    bench.wall_s += 60
    bench.desk.step({"threads": 11})
    assert bench.phone.rang == [("quiet-one", "goes on", False)]


def test_silence_can_be_ended(bench: Bench) -> None:
    bench.desk.silence("quiet-one", 60)
    bench.desk.silence("quiet-one", 0)
    bench.desk.step({"threads": 11})
    assert bench.phone.rang == [("quiet-one", "began", False)]


def test_silence_that_cannot_be_kept_still_holds_and_is_logged(bench: Bench) -> None:
    def full(_path: str, _content: bytes) -> None:
        raise OSError("no space left")

    bench.write = full
    bench.desk.silence("quiet-one", 60)
    bench.desk.step({"threads": 11})
    assert bench.phone.rang == []
    assert ("warning", "alert.silence_not_kept") in [record[:2] for record in bench.log.records]


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"gone": 9e9, "quiet-one": "soon"}'])
def test_a_file_of_silences_that_cannot_be_read_silences_nothing(
    bench: Bench, content: bytes
) -> None:
    bench.file.write_bytes(content)
    bench.desk = bench.open()
    bench.desk.step({"threads": 11})
    assert bench.phone.rang == [("quiet-one", "began", False)]


def test_silences_of_rules_that_are_gone_are_passed_over(bench: Bench) -> None:
    bench.file.write_bytes(b'{"gone": 9e9}')
    assert [each.silenced_s for each in bench.open().status().rules] == [0, 0]


def test_a_test_tells_whoever_would_be_told(bench: Bench) -> None:
    assert bench.desk.test("quiet-one") == Sent(["webhook"], [])
    assert bench.phone.rang == [("quiet-one", "began", True)]


def test_a_name_that_is_no_alert_is_refused_with_those_there_are(bench: Bench) -> None:
    with pytest.raises(NoSuchAlert, match="there are: quiet-one, loud-one"):
        bench.desk.test("loud")
    with pytest.raises(NoSuchAlert):
        bench.desk.silence("loud", 1)


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_jump_of_the_time_of_day_changes_nothing_but_silence(bench: Bench, jump_s: float) -> None:
    rule = AlertRule(name="slow", condition="threads > 10 for 30s", actions=("page",))
    bench.alerts = Alerts([rule], repeat_s=600)
    bench.desk = bench.open()
    bench.desk.step({"threads": 11})
    bench.wall_s += jump_s
    bench.now_s += 29
    bench.desk.step({"threads": 11})
    assert bench.phone.rang == []
    bench.now_s += 1
    bench.desk.step({"threads": 11})
    assert bench.phone.rang == [("slow", "began", False)]
    (status,) = bench.desk.status().rules
    assert status.for_s == 30
    bench.wall_s += jump_s
    bench.now_s += 599
    bench.desk.step({"threads": 11})
    assert len(bench.phone.rang) == 1
    bench.now_s += 1
    bench.desk.step({"threads": 11})
    assert bench.phone.rang[1:] == [("slow", "goes on", False)]
