"""`tasks`: what agents and programs work on, and saying how it goes."""

from __future__ import annotations

import argparse
import time
from typing import Any, Final

from holdfast.cli.context import Context
from holdfast.cli.output import ago, bold, plain, put, put_json, say, span, table
from holdfast.cli.parsing import (
    Commands,
    add_by,
    add_command,
    add_entity,
    add_json,
    by,
    count,
    entity,
    span_s,
)
from holdfast.clock import instant
from holdfast.errors import Exit

Json = dict[str, Any]
LISTED: Final = 50

DETAILS: Final = """\
A task is something that takes a while: who works on it starts it, says now and then that
it goes on, and completes or fails it. holdfast finds those that are stuck: a running task
that nothing is heard of is stale, then it is tried again, then it has failed. Without an
action the newest tasks are listed. docs/tasks.md explains them.
"""
AGAIN: Final = """\
While it has tries left it waits to be started again. With --final, or without any left,
it has failed, and so has all that waits for it.
"""


def add_commands(commands: Commands) -> None:
    tasks = add_command(
        commands, "tasks", run_list, "tasks of agents and programs: create, start, finish", DETAILS
    )
    add_json(tasks)
    tasks.set_defaults(state="", session="", parent=None, limit=LISTED)
    actions = tasks.add_subparsers(title="actions", metavar="ACTION")
    listed = add_command(actions, "list", run_list, "those that are open or ended lately")
    listed.add_argument("--state", metavar="STATES", default="", help="as in running,stale")
    listed.add_argument("--session", metavar="NAME", default="", help="of this session only")
    listed.add_argument("--parent", metavar="TASK", type=entity, help="parts of this one only")
    listed.add_argument("--limit", metavar="N", type=count, default=LISTED, help="(default 50)")
    add_json(listed)
    shown = add_command(actions, "show", run_show, "all that is known of one")
    add_entity(shown, "task")
    add_json(shown)
    _add_create(actions)
    for name, about in (
        ("start", "work on it begins"),
        ("heartbeat", "it goes on; say so more often than its span of silence"),
        ("unblock", "what blocked it is gone; it can be started again"),
    ):
        action = add_command(actions, name, run_action, about)
        action.set_defaults(action=name)
        add_entity(action, "task")
        add_by(action)
        add_json(action)
    progress = add_command(actions, "progress", run_action, "how far it is; a sign of life too")
    progress.set_defaults(action="progress")
    add_entity(progress, "task")
    progress.add_argument("--pct", metavar="N", type=float, help="from 0 to 100")
    progress.add_argument("--note", metavar="TEXT", default="", help="in words")
    add_by(progress)
    add_json(progress)
    for name, word, about, details in (
        ("complete", "result", "it is done; who waits for it can start", ""),
        (
            "fail",
            "error",
            "it was tried in vain",
            AGAIN,
        ),
        ("block", "reason", "it cannot go on for now", ""),
        ("cancel", "reason", "nobody wants it any more, nor its parts", ""),
    ):
        action = add_command(actions, name, run_action, about, details)
        action.set_defaults(action=name)
        add_entity(action, "task")
        action.add_argument(word, metavar=word.upper(), nargs="?", default="", help="in words")
        if name == "fail":
            action.add_argument("--final", action="store_true", help="do not try again")
        add_by(action)
        add_json(action)


def _add_create(actions: Commands) -> None:
    create = add_command(
        actions,
        "create",
        run_create,
        "a new one; prints its id",
        'In a script: task=$(holdfast tasks create "Build the docs")',
    )
    create.add_argument("title", metavar="TITLE")
    create.add_argument(
        "--after",
        metavar="TASK",
        type=entity,
        action="append",
        default=[],
        help="it waits until this one is completed; may be given several times",
    )
    create.add_argument("--parent", metavar="TASK", type=entity, help="it is a part of this one")
    create.add_argument("--session", metavar="NAME", default="", help="it ends with this session")
    create.add_argument(
        "--timeout", metavar="SPAN", type=span_s, help="90s, 30m, 12h …: so long it may take"
    )
    create.add_argument(
        "--heartbeat", metavar="SPAN", type=span_s, help="silent for so long, it is stale"
    )
    create.add_argument("--retries", metavar="N", type=int, help="how often it is tried again")
    create.add_argument(
        "--key", metavar="KEY", default="", help="your own id of it: the same one again is the same"
    )
    add_by(create)
    add_json(create)


