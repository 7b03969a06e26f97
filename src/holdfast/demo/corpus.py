"""A made-up tree of Claude Code logs, as a heavy user's disk holds it.

The distribution is the one measured on 273 real sessions: 351 MB in 95,503 lines, half of them
below 1,052 bytes, one in ten above 6,170, the largest 961 KB; 40 % assistant, 32 % progress, 22 %
user, 3 % file-history-snapshot. Fewer sessions or bytes keep about these proportions; below some
200 KB in all, the shortest possible sessions are longer than asked for.

Everything follows from the arguments: each session throws its own dice, seeded with its number.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from holdfast.demo.conversation import Conversation
from holdfast.demo.pace import Pace
from holdfast.demo.plan import Needle, Plan, plan_sessions
from holdfast.demo.text import around, dice

FULL_SESSIONS: Final = 273
FULL_BYTES: Final = 351_000_000
LARGEST_LINE_BYTES: Final = 961_000
SMALLEST_BYTES: Final = 6_000  # of a session

_LINE_BYTES: Final = 3_675  # the mean; with the next, to guess how long a session lasts
_LINE_SECONDS: Final = 14
_TURN_BYTES_MIN: Final = 4_000
_TURN_BYTES_MAX: Final = 1_500_000
_PICTURE_BYTES: Final = 230_000  # half of them are smaller
_PICTURE_CHANCE: Final = 1 / 45  # per turn


@dataclass(frozen=True, kw_only=True)
class LogFile:
    path: Path
    session: str
    cwd: str
    lines: int
    bytes: int
    first: str  # timestamps as they stand in the log
    last: str
    agent: str = ""  # set in the file of a sub-agent
    forked_from: str = ""  # the session whose beginning is replayed here
    replayed: int = 0  # lines


@dataclass(frozen=True)
class Manifest:
    root: Path
    files: tuple[LogFile, ...]
    needles: tuple[Needle, ...]

    @property
    def lines(self) -> int:
        return sum(file.lines for file in self.files)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def sessions(self) -> tuple[LogFile, ...]:
        return tuple(file for file in self.files if not file.agent)


def generate(
    root: Path,
    *,
    seed: int,
    now: datetime,
    sessions: int = FULL_SESSIONS,
    total_bytes: int = FULL_BYTES,
    projects: int = 12,
) -> Manifest:
    """Writes the tree `root/projects/...` and tells what is in it."""
    assert sessions > 0, "a corpus needs a session"
    assert now.tzinfo is not None, "give `now` a time zone"
    plans = plan_sessions(seed, sessions, projects, now.astimezone(UTC))
    written: dict[str, LogFile] = {}
    files: list[LogFile] = []
    left, weights = total_bytes, sum(plan.weight for plan in plans)
    for plan in plans:
        target = max(SMALLEST_BYTES, int(left * plan.weight / weights))
        new = _Session(root, plan, target, written).write()
        written[plan.session] = new[0]
        files += new
        left -= sum(file.bytes for file in new)
        weights -= plan.weight
    return Manifest(root, tuple(files), tuple(plan.needle for plan in plans if plan.needle))


def encoded(cwd: str) -> str:
    """The name of the directory in which Claude Code keeps the sessions of `cwd`."""
    return re.sub(r"[^A-Za-z0-9-]", "-", cwd)


class _Log:
    """A log file that is being written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.lines = 0
        self.bytes = 0
        self._file = path.open("wb", buffering=1 << 18)

    def emit(self, line: str) -> None:
        self.write(line.encode())

    def write(self, line: bytes) -> None:
        self._file.write(line)
        self.lines += 1
        self.bytes += len(line)

    def close(self, last: str) -> None:
        self._file.close()
        _touch(self.path, last)


def _touch(path: Path, at: str) -> None:
    since = datetime.fromisoformat(at) - datetime.fromtimestamp(0, UTC)
    nanoseconds = since // timedelta(microseconds=1) * 1_000
    os.utime(path, ns=(nanoseconds, nanoseconds))


