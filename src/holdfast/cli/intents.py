"""`intents`: workflows that outlive whoever runs them."""

from __future__ import annotations

import argparse
from typing import Any, Final

from holdfast.cli.context import Context
from holdfast.cli.output import ago, bold, plain, put, put_json, say, table
from holdfast.cli.parsing import Commands, add_by, add_command, add_entity, add_json, by, count
from holdfast.cli.tasks import at
from holdfast.errors import Exit

Json = dict[str, Any]
LISTED: Final = 50

DETAILS: Final = """\
An intent is something that takes days and many sessions. Whoever works on it leaves a memo
of what it takes to go on; whoever takes it up again resumes it and is given that memo:

    holdfast intents create "Move the tests to the new runner"
    holdfast intents progress c93 --pct 30 --memo "done up to tests/journal; see branch runner"
    holdfast intents resume c93

Without an action they are listed. docs/tasks.md explains them.
"""


def add_commands(commands: Commands) -> None:
    group = add_command(
        commands, "intents", run_list, "workflows that outlive whoever runs them", DETAILS
    )
    add_json(group)
    group.set_defaults(state="", limit=LISTED)
    actions = group.add_subparsers(title="actions", metavar="ACTION")
    listed = add_command(actions, "list", run_list, "those that are active or ended lately")
    listed.add_argument("--state", metavar="STATES", default="", help="as in active,failed")
    listed.add_argument("--limit", metavar="N", type=count, default=LISTED, help="(default 50)")
    add_json(listed)
    shown = add_command(actions, "show", run_show, "all that is known of one, with its memo")
    add_entity(shown, "intent")
    add_json(shown)
    create = add_command(actions, "create", run_create, "a new one; prints its id")
    create.add_argument("title", metavar="TITLE")
    create.add_argument("--memo", metavar="TEXT", default="", help="what it takes to go on")
    create.add_argument("--session", metavar="NAME", default="", help="where it began")
    create.add_argument(
        "--key", metavar="KEY", default="", help="your own id of it: the same one again is the same"
    )
    add_by(create)
    add_json(create)
    progress = add_command(actions, "progress", run_action, "how far it is")
    progress.set_defaults(action="progress")
    add_entity(progress, "intent")
    progress.add_argument("--pct", metavar="N", type=float, help="from 0 to 100")
    progress.add_argument("--note", metavar="TEXT", default="", help="in words")
    progress.add_argument("--memo", metavar="TEXT", default="", help="what it takes to go on")
    add_by(progress)
    add_json(progress)
    for name, word, about in (
        ("complete", "result", "it is done"),
        ("fail", "reason", "it came to an end; it can be resumed for a while"),
    ):
        action = add_command(actions, name, run_action, about)
        action.set_defaults(action=name)
        add_entity(action, "intent")
        action.add_argument(word, metavar=word.upper(), nargs="?", default="", help="in words")
        add_by(action)
        add_json(action)
    resume = add_command(
        actions, "resume", run_resume, "take it up again; prints the memo that was left last"
    )
    add_entity(resume, "intent")
    add_by(resume)
    add_json(resume)


def run_list(context: Context, arguments: argparse.Namespace) -> int:
    found = context.client.get("/v1/intents", state=arguments.state, limit=arguments.limit)
    if arguments.json:
        put_json(found)
    elif not found:
        say('No intents: holdfast intents create "Move the tests to the new runner"')
    else:
        rows = [
            (
                each["id"],
                each["state"],
                ago(at(each["changed_ms"])),
                f"{each['pct']:.0f} %" if each.get("pct") is not None else "-",
                plain(each["title"]),
            )
            for each in found
        ]
        put(table(("ID", "STATE", "CHANGED", "DONE", "TITLE"), rows, right=frozenset({3})))
    return Exit.OK


def run_show(context: Context, arguments: argparse.Namespace) -> int:
    intent = context.client.get(f"/v1/intents/{arguments.name}")
    if arguments.json:
        put_json(intent)
    else:
        put("\n".join(_about(intent)))
    return Exit.OK


def run_create(context: Context, arguments: argparse.Namespace) -> int:
    wanted = {
        "title": arguments.title,
        "memo": arguments.memo,
        "session": arguments.session,
        "key": arguments.key,
        "by": by(context, arguments),
    }
    intent = context.client.send("/v1/intents", wanted)
    if arguments.json:
        put_json(intent)
    else:
        put(intent["id"])
    return Exit.OK


def run_action(context: Context, arguments: argparse.Namespace) -> int:
    said = ("pct", "note", "memo", "result", "reason")
    body = {name: getattr(arguments, name) for name in said if hasattr(arguments, name)}
    body["by"] = by(context, arguments)
    intent = context.client.send(f"/v1/intents/{arguments.name}/{arguments.action}", body)
    if arguments.json:
        put_json(intent)
    else:
        say(f"Intent {intent['id']}: {intent['state']}.")
    return Exit.OK


def run_resume(context: Context, arguments: argparse.Namespace) -> int:
    body = {"by": by(context, arguments)}
    intent = context.client.send(f"/v1/intents/{arguments.name}/resume", body)
    if arguments.json:
        put_json(intent)
        return Exit.OK
    left = "this memo was left last:" if intent.get("memo") else "no memo was left."
    say(f"{plain(intent['title'])}: active; {left}")
    if intent.get("memo"):
        put(intent["memo"])
    return Exit.OK


def _about(intent: Json) -> list[str]:
    lines = [
        bold(plain(intent["title"])),
        f"id         {intent['id']}",
        f"state      {intent['state']}",
        f"created    {ago(at(intent['created_ms']))}"
        + (f" by {plain(intent['by'])}" if intent.get("by") else ""),
        f"changed    {ago(at(intent['changed_ms']))}",
    ]
    if intent.get("resumed"):
        who = f", last by {plain(intent['worker'])}" if intent.get("worker") else ""
        lines.append(f"resumed    {intent['resumed']} times{who}")
    if intent.get("pct") is not None or intent.get("note"):
        pct = f"{intent['pct']:.0f} % " if intent.get("pct") is not None else ""
        lines.append(f"progress   {pct}{plain(intent.get('note', ''))}".rstrip())
    for label, name in (("session", "session"), ("because", "reason")):
        if intent.get(name):
            lines.append(f"{label:<10} {plain(intent[name])}")
    for name in ("memo", "result"):
        if intent.get(name):
            lines += ["", *(plain(line) for line in intent[name].splitlines())]
    return lines
