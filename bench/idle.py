"""What a daemon costs while nothing happens, with 300 sessions known.

From /proc/<pid>/stat of the whole tree: ticks of 10 ms, so the figure moves in steps.
"""

from __future__ import annotations

import time
from typing import Final

from bench.kit.corpora import described
from bench.kit.figures import Bar, Outcome, row
from bench.kit.homes import fresh_home, running_daemon
from bench.kit.proc import tree_cpu_s
from bench.kit.setting import Setting

TITLE: Final = "CPU of an idle daemon"

SETTLE_S: Final = 11.0  # one heartbeat after the import: it gives back what the import needed
WATCH_S: Final = 30.0  # reconciles once, writes its status three times


def run(setting: Setting) -> Outcome:
    known = setting.corpora.known
    with fresh_home(setting, known.root) as home, running_daemon(home) as daemon:
        status = daemon.wait_until_imported(known.bytes)
        time.sleep(setting.seconds(SETTLE_S))
        began_s, before_s = time.monotonic(), tree_cpu_s(daemon.pid)
        time.sleep(setting.seconds(WATCH_S, least=0.5))
        used_s, watched_s = tree_cpu_s(daemon.pid) - before_s, time.monotonic() - began_s
    sessions = status["sessions"]["total"]
    return Outcome(
        rows=[
            row(
                f"{sessions:,} known sessions",
                100 * used_s / watched_s,
                "% of a core",
                bar=Bar(0.3),
            )
        ],
        corpus=described(known),
        notes=[f"{used_s * 1_000:.0f} ms of CPU in {watched_s:.1f} s; one tick is 10 ms."],
    )
