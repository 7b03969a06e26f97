"""`holdfast status --json` against the least that any Python program costs: starting and ending.

What prompts and status bars call all day. Both take turns, so that a machine that slows down slows
both.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Final

from bench.kit.corpora import described
from bench.kit.figures import Bar, Ceiling, Outcome, p50, row
from bench.kit.homes import HOLDFAST, Api, fresh_home, plain_environ, running_daemon
from bench.kit.setting import Setting

TITLE: Final = "`holdfast status --json` against a running daemon"

PAIRS: Final = 60
WARM_UP: Final = 3


def run(setting: Setting) -> Outcome:
    known = setting.corpora.known
    ours: list[float] = []
    pythons: list[float] = []
    python = [sys.executable, "-I", "-c", "pass"]
    with fresh_home(setting, known.root) as home, running_daemon(home) as daemon:
        daemon.wait_until_imported(known.bytes)
        answer = home.call("status", "--json")
        assert answer["daemon"]["pid"] == daemon.pid, answer["daemon"]
        for number in range(WARM_UP + setting.count(PAIRS, least=3)):
            took = _run([HOLDFAST, "status", "--json"], home.environ)
            least = _run(python, plain_environ())
            if number >= WARM_UP:
                ours.append(took)
                pythons.append(least)
        answered = _answer_ms(daemon.api, len(ours))
    return Outcome(
        rows=[
            row(
                "wall, p50",
                p50(ours),
                "ms",
                ceiling=Ceiling(p50(pythons), "`python -I -c pass`"),
                bar=Bar(3.0, "ratio"),
            ),
            row("of it the daemon's answer, p50", answered, "ms"),
        ],
        corpus=described(known),
        notes=[
            (
                f"Medians of {len(ours)} pairs; the answer is "
                f"{len(json.dumps(answer)) / 1e3:,.0f} KB of JSON "
                f"about {answer['sessions']['total']:,} sessions."
            )
        ],
    )


def _run(command: list[str], environ: Mapping[str, str]) -> float:
    devnull = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    began_s = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environ, file_actions=devnull)
    _pid, status = os.waitpid(pid, 0)
    took_s = time.perf_counter() - began_s
    assert status == 0, f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}"
    return took_s * 1_000


def _answer_ms(api: Api, count: int) -> float:
    times = []
    for _ in range(count):
        began_s = time.perf_counter()
        api.get("/v1/status")
        times.append((time.perf_counter() - began_s) * 1_000)
    return p50(times)