class _Session:
    """Writes one session: its file, and those of its sub-agents."""

    def __init__(self, root: Path, plan: Plan, target: int, written: Mapping[str, LogFile]) -> None:
        self._plan = plan
        self._target = target
        self._parent = written.get(plan.forked_from)
        self._throw = dice(plan.seed)
        self._path = root / "projects" / encoded(plan.project.cwd) / f"{plan.session}.jsonl"
        self._agents: list[LogFile] = []
        lasts = timedelta(minutes=10, seconds=target / _LINE_BYTES * _LINE_SECONDS)
        self._pace = Pace(plan.end - lasts, plan.end)

    def write(self) -> list[LogFile]:
        plan = self._plan
        log = _Log(self._path)
        first, replayed, leaf = self._pace.now, 0, None
        if self._parent:
            first = self._parent.first
            leaf = self._replay(self._parent, log)
            replayed = log.lines
        talk = self._conversation(log, leaf)
        if not replayed:
            talk.open()
        self._talk(talk, log)
        talk.close()
        log.close(self._pace.now)
        whole = self._file(log, first, forked_from=plan.forked_from, replayed=replayed)
        return [whole, *self._agents]

    def _talk(self, talk: Conversation, log: _Log) -> None:
        throw, target, needle = self._throw, self._target, self._plan.needle
        remark_at = throw.random() * target
        picture = min(LARGEST_LINE_BYTES, target // 10)
        waiting = picture if self._plan.largest else 0
        picture_at = throw.random() * target
        turns = 0
        while turns == 0 or self._spent(log) + waiting + _TURN_BYTES_MIN < target:
            room = target - self._spent(log) - waiting
            if waiting and log.bytes >= picture_at:
                talk.image(waiting)
                waiting = 0
            elif room > 4 * _PICTURE_BYTES and throw.random() < _PICTURE_CHANCE:
                size = min(around(throw, _PICTURE_BYTES, 0.8), picture)
                talk.image(size)
                room -= size
            remark = ""
            if needle and log.bytes >= remark_at:
                remark, needle = _remark(needle), None
            talk.turn(max(_TURN_BYTES_MIN, min(room, _TURN_BYTES_MAX)), remark)
            turns += 1
        if waiting:
            talk.image(waiting)
        if needle:
            talk.turn(_TURN_BYTES_MIN, _remark(needle))

    def _spent(self, log: _Log) -> int:
        return log.bytes + sum(agent.bytes for agent in self._agents)

    def _replay(self, parent: LogFile, log: _Log) -> str | None:
        """A fork begins with its parent's lines: same uuids, its own session id."""
        old, new = parent.session.encode(), self._plan.session.encode()
        leaf = last = None
        with parent.path.open("rb") as lines:
            for line in lines:
                if log.bytes + len(line) > min(self._target, parent.bytes) // 2:
                    break
                record = json.loads(line)
                leaf, last = record.get("uuid", leaf), record.get("timestamp", last)
                log.write(line.replace(old, new))
        if last:
            self._pace.skip_to(datetime.fromisoformat(last))
        return leaf

    def _conversation(self, log: _Log, parent: str | None) -> Conversation:
        return Conversation(
            self._throw,
            self._plan.project,
            self._plan.session,
            self._pace,
            log.emit,
            language=self._plan.language,
            spawn=self._spawn if self._plan.spawns else None,
            parent=parent,
        )

    def _spawn(self, agent: str, prompt: str, room: int) -> int:
        """A sub-agent's file: it names its parent's session, and its records are side chains."""
        plan = self._plan
        path = self._path.with_suffix("") / "subagents" / f"agent-{agent}.jsonl"
        log, first = _Log(path), self._pace.now
        talk = Conversation(
            self._throw, plan.project, plan.session, self._pace, log.emit, agent=agent
        )
        room = min(room // 2, 400_000)
        talk.errand(prompt, 1 + room // 14_000, room)
        log.close(self._pace.now)
        meta = path.with_suffix(".meta.json")
        meta.write_text('{"agentType":"Explore","spawnDepth":1}', encoding="utf-8")
        _touch(meta, self._pace.now)
        self._agents.append(self._file(log, first, agent=agent))
        return log.bytes

    def _file(
        self,
        log: _Log,
        first: str,
        *,
        agent: str = "",
        forked_from: str = "",
        replayed: int = 0,
    ) -> LogFile:
        return LogFile(
            path=log.path,
            session=self._plan.session,
            cwd=self._plan.project.cwd,
            lines=log.lines,
            bytes=log.bytes,
            first=first,
            last=self._pace.now,
            agent=agent,
            forked_from=forked_from,
            replayed=replayed,
        )


def _remark(needle: Needle) -> str:
    return f"One more thing: {needle.question}? I keep forgetting it."
