"""What is known of tasks: one state each, made of the events of one stream.

pending ─start─> running ─complete─> completed
   ▲                │ └──fail, over time, silent──> pending again while tries are left,
   │                │                               then failed or timeout
   │ unblock        ├─silent─> stale ─heartbeat─> running
   └── blocked <────┴─block, or what it waits for is not completed
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from holdfast.events import Event
from holdfast.work.shelf import Shelf

STREAM: Final = "holdfast/tasks"
State = Literal[
    "pending", "running", "blocked", "stale", "completed", "failed", "timeout", "cancelled"
]
UNFINISHED: Final[frozenset[State]] = frozenset({"pending", "running", "blocked", "stale"})
ACTIVE: Final[frozenset[State]] = frozenset({"running", "stale"})  # somebody is at it
STATES: Final[tuple[State, ...]] = (
    "pending",
    "running",
    "blocked",
    "stale",
    "completed",
    "failed",
    "timeout",
    "cancelled",
)
_SLACK_MAX: Final = 64
TASK_BYTES: Final = 1_200  # of a task besides its texts, measured


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    title: str
    state: State
    created_ms: int
    changed_ms: int
    by: str = ""  # who created it
    key: str = ""  # the client's own name of it
    session: str = ""  # it ends with this
    parent: str = ""
    after: tuple[str, ...] = ()  # these must be completed before it can start
    waits_for: tuple[str, ...] = ()  # those of them that are not
    held: bool = False  # somebody blocked it
    timeout_s: int = 0  # from its start; 0: however long it takes
    heartbeat_s: int = 0  # silent for longer, it is stale; 0: it need not be heard of
    retries: int = 0
    failures: int = 0  # how often it was tried in vain
    worker: str = ""  # who started it last
    started_ms: int = 0
    heard_ms: int = 0
    ended_ms: int = 0
    pct: float | None = None
    note: str = ""  # what the worker said last of how far it is
    reason: str = ""  # why it is blocked or stale, failed, or was tried in vain
    result: str = ""

    @property
    def is_open(self) -> bool:
        return self.state in UNFINISHED

    @property
    def bytes(self) -> int:
        texts = len(self.title) + len(self.note) + len(self.reason) + len(self.result)
        return TASK_BYTES + texts

    @property
    def overdue_ms(self) -> int | None:
        """When it has taken too long."""
        if self.state not in ACTIVE or not self.timeout_s:
            return None
        return self.started_ms + self.timeout_s * 1_000

    @property
    def silent_ms(self) -> int | None:
        """When it has been silent for too long: once it is stale, then it is given up."""
        if self.state not in ACTIVE or not self.heartbeat_s:
            return None
        return self.heard_ms + self.heartbeat_s * (1_000 if self.state == "running" else 2_000)

    @property
    def due_ms(self) -> int | None:
        """When somebody must look at it, if nothing comes before."""
        return min(
            (due for due in (self.overdue_ms, self.silent_ms) if due is not None), default=None
        )


class Change(msgspec.Struct, omit_defaults=True):
    """The data of each event of a task: what changed, and when that was decided."""

    at_ms: int
    session: str = ""
    parent: str = ""
    after: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    timeout_s: int = 0
    heartbeat_s: int = 0
    retries: int = 0
    pct: float | None = None
    result: str = ""


_change: Final = msgspec.json.Decoder(Change)


class Tasks(Shelf[Task]):
    """The projection. Also what commands decide by."""

    name = "tasks"
    version = 1
    streams = (STREAM,)

    def __init__(self, *, retain_ms: int, open_max: int) -> None:
        self._due: list[tuple[int, str]]  # a heap; entries of what changed since count no more
        super().__init__(Task, retain_ms=retain_ms, open_max=open_max)

    def waiting_for(self, task: str) -> list[Task]:
        return [each for each in self._open.values() if task in each.waits_for]

    def children(self, task: str) -> list[Task]:
        """Those that are not finished."""
        return [each for each in self._open.values() if each.parent == task]

    def of_session(self, session: str) -> list[Task]:
        return [each for each in self._open.values() if each.session == session]

    def due(self, now_ms: int) -> list[Task]:
        """Those that somebody must look at."""
        return [
            each
            for each in self._open.values()
            if each.due_ms is not None and each.due_ms <= now_ms
        ]

    def next_due_ms(self) -> int | None:
        while self._due:
            due_ms, task = self._due[0]
            known = self._open.get(task)
            if known is not None and known.due_ms == due_ms:
                return due_ms
            heapq.heappop(self._due)
        return None

    @property
    def active(self) -> int:
        return sum(self.counts[state] for state in ACTIVE)

    def apply(self, event: Event) -> None:
        try:
            change = _change.decode(event.data)
        except msgspec.DecodeError:  # of another version: what it changed is not known here
            return
        after = after_event(self.get(event.correlation), event, change)
        if after is not None:
            self.keep(after)
            if after.state == "completed":
                self._let_go(after.id)
        self.forget(change.at_ms)

    def keep(self, entity: Task) -> None:
        super().keep(entity)
        if entity.due_ms is not None:
            heapq.heappush(self._due, (entity.due_ms, entity.id))
            if len(self._due) > 2 * self.open_count + _SLACK_MAX:
                self._find_due()

    def clear(self) -> None:
        super().clear()
        self._due = []

    def _find_due(self) -> None:
        known = ((each.due_ms, each.id) for each in self._open.values())
        self._due = [(due_ms, task) for due_ms, task in known if due_ms is not None]
        heapq.heapify(self._due)

    def _let_go(self, task: str) -> None:
        for each in self.waiting_for(task):
            left = tuple(other for other in each.waits_for if other != task)
            self.keep(msgspec.structs.replace(each, waits_for=left))


def after_event(task: Task | None, event: Event, change: Change) -> Task | None:
    """The state after an event; None for an event that changes nothing that is known."""
    if task is None:
        return _created(event, change) if event.kind == "task.created" else None
    if not task.is_open:
        return None
    changed = _CHANGES.get(event.kind)
    if changed is None:
        return None
    return msgspec.structs.replace(task, changed_ms=change.at_ms, **changed(task, event, change))


def _created(event: Event, change: Change) -> Task:
    return Task(
        id=event.correlation,
        title=event.text,
        state="blocked" if change.waits_for else "pending",
        created_ms=change.at_ms,
        changed_ms=change.at_ms,
        by=event.actor or "",
        key=event.key,
        session=change.session,
        parent=change.parent,
        after=change.after,
        waits_for=change.waits_for,
        timeout_s=change.timeout_s,
        heartbeat_s=change.heartbeat_s,
        retries=change.retries,
    )


Changes = dict[str, object]


def _started(_task: Task, event: Event, change: Change) -> Changes:
    return {
        "state": "running",
        "worker": event.actor or "",
        "started_ms": change.at_ms,
        "heard_ms": change.at_ms,
        "pct": None,
        "note": "",
        "reason": "",
    }


def _heard(_task: Task, _event: Event, change: Change) -> Changes:
    return {"state": "running", "heard_ms": change.at_ms, "reason": ""}


def _progressed(task: Task, event: Event, change: Change) -> Changes:
    pct = task.pct if change.pct is None else change.pct
    return {**_heard(task, event, change), "pct": pct, "note": event.text or task.note}


def _completed(_task: Task, _event: Event, change: Change) -> Changes:
    return {
        "state": "completed",
        "ended_ms": change.at_ms,
        "result": change.result,
        "reason": "",
        "waits_for": (),
    }


def _ended(state: State) -> Callable[[Task, Event, Change], Changes]:
    def ended(_task: Task, event: Event, change: Change) -> Changes:
        return {"state": state, "ended_ms": change.at_ms, "reason": event.text, "waits_for": ()}

    return ended


def _retried(task: Task, event: Event, _change: Change) -> Changes:
    return {"state": "pending", "failures": task.failures + 1, "reason": event.text}


def _blocked(_task: Task, event: Event, _change: Change) -> Changes:
    return {"state": "blocked", "held": True, "reason": event.text}


def _unblocked(task: Task, _event: Event, _change: Change) -> Changes:
    return {"state": "blocked" if task.waits_for else "pending", "held": False, "reason": ""}


def _stale(_task: Task, event: Event, _change: Change) -> Changes:
    return {"state": "stale", "reason": event.text}


_CHANGES: Final[Mapping[str, Callable[[Task, Event, Change], Changes]]] = {
    "task.started": _started,
    "task.heartbeat": _heard,
    "task.progress": _progressed,
    "task.completed": _completed,
    "task.failed": _ended("failed"),
    "task.timeout": _ended("timeout"),
    "task.cancelled": _ended("cancelled"),
    "task.retried": _retried,
    "task.blocked": _blocked,
    "task.unblocked": _unblocked,
    "task.stale": _stale,
}
