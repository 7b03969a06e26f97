"""`checkpoints`: what agents ask and wait for, and deciding it."""

from __future__ import annotations

import argparse
import time
from typing import Any, Final

from holdfast.cli.context import Context
from holdfast.cli.output import ago, bold, plain, put, put_json, say, table
from holdfast.cli.parsing import (
    Commands,
    add_by,
    add_command,
    add_entity,
    add_json,
    by,
    count,
    span_s,
)
from holdfast.cli.tasks import at, until
from holdfast.errors import Exit

Json = dict[str, Any]
LISTED: Final = 50
WAIT_S: Final = 30  # of one request; then the next one
AWAY_S: Final = 0.2  # between two looks whether the daemon is back
OVERDUE_S: Final = 60  # so long after its time a checkpoint without a daemon is waited for
ENDS: Final = {
    "approved": Exit.OK,
    "rejected": Exit.REJECTED,
    "expired": Exit.EXPIRED,
    "cancelled": Exit.EXPIRED,
}

DETAILS: Final = """\
An agent asks, and waits; a person approves or rejects:

    holdfast checkpoints ask "Delete the old tables?" --wait      the agent, or its hook
    holdfast checkpoints                                          the person
    holdfast checkpoints approve 46p --comment "after the backup"

Whoever waits ends with 0 when it was approved, 14 when it was rejected, 15 when nobody said
anything in time or it was cancelled. docs/checkpoints.md explains them.
"""


def add_commands(commands: Commands) -> None:
    group = add_command(
        commands, "checkpoints", run_list, "what agents ask people: ask, approve, reject", DETAILS
    )
    add_json(group)
    group.set_defaults(state="", session="", limit=LISTED)
    actions = group.add_subparsers(title="actions", metavar="ACTION")
    listed = add_command(actions, "list", run_list, "those that wait or ended lately")
    listed.add_argument("--state", metavar="STATES", default="", help="as in pending,approved")
    listed.add_argument("--session", metavar="NAME", default="", help="of this session only")
    listed.add_argument("--limit", metavar="N", type=count, default=LISTED, help="(default 50)")
    add_json(listed)
    shown = add_command(actions, "show", run_show, "the question, and what became of it")
    add_entity(shown, "checkpoint")
    add_json(shown)
    _add_ask(actions)
    wait = add_command(
        actions,
        "wait",
        run_wait,
        "until one is decided; prints how",
        "Ends with 0 when it was approved, 14 when it was rejected, 15 when it expired or was\n"
        "cancelled. A daemon that is away for a while is waited for.",
    )
    add_entity(wait, "checkpoint")
    add_json(wait)
    for name, about in (("approve", "say yes"), ("reject", "say no")):
        action = add_command(actions, name, run_decide, about)
        action.set_defaults(action=name)
        add_entity(action, "checkpoint")
        action.add_argument("--comment", metavar="TEXT", default="", help="what the agent is told")
        action.add_argument("--option", metavar="OPTION", default="", help="one that is offered")
        add_by(action)
        add_json(action)
    cancel = add_command(actions, "cancel", run_decide, "nobody waits for an answer any more")
    cancel.set_defaults(action="cancel")
    add_entity(cancel, "checkpoint")
    cancel.add_argument("--comment", metavar="TEXT", default="", help="why")
    add_by(cancel)
    add_json(cancel)
    add_json(
        add_command(
            actions,
            "templates",
            run_templates,
            "common checkpoints, and their fields",
            "As in: holdfast checkpoints ask --template plan --field goal=… --field steps=…",
        )
    )


def _add_ask(actions: Commands) -> None:
    ask = add_command(
        actions,
        "ask",
        run_ask,
        "ask people something; prints its id, or with --wait what they decide",
        "With --wait it ends with 0 when it was approved, 14 when it was rejected, 15 when it\n"
        "expired or was cancelled. A daemon that is away for a while is waited for.",
    )
    ask.add_argument(
        "title", metavar="TITLE", nargs="?", default="", help="what is to be decided, in a line"
    )
    ask.add_argument("--question", metavar="TEXT", default="", help="all that is to be known")
    ask.add_argument(
        "--option",
        metavar="OPTION",
        action="append",
        default=[],
        help="what may be chosen; may be given several times",
    )
    ask.add_argument("--template", metavar="NAME", default="", help="one of `templates`")
    ask.add_argument(
        "--field",
        metavar="NAME=TEXT",
        type=field,
        action="append",
        default=[],
        help="what the template takes; may be given several times",
    )
    ask.add_argument("--expires", metavar="SPAN", type=span_s, help="90s, 30m, 12h …; 0: never")
    ask.add_argument("--session", metavar="NAME", default="", help="it ends with this session")
    ask.add_argument("--task", metavar="TASK", default="", help="what it is about")
    ask.add_argument(
        "--key", metavar="KEY", default="", help="your own id of it: the same one again is the same"
    )
    ask.add_argument("--wait", action="store_true", help="until it is decided")
    add_by(ask)
    add_json(ask)


def field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is no field: write NAME=TEXT")
    return name, value


def run_list(context: Context, arguments: argparse.Namespace) -> int:
    found = context.client.get(
        "/v1/checkpoints",
        state=arguments.state,
        session=arguments.session,
        limit=arguments.limit,
    )
    if arguments.json:
        put_json(found)
    elif not found:
        say('No checkpoints: holdfast checkpoints ask "Delete the old tables?" --wait')
    else:
        rows = [
            (
                each["id"],
                each["state"],
                ago(at(each["created_ms"])),
                _expires(each),
                plain(each.get("by", "")) or "-",
                plain(each["title"]),
            )
            for each in found
        ]
        put(table(("ID", "STATE", "ASKED", "EXPIRES", "BY", "TITLE"), rows))
    return Exit.OK


