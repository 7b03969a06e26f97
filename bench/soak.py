"""Weeks of work in twenty minutes: does the ceiling hold, and does memory return to where it was?

A crowd of agents writes at full speed while others search, export, list and follow sessions, and
subscribers are told of everything. Every tenth of a second the tree is measured from outside.
Afterwards each session is asked whether all of its events are there, and each subscriber whether it
was told of as many.

The second run is under a control group of 256 MB, which kills what does not keep its promise; where
no group can be made, `RLIMIT_DATA` of the same size stands in, and the row says so.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from bench.kit.crowd import Crowd
from bench.kit.figures import Bar, Ceiling, Outcome, Row, p99, row
from bench.kit.homes import Api, Home, RunningDaemon, fresh_home, running_daemon
from bench.kit.proc import tree_cpu_s, tree_footprint_bytes
from bench.kit.setting import Setting
from holdfast.events import session_id

TITLE: Final = "A soak: sessions come and go at full speed, under the default ceiling"

MIB: Final = 1 << 20
SECONDS: Final = 1_200.0
EVENTS_EACH: Final = 1_400  # of a session, on average
BUDGET_MB: Final = 200
GROUP_BYTES: Final = 256 * MIB
SAMPLE_S: Final = 0.1
STATUS_S: Final = 1.0
ASKERS: Final = 2
FOLLOWERS: Final = 4
LISTENERS: Final = 2
PIECE_BYTES: Final = 65_536
FRAME_HEAD_BYTES: Final = 32  # `id: ` and a position, and what stands before it
ASK_PAUSE_S: Final = 0.2
FOLLOW_PAUSE_S: Final = 0.1
SETTLE_S: Final = 60.0  # without anything new
UNEXPLAINED_PCT: Final = 10.0
GROUPS: Final = Path("/sys/fs/cgroup")
_ALLOWED: Final = {
    http.client.OK,
    http.client.TOO_MANY_REQUESTS,
    http.client.SERVICE_UNAVAILABLE,
}
_WORDS: Final = (
    "timeout retry",
    '"journal cursor"',
    "migrat*",
    "検索",
    "harbour anchor keel",
    "zzz",
)


_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d+) ")
_POSITION: Final = re.compile(rb"\nid: (\d+)\n")


class Sample(NamedTuple):
    at_s: float
    bytes: int


class Soaked(NamedTuple):
    samples: list[Sample]
    unexplained_bytes: list[int]
    levels: Counter[str]
    answers: Counter[int]
    seconds: float
    cpu_s: float
    written: int
    stored: int
    sessions: int
    deleted: int
    missing: int
    untold: int
    resident: int
    evicted: int
    killed: bool


def run(setting: Setting) -> Outcome:
    free = _soak(setting, None)
    with _group() as group:
        tight = _soak(setting, group)
    rows = [*_rows(free), *_rows_in_group(tight, group)]
    notes = [_told("without a group", free), _told(group.told, tight)]
    corpus = f"made up while it ran: {free.sessions:,} sessions, {free.written:,} events"
    return Outcome(rows=rows, corpus=corpus, notes=notes)


def _rows(soaked: Soaked) -> list[Row]:
    sizes = [sample.bytes for sample in soaked.samples]
    second, last = _quarter(soaked.samples, 1), _quarter(soaked.samples, 3)
    return [
        row("PSS + swap of the tree, highest", max(sizes) / MIB, "MiB", bar=Bar(BUDGET_MB)),
        row("p99 of it", p99(sizes) / MIB, "MiB"),
        row(
            "its average in the last quarter",
            last / MIB,
            "MiB",
            ceiling=Ceiling(second / MIB, "its average in the second quarter"),
            bar=Bar(1.03, on="ratio"),
        ),
        row("events lost", soaked.missing, "events", bar=Bar(0)),
        row(
            f"events that one of {LISTENERS} subscribers was not told",
            soaked.untold,
            "events",
            bar=Bar(0),
        ),
        row("events a second, stored and searchable", soaked.stored / soaked.seconds, "1/s"),
        row("requests that failed but by 429 and 503", _failed(soaked), "requests", bar=Bar(0)),
        row(
            "unexplained bytes, highest, of the ceiling",
            100 * max(soaked.unexplained_bytes) / (BUDGET_MB * MIB),
            "%",
            bar=Bar(UNEXPLAINED_PCT),
        ),
    ]


def _rows_in_group(soaked: Soaked, group: Group) -> list[Row]:
    sizes = [sample.bytes for sample in soaked.samples]
    return [
        row(f"{group.told}: killed", int(soaked.killed), "times", bar=Bar(0)),
        row("PSS + swap of the tree there, highest", max(sizes) / MIB, "MiB"),
        row("events lost there", soaked.missing, "events", bar=Bar(0)),
        row("events not told to subscribers there", soaked.untold, "events", bar=Bar(0)),
        row("requests that failed there", _failed(soaked), "requests", bar=Bar(0)),
    ]


def _failed(soaked: Soaked) -> int:
    return sum(count for status, count in soaked.answers.items() if status not in _ALLOWED)


def _told(where: str, soaked: Soaked) -> str:
    answers = ", ".join(f"{count:,} x {status}" for status, count in sorted(soaked.answers.items()))
    levels = ", ".join(f"{level} {count:,}" for level, count in soaked.levels.most_common())
    return (
        f"{where}: {soaked.seconds:,.0f} s, {soaked.written:,} events in {soaked.sessions:,} "
        f"sessions, {soaked.deleted:,} logs deleted by their agents, {soaked.evicted:,} evictions, "
        f"{soaked.resident:,} sessions resident at the end; "
        f"answers: {answers}; looks at the pressure: {levels}; "
        f"{100 * soaked.cpu_s / soaked.seconds:.0f} % of a core."
    )


def _quarter(samples: list[Sample], number: int) -> float:
    first, last = samples[0].at_s, samples[-1].at_s
    share = (last - first) / 4
    sizes = [
        sample.bytes
        for sample in samples
        if number * share <= sample.at_s - first <= (number + 1) * share
    ]
    return sum(sizes) / len(sizes)


def _soak(setting: Setting, group: Group | None) -> Soaked:
    seconds = setting.seconds(SECONDS, least=5.0)
    settings = {"daemon.max_memory_mb": BUDGET_MB}
    with (
        setting.folder("soak") as folder,
        fresh_home(setting, folder / "claude", settings) as home,
        running_daemon(home, enter=group.enter if group else None) as daemon,
    ):
        return _Soak(home, daemon, folder).run(seconds)


class _Soak:
    def __init__(self, home: Home, daemon: RunningDaemon, folder: Path) -> None:
        self._home = home
        self._daemon = daemon
        self._folder = folder
        self._ending = threading.Event()
        self._stored = 0
        self._samples: list[Sample] = []
        self._unexplained: list[int] = []
        self._levels: Counter[str] = Counter()
        self._answers: Counter[int] = Counter()
        self._answers_lock = threading.Lock()
        self._listeners = [_Listener(home.paths.socket, self._count) for _ in range(LISTENERS)]
        self._last: Any = None
        self._kept_api = Api(home.paths.socket)
        self._crowd = Crowd(
            folder / "claude" / "projects",
            events_each=EVENTS_EACH,
            stored=lambda: self._stored,
            kept=self._kept,
        )

    def run(self, seconds: float) -> Soaked:
        work: list[Callable[[], None]] = [self._sample, self._watch]
        work += [partial(self._ask, seed) for seed in range(ASKERS)]
        work += [partial(self._follow, seed) for seed in range(FOLLOWERS)]
        work += [partial(each.run, self._ending) for each in self._listeners]
        threads = [threading.Thread(target=each, daemon=True) for each in work]
        began_s, cpu_before_s = time.monotonic(), tree_cpu_s(self._daemon.pid)
        self._crowd.start()
        for thread in threads:
            thread.start()
        while time.monotonic() - began_s < seconds and self._is_alive():
            time.sleep(SAMPLE_S)
            assert self._crowd.is_alive, self._crowd.failure
        self._crowd.stop()
        self._settle(lambda: self._stored)
        self._settle(self._told_to_all)
        took_s = time.monotonic() - began_s
        cpu_s = tree_cpu_s(self._daemon.pid) - cpu_before_s
        self._ending.set()
        for thread in threads:
            thread.join()
        return self._told(took_s, cpu_s)

    def _told(self, took_s: float, cpu_s: float) -> Soaked:
        snapshots = (self._last["memory"] or {})["snapshots"]
        return Soaked(
            samples=self._samples,
            unexplained_bytes=self._unexplained,
            levels=self._levels,
            answers=self._answers,
            seconds=took_s,
            cpu_s=cpu_s,
            written=self._crowd.written,
            stored=self._stored,
            sessions=self._crowd.begun,
            deleted=self._crowd.deleted,
            missing=self._missing(),
            untold=abs(self._crowd.written - self._told_to_all()),
            resident=snapshots["resident_sessions"],
            evicted=sum(snapshots["evictions"].values()),
            killed=not self._is_alive(),
        )

    def _is_alive(self) -> bool:
        return self._home.daemon_pid() == self._daemon.pid

    def _settle(self, done: Callable[[], int]) -> None:
        """Until what was written is stored, or told; as long as there is more of it."""
        before, deadline_s = -1, 0.0
        while (now := done()) < self._crowd.written and self._is_alive():
            if now > before:
                before, deadline_s = now, time.monotonic() + SETTLE_S
            elif time.monotonic() > deadline_s:
                return
            time.sleep(SAMPLE_S)

    def _told_to_all(self) -> int:
        return min(each.told for each in self._listeners)

    def _missing(self) -> int:
        """Counted by session: one that has too many must not hide one that has too few."""
        return sum(abs(events - self._kept(name)) for name, events in self._crowd.everything())

    def _kept(self, session: str) -> int:
        while True:
            status, body = self._kept_api.answer(f"/v1/sessions/{session_id('claude', session)}")
            if status not in (http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE):
                break
            time.sleep(SAMPLE_S)
        return int(Api.decoded(body)["events"]) if status == http.client.OK else 0

    def _sample(self) -> None:
        while not self._ending.wait(SAMPLE_S):
            size = tree_footprint_bytes(self._daemon.pid)
            if size:
                self._samples.append(Sample(time.monotonic(), size))

    def _watch(self) -> None:
        api = Api(self._home.paths.socket)
        while not self._ending.wait(STATUS_S / 4):
            status, body = api.answer("/v1/status")
            if status != http.client.OK:
                self._count(status)
                continue
            self._last = found = Api.decoded(body)
            self._stored = found["sessions"]["events"]
            self._unexplained.append(found["memory"]["unaccounted_bytes"])
            self._levels[found["memory"]["level"]] += 1

    def _ask(self, seed: int) -> None:
        """Somebody who searches, lists, exports."""
        api, throw = Api(self._home.paths.socket), random.Random(seed)
        while not self._ending.wait(ASK_PAUSE_S):
            self._count(api.answer(self._question(throw))[0])

    def _question(self, throw: random.Random) -> str:
        finished = self._crowd.finished
        choice = throw.randrange(6)
        if choice <= 1 or not finished:
            return f"/v1/search?words={quote(throw.choice(_WORDS))}"
        name = session_id("claude", throw.choice(finished)[0])
        return (
            "/v1/sessions?limit=50",
            f"/v1/sessions/{name}/export?format=markdown",
            f"/v1/sessions/{name}/export?format=jsonl",
            f"/v1/sessions/{name}/events?from=0&to=400",
        )[choice - 2]

    def _follow(self, seed: int) -> None:
        """Somebody who watches one session after the other while it is written."""
        api, throw = Api(self._home.paths.socket), random.Random(100 + seed)
        while not self._ending.is_set():
            active = list(self._crowd.active)
            if not active:
                self._ending.wait(FOLLOW_PAUSE_S)
                continue
            log, seen = throw.choice(active), 0
            name = session_id("claude", log.session)
            while log in self._crowd.active and not self._ending.wait(FOLLOW_PAUSE_S):
                status, body = api.answer(f"/v1/sessions/{name}/events?from={seen}")
                if status == http.client.NOT_FOUND:  # nothing of it is stored yet
                    continue
                self._count(status)
                seen += body.count(b"\n") if status == http.client.OK else 0

    def _count(self, status: int) -> None:
        with self._answers_lock:
            self._answers[status] += 1


class _Listener:
    """Somebody to whom everything is told as it happens, and who goes on where it was cut off."""

    def __init__(self, path: str, count: Callable[[int], None]) -> None:
        self._path = path
        self._count = count
        self._last = 0
        self.told = 0

    def run(self, ending: threading.Event) -> None:
        while not ending.wait(SAMPLE_S):
            with suppress(OSError):  # the daemon is away, or has more to do than to answer
                self._listen(ending)

    def _listen(self, ending: threading.Event) -> None:
        path = f"/v1/events/live?stream=@conversations&after={self._last}"
        ask = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._path)
            connection.settimeout(STATUS_S)
            connection.sendall(ask.encode())
            rest, status = b"", 0
            while not ending.is_set():
                with suppress(TimeoutError):
                    piece = connection.recv(PIECE_BYTES)
                    if not piece:
                        return
                    rest = self._hear(rest + piece)
                    found = _STATUS.match(piece) if not status else None
                    if found is not None:
                        status = int(found[1])
                        self._count(status)
                    if status != http.client.OK:
                        return

    def _hear(self, heard: bytes) -> bytes:
        """What of it may be the head of a frame that is cut in two."""
        end = 0
        for found in _POSITION.finditer(heard):
            position = int(found[1])
            self.told += position > self._last
            self._last = max(self._last, position)
            end = found.end() - 1
        return heard[max(end, len(heard) - FRAME_HEAD_BYTES) :]


class Group(NamedTuple):
    """Where a daemon is put so that the kernel holds it to a limit."""

    told: str
    enter: Callable[[], None]  # between fork and exec


@contextmanager
def _group() -> Iterator[Group]:
    with ExitStack() as stack:
        for folder, limit in (
            (GROUPS / "memory", "memory.limit_in_bytes"),
            (GROUPS, "memory.max"),
        ):
            made = folder / f"holdfast-bench-{os.getpid()}"
            with suppress(OSError):
                made.mkdir()
                stack.callback(_remove, made)
                (made / limit).write_text(str(GROUP_BYTES))
                procs = str(made / "cgroup.procs")
                yield Group(
                    f"a control group of {GROUP_BYTES // MIB} MB", partial(_write, procs, b"0")
                )
                return
        limits = (GROUP_BYTES, GROUP_BYTES)
        yield Group(
            f"RLIMIT_DATA of {GROUP_BYTES // MIB} MB",
            lambda: resource.setrlimit(resource.RLIMIT_DATA, limits),
        )


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, content)
    os.close(fd)


def _remove(group: Path) -> None:
    with suppress(OSError):
        group.rmdir()
