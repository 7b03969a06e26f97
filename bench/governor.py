"""What it costs to watch: CPU of a process that does nothing but govern, at the daemon's own pace.

The process is as large as a daemon that is at work: sessions fill their share of memory, two
children of an import's size stand beside it, and the components that the kernel and the allocators
are asked about are the daemon's own. What a look costs grows with the pages that the kernel has to
count.

CPU is that of the whole process, from its clock, so the waiting between two looks is in it too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from bench.kit.figures import Bar, Outcome, row
from bench.kit.homes import plain_environ
from bench.kit.setting import Setting
from holdfast.governor import (
    FreeMemory,
    Governor,
    Level,
    MappedFiles,
    OtherChildren,
    next_delay_s,
)
from holdfast.ingest.children import ImportChildren
from holdfast.observe import Logs
from holdfast.paths import Paths
from holdfast.service.plan import ALLOCATOR
from holdfast.settings import Settings
from holdfast.snapshots import SessionStore
from holdfast.wiring import make_governor, make_store

TITLE: Final = "CPU that the governor takes"

IDLE_S: Final = 60.0
BUSY_S: Final = 30.0
ONE_BY_ONE: Final = 200
SESSIONS: Final = 200
SESSION_BYTES: Final = 200_000
CHILDREN: Final = 2
CHILD_BYTES: Final = 20_000_000  # as in an import, where the tree has about 110 MB
BATCHES_PER_S: Final = 100  # each asks whether it grew fast
_CHILD: Final = "import sys; held = b'x' * int(sys.argv[1]); print(flush=True); sys.stdin.read()"
_ROOT: Final = Path(__file__).parents[1]


def run(setting: Setting) -> Outcome:
    found = _in_process_of_its_own(setting)
    idle, busy, near, high = (found[each] for each in ("idle", "busy", "near", "high"))
    return Outcome(
        rows=[
            row("idle", idle["cpu_pct"], "% of a core", bar=Bar(0.1)),
            row("while an import runs", busy["cpu_pct"], "% of a core", bar=Bar(1)),
            row(
                "while one runs, at our own moderate level",
                near["cpu_pct"],
                "% of a core",
                bar=Bar(1),
            ),
            row("at our own high level, where it acts", high["cpu_pct"], "% of a core"),
            row("one look, two children, CPU", found["look_ms"], "ms"),
            row("one closer look, for the status, CPU", found["snapshot_ms"], "ms"),
            row("asking whether it grew fast, CPU", found["fast_us"], "us"),
        ],
        corpus=(
            f"{found['store_mb']:.0f} MB of sessions in memory and {CHILDREN} children of "
            f"{CHILD_BYTES / 1e6:.0f} MB; a footprint of {found['footprint_mb']:.0f} MB"
        ),
        notes=[
            (
                f"Idle: {idle['looks']:,} looks and {idle['snapshots']:,} for the heartbeat in "
                f"{idle['seconds']:.0f} s, {idle['cpu_ms']:.1f} ms of CPU, without children. "
                f"Under load: {busy['looks']:,} and {busy['snapshots']:,} in "
                f"{busy['seconds']:.0f} s, {busy['cpu_ms']:.0f} ms; {high['looks']:,} at the pace "
                f"of our own high level, {high['cpu_ms']:.0f} ms."
            ),
            (
                f"The level was {found['level']}, our own {found['own']}: beside others that fill "
                "the machine an idle daemon looks every 2 s and not every 10; during an import it "
                "looks twice a second, and four times from our own high level on; where this "
                "process grows fast, it looks at once."
            ),
        ],
    )


def _in_process_of_its_own(setting: Setting) -> Any:
    seconds = (setting.seconds(IDLE_S, least=1.0), setting.seconds(BUSY_S, least=1.0))
    done = subprocess.run(
        [sys.executable, "-m", "bench.governor", *map(str, seconds)],
        cwd=_ROOT,
        env={**plain_environ(), **ALLOCATOR},  # as the daemon is started
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


# In that process.


class _Watched:
    def __init__(self, folder: str) -> None:
        settings, paths = Settings(), Paths.from_env({"HOME": folder, "HOLDFAST_HOME": folder})
        paths.ensure_dirs()
        self.logs = Logs(Path(paths.logs), level="info", max_bytes=1_000_000, keep_files=1)
        self.heartbeat_s = settings.daemon.heartbeat_ms / 1_000
        self.store: SessionStore = make_store(settings, lambda _eviction: None)
        self.pids: list[int] = []
        self.governor: Governor = make_governor(settings, paths, lambda _change: None, self.logs)
        baseline = self.governor.mark_baseline()
        children = ImportChildren(lambda: self.pids, limit_bytes=2 * CHILD_BYTES)
        for component in (
            self.store,
            children,
            OtherChildren([children.claim]),
            MappedFiles(baseline),
            FreeMemory(),
        ):
            self.governor.register(component)
        for number in range(SESSIONS):
            self.store.append(str(number), 0, os.urandom(SESSION_BYTES - 1) + b"\n", 1)

    def watch(self, seconds: float, *, active: bool, own: Level | None = None) -> dict[str, float]:
        """As `Daemon._govern` and the heartbeat do; as often as at another level of our own."""
        governor, looks, snapshots = self.governor, 0, 0
        began_s, cpu_before_s = time.monotonic(), time.process_time()
        heartbeat_s = began_s
        while (now_s := time.monotonic()) - began_s < seconds:
            found = governor.step(governor.look())
            looks += 1
            if now_s >= heartbeat_s:
                governor.snapshot(governor.look_closely())
                snapshots += 1
                heartbeat_s = now_s + self.heartbeat_s
            delay_s = next_delay_s(found.level, found.own if own is None else own, active=active)
            delay_s = min(delay_s, max(0.0, began_s + seconds - time.monotonic()))
            for _batch in range(int(delay_s * BATCHES_PER_S) if active else 0):
                governor.fast_due()
            time.sleep(delay_s)
        took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_before_s
        return {
            "seconds": took_s,
            "looks": looks,
            "snapshots": snapshots,
            "cpu_ms": 1e3 * cpu_s,
            "cpu_pct": 100 * cpu_s / took_s,
        }

    def cpu_ms(self, work: str) -> float:
        """Of one, on average of many in a row."""
        governor = self.governor
        each = {
            "look": lambda: governor.step(governor.look()),
            "snapshot": lambda: governor.snapshot(governor.look_closely()),
            "fast": governor.fast_due,
        }[work]
        before_s = time.process_time()
        for _time in range(ONE_BY_ONE):
            each()
        return 1e3 * (time.process_time() - before_s) / ONE_BY_ONE


@contextmanager
def _children(count: int) -> Iterator[list[int]]:
    """They end when their input does, so also when this process is killed."""
    with ExitStack() as stack:
        pids = []
        for _child in range(count):
            child = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _CHILD, str(CHILD_BYTES)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdout.readline()
            pids.append(child.pid)
        yield pids


def _measure(idle_s: float, busy_s: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="hfb-") as folder:
        watched = _Watched(folder)
        watched.governor.step()  # what is loaded and compiled at the first time
        watched.governor.snapshot()
        found: dict[str, object] = {"idle": watched.watch(idle_s, active=False)}
        with _children(CHILDREN) as watched.pids:
            found["busy"] = watched.watch(busy_s, active=True)
            found["near"] = watched.watch(busy_s, active=True, own=Level.MODERATE)
            found["high"] = watched.watch(busy_s, active=True, own=Level.HIGH)
            found["level"] = watched.governor.level.label
            found["own"] = watched.governor.own_level.label
            found["footprint_mb"] = watched.governor.footprint_bytes / 1e6
            found["look_ms"] = watched.cpu_ms("look")
            found["snapshot_ms"] = watched.cpu_ms("snapshot")
            found["fast_us"] = 1e3 * watched.cpu_ms("fast")
        found["store_mb"] = watched.store.accounted_bytes / 1e6
        watched.store.close()
        watched.logs.close()
    return found


if __name__ == "__main__":
    print(json.dumps(_measure(float(sys.argv[1]), float(sys.argv[2]))))
