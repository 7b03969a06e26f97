"""`learnings`: what was decided, preferred, corrected and found out in conversations."""

from __future__ import annotations

import argparse
from typing import Final

from holdfast.cli.context import Context
from holdfast.cli.output import ago, counted, plain, put, put_json, say, table
from holdfast.cli.parsing import Commands, add_command, add_json, count, moment
from holdfast.errors import Exit

LISTED: Final = 50
# As `work.learnings.TYPES`, which is not imported to print a help text.
TYPES: Final = ("decision", "preference", "correction", "pattern")


def add_commands(commands: Commands) -> None:
    parser = add_command(
        commands,
        "learnings",
        run_learnings,
        "what was learnt in conversations",
        "Decisions, preferences, corrections and patterns that people and agents put into words,\n"
        "in English, each with where it was said: `holdfast show SESSION` reads on there.",
    )
    parser.add_argument("--type", choices=TYPES, default="", help="only these")
    parser.add_argument("--session", metavar="SESSION", help="only what was said there")
    parser.add_argument(
        "--since",
        type=moment,
        metavar="WHEN",
        help="only what was said since: 2026-11-20, or a span back from now: 30m, 12h, 7d, 2w",
    )
    parser.add_argument(
        "-n",
        "--limit",
        type=count,
        help=f"at most so many (default {LISTED}; with --json all of them)",
    )
    add_json(parser)


def run_learnings(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast.events import stream_id
    from holdfast.work.learnings import STREAM, LearningFilter, list_learnings

    session = context.library().session(arguments.session).id if arguments.session else ""
    wanted = LearningFilter(
        type=arguments.type, session=session, since=arguments.since or "", limit=arguments.limit
    )
    with context.reader() as reader:
        found = list_learnings(reader.events(stream_id(STREAM)), wanted)
    if arguments.json:
        put_json(found)
        return Exit.OK
    if not found:
        chosen = arguments.type or session or arguments.since
        say(
            "No learnings fit."
            if chosen
            else "No learnings yet: the running daemon looks for them when a conversation pauses."
        )
        return Exit.OK
    shown = found[: arguments.limit or LISTED]
    rows = [
        (
            each.type,
            ago(each.last_at),
            f"{each.times:,}",
            plain(each.sources[-1].session),
            plain(each.text),
        )
        for each in shown
    ]
    head = ("TYPE", "SAID", "TIMES", "SESSION", "LEARNING")
    put(table(head, rows, frozenset({2}), whole=True))
    if len(shown) < len(found):
        say(f"{counted(len(found) - len(shown), 'more learning')}: -n {len(found)} shows all.")
    return Exit.OK
