"""`holdfast drill pressure`: brings a real daemon to each level by real work, and shows what it
does.

Nothing is staged and no door is left open for it: a daemon of its own, in a folder that is gone
afterwards, gets a ceiling so small that made-up logs fill it. What is printed comes from the
daemon's own log and from a client that asks all the while. Four scenes:

1. An ordinary flow of logs: nothing happens. 2. Ten times as much at once: moderate, high, 429,
and back. 3. A backlog that import children read: critical, 503, children end, and go on; nothing
is lost. 4. A ceiling that the program outgrows: critical for too long, and an orderly end with
exit code 75.

The ceilings are made from what the program takes on this machine, which is measured first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, Self

from holdfast.client import Client, NotRunning, PutOff, Refused
from holdfast.demo.corpus import generate
from holdfast.errors import Exit, HoldfastError
from holdfast.paths import Paths
from holdfast.service.plan import ALLOCATOR
from holdfast.sources import agents

MIB: Final = 1 << 20
ROOM_MB: Final = 38  # beside the program: sessions, and one import child
FLOW_SESSIONS: Final = 120
FLOW_BYTES: Final = 60_000_000
FLOW_LOG_BYTES_MAX: Final = 3_000_000  # what the daemon reads by itself
FLOW_SHARE: Final = 11  # one part of the bytes is the ordinary flow, ten come at once
FLOW_PAUSE_S: Final = 0.1
BACKLOG_SESSIONS: Final = 6
BACKLOG_BYTES: Final = 60_000_000
BLOCK_BYTES: Final = 2_097_152  # sessions in memory are large until they are compressed
MEASURED_LOGS: Final = 5
OUTGROWN_SHARE: Final = 3  # of what work leaves behind,
OUTGROWN_BYTES_MAX: Final = MIB  # part of which is given back when memory is scarce
CRITICAL_EXIT_SECS: Final = 2
BACK_WITHIN_S: Final = 2.0
ASK_EVERY_S: Final = 0.05
POLL_S: Final = 0.05
CALM_TIMEOUT_S: Final = 30.0
CALM_FOR_S: Final = 1.5  # longer than the governor waits between two looks where memory is used
END_TIMEOUT_S: Final = 120.0  # a daemon that takes longer hangs, however slow the machine
LEVELS: Final = ("MODERATE", "HIGH", "CRITICAL")
HIGH_OR_WORSE: Final = frozenset({"high", "critical"})

Out = Callable[[str], None]


class Stretches(Protocol):
    def longest_at(self, levels: frozenset[str]) -> float | None: ...


class DrillFailed(HoldfastError):
    """A level or a step of the drill did not come about."""

    exit: ClassVar[Exit] = Exit.FAILURE


def pressure(*, seed: int, out: Out) -> None:
    with tempfile.TemporaryDirectory(prefix="holdfast-drill-") as folder:
        _Drill(Path(folder), seed, out).run()
    out("\nThe drill's folder is gone again. Your own daemon was not touched.")


class _Drill:
    def __init__(self, folder: Path, seed: int, out: Out) -> None:
        self._folder = folder
        self._seed = seed
        self._out = out
        self._logs = folder / "agent"
        (self._logs / "projects").mkdir(parents=True)
        self._environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST_")},
            "HOLDFAST_HOME": str(folder / "home"),
            "CLAUDE_CONFIG_DIR": str(self._logs),
            # Nobody's own logs belong into a drill.
            **{
                f"HOLDFAST_SOURCES__{agent.upper()}__ENABLED": "false"
                for agent in agents.NAMES
                if agent != "claude"
            },
            "HOLDFAST_SNAPSHOTS__BLOCK_BYTES": str(BLOCK_BYTES),
        }
        self._paths = Paths.from_env(self._environ)
        # It is to see each answer, not to wait for a better one.
        self._client = Client(self._paths, put_off_max_s=0)
        self._daemon: subprocess.Popen[bytes] | None = None
        self._outgrown_by = 0

    def run(self) -> None:
        out = self._out
        try:
            flow = self._made_up("flow", FLOW_SESSIONS, FLOW_BYTES, self._seed)
            backlog = self._made_up("backlog", BACKLOG_SESSIONS, BACKLOG_BYTES, self._seed + 1)
            backlog += [log for log in flow if log.stat().st_size > FLOW_LOG_BYTES_MAX]
            flow = [log for log in flow if log.stat().st_size <= FLOW_LOG_BYTES_MAX]
            out("Measuring what the program takes on this machine …")
            program = self._measured(flow)
            ceiling_mb = program // MIB + ROOM_MB
            out(
                f"  {_mib(program)}; the ceiling of the drill is {ceiling_mb} MiB: moderate from "
                f"{_mib(ceiling_mb * MIB * 70 // 100)}, high from "
                f"{_mib(ceiling_mb * MIB * 85 // 100)}, critical from "
                f"{_mib(ceiling_mb * MIB * 95 // 100)}"
            )
            ordinary, burst = _parted(flow, 1 / FLOW_SHARE)
            self._start(
                {
                    "HOLDFAST_DAEMON__MAX_MEMORY_MB": str(ceiling_mb),
                    "HOLDFAST_SNAPSHOTS__MAX_MEMORY_MB": str(ceiling_mb),
                }
            )
            self._scene(
                "1. An ordinary flow of logs", lambda: self._bring(ordinary, pause_s=FLOW_PAUSE_S)
            )
            seen = self._scene(
                "2. A burst: ten times as much, all at once", lambda: self._bring(burst)
            )
            self._expect(seen, "high", "throttle requests", 429)
            self._back_from_high(seen)
            seen = self._scene(
                "3. A backlog that import children read", lambda: self._bring(backlog)
            )
            self._expect(seen, "critical", "refuse new work", 503)
            self._nothing_lost()
            self._outgrown()
        finally:
            self._end()

    def _measured(self, flow: list[Path]) -> int:
        """What the program takes, and what it takes for good once it was used."""
        self._start({})
        program: int = self._memory()["process"]["tree_bytes"]
        flow.sort(key=lambda log: log.stat().st_size)
        self._bring([flow.pop(0) for _ in range(MEASURED_LOGS)])
        self._client.get("/v1/search", words="connection", limit=1)
        self._until_calm()
        memory = self._memory()
        rest = memory["process"]["tree_bytes"] - memory["snapshots"]["accounted_bytes"]
        left_behind = max(0, rest - memory["baseline_bytes"])
        self._outgrown_by = min(left_behind // OUTGROWN_SHARE, OUTGROWN_BYTES_MAX)
        self._end()
        return program

    # What is brought.

    def _made_up(self, name: str, sessions: int, size: int, seed: int) -> list[Path]:
        """Logs beside the agent's folder, to be moved there when their time has come."""
        stage = self._folder / name
        generate(stage, seed=seed, now=datetime.now(UTC), sessions=sessions, total_bytes=size)
        return sorted(stage.rglob("*.jsonl"))

    def _bring(self, logs: list[Path], *, pause_s: float = 0.0) -> str:
        size = 0
        for log in logs:
            stage = next(parent for parent in log.parents if parent.parent == self._folder)
            place = self._logs / log.relative_to(stage)
            place.parent.mkdir(parents=True, exist_ok=True)
            size += log.stat().st_size
            log.rename(place)
            time.sleep(pause_s)
        return f"{len(logs)} logs, {size:,} bytes"

    # A scene.

    def _scene(self, title: str, act: Callable[[], str]) -> _Seen:
        self._out(f"\n# {title}")
        seen = _Seen(self._client, Path(self._paths.logs))
        with seen:
            self._out(f"  {act()} appear in the agent's folder")
            self._until_calm()
        for line in seen.lines():
            self._out(line)
        memory = self._memory()
        self._out(
            f"  in the end: {memory['level']}, {_mib(memory['process']['tree_bytes'])} of "
            f"{_mib(memory['budget_bytes'])}, at most {_mib(memory['process']['peak_tree_bytes'])}"
        )
        return seen

    def _until_calm(self) -> None:
        """All that was written is read, nothing is imported, and no step holds: for a while.

        Not for a moment: what was read last may yet take the governor to a level. How long all of
        it may take depends on the machine: only reading that stands still is a failure.
        """
        size = sum(path.stat().st_size for path in self._logs.rglob("*.jsonl"))
        read, deadline_s = -1, 0.0
        calm_since_s: float | None = None
        while True:
            status = self._client.get("/v1/status")
            before, read = read, sum(each["bytes"]["seen"] for each in status["sources"])
            holding = status["memory"]["pressure"]["holding"]
            now_s = time.monotonic()
            if read == size and not status["importing"]["running"] and not holding:
                calm_since_s = calm_since_s or now_s
                if now_s - calm_since_s > CALM_FOR_S:
                    return
            else:
                calm_since_s = None
            if read != before:
                deadline_s = now_s + CALM_TIMEOUT_S
            elif calm_since_s is None and now_s > deadline_s:
                raise DrillFailed(
                    f"for {CALM_TIMEOUT_S:.0f} s nothing was read and the daemon has not come to "
                    f"rest: {read:,} of {size:,} bytes read, "
                    f"{', '.join(holding) or 'no step'} holds"
                )
            time.sleep(POLL_S)

    def _expect(self, seen: _Seen, level: str, step: str, answer: int) -> None:
        done = {event["step"] for event in seen.events if event["event"] == "governor.step"}
        missing = [
            what
            for what, came in (
                (f"level {level}", level in seen.levels()),
                (f"step {step!r}", step in done),
                (f"answer {answer}", answer in seen.answers),
            )
            if not came
        ]
        if missing:
            raise DrillFailed(f"it did not come to: {', '.join(missing)}")

    def _back_from_high(self, seen: Stretches) -> None:
        """How long is told and no failure: it says as much of the machine as of the program."""
        back_s = seen.longest_at(HIGH_OR_WORSE)
        if back_s is None:
            raise DrillFailed("it did not get back below high")
        kept = "within" if back_s <= BACK_WITHIN_S else "more than"
        self._out(
            f"  from high back to below it: {back_s:.2f} s at the longest "
            f"({kept} {BACK_WITHIN_S:g} s)"
        )

    def _nothing_lost(self) -> None:
        size = sum(path.stat().st_size for path in self._logs.rglob("*.jsonl"))
        status = self._client.get("/v1/status")
        counts = Counter[str]()
        for source in status["sources"]:
            counts.update(source["bytes"])
        self._out(
            f"\n# Nothing is lost\n  {size:,} bytes of logs = {counts['parsed']:,} parsed + "
            f"{counts['skipped']:,} skipped + {counts['unknown']:,} unknown + "
            f"{counts['bad']:,} bad; {status['sessions']['total']} sessions, "
            f"{status['sessions']['events']:,} events kept"
        )
        if counts["seen"] != size or counts["bad"]:
            raise DrillFailed("the ledger does not have every byte")

    # The last scene.

    def _outgrown(self) -> None:
        """What is left after work cannot be given back, and a ceiling below it is critical."""
        line = self._memory()["baseline_bytes"] + self._outgrown_by
        self._end()
        ceiling_mb = line // MIB * 100 // 90 + 1
        critical = max(line * 100 // (ceiling_mb * MIB), 10)
        lines = (critical - 2, critical - 1, critical)
        more = self._made_up("more", 40, FLOW_BYTES // 4, self._seed + 2)
        self._out(
            f"\n# 4. A ceiling that the program outgrows: {ceiling_mb} MiB, critical from "
            f"{_mib(ceiling_mb * MIB * critical // 100)}, for {CRITICAL_EXIT_SECS} s"
        )
        with _Seen(self._client, Path(self._paths.logs)) as seen:
            self._start(
                {
                    "HOLDFAST_DAEMON__MAX_MEMORY_MB": str(ceiling_mb),
                    "HOLDFAST_RESOURCES__CRITICAL_EXIT_SECS": str(CRITICAL_EXIT_SECS),
                    **{
                        f"HOLDFAST_RESOURCES__BUDGET_{level}_PCT": str(pct)
                        for level, pct in zip(LEVELS, lines, strict=True)
                    },
                }
            )
            self._out(f"  {self._bring(more)} appear in the agent's folder")
            assert self._daemon is not None
            try:
                code = self._daemon.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired as error:
                raise DrillFailed("the daemon did not stop though memory was critical") from error
        for each in seen.lines():
            self._out(each)
        self._out(f"  the daemon ended with exit code {code}; a service manager starts it again")
        self._daemon = None
        if code != Exit.RESTART_WANTED:
            raise DrillFailed(f"the exit code is {code}, not {Exit.RESTART_WANTED.value}")

    # The daemon.

    def _start(self, more: Mapping[str, str]) -> None:
        self._daemon = subprocess.Popen(
            [sys.executable, "-I", "-m", "holdfast.daemon"],
            env={
                **self._environ,
                **more,
                **ALLOCATOR,
            },
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + END_TIMEOUT_S
        while time.monotonic() < deadline_s and self._daemon.poll() is None:
            if self._client.is_running():
                return
            time.sleep(POLL_S)
        raise DrillFailed(f"the daemon of the drill did not start: status {self._daemon.poll()}")

    def _end(self) -> None:
        daemon, self._daemon = self._daemon, None
        if daemon is None:
            return
        daemon.terminate()
        try:
            daemon.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _memory(self) -> dict[str, Any]:
        memory: dict[str, Any] = self._client.get("/v1/status")["memory"]
        return memory


def _parted(logs: list[Path], share: float) -> tuple[list[Path], list[Path]]:
    """The smallest logs that make up a share of all bytes, and the others."""
    by_size = sorted(logs, key=lambda log: (log.stat().st_size, log))
    wanted = share * sum(log.stat().st_size for log in logs)
    first: list[Path] = []
    while wanted > 0:
        first.append(by_size.pop(0))
        wanted -= first[-1].stat().st_size
    return first, by_size


class _Seen:
    """What the daemon writes in its log, and what a client is answered, while it is open."""

    def __init__(self, client: Client, logs: Path) -> None:
        self._client = client
        self._log = logs / "holdfast.log.jsonl"
        self._from_byte = self._log.stat().st_size if self._log.exists() else 0
        self._began = datetime.now(UTC)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.events: list[dict[str, Any]] = []
        self.answers = Counter[int]()
        self._turns: list[tuple[datetime, str]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        with self._log.open("rb") as file:
            file.seek(self._from_byte)
            records = [json.loads(line) for line in file]
        told = ("governor.level_changed", "governor.step", "daemon.stopping")
        self.events = [record for record in records if record["event"] in told]

    def levels(self) -> set[str]:
        return {each["own"] for each in self.events if each["event"] == "governor.level_changed"}

    def longest_at(self, levels: frozenset[str]) -> float | None:
        """The longest time without a break at one of these levels; None when it is there still."""
        since: datetime | None = None
        longest_s = 0.0
        for event in self.events:
            if event["event"] != "governor.level_changed":
                continue
            at = datetime.fromisoformat(event["at"])
            if event["own"] in levels:
                since = since or at
            elif since is not None:
                longest_s = max(longest_s, (at - since).total_seconds())
                since = None
        return longest_s if since is None else None

    def lines(self) -> list[str]:
        """All of it in the order of time."""
        told = [(datetime.fromisoformat(event["at"]), _told(event)) for event in self.events]
        told += self._turns
        counts = ", ".join(f"{count} x {code}" for code, count in sorted(self.answers.items()))
        return [
            *(
                f"  {(at - self._began).total_seconds():6.2f} s  {text}"
                for at, text in sorted(told, key=lambda each: each[0])
                if text
            ),
            f"  a client that searched all the while was answered {counts}",
        ]

    def _ask(self) -> None:
        last = 0
        while not self._ended.wait(ASK_EVERY_S):
            try:
                self._client.get("/v1/search", words="connection", limit=1)
                code, after = 200, ""
            except PutOff as put_off:
                code = 429 if "puts costly work off" in str(put_off) else 503
                after = f", Retry-After {put_off.retry_after_s:g}"
            except NotRunning:  # not yet, or not any more
                continue
            except Refused:
                continue
            self.answers[code] += 1
            if code != last and (last or code != 200):
                self._turns.append((datetime.now(UTC), f"client  search is answered {code}{after}"))
            last = code


def _told(event: dict[str, Any]) -> str:
    if event["event"] == "governor.step":
        if event["done"] == "undone" and not event["effect"]:
            return ""
        return (
            f"{event['done']:<8}{event['step']}: {event['effect'] or 'nothing to do'} "
            f"[{event['cause']} {event['cause_pct']:g} %, {event['took_ms']:g} ms]"
        )
    if event["event"] == "daemon.stopping":
        return f"stops   {event['reason']}"
    return (
        f"level   {event['previous']} -> {event['pressure']} (own: {event['own']}): "
        f"{event['cause']} {event['pct']:g} %, line {event['threshold_pct']:g} %, "
        f"{_mib(event['footprint_bytes'])}"
    )


def _mib(size: int) -> str:
    return f"{size / MIB:.1f} MiB"