def run_list(context: Context, arguments: argparse.Namespace) -> int:
    found = context.client.get(
        "/v1/tasks",
        state=arguments.state,
        session=arguments.session,
        parent=arguments.parent,
        limit=arguments.limit,
    )
    if arguments.json:
        put_json(found)
    elif not found:
        say('No tasks: holdfast tasks create "Build the docs"')
    else:
        rows = [
            (
                each["id"],
                each["state"],
                ago(at(each["changed_ms"])),
                "-" if each.get("pct") is None or "ended_ms" in each else f"{each['pct']:.0f} %",
                plain(each.get("worker", "")) or "-",
                plain(each["title"]),
            )
            for each in found
        ]
        head = ("ID", "STATE", "CHANGED", "DONE", "WORKER", "TITLE")
        put(table(head, rows, right=frozenset({3})))
        if len(found) == arguments.limit:
            say("There may be more: holdfast tasks list --limit N")
    return Exit.OK


def run_show(context: Context, arguments: argparse.Namespace) -> int:
    task = context.client.get(f"/v1/tasks/{arguments.name}")
    if arguments.json:
        put_json(task)
    else:
        put("\n".join(_about(task)))
    return Exit.OK


def run_create(context: Context, arguments: argparse.Namespace) -> int:
    wanted = {
        "title": arguments.title,
        "after": arguments.after,
        "parent": arguments.parent or "",
        "session": arguments.session,
        "timeout_s": arguments.timeout,
        "heartbeat_s": arguments.heartbeat,
        "retries": arguments.retries,
        "key": arguments.key,
        "by": by(context, arguments),
    }
    task = context.client.send("/v1/tasks", wanted)
    if arguments.json:
        put_json(task)
    else:
        put(task["id"])
    return Exit.OK


def run_action(context: Context, arguments: argparse.Namespace) -> int:
    said = ("pct", "note", "result", "error", "reason", "final")
    body = {name: getattr(arguments, name) for name in said if hasattr(arguments, name)}
    body["by"] = by(context, arguments)
    task = context.client.send(f"/v1/tasks/{arguments.name}/{arguments.action}", body)
    if arguments.json:
        put_json(task)
    else:
        say(f"Task {task['id']}: {task['state']}{_next(task)}.")
    return Exit.OK


def _next(task: Json) -> str:
    if task["state"] == "pending" and task.get("failures"):
        left = task.get("retries", 0) - task["failures"] + 1
        return f", to be tried again ({left} more)"
    if task["state"] == "blocked" and task.get("waits_for"):
        return f" until {', '.join(task['waits_for'])} is completed"
    return ""


def _about(task: Json) -> list[str]:
    lines = [bold(plain(task["title"])), f"id         {task['id']}", f"state      {task['state']}"]
    created = f"created    {ago(at(task['created_ms']))}"
    lines.append(created + (f" by {plain(task['by'])}" if task.get("by") else ""))
    if task.get("started_ms"):
        who = f" by {plain(task['worker'])}" if task.get("worker") else ""
        lines.append(f"started    {ago(at(task['started_ms']))}{who}")
        lines.append(f"heard of   {ago(at(task['heard_ms']))}")
    if task.get("ended_ms"):
        lines.append(f"ended      {ago(at(task['ended_ms']))}")
    if task.get("pct") is not None or task.get("note"):
        pct = f"{task['pct']:.0f} % " if task.get("pct") is not None else ""
        lines.append(f"progress   {pct}{plain(task.get('note', ''))}".rstrip())
    for label, name in (("session", "session"), ("part of", "parent"), ("because", "reason")):
        if task.get(name):
            lines.append(f"{label:<10} {plain(task[name])}")
    if task.get("waits_for"):
        lines.append(f"waits for  {', '.join(task['waits_for'])}")
    spans = [
        f"{what} {span(task[name])}"
        for what, name in (("takes up to", "timeout_s"), ("stale after", "heartbeat_s"))
        if task.get(name)
    ]
    tries = f"tried in vain {task.get('failures', 0)} of {task.get('retries', 0) + 1} times"
    lines.append(f"limits     {', '.join([*spans, tries])}")
    if task.get("result"):
        lines += ["", task["result"]]
    return lines


def at(epoch_ms: int) -> str:
    return instant(epoch_ms / 1_000)


def until(epoch_ms: int) -> str:
    """How long that is from now."""
    left_s = epoch_ms / 1_000 - time.time()
    return f"in {span(left_s)}" if left_s > 0 else "now"
