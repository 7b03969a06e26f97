"""What may be done with a task, and what then happened: pure functions of state, command and time.

Each gives the events that are to be stored, or raises the error that whoever asked is told. What
one event brings about for others - who waited for it goes on, or cannot be done any more - is
decided in the same step and stored with it, so no crash can come between.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from holdfast.clock import instant
from holdfast.journal.streams import NewEvent
from holdfast.work.entities import LISTED_MAX, NotValid, TooMany, WrongState, changed, checked
from holdfast.work.tasks import ACTIVE, Change, State, Task, Tasks

AFTER_MAX: Final = 100  # tasks that one waits for
SPAN_MAX_S: Final = 366 * 86_400
STORED_PART: Final = 4  # of its span of silence: a heartbeat that comes earlier is not stored
Span = Annotated[int, Meta(ge=0, le=SPAN_MAX_S)]


class NewTask(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks for. What is not said is as the settings say."""

    title: str
    key: str = ""
    session: str = ""
    parent: str = ""
    after: tuple[str, ...] = ()
    timeout_s: Span | None = None
    heartbeat_s: Span | None = None
    retries: Annotated[int, Meta(ge=0, le=100)] | None = None
    by: str = ""


class Usual(msgspec.Struct, frozen=True):
    """What holds for a task that says nothing else."""

    timeout_s: int = 14_400
    heartbeat_s: int = 300
    retries: int = 2


def create(tasks: Tasks, task: str, wanted: NewTask, usual: Usual, now_ms: int) -> list[NewEvent]:
    """`parent` and `after` are whole ids here."""
    checked(title=wanted.title, by=wanted.by, key=wanted.key, session=wanted.session)
    if not wanted.title.strip():
        raise NotValid("a task needs a title: what is to be done, in a line")
    if tasks.get(task) is not None:
        return []  # the same key again
    if tasks.open_count >= tasks.open_max:
        raise TooMany(
            f"{tasks.open_count:,} tasks are unfinished, as many as tasks.max_unfinished allows: "
            "complete or cancel some (`holdfast tasks`)"
        )
    if wanted.parent:
        _unfinished(tasks, wanted.parent, "have a part")
    waits_for = [each for each in dict.fromkeys(wanted.after) if _must_wait(tasks, each)]
    if len(wanted.after) > AFTER_MAX:
        raise NotValid(f"a task can wait for {AFTER_MAX} others: wait for one that waits for them")
    change = Change(
        at_ms=now_ms,
        session=wanted.session,
        parent=wanted.parent,
        after=tuple(dict.fromkeys(wanted.after)),
        waits_for=tuple(waits_for),
        timeout_s=usual.timeout_s if wanted.timeout_s is None else wanted.timeout_s,
        heartbeat_s=usual.heartbeat_s if wanted.heartbeat_s is None else wanted.heartbeat_s,
        retries=usual.retries if wanted.retries is None else wanted.retries,
    )
    key = wanted.key and f"create:{wanted.key}"
    return [changed("task.created", task, change, text=wanted.title, by=wanted.by, key=key)]


def start(tasks: Tasks, task: str, by: str, now_ms: int) -> list[NewEvent]:
    checked(by=by)
    known = _unfinished(tasks, task, "start")
    if known.state == "running":
        raise WrongState(f"task {task} runs already, {_worker(known)}")
    if known.state == "blocked":
        raise WrongState(f"task {task} is blocked: {_why_blocked(known)}")
    return [changed("task.started", task, Change(now_ms), by=by)]


def heartbeat(tasks: Tasks, task: str, by: str, now_ms: int) -> list[NewEvent]:
    """One that comes soon after the last is not stored: it would say nothing new."""
    checked(by=by)
    known = _active(tasks, task, "give a sign of life")
    soon_ms = known.heard_ms + known.heartbeat_s * 1_000 // STORED_PART
    if known.state == "running" and (now_ms < soon_ms or not known.heartbeat_s):
        return []
    return [changed("task.heartbeat", task, Change(now_ms), by=by)]


def progress(
    tasks: Tasks, task: str, pct: float | None, note: str, by: str, now_ms: int
) -> list[NewEvent]:
    checked(by=by, note=note)
    if pct is None and not note:
        raise NotValid("say how far it is: pct, note, or both")
    if pct is not None and not 0 <= pct <= 100:  # percent
        raise NotValid(f"pct is a number from 0 to 100, not {pct}")
    _active(tasks, task, "make progress")
    return [changed("task.progress", task, Change(now_ms, pct=pct), text=note, by=by)]


def complete(tasks: Tasks, task: str, result: str, by: str, now_ms: int) -> list[NewEvent]:
    checked(by=by, result=result)
    known = _unfinished(tasks, task, "be completed")
    if known.state == "blocked":
        raise WrongState(f"task {task} is blocked: {_why_blocked(known)}")
    if parts := tasks.children(task):
        raise WrongState(
            f"task {task} has {len(parts)} unfinished parts ({_named(parts)}): complete or cancel "
            "those first"
        )
    events = [changed("task.completed", task, Change(now_ms, result=result), text=result, by=by)]
    events += [
        changed("task.unblocked", each.id, Change(now_ms))
        for each in tasks.waiting_for(task)
        if each.waits_for == (task,) and not each.held
    ]
    return events


