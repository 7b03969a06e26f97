"""`drill`: what happens when it gets tight, tried out."""

from __future__ import annotations

import argparse
import sys

from holdfast.cli.context import Context
from holdfast.cli.output import put
from holdfast.cli.parsing import Commands, add_command
from holdfast.errors import Exit


def add_commands(commands: Commands) -> None:
    drill = add_command(commands, "drill", _help, "try out what happens when it gets tight")
    drill.set_defaults(parser=drill)
    drills = drill.add_subparsers(title="drills", metavar="DRILL")
    pressure = add_command(
        drills,
        "pressure",
        run_pressure,
        "bring a daemon of its own to every level of memory pressure, and show what it does",
        "Works on made-up logs in a temporary folder, under a ceiling so small that they fill it,\n"
        "and leaves nothing behind. Takes about a minute.",
    )
    pressure.add_argument(
        "--seed", type=int, default=7, metavar="N", help="another number makes up other logs"
    )


def _help(_context: Context, arguments: argparse.Namespace) -> int:
    arguments.parser.print_help(sys.stderr)
    return Exit.USAGE


def run_pressure(_context: Context, arguments: argparse.Namespace) -> int:
    from holdfast.drill import pressure

    pressure(seed=arguments.seed, out=put)
    return Exit.OK