def run_show(context: Context, arguments: argparse.Namespace) -> int:
    checkpoint = context.client.get(f"/v1/checkpoints/{arguments.name}")
    if arguments.json:
        put_json(checkpoint)
    else:
        put("\n".join(_about(checkpoint)))
    return Exit.OK


def run_ask(context: Context, arguments: argparse.Namespace) -> int:
    wanted = {
        "title": arguments.title,
        "question": arguments.question,
        "options": arguments.option,
        "template": arguments.template,
        "fields": dict(arguments.field),
        "expires_s": arguments.expires,
        "session": arguments.session,
        "task": arguments.task,
        "key": arguments.key,
        "by": by(context, arguments),
    }
    checkpoint = context.client.send("/v1/checkpoints", wanted)
    if not arguments.wait:
        if arguments.json:
            put_json(checkpoint)
        else:
            put(checkpoint["id"])
        return Exit.OK
    say(
        f"Waiting for an answer: holdfast checkpoints approve {checkpoint['id']}, "
        f"or reject {checkpoint['id']}"
    )
    return _waited(context, checkpoint, as_json=arguments.json)


def run_wait(context: Context, arguments: argparse.Namespace) -> int:
    checkpoint = context.client.get(f"/v1/checkpoints/{arguments.name}")
    return _waited(context, checkpoint, as_json=arguments.json)


def run_decide(context: Context, arguments: argparse.Namespace) -> int:
    body = {"comment": arguments.comment, "by": by(context, arguments)}
    if arguments.action != "cancel":
        body["option"] = arguments.option
    path = f"/v1/checkpoints/{arguments.name}/{arguments.action}"
    checkpoint = context.client.send(path, body)
    if arguments.json:
        put_json(checkpoint)
    else:
        say(f"{plain(checkpoint['title'])}: {checkpoint['state']}.")
    return Exit.OK


def run_templates(context: Context, arguments: argparse.Namespace) -> int:
    found = context.client.get("/v1/checkpoints/templates")
    if arguments.json:
        put_json(found)
        return Exit.OK
    rows = [
        (
            each["name"],
            each["about"],
            ", ".join(each["fields"]),
            ", ".join(each["options"]) or "-",
        )
        for each in found
    ]
    put(table(("NAME", "WHEN", "FIELDS", "OPTIONS"), rows, whole=True))
    return Exit.OK


def _waited(context: Context, checkpoint: Json, *, as_json: bool) -> int:
    decided = _decided(context, checkpoint)
    if as_json:
        put_json(decided)
    else:
        put(decided["state"])
        say(_outcome(decided))
    return ENDS[decided["state"]]


def _decided(context: Context, checkpoint: Json) -> Json:
    """As soon as it is. The daemon may go and come back meanwhile: the question is kept."""
    from holdfast.client import NotRunning

    told = False
    while checkpoint["state"] == "pending":
        path = f"/v1/checkpoints/{checkpoint['id']}"
        try:
            checkpoint = context.client.get(path, wait_secs=WAIT_S)
            told = False
        except NotRunning as error:
            if _is_long_overdue(checkpoint):
                raise NotRunning(
                    f"holdfast is away for longer than the checkpoint may wait: start it with "
                    f"`holdfast start`, then see `holdfast checkpoints show {checkpoint['id']}`"
                ) from error
            if not told:
                told = True
                say(
                    "holdfast is away and keeps the question; waiting for it to come back "
                    "(`holdfast start`)"
                )
            time.sleep(AWAY_S)
    return checkpoint


def _is_long_overdue(checkpoint: Json) -> bool:
    expires_ms = checkpoint.get("expires_ms", 0)
    return bool(expires_ms) and time.time() > expires_ms / 1_000 + OVERDUE_S


def _expires(checkpoint: Json) -> str:
    if checkpoint["state"] != "pending":
        return "-"
    return until(checkpoint["expires_ms"]) if checkpoint.get("expires_ms") else "never"


def _outcome(checkpoint: Json) -> str:
    who = f" by {plain(checkpoint['ended_by'])}" if checkpoint.get("ended_by") else ""
    chosen = f" ({plain(checkpoint['option'])})" if checkpoint.get("option") else ""
    why = f": {plain(checkpoint['comment'])}" if checkpoint.get("comment") else "."
    return f"{checkpoint['state'].capitalize()}{who}{chosen}{why}"


def _about(checkpoint: Json) -> list[str]:
    lines = [
        bold(plain(checkpoint["title"])),
        f"id         {checkpoint['id']}",
        f"state      {checkpoint['state']}",
    ]
    asked = f"asked      {ago(at(checkpoint['created_ms']))}"
    lines.append(asked + (f" by {plain(checkpoint['by'])}" if checkpoint.get("by") else ""))
    if checkpoint["state"] == "pending":
        lines.append(f"expires    {_expires(checkpoint)}")
    else:
        lines.append(f"ended      {ago(at(checkpoint['ended_ms']))}: {_outcome(checkpoint)}")
    lines += [
        f"{name:<10} {plain(checkpoint[name])}"
        for name in ("session", "task", "template")
        if checkpoint.get(name)
    ]
    if checkpoint.get("options"):
        lines.append(f"options    {', '.join(map(plain, checkpoint['options']))}")
    if checkpoint["question"]:
        lines += ["", *(plain(line) for line in checkpoint["question"].splitlines())]
    return lines
