"""`record`, `capture`, `stop SESSION`, `recordings`: files that follow a session."""

from __future__ import annotations

import argparse
import os
from typing import Any, Final

from holdfast.cli.context import Context
from holdfast.cli.exporting import here
from holdfast.cli.output import ago, bold, counted, plain, put, put_json, say, table
from holdfast.cli.parsing import Commands, add_command, add_json, count
from holdfast.errors import Exit

LISTED: Final = 20


def add_commands(commands: Commands) -> None:
    record = add_command(
        commands,
        "record",
        run_record,
        "write what is said in a session from now on into a file",
        "The file follows the session until `holdfast stop SESSION`, or `::stop` in the chat.\n"
        "Without a PATH it goes on with what was prepared or stopped last, else into a new file\n"
        "in recording.default_folder.",
    )
    capture = add_command(
        commands,
        "capture",
        run_capture,
        "write a session from its beginning into a file, and go on recording",
        "Without a PATH it goes into a new file in recording.default_folder.",
    )
    for parser in (record, capture):
        parser.add_argument("session", metavar="SESSION")
        parser.add_argument(
            "path", metavar="PATH", nargs="?", default="", help="a file (.md or .jsonl) or a folder"
        )
        add_json(parser)
    listing = add_command(
        commands,
        "recordings",
        run_recordings,
        "list recordings and the commands that were given",
        f"The {LISTED} newest, and all that are active. Works without a daemon too.",
    )
    listing.add_argument("--all", action="store_true", help="every one there ever was")
    listing.add_argument(
        "-n", "--limit", type=count, default=LISTED, help=f"at most so many (default {LISTED})"
    )
    add_json(listing)


def run_record(context: Context, arguments: argparse.Namespace) -> int:
    return command(context, "record", arguments)


def run_capture(context: Context, arguments: argparse.Namespace) -> int:
    return command(context, "capture", arguments)


def command(context: Context, name: str, arguments: argparse.Namespace) -> int:
    """Ask the daemon, wait for what becomes of it, and say so."""
    path = getattr(arguments, "path", "")
    answer: dict[str, Any] = context.client.post(
        f"/v1/sessions/{arguments.session}/recordings",
        command=name,
        path=path,
        cwd=here() if name != "stop" else "",
    )
    if arguments.json:
        put_json(answer)
    else:
        outcome = plain(answer["outcome"])
        say(f"{outcome[:1].upper()}{outcome[1:]}.")
        if answer["problem"]:
            say(f"Not written yet: {plain(answer['problem'])}")
    return Exit.FAILURE if answer["problem"] else Exit.OK


def run_recordings(context: Context, arguments: argparse.Namespace) -> int:
    listing = context.answers.recordings(None if arguments.all else arguments.limit)
    if arguments.json:
        put_json(listing)
        return Exit.OK
    if not listing["recordings"] and not listing["commands"]:
        say(
            "Nothing was ever recorded. `holdfast record SESSION`, or ::record in the chat, begins."
        )
        return Exit.OK
    if listing["recordings"]:
        put(_recordings(listing["recordings"]))
    if listing["commands"]:
        put(("\n" if listing["recordings"] else "") + _commands(listing["commands"]))
    left_out = [
        counted(listing[f"{things}s_left_out"], f"older {things}")
        for things in ("recording", "command")
        if listing[f"{things}s_left_out"]
    ]
    if left_out:
        say(f"{' and '.join(left_out)}: --all lists them.")
    return Exit.OK


def _recordings(found: list[dict[str, Any]]) -> str:
    rows = [
        (
            each["state"],
            each["session"],
            f"{each['events']:,}",
            ago(each["written_at"] or each["started_at"]),
            each["asked"],
            _home(each["path"]),
        )
        for each in found
    ]
    head = ("STATE", "SESSION", "EVENTS", "WRITTEN", "BY", "FILE")
    lines = [table(head, rows, right=frozenset({2}), whole=True)]
    lines += [
        f"{bold(each['state'])}  {plain(each['problem'])}" for each in found if each["problem"]
    ]
    return "\n".join(lines)


def _commands(found: list[dict[str, Any]]) -> str:
    rows = [
        (
            ago(each["at"]),
            each["session"],
            each["state"],
            plain(f"{each['text']}: {each['outcome']}"),
        )
        for each in found
    ]
    return table(("GIVEN", "SESSION", "STATE", "COMMAND, AND WHAT BECAME OF IT"), rows, whole=True)


def _home(path: str) -> str:
    home = os.path.expanduser("~")
    return plain("~" + path[len(home) :] if path.startswith(home + "/") else path)