def fail(
    tasks: Tasks, task: str, error: str, by: str, now_ms: int, *, final: bool = False
) -> list[NewEvent]:
    checked(by=by, error=error)
    known = _unfinished(tasks, task, "fail")
    if known.state == "blocked" and not final:
        raise WrongState(f"task {task} is blocked, so nobody can have tried it: cancel it instead")
    ends = _Ends(tasks, now_ms)
    ends.tried_in_vain(known, "failed", error, by=by, final=final)
    return ends.events


def block(tasks: Tasks, task: str, reason: str, by: str, now_ms: int) -> list[NewEvent]:
    checked(by=by, reason=reason)
    known = _unfinished(tasks, task, "be blocked")
    if known.held:
        raise WrongState(f"task {task} is blocked already: {_why_blocked(known)}")
    return [changed("task.blocked", task, Change(now_ms), text=reason, by=by)]


def unblock(tasks: Tasks, task: str, by: str, now_ms: int) -> list[NewEvent]:
    checked(by=by)
    known = _unfinished(tasks, task, "be unblocked")
    if not known.held:
        why = _why_blocked(known) if known.waits_for else f"it is {known.state}"
        raise WrongState(f"nobody has blocked task {task}: {why}")
    return [changed("task.unblocked", task, Change(now_ms), by=by)]


def cancel(tasks: Tasks, task: str, reason: str, by: str, now_ms: int) -> list[NewEvent]:
    """With all its parts; what waits for it can never start, so it fails."""
    checked(by=by, reason=reason)
    ends = _Ends(tasks, now_ms)
    ends.end(_unfinished(tasks, task, "be cancelled"), "cancelled", reason, by=by)
    return ends.events


def end_session(tasks: Tasks, session: str, now_ms: int) -> list[NewEvent]:
    """Who worked on them is gone: they are cancelled."""
    ends = _Ends(tasks, now_ms)
    for task in tasks.of_session(session):
        ends.end(task, "cancelled", f"its session {session} ended")
    return ends.events


def look(tasks: Tasks, now_ms: int) -> list[NewEvent]:
    """What became of tasks by themselves: over their time, or silent for too long."""
    ends = _Ends(tasks, now_ms)
    for task in tasks.due(now_ms):
        if task.overdue_ms is not None and task.overdue_ms <= now_ms:
            ends.tried_in_vain(task, "timeout", f"not done within {task.timeout_s} s")
        elif task.state == "running":
            why = f"nothing heard of it for {task.heartbeat_s} s"
            ends.events.append(changed("task.stale", task.id, Change(now_ms), text=why))
        else:
            why = f"stale, and nothing heard of it for {task.heartbeat_s} s more"
            ends.tried_in_vain(task, "failed", why)
    return ends.events


class _Ends:
    """Ends of tasks, each with what it brings about, and no task ending twice."""

    def __init__(self, tasks: Tasks, now_ms: int) -> None:
        self.events: list[NewEvent] = []
        self._tasks, self._now_ms = tasks, now_ms
        self._ended: set[str] = set()

    def tried_in_vain(
        self, task: Task, state: State, why: str, *, by: str = "", final: bool = False
    ) -> None:
        """Again while there are tries left."""
        if task.id in self._ended:
            return
        if final or task.failures >= task.retries:
            self.end(task, state, why, by=by)
            return
        self._ended.add(task.id)
        self.events.append(changed("task.retried", task.id, Change(self._now_ms), text=why, by=by))

    def end(self, task: Task, state: State, why: str, *, by: str = "") -> None:
        todo = deque([(task, state, why, by)])
        while todo:
            each, into, reason, who = todo.popleft()
            if each.id in self._ended:
                continue
            self._ended.add(each.id)
            self.events.append(
                changed(f"task.{into}", each.id, Change(self._now_ms), text=reason, by=who)
            )
            for part in self._tasks.children(each.id):
                todo.append((part, "cancelled", f"it is part of {each.id}: {into}", ""))
            for waiting in self._tasks.waiting_for(each.id):
                todo.append((waiting, "failed", f"it needs {each.id}: {into}", ""))


def _must_wait(tasks: Tasks, task: str) -> bool:
    known = _known(tasks, task)
    if known.is_open:
        return True
    if known.state != "completed":
        raise WrongState(f"task {task} {_over(known)}: what waits for it could never start")
    return False


def _known(tasks: Tasks, task: str) -> Task:
    known = tasks.get(task)
    assert known is not None, f"{task} was looked up before"
    return known


def _unfinished(tasks: Tasks, task: str, what: str) -> Task:
    known = _known(tasks, task)
    if not known.is_open:
        raise WrongState(f"task {task} cannot {what}: it {_over(known)}")
    return known


def _active(tasks: Tasks, task: str, what: str) -> Task:
    known = _unfinished(tasks, task, what)
    if known.state not in ACTIVE:
        raise WrongState(
            f"task {task} cannot {what}: it is {known.state}; "
            f"`holdfast tasks start {task}` starts it"
        )
    return known


def _over(task: Task) -> str:
    words = {"timeout": "took too long and ended", "completed": "was completed"}
    words |= {"cancelled": "was cancelled"}
    return f"{words.get(task.state, task.state)} at {instant(task.ended_ms / 1_000)}"


def _worker(task: Task) -> str:
    return f"started by {task.worker}" if task.worker else "whoever started it"


def _why_blocked(task: Task) -> str:
    reasons = []
    if task.held:
        reasons.append(task.reason or "somebody blocked it")
    if task.waits_for:
        reasons.append(f"it waits for {', '.join(task.waits_for[:LISTED_MAX])}")
    return "; ".join(reasons)


def _named(tasks: list[Task]) -> str:
    return ", ".join(each.id for each in tasks[:LISTED_MAX])
