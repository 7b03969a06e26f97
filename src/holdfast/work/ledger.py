"""What is to be done, what was decided and what was learnt, made of the log and of nothing else.

The ledger is a projection: events go in, one state comes out, the same whichever way the events
are cut into runs with the state written down and read again between them. It can be thrown away and
made anew, so it never decides anything and nobody edits it.

It is bounded. What is finished and oldest leaves first, and is counted from then on; the log still
has it. An entry that is heard of again after it left is a new entry.

Events come from programs of other people, so whatever is missing or of the wrong type in an event's
data is taken as not told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, TypeVar

import msgspec

from holdfast.events import Event

EPICS_MAX: Final = 500
TASKS_MAX: Final = 2_000
DECISIONS_MAX: Final = 1_000
LEARNINGS_MAX: Final = 2_000
SOURCES_MAX: Final = 5  # of one learning, the newest; the others are counted
TEXT_MAX_CHARS: Final = 300
ID_MAX_CHARS: Final = 128

NAME: Final = "ledger"
STREAMS: Final = ("*",)

OPEN: Final = frozenset({"pending", "running", "blocked", "stale"})
_STATE_OF: Final = {
    "task.created": "pending",
    "task.started": "running",
    "task.completed": "completed",
    "task.failed": "failed",
    "task.timeout": "timeout",
    "task.blocked": "blocked",
    "task.unblocked": "pending",
    "task.stale": "stale",
    "task.retried": "pending",
    "task.cancelled": "cancelled",
}


class Epic(msgspec.Struct, omit_defaults=True):
    title: str
    state: str = "open"
    created_at: str = ""
    ended_at: str = ""


class Task(msgspec.Struct, omit_defaults=True):
    title: str
    state: str = "pending"
    epic: str = ""  # its id
    created_at: str = ""
    changed_at: str = ""
    note: str = ""  # what was last said of it


class Decision(msgspec.Struct, omit_defaults=True):
    text: str
    state: str  # proposed or accepted
    by: str = ""
    at: str = ""


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    session: str
    seq: int
    at: str = ""
    said_by: str = ""


class Learnt(msgspec.Struct, omit_defaults=True):
    type: str
    text: str
    confidence: float = 0.0
    times: int = 0
    first_at: str = ""
    last_at: str = ""
    sources: list[Source] = []
    superseded_by: str = ""


class LedgerState(msgspec.Struct):
    """All there is. Dictionaries are in the order in which entries leave."""

    events: int = 0  # that changed it
    as_of: str = ""  # time of the last of them
    epics: dict[str, Epic] = {}
    tasks: dict[str, Task] = {}
    decisions: dict[str, Decision] = {}
    learnings: dict[str, Learnt] = {}
    left: dict[str, int] = {}  # what is not here any more: "task.completed" -> how many


class Limits(msgspec.Struct, frozen=True):
    epics: int = EPICS_MAX
    tasks: int = TASKS_MAX
    decisions: int = DECISIONS_MAX
    learnings: int = LEARNINGS_MAX


_LIMITS: Final = Limits()


class _Told(msgspec.Struct):
    """What the ledger knows how to use of an event's data."""

    title: str = ""
    epic: str = ""
    note: str = ""
    reason: str = ""
    error: str = ""
    type: str = ""
    confidence: float = 0.0
    session: str = ""
    seq: int = 0
    said_by: str = ""
    said_at: str = ""
    by: str = ""


