"""Each bench runs at a tiny scale and says what the bars of the issue ask for.

Whether a bar holds is not asked: at this size, beside other tests, it says nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest

from bench.__main__ import BENCHES
from bench.kit.figures import Bar
from bench.kit.report import Result

ROOT: Final = Path(__file__).parents[2]
SCALE: Final = 0.01

# As the issue states them; nobody may loosen one by editing a bench alone.
WITHIN_5_PERCENT: Final = Bar(1.05, "ratio", 0.95)
BARS: Final = {
    "append": [Bar(1.0), Bar(1.5, "ratio")],
    "import": [Bar(6.0, "ratio"), Bar(9.0, "ratio"), Bar(200.0)],
    "memory": [Bar(200.0), Bar(50.0)],
    "accounting": [WITHIN_5_PERCENT] * 5,
    "resident": [Bar(1.15, "ratio")],
    "export": [Bar(100.0)],
    "idle": [Bar(0.3)],
    "governor": [Bar(0.1), Bar(1), Bar(1)],
    "tail": [Bar(50.0)],
    "recording": [Bar(100.0), Bar(1.5, "ratio")],
    "status": [Bar(3.0, "ratio")],
    "search": [Bar(25.0)] * 3,
    "giants": [Bar(200.0), Bar(200.0), Bar(250.0)] * 2,
    "sources": [Bar(2.0, "ratio")] * 5,  # half of Claude Code's speed, for each other agent
    "database": [Bar(200.0), Bar(250.0), Bar(250.0)],
    "library": [Bar(64.0), WITHIN_5_PERCENT],
    "queue": [Bar(10.0), Bar(20.0)],
    "streams": [
        *(Bar(50.0), Bar(10.0), Bar(10.0), Bar(200.0)),
        *(Bar(2.0), Bar(5.0), Bar(10.0), Bar(8.0), Bar(20.0)),
    ],
    "work": [Bar(1_000.0), Bar(50.0)],
    "soak": [
        *(Bar(200.0), Bar(1.03, "ratio"), Bar(0), Bar(0), Bar(0), Bar(10.0)),
        *(Bar(0), Bar(0), Bar(0), Bar(0)),
    ],
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_bar_has_its_bench() -> None:
    assert list(BARS) == list(BENCHES)


@pytest.mark.slow
@pytest.mark.parametrize("name", BARS)
def test_a_bench_gives_its_bars_their_figures(name: str, tmp_path: Path) -> None:
    done = bench(name, "--scale", str(SCALE), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = msgspec.json.decode((tmp_path / f"{name}.json").read_bytes(), type=Result)
    assert (result.name, result.scale) == (name, SCALE)
    assert [each.bar for each in result.outcome.rows if each.bar is not None] == BARS[name]
    for each in result.outcome.rows:
        # Rounding and one tick of the clock may make nothing of a tiny run; nothing else may.
        assert each.figure > 0 or name in ("idle", "memory", "soak"), each
        assert (each.holds is None) is (each.bar is None), each
        assert each.what in done.stdout


def test_a_bench_that_nobody_knows_is_refused_with_the_names() -> None:
    done = bench("apend")
    assert done.returncode == 2
    assert "append" in done.stderr


def test_a_scale_above_the_full_one_is_refused() -> None:
    assert bench("append", "--scale", "2").returncode == 2
