"""The demo runs the real program, shows what it promises to show, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import processes


class Shown:
    """One run of `holdfast demo` in folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.person = folder / "person"
        self.person.mkdir()
        done = subprocess.run(
            [sys.executable, "-I", "-m", "holdfast", "demo", "--sessions", "6"],
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
        self.code = done.returncode
        self.text = done.stdout
        self.said = done.stderr


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return Shown(tmp_path_factory.mktemp("demo"))


def test_the_demo_runs_to_its_end(shown: Shown) -> None:
    assert shown.code == 0, f"{shown.text}\n{shown.said}"
    assert not shown.said


def test_it_leaves_no_file_behind(shown: Shown) -> None:
    assert list(shown.temporary.iterdir()) == []
    assert list(shown.person.iterdir()) == []


def test_it_leaves_no_daemon_behind(shown: Shown) -> None:
    (pid,) = re.findall(r"holdfast started \(pid (\d+)\)", shown.text)
    assert not processes.is_alive(int(pid))


def test_it_shows_an_import_a_live_session_a_search_and_evictions(shown: Shown) -> None:
    assert re.search(r"\d+ sessions, [\d,]+ events from \d+ files", shown.text)
    assert len(re.findall(r"turn \d: \d+ lines written, \d+ events kept", shown.text)) == 3
    assert "# Where did we solve that?" in shown.text
    assert re.search(r"evicted: \d+ m", shown.text)
    assert re.search(r"export \w{13} -f jsonl \| wc -l\n[1-9]\d*", shown.text)


def test_made_up_talk_has_no_slot_left_unfilled(shown: Shown) -> None:
    assert not re.search(r"\$[a-zA-Z]\w* [a-z]", shown.text.replace("$ holdfast", ""))
