"""What is read: the global order, ranges of events, sessions."""

from __future__ import annotations

import os
from typing import Any

from holdfast.events import decode
from holdfast.journal.conformance.kit import (
    AGENT,
    Trial,
    at,
    cursor,
    known,
    many,
    require,
    same,
)
from holdfast.journal.model import (
    Run,
    SessionFilter,
)


@require
def the_global_order_has_no_gaps_and_merges_neighbours(trial: Trial) -> None:
    for session, count in (("a", 2), ("a", 3), ("b", 1), ("a", 1), ("a", 1), ("c", 2), ("b", 4)):
        trial.say(session, *["x"] * count, sealed=count == 3)
    a, b, c = (known(session).id for session in "abc")
    runs = [
        Run(1, a, 0, 5, AGENT, "a"),
        Run(6, b, 0, 1, AGENT, "b"),
        Run(7, a, 5, 2, AGENT, "a"),
        Run(9, c, 0, 2, AGENT, "c"),
        Run(11, b, 1, 4, AGENT, "b"),
    ]
    same(trial.reader.runs(1), runs, "runs()")
    same(trial.reader.runs(3), runs, "runs() from the middle of a run")
    same(trial.reader.runs(6), runs[1:], "runs() from the start of a run")
    same(trial.reader.runs(14), runs[4:], "runs() from the last event")
    same(trial.reader.runs(15), [], "runs() behind the last event")
    same(trial.reader.runs(1, limit=2), runs[:2], "runs() with a limit")
    trial.reopen()
    trial.say("b", "y")
    same(
        trial.reader.runs(11), [Run(11, b, 1, 5, AGENT, "b")], "a run that goes on after reopening"
    )
    trial.verify()


@require
def any_range_of_events_can_be_read(trial: Trial) -> None:
    for count, sealed in ((3, True), (4, True), (1, False), (2, False), (2, True), (3, False)):
        trial.say("one", *many("x", count), sealed=sealed)
    session = known("one").id
    lines = trial.held[session]
    for first in range(len(lines) + 2):
        whole = b"".join(trial.reader.read(session, first))
        same(whole, b"".join(lines[first:]), f"read({first})")
        for behind in range(len(lines) + 3):
            pieces = list(trial.reader.read(session, first, behind))
            same(b"".join(pieces), b"".join(lines[first:behind]), f"read({first}, {behind})")
            same(b"" in pieces, False, f"an empty piece in read({first}, {behind})")
    events = list(trial.reader.events(session, 2, 9))
    same(events, [decode(line) for line in lines[2:9]], "events(2, 9)")


@require
def a_reading_ends_where_the_session_ended_when_it_began(trial: Trial) -> None:
    """Whoever writes meanwhile, and whether or not the tail is sealed meanwhile."""
    for _ in range(3):
        trial.say("one", *many("x", 30), sealed=True)
    trial.say("one", *many("x", 5))
    before = b"".join(trial.held[known("one").id])
    pieces = trial.reader.read(known("one").id)
    seen = next(pieces)
    trial.say("one", *many("y", 100))
    same(seen + b"".join(pieces), before, "what a reading gives while somebody writes")


@require
def a_reading_may_be_left_unfinished(trial: Trial) -> None:
    for _ in range(3):
        trial.say("one", *many("x", 30), sealed=True)
    unfinished = trial.reader.read(known("one").id)
    next(unfinished)
    trial.say("one", "y")
    same(trial.row("one").events, 91, "events, while a reading is left unfinished")
    trial.writer.checkpoint()
    trial.settle()
    same(trial.found("y"), ["one/90"], "a search while a reading is left unfinished")
    unfinished.close()


