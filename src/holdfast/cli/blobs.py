"""`blobs`: images and other large payloads, what they cost, and one of them back."""

from __future__ import annotations

import argparse
from typing import Any, Final

from holdfast.cli.context import Context
from holdfast.cli.output import ago, counted, put, put_bytes, put_json, say, size, table
from holdfast.cli.parsing import Commands, add_command, add_json, count
from holdfast.errors import Exit

SHOWN: Final = 20
DIGEST_CHARS: Final = 12


def add_commands(commands: Commands) -> None:
    parser = add_command(
        commands,
        "blobs",
        run_blobs,
        "images and other large payloads, and what they cost",
        "Large payloads are stored once each, beside the journal. Without a digest the largest\n"
        "are listed; with one, or the beginning of one, that payload goes to stdout:\n"
        "    holdfast blobs 3f2a > picture.png\n"
        "`holdfast clean --blobs` drops them by age or size.",
    )
    parser.add_argument("digest", metavar="DIGEST", nargs="?", help="get this payload")
    parser.add_argument("--session", metavar="SESSION", default="", help="only those of a session")
    parser.add_argument("--dropped", action="store_true", help="also those that were let go of")
    parser.add_argument(
        "-n", "--limit", type=count, default=SHOWN, help=f"at most so many (default {SHOWN})"
    )
    add_json(parser)


def run_blobs(context: Context, arguments: argparse.Namespace) -> int:
    answers = context.answers
    if arguments.digest is not None:
        put_bytes(answers.blob(arguments.digest))
        return Exit.OK
    session = answers.session(arguments.session)["id"] if arguments.session else ""
    report = answers.blobs(session=session, dropped=arguments.dropped, limit=arguments.limit)
    if arguments.json:
        put_json(report)
    else:
        _show(report)
    return Exit.OK


def _show(report: dict[str, Any]) -> None:
    rows = [
        (
            each["digest"][:DIGEST_CHARS],
            "dropped" if each["dropped_at"] else each["type"],
            size(each["bytes"]),
            "-" if each["dropped_at"] else size(each["stored_bytes"]),
            str(each["sessions"]),
            ago(each["used_at"]) if each["used_at"] else "unknown",
        )
        for each in report["shown"]
    ]
    if rows:
        head = ("DIGEST", "TYPE", "SIZE", "ON DISK", "SESSIONS", "LAST USED")
        put(table(head, rows, right=frozenset({2, 3, 4})))
    dropped = f", {report['dropped']:,} dropped" if report["dropped"] else ""
    say(
        f"{counted(report['count'], 'payload')}: {size(report['bytes'])}, "
        f"{size(report['stored_bytes'])} on disk{dropped}."
    )
