"""`ledger`: what is to be done, what was decided and learnt, as a page; made of the journal itself.

It works without a daemon and beside one, as exports do (docs/decisions/0009).
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Final

from holdfast.cli.context import Context
from holdfast.cli.exporting import refuse_own, write_policy
from holdfast.cli.output import put_bytes, put_json, say, size
from holdfast.cli.parsing import Commands, add_command, add_json
from holdfast.errors import Exit

if TYPE_CHECKING:
    from holdfast.work.ledger import Ledger

STDOUT: Final = "-"


def add_commands(commands: Commands) -> None:
    parser = add_command(
        commands,
        "ledger",
        run_ledger,
        "epics, tasks, decisions and learnings as one page",
        "The page is made of the log, and is a copy: what is written into it by hand is not read\n"
        "back. With ledger.path in the settings the daemon keeps one up to date.",
    )
    parser.add_argument(
        "-o", "--output", default=STDOUT, metavar="PATH", help="a file, or - for stdout (default)"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a file that is there and is no ledger"
    )
    add_json(parser)


def run_ledger(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast.work.ledger_page import page

    ledger = read_ledger(context)
    if arguments.output == STDOUT:
        if arguments.json:
            put_bytes([ledger.dump(), b"\n"])
        else:
            put_bytes([page(ledger.state).encode()])
        return Exit.OK
    from holdfast.work.ledger_file import write_page

    refuse_own(context, arguments.output)
    policy = write_policy(context)
    count = write_page(policy, arguments.output, page(ledger.state), force=arguments.force)
    if arguments.json:
        put_json({"path": policy.resolve(arguments.output), "bytes": count})
    else:
        say(f"Wrote {os.path.relpath(policy.resolve(arguments.output))} ({size(count)}).")
    return Exit.OK


def read_ledger(context: Context) -> Ledger:
    from holdfast.work.ledger import Ledger
    from holdfast.work.replay import bring_up_to_date

    ledger = Ledger()
    with context.reader() as reader:
        bring_up_to_date(reader, ledger)
    return ledger
