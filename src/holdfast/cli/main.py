"""The parser of the command line, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from holdfast import __version__
from holdfast.cli.context import Context
from holdfast.cli.parsing import Command
from holdfast.errors import Exit, HoldfastError

EPILOG = """\
A SESSION is an id, the agent's own id, `agent/id`, or the beginning of one that fits no other.
Data goes to stdout, talk to stderr. Exit codes are listed in docs/operations.md.
"""


def run(arguments: Sequence[str]) -> int:
    parser = make_parser()
    parsed = parser.parse_args(arguments)
    command: Command | None = getattr(parsed, "run", None)
    if command is None:
        parser.print_help(sys.stderr)
        return Exit.USAGE
    try:
        return command(Context(), parsed)
    except HoldfastError as error:
        print(f"holdfast: {error}", file=sys.stderr)
        return getattr(error, "code", int(error.exit))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us had enough: nothing to add
        return Exit.OK


def make_parser() -> argparse.ArgumentParser:
    from holdfast.cli import configuring, importing, lifecycle, reading, status, tidying

    parser = argparse.ArgumentParser(
        prog="holdfast",
        description="Keeps every conversation of your AI coding agents, under a memory ceiling.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(root=parser)  # for completion, which describes all of it
    parser.add_argument("-V", "--version", action="version", version=f"holdfast {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for group in (lifecycle, importing, status, reading, configuring, tidying):
        group.add_commands(commands)
    return parser