class Ledger:
    """A `Projection` of the streams."""

    name: Final = NAME
    streams: Final = STREAMS

    def __init__(self, limits: Limits = _LIMITS) -> None:
        self._limits = limits
        self.state = LedgerState()

    def apply(self, event: Event) -> None:
        family, _, what = event.kind.partition(".")
        change = _CHANGES.get(family)
        if change is None or not what:
            return
        if change(self, event, _told(event)):
            self.state.events += 1
            self.state.as_of = max(self.state.as_of, event.at)

    def dump(self) -> bytes:
        return msgspec.json.encode(self.state)

    def load(self, content: bytes) -> None:
        self.state = msgspec.json.decode(content, type=LedgerState)

    def _epic(self, event: Event, told: _Told) -> bool:
        epics, key = self.state.epics, _id(event)
        match event.kind:
            case "epic.created":
                epics[key] = Epic(_text(told.title or event.text), created_at=event.at)
            case "epic.completed":
                epic = epics.pop(key, None) or Epic(_text(told.title or event.text))
                epic.state, epic.ended_at = "completed", event.at
                epics[key] = epic
            case _:
                return False
        finished = {each for each, epic in epics.items() if epic.state != "open"}
        self._let_go(epics, self._limits.epics, finished, lambda epic: f"epic.{epic.state}")
        return True

    def _task(self, event: Event, told: _Told) -> bool:
        if event.kind != "task.progress" and event.kind not in _STATE_OF:
            return False  # a heartbeat is no news, and a kind of the future is not ours to guess
        tasks, key = self.state.tasks, _id(event)
        task = tasks.get(key)
        if task is None:
            task = Task(_text(told.title or (event.text if event.kind == "task.created" else "")))
            task.created_at = event.at
        state = _STATE_OF.get(event.kind, task.state)
        if state != task.state:  # among those that are as they are, it is the newest
            tasks.pop(key, None)
        tasks[key] = task
        task.state, task.changed_at = state, event.at
        task.title = task.title or _text(told.title)
        task.epic = _text(told.epic, ID_MAX_CHARS) or task.epic
        if event.kind != "task.created":
            task.note = _text(told.note or told.reason or told.error or event.text) or task.note
        if len(tasks) > self._limits.tasks:
            finished = {each for each, known in tasks.items() if known.state not in OPEN}
            self._let_go(tasks, self._limits.tasks, finished, lambda gone: f"task.{gone.state}")
        return True

    def _decision(self, event: Event, told: _Told) -> bool:
        state = event.kind.partition(".")[2]
        if state not in {"proposed", "accepted"}:
            return False
        decisions, key = self.state.decisions, _id(event)
        before = decisions.pop(key, None)
        text = _text(told.title or event.text) or (before.text if before else "")
        decisions[key] = Decision(text, state, _text(event.actor or "", ID_MAX_CHARS), event.at)
        self._let_go(
            decisions, self._limits.decisions, (), lambda decision: f"decision.{decision.state}"
        )
        return True

    def _learning(self, event: Event, told: _Told) -> bool:
        learnings, key = self.state.learnings, _id(event)
        known = learnings.get(key)
        match event.kind:
            case "learning.found":
                source = Source(
                    _text(told.session, ID_MAX_CHARS),
                    told.seq,
                    _text(told.said_at, ID_MAX_CHARS) or event.at,
                    _text(told.said_by, ID_MAX_CHARS),
                )
                if known and any(_same_place(source, each) for each in known.sources):
                    return False
                learnings.pop(key, None)
                learnings[key] = _heard(known, source, event, told)
            case "learning.superseded" if known:
                known.superseded_by = _text(told.by, ID_MAX_CHARS) or "something else"
            case _:
                return False
        superseded = {each for each, learnt in learnings.items() if learnt.superseded_by}
        self._let_go(
            learnings, self._limits.learnings, superseded, lambda learnt: f"learning.{learnt.type}"
        )
        return True

    def _let_go(
        self,
        entries: dict[str, _Entry],
        limit: int,
        first: Collection[str],
        named: Callable[[_Entry], str],
    ) -> None:
        while len(entries) > limit:
            key = next((each for each in entries if each in first), next(iter(entries)))
            name = named(entries.pop(key))
            self.state.left[name] = self.state.left.get(name, 0) + 1


_Entry = TypeVar("_Entry")

_CHANGES: Final[dict[str, Callable[[Ledger, Event, _Told], bool]]] = {
    "epic": Ledger._epic,  # noqa: SLF001  # the table of this module's own class
    "task": Ledger._task,  # noqa: SLF001
    "decision": Ledger._decision,  # noqa: SLF001
    "learning": Ledger._learning,  # noqa: SLF001
}


def _heard(known: Learnt | None, source: Source, event: Event, told: _Told) -> Learnt:
    learnt = known or Learnt(_text(told.type, ID_MAX_CHARS), _text(event.text), first_at=source.at)
    learnt.times += 1
    learnt.confidence = max(learnt.confidence, told.confidence)
    learnt.first_at = min(learnt.first_at, source.at)
    learnt.last_at = max(learnt.last_at, source.at)
    learnt.sources = [*learnt.sources, source][-SOURCES_MAX:]
    return learnt


def _same_place(one: Source, other: Source) -> bool:
    return (one.session, one.seq) == (other.session, other.seq)


_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_FIELDS: Final = {
    field.name: msgspec.json.Decoder(field.type) for field in msgspec.structs.fields(_Told)
}


def _told(event: Event) -> _Told:
    """Each field by itself: one of the wrong type takes no other with it."""
    told = _Told()
    try:
        members = _decoder.decode(event.data)
    except (ValueError, RecursionError):
        return told
    for name, decoder in _FIELDS.items():
        if name in members:
            try:
                setattr(told, name, decoder.decode(members[name]))
            except (ValueError, RecursionError):
                continue
    return told


def _id(event: Event) -> str:
    return _text(event.correlation, ID_MAX_CHARS) or event.id


def _text(text: str, limit: int = TEXT_MAX_CHARS) -> str:
    """What is kept is one line that any encoder can write."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