@require
def sessions_are_listed_newest_first_and_filtered(trial: Trial) -> None:
    trial.say("old", "apples", facts=known("old", updated_at=at(1), project="/home/Ärger"))
    trial.say("new", "pears", facts=known("new", updated_at=at(9), project="/home/web", title="T1"))
    trial.say("mid", "plums", facts=known("mid", updated_at=at(5), agent="other"))
    trial.settle()

    def listed(**wanted: Any) -> list[str]:
        rows = trial.reader.sessions(SessionFilter(**wanted))
        numbers = trial.reader.session_numbers(SessionFilter(**wanted))
        same(trial.reader.sessions_at(numbers), rows, "sessions_at(session_numbers())")
        same(trial.reader.sessions_at(numbers[1:]), rows[1:], "sessions_at() of a part")
        return [row.agent_session_id for row in rows]

    same(listed(), ["new", "mid", "old"], "sessions()")
    same(listed(limit=2), ["new", "mid"], "with a limit")
    same(listed(limit=0), [], "with a limit of none")
    same(listed(agent="other"), ["mid"], "of an agent")
    same(listed(project="HOME"), ["new", "old"], "of a part of a project")
    same(listed(project="äRGER"), ["old"], "of a project, whatever the case")
    same(listed(since=at(5)), ["new", "mid"], "since")
    same(listed(text="apples"), ["old"], "with words in the conversation")
    same(listed(text="t1"), ["new"], "with words in the title")
    same(listed(text="WEB"), ["new"], "with words in the project")
    same(listed(text="nothing"), [], "with words that are nowhere")
    same(listed(text="pears", project="ärger"), [], "with all filters at once")
    same(listed(project="home", limit=1), ["new"], "the limit comes last")


@require
def sessions_of_the_same_time_are_listed_by_id(trial: Trial) -> None:
    for number in range(6):
        trial.say(f"s{number}", "x", facts=known(f"s{number}", updated_at=at(1)))
    ids = [row.id for row in trial.reader.sessions()]
    same(ids, sorted(ids), "sessions()")


@require
def a_session_is_found_by_the_beginning_of_its_names(trial: Trial) -> None:
    trial.say("abc-1", "x", facts=known("abc-1", updated_at=at(1), title="one"))
    trial.say("abc-2", "x", facts=known("abc-2", updated_at=at(2)))
    trial.say("abc", "x", facts=known("abc", updated_at=at(1)))
    trial.say("zz/agent-7", "x", facts=known("zz/agent-7", updated_at=at(1)))
    trial.say("abc-1", "x", facts=known("abc-1", agent="other", updated_at=at(3)))

    def named(prefix: str, agent: str = "") -> list[tuple[str, str]]:
        return [(found[1], found[2]) for found in trial.reader.find(prefix, agent)]

    same(named("abc-2"), [(AGENT, "abc-2")], "find() a whole name")
    same(named("abc-1"), [("other", "abc-1"), (AGENT, "abc-1")], "find() a name of two")
    same(named("abc-1", AGENT), [(AGENT, "abc-1")], "find() within an agent")
    same(named("abc", AGENT)[0], (AGENT, "abc"), "find(): the exact one first")
    same(named("abc", AGENT)[1:], [(AGENT, "abc-2"), (AGENT, "abc-1")], "then the newest first")
    same(named("agent-7"), [(AGENT, "zz/agent-7")], "find() the last part of a name")
    same(named("bc"), [], "find() what is in the middle of a name")
    same(named("%"), [], "find() what a pattern would match")
    row = trial.row("abc-1")
    same(trial.reader.find(row.id), [(row.id, AGENT, "abc-1", "one")], "find() by id")
    same(len(trial.reader.find(row.id[:6])), 1, "find() by the beginning of an id")
    for number in range(20):
        trial.say(f"many{number}", "x")
    same(len(trial.reader.find("many")), 11, "find() gives no more than eleven")


@require
def a_backup_holds_everything(trial: Trial) -> None:
    trial.say("one", *many("apples", 40), cursor=cursor("one", "/log", offset=9), day=3)
    trial.say("two", "pears", sealed=True)
    trial.settle()
    target = os.path.join(trial.subject.folder, "backup")
    trial.writer.backup(target)
    trial.writer.backup(target)  # over an older one
    same(os.stat(target).st_mode & 0o777, 0o600, "the mode of a backup")
    held, order = dict(trial.held), list(trial.order)
    trial.say("one", "later")
    restored = Trial(trial.subject.restored(target))
    try:
        restored.held, restored.order = held, order
        restored.held[known("one").id] = held[known("one").id][:40]
        restored.verify()
        same(restored.reader.cursors(), trial.reader.cursors(), "cursors()")
        same(restored.found("pears"), ["two/0"], "a search in a backup")
        restored.say("one", "goes on")
        restored.verify()
    finally:
        restored.close()
    trial.verify()
