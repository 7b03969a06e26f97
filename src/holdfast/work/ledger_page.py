"""The ledger as a page that people read: `LEDGER.md`. No text in it can break its frame.

Every line is ours: whatever comes from an event stands behind something of ours on one line, with
all that means anything to Markdown escaped. So no entry can look like a heading, another entry, or
markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from holdfast.recording.markdown import escaped
from holdfast.work.ledger import OPEN, Decision, Epic, Learnt, LedgerState, Task

FINISHED_SHOWN: Final = 20  # tasks of one epic; the others are counted
DECISIONS_SHOWN: Final = 100
LEARNINGS_SHOWN: Final = 100  # of one type, what was said last first
SOURCES_SHOWN: Final = 3

_HEADINGS: Final = {
    "preference": "Preferences",
    "correction": "Corrections",
    "decision": "Decisions made in conversations",
    "pattern": "Patterns",
}
_NO_EPIC: Final = ""


def page(state: LedgerState) -> str:
    """The same state gives the same page, on every machine."""
    return "\n".join(_lines(state)) + "\n"


def _lines(state: LedgerState) -> Iterator[str]:
    yield "# Ledger"
    yield ""
    yield f"*{_summary(state)}*"
    yield from _work(state)
    yield from _decisions(list(state.decisions.values()))
    yield from _learnings([each for each in state.learnings.values() if not each.superseded_by])
    yield from _left(state.left)
    yield ""
    yield "---"
    yield ""
    yield f"*Made from holdfast's log{_until(state.as_of)}. What is changed here is overwritten.*"


def _summary(state: LedgerState) -> str:
    open_tasks = sum(task.state in OPEN for task in state.tasks.values())
    parts = [
        _counted(open_tasks, "task") + " open",
        f"{len(state.tasks) - open_tasks:,} finished",
        _counted(len(state.decisions), "decision"),
        _counted(sum(not each.superseded_by for each in state.learnings.values()), "learning"),
    ]
    return ", ".join(parts)


def _work(state: LedgerState) -> Iterator[str]:
    of_epic: dict[str, list[Task]] = {_NO_EPIC: []}
    for task in state.tasks.values():
        of_epic.setdefault(task.epic if task.epic in state.epics else _NO_EPIC, []).append(task)
    open_first = sorted(state.epics.items(), key=lambda item: item[1].state != "open")
    if open_first:
        yield from ("", "## Epics")
    for key, epic in open_first:
        yield from ("", f"### {_epic_title(epic, of_epic.get(key, []))}")
        yield from _tasks(of_epic.get(key, []))
    if of_epic[_NO_EPIC]:
        yield from ("", "## Tasks")
        yield from _tasks(of_epic[_NO_EPIC])


def _epic_title(epic: Epic, tasks: list[Task]) -> str:
    title = _plain(epic.title) or "(untitled)"
    done = sum(task.state == "completed" for task in tasks)
    if epic.state != "open":
        return f"✓ {title}, completed{_on(epic.ended_at)}"
    return f"○ {title}, {done} of {_counted(len(tasks), 'task')} done"


def _tasks(tasks: list[Task]) -> Iterator[str]:
    if not tasks:
        return
    yield ""
    open_tasks = [task for task in tasks if task.state in OPEN]
    finished = [task for task in reversed(tasks) if task.state not in OPEN]
    for task in [*open_tasks, *finished[:FINISHED_SHOWN]]:
        box = "[x]" if task.state == "completed" else "[ ]"
        state = "" if task.state in {"pending", "completed"} else f"**{task.state}** "
        note = f": {_plain(task.note)}" if task.note and task.state != "completed" else ""
        when = _on(task.changed_at) if task.state not in OPEN else ""
        yield f"- {box} {state}{_guarded(task.title) or '(untitled)'}{note}{when}"
    if len(finished) > FINISHED_SHOWN:
        yield f"- and {len(finished) - FINISHED_SHOWN:,} more that are finished"


def _decisions(decisions: list[Decision]) -> Iterator[str]:
    if not decisions:
        return
    yield from ("", "## Decisions", "")
    for decision in reversed(decisions[-DECISIONS_SHOWN:]):
        state = "" if decision.state == "accepted" else "**proposed** "
        by = f" ({_plain(decision.by)})" if decision.by else ""
        yield f"- {_day(decision.at)}{state}{_guarded(decision.text) or '(no words)'}{by}"
    if len(decisions) > DECISIONS_SHOWN:
        yield f"- and {len(decisions) - DECISIONS_SHOWN:,} older ones"


def _learnings(learnings: list[Learnt]) -> Iterator[str]:
    if not learnings:
        return
    yield from ("", "## Learnings")
    others = sorted({each.type for each in learnings} - _HEADINGS.keys())
    for kind in [*_HEADINGS, *others]:
        of_kind = [each for each in learnings if each.type == kind]
        if not of_kind:
            continue
        yield from ("", f"### {_HEADINGS.get(kind) or _plain(kind) or 'Others'}", "")
        for learnt in reversed(of_kind[-LEARNINGS_SHOWN:]):
            yield f"- {_guarded(learnt.text) or '(no words)'} *({_heard(learnt)})*"
        if len(of_kind) > LEARNINGS_SHOWN:
            yield f"- and {len(of_kind) - LEARNINGS_SHOWN:,} older ones"


def _heard(learnt: Learnt) -> str:
    times = "" if learnt.times == 1 else f"{learnt.times:,} times, last "
    where = [_plain(each.session) for each in reversed(learnt.sources) if each.session]
    places = ", ".join(list(dict.fromkeys(where))[:SOURCES_SHOWN])
    return " ".join(
        filter(None, [times + _plain(learnt.last_at[:10]), f"in {places}" if places else ""])
    )


def _left(left: dict[str, int]) -> Iterator[str]:
    if not left:
        return
    yield from ("", "## Older, in the log only", "")
    for name, count in sorted(left.items()):
        family, _, what = name.partition(".")
        yield f"- {_counted(count, family)}: {_plain(what) or 'unnamed'}"


_MEANS_SOMETHING: Final = re.compile(r"[_~|#>!-]")
_OPENS_A_BLOCK: Final = re.compile(r"^(?:(?=[+=:])|(?P<number>\d+)(?=[.)]))")


def _plain(text: str) -> str:
    """Text behind something else on a line of ours."""
    return _MEANS_SOMETHING.sub(r"\\\g<0>", escaped(text))


def _guarded(text: str) -> str:
    """Text that an item of a list may begin with."""
    return _OPENS_A_BLOCK.sub(lambda found: f"{found['number'] or ''}\\", _plain(text))


def _day(at: str) -> str:
    return f"{_plain(at[:10])} " if at else ""


def _on(at: str) -> str:
    return f", {_plain(at[:10])}" if at else ""


def _until(at: str) -> str:
    return f" up to {_plain(at[:19])}" if at else ", which has nothing of the kind yet"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
