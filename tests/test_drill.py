"""The drill comes to every level and every step by real work, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast import drill
from holdfast.drill import BACK_WITHIN_S, CALM_TIMEOUT_S, DrillFailed, _Drill


class Shown:
    """One run of `holdfast drill pressure` in folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.temporary, self.person = folder / "tmp", folder / "person"
        self.temporary.mkdir()
        self.person.mkdir()
        done = subprocess.run(
            [sys.executable, "-I", "-m", "holdfast", "drill", "pressure"],
            env={
                **os.environ,
                "TMPDIR": str(self.temporary),
                "HOME": str(self.person),
                # The home and the settings of the person who runs it must play no part.
                "HOLDFAST_HOME": str(self.person / "home"),
                "HOLDFAST_DAEMON__MAX_MEMORY_MB": "not a number",
            },
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        self.code, self.text, self.said = done.returncode, done.stdout, done.stderr

    def scene(self, number: int) -> str:
        return self.text.partition(f"\n# {number}. ")[2].partition("\n# ")[0]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return Shown(tmp_path_factory.mktemp("drill"))


def test_the_drill_runs_to_its_end_and_leaves_no_file_behind(shown: Shown) -> None:
    assert shown.code == 0, f"{shown.text}\n{shown.said}"
    assert not shown.said
    assert list(shown.temporary.iterdir()) == []
    assert list(shown.person.iterdir()) == []


def test_an_ordinary_flow_is_below_high_and_puts_nobody_off(shown: Shown) -> None:
    scene = shown.scene(1)
    assert "applied" not in scene
    assert re.search(r"was answered \d+ x 200$", scene, re.MULTILINE)


def test_a_burst_makes_it_high_and_it_comes_back(shown: Shown) -> None:
    scene = shown.scene(2)
    own = re.findall(r"level   .* \(own: (\w+)\)", scene)
    assert "high" in own
    assert own[-1] in ("normal", "moderate")
    assert "search is answered 429, Retry-After 1" in scene
    assert re.search(r"back to below it: [\d.]+ s at the longest", scene)


class Stretch:
    def __init__(self, longest_s: float | None) -> None:
        self._longest_s = longest_s

    def longest_at(self, _levels: frozenset[str]) -> float | None:
        return self._longest_s


def test_a_slow_way_back_is_told_and_only_no_way_back_is_a_failure(tmp_path: Path) -> None:
    said: list[str] = []
    made = _Drill(tmp_path, 7, said.append)
    made._back_from_high(Stretch(BACK_WITHIN_S))
    made._back_from_high(Stretch(BACK_WITHIN_S + 60))
    assert [line.partition("(")[2] for line in said] == ["within 2 s)", "more than 2 s)"]
    with pytest.raises(DrillFailed, match="did not get back"):
        made._back_from_high(Stretch(None))


class SlowDaemon:
    """Reads so much at a time, and each look at it takes so long; the drill's clock as well."""

    def __init__(self, steps: list[int], look_s: float) -> None:
        self._steps, self._look_s, self._now_s = iter(steps), look_s, 0.0
        self._read = 0

    def get(self, _path: str) -> dict[str, Any]:
        self._now_s += self._look_s
        self._read += next(self._steps, 0)
        return {
            "sources": [{"bytes": {"seen": self._read}}],
            "memory": {"pressure": {"holding": ["slow the tail"] if self._read < 40 else []}},
            "importing": {"running": False},
        }

    def monotonic(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        self._now_s += seconds


def slow_drill(
    folder: Path, monkeypatch: pytest.MonkeyPatch, steps: list[int], look_s: float
) -> _Drill:
    made = _Drill(folder, 7, lambda _line: None)
    (folder / "agent" / "projects" / "a.jsonl").write_bytes(b"x" * 40)
    daemon = SlowDaemon(steps, look_s)
    monkeypatch.setattr(made, "_client", daemon)
    monkeypatch.setattr(drill, "time", daemon)
    return made


def test_however_slow_the_machine_what_goes_on_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_drill(tmp_path, monkeypatch, [1, 0] * 40, CALM_TIMEOUT_S / 3)._until_calm()


def test_reading_that_stands_still_is_a_failure_that_says_what_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = slow_drill(tmp_path, monkeypatch, [1, 1], CALM_TIMEOUT_S / 3)
    with pytest.raises(DrillFailed, match="2 of 40 bytes read, slow the tail holds"):
        stuck._until_calm()


def test_a_backlog_makes_it_critical_and_every_step_is_undone_in_reverse(shown: Shown) -> None:
    scene = shown.scene(3)
    assert "-> critical" in scene
    assert "search is answered 503, Retry-After 3" in scene
    told = re.findall(r"^ +[\d.]+ s +(applied|undone) +([^:]+):", scene, re.MULTILINE)
    undone = [step for done, step in told if done == "undone"]
    assert undone[0] == "refuse new work"
    assert undone[-1] == "halve budgets"


def test_nothing_is_lost_by_all_that(shown: Shown) -> None:
    assert re.search(r"bytes of logs = .* \+ 0 unknown \+ 0 bad;", shown.text)


def test_a_ceiling_that_is_outgrown_ends_the_daemon_with_its_own_code(shown: Shown) -> None:
    assert "stop, to be started again: an orderly stop with exit code 75" in shown.scene(4)
    assert "the daemon ended with exit code 75" in shown.scene(4)
