"""`hooks`: having agents tell holdfast what happens in them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from holdfast.cli.context import Context
from holdfast.cli.output import counted, plain, put, put_json, say, size
from holdfast.cli.parsing import Commands, add_command, add_json
from holdfast.errors import Exit

if TYPE_CHECKING:
    from holdfast.hooks import AgentHooks, Done, Status, Where


def add_commands(commands: Commands) -> None:
    group = add_command(
        commands,
        "hooks",
        _help,
        "have an agent tell holdfast what happens in it",
        "What is installed sends the agent's own events to the daemon, for this user only.",
    )
    group.set_defaults(parser=group)
    actions = group.add_subparsers(title="actions", metavar="ACTION")
    installing = add_command(
        actions,
        "install",
        run_install,
        "write the agent's plugin, or bring it up to date",
        "Run it again after an update of holdfast, for another HOLDFAST_HOME, and after a change\n"
        "of sources.opencode.exclude_projects.",
    )
    installing.add_argument(
        "-n", "--dry-run", action="store_true", help="print the file, change nothing"
    )
    removing = add_command(
        actions,
        "uninstall",
        run_uninstall,
        "remove what install wrote",
        "What holdfast keeps is not touched.",
    )
    telling = add_command(
        actions,
        "status",
        run_status,
        "whether hooks are installed and up to date, and what waits to be sent",
        "Ends with 0 when all that are asked for are installed and up to date, else with 4.",
    )
    for parser in (installing, removing):
        parser.add_argument("agent", metavar="AGENT", help="opencode")
        parser.add_argument("--force", action="store_true", help="though somebody edited the file")
    telling.add_argument("agent", metavar="AGENT", nargs="?", help="this one only")
    for parser in (installing, removing, telling):
        add_json(parser)


def _help(_context: Context, arguments: argparse.Namespace) -> int:
    arguments.parser.print_help()
    return Exit.USAGE


def run_install(context: Context, arguments: argparse.Namespace) -> int:
    hooks = _hooks(arguments.agent)
    if arguments.dry_run:
        path, text = hooks.path(_where(context)), hooks.text(_where(context))
        if arguments.json:
            put_json({"path": path, "text": text})
        else:
            say(f"Would write {path}:")
            put(text.rstrip("\n"))
        return Exit.OK
    _tell(
        hooks.install(_where(context), force=arguments.force),
        as_json=arguments.json,
    )
    return Exit.OK


def run_uninstall(context: Context, arguments: argparse.Namespace) -> int:
    hooks = _hooks(arguments.agent)
    _tell(
        hooks.uninstall(_where(context), force=arguments.force),
        as_json=arguments.json,
    )
    return Exit.OK


def run_status(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast.hooks import HOOKED

    agents = [arguments.agent] if arguments.agent else list(HOOKED)
    told = [_hooks(agent).status(_where(context)) for agent in agents]
    if arguments.json:
        put_json(told)
    else:
        put("\n".join(line for each in told for line in _lines(each)))
    return Exit.OK if all(each.up_to_date for each in told) else Exit.NOT_FOUND


def _where(context: Context) -> Where:
    from holdfast.hooks import Where
    from holdfast.ingest.exclusion import excluded_projects, path_expression

    patterns = excluded_projects(context.settings)["opencode"]
    return Where(
        paths=context.paths,
        environ=context.environ,
        excluded=[path_expression(each) for each in patterns],
    )


def _hooks(agent: str) -> AgentHooks:
    from holdfast.hooks import hooks_of

    return hooks_of(agent)


def _tell(done: Done, *, as_json: bool) -> None:
    if as_json:
        put_json(done)
        return
    for step in done.steps:
        say(f"{plain(step)}.")
    for note in done.notes:
        say(f"Note: {plain(note)}.")


def _lines(told: Status) -> list[str]:
    again = f"`holdfast hooks install {told.agent}`"
    if not told.installed:
        state = f"not installed: {again}"
    elif told.edited:
        state = "edited by somebody, or not holdfast's: `hooks install` leaves it alone"
    elif told.up_to_date:
        state = f"up to date (holdfast {told.version})"
    else:
        state = f"outdated, of holdfast {told.version}: {again} writes it anew"
    lines = [f"{told.agent}  {plain(told.path)}", f"  {state}"]
    lines += [f"  also installed: {plain(other)}" for other in told.elsewhere]
    if told.buffer_files:
        lines.append(
            f"  {size(told.buffer_bytes)} wait to be sent, in "
            f"{counted(told.buffer_files, 'file')} of {plain(told.buffer)}"
        )
    return lines
