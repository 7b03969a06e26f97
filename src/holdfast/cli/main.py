"""The parser of the command line, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence

from holdfast import __version__
from holdfast.cli.context import Context
from holdfast.cli.parsing import Command, CommandParser
from holdfast.errors import Exit, HoldfastError

EPILOG = """\
A SESSION is an id, the agent's own id, `agent/id`, or the beginning of one that fits no other.
Data goes to stdout, talk to stderr. Exit codes are listed in docs/operations.md.
"""


def run(arguments: Sequence[str]) -> int:
    parser = make_parser()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter still reads on
    for argument in arguments:
        if not argument.isprintable() and _is_foreign(argument):
            parser.error(f"{argument!a} is not UTF-8: type it again, or rename what it names")
    parsed = parser.parse_args(arguments)
    command: Command | None = getattr(parsed, "run", None)
    if command is None:
        parser.print_help(sys.stderr)
        return Exit.USAGE
    try:
        code = command(Context(), parsed)
        sys.stdout.flush()
    except HoldfastError as error:
        print(f"holdfast: {error}", file=sys.stderr)
        return getattr(error, "code", int(error.exit))
    except KeyboardInterrupt:
        print("holdfast: interrupted; what was done is kept", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # whoever read us had enough: nothing to add
        return Exit.OK
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO):
            raise
        _drop_output()
        print(f"holdfast: cannot write the output: {error.strerror}", file=sys.stderr)
        return Exit.FAILURE
    return code


def _is_foreign(argument: str) -> bool:
    """Bytes that are no UTF-8 come in as halves of surrogate pairs."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return True
    return False


def _drop_output() -> None:
    """What is still buffered has nowhere to go; the interpreter must not try again at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def make_parser() -> argparse.ArgumentParser:
    from holdfast.cli import (
        alerts,
        blobs,
        checkpoints,
        configuring,
        debugging,
        doctor,
        drilling,
        exporting,
        health,
        hooks,
        importing,
        intents,
        lifecycle,
        metrics,
        reading,
        recording,
        redacting,
        service,
        sources,
        status,
        streams,
        tasks,
        tidying,
    )

    parser = argparse.ArgumentParser(
        prog="holdfast",
        description="Keeps every conversation of your AI coding agents, under a memory ceiling.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(root=parser)  # for completion, which describes all of it
    parser.add_argument("-V", "--version", action="version", version=f"holdfast {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", parser_class=CommandParser
    )
    groups = (
        lifecycle,
        importing,
        status,
        health,
        metrics,
        alerts,
        sources,
        reading,
        exporting,
        recording,
        streams,
        tasks,
        checkpoints,
        intents,
        blobs,
        configuring,
        doctor,
        drilling,
        redacting,
        tidying,
        hooks,
        service,
        debugging,
    )
    for group in groups:
        group.add_commands(commands)
    return parser
