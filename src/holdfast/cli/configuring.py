"""`config` and `completion`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, ClassVar

from holdfast.cli.context import Context
from holdfast.cli.output import put, put_json, say, table
from holdfast.cli.parsing import Commands, add_command, add_json
from holdfast.errors import Exit, HoldfastError
from holdfast.paths import Paths

if TYPE_CHECKING:
    from holdfast.settings import Row


class ConfigExists(HoldfastError):
    """There is a config file already."""

    exit: ClassVar[Exit] = Exit.CONFIG


class ConfigNotWritten(HoldfastError):
    """The config file cannot be written."""

    exit: ClassVar[Exit] = Exit.CONFIG


def add_commands(commands: Commands) -> None:
    config = add_command(commands, "config", _help, "write, show and check the settings")
    config.set_defaults(parser=config)
    actions = config.add_subparsers(title="actions", metavar="ACTION")
    init = add_command(
        actions, "init", run_init, "write a config file with every setting explained"
    )
    init.add_argument("--force", action="store_true", help="replace one that is there")
    show = add_command(actions, "show", run_show, "print what holds now")
    show.add_argument("--origin", action="store_true", help="and where each value comes from")
    add_json(show)
    add_command(actions, "validate", run_validate, "check the config file and the environment")
    add_command(actions, "schema", run_schema, "print the JSON Schema of the config file")
    completion = add_command(
        commands,
        "completion",
        run_completion,
        "print a completion script for your shell",
        'bash:  eval "$(holdfast completion bash)"\n'
        'zsh:   eval "$(holdfast completion zsh)"\n'
        "tcsh:  holdfast completion tcsh | source /dev/stdin",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def _help(_context: Context, arguments: argparse.Namespace) -> int:
    arguments.parser.print_help()
    return Exit.USAGE


def write_config_if_missing(paths: Paths) -> bool:
    if os.path.exists(paths.config_file):
        return False
    write_config(paths)
    return True


def write_config(paths: Paths) -> None:
    from holdfast.settings import render_default_config

    try:
        os.makedirs(os.path.dirname(paths.config_file), mode=0o700, exist_ok=True)
        with open(paths.config_file, "w", encoding="utf-8") as file:
            file.write(render_default_config())
    except OSError as error:
        raise ConfigNotWritten(
            f"cannot write {paths.config_file} ({error.strerror}): check its folder, or set "
            "HOLDFAST_HOME to one that you can write to"
        ) from error


def run_init(context: Context, arguments: argparse.Namespace) -> int:
    paths = context.paths
    if os.path.exists(paths.config_file) and not arguments.force:
        raise ConfigExists(
            f"{paths.config_file} exists already: edit it, or replace it with --force"
        )
    write_config(paths)
    say(f"Wrote {paths.config_file}.")
    return Exit.OK


def run_show(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast.settings import rows, write_value

    found = rows(context.loaded)
    if arguments.json:
        put_json(
            {
                row.key: {"value": row.value, "origin": row.origin}
                if arguments.origin
                else row.value
                for row in found
            }
        )
        return Exit.OK
    # The value comes last: it may be long, and what the terminal has no room for is cut.
    lines = [
        (key, row.origin, "(not set)" if value is None else write_value(value))
        for row in found
        for key, value in _singly(row)
    ]
    if arguments.origin:
        put(table(("SETTING", "FROM", "VALUE"), lines))
    else:
        put(table(("SETTING", "VALUE"), [(key, value) for key, _origin, value in lines]))
    return Exit.OK


def _singly(row: Row) -> list[tuple[str, object]]:
    """The tables of a list each on a line of its own."""
    import msgspec

    if isinstance(row.value, tuple) and row.value and isinstance(row.value[0], msgspec.Struct):
        return [(f"{row.key}[{place}]", table) for place, table in enumerate(row.value)]
    return [(row.key, row.value)]


def run_validate(context: Context, _arguments: argparse.Namespace) -> int:
    _ = context.loaded
    exists = os.path.exists(context.paths.config_file)
    say(f"{context.paths.config_file} is {'sound' if exists else 'not there: the defaults hold'}.")
    return Exit.OK


def run_schema(_context: Context, _arguments: argparse.Namespace) -> int:
    from holdfast.settings import json_schema

    put_json(json_schema())
    return Exit.OK


def run_completion(_context: Context, arguments: argparse.Namespace) -> int:
    import shtab

    put(shtab.complete(arguments.root, shell=arguments.shell))
    return Exit.OK
