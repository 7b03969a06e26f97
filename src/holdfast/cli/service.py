"""`service`: having the daemon run by the system's service manager."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from holdfast.cli.context import Context
from holdfast.cli.output import plain, put, put_json, say
from holdfast.cli.parsing import Commands, add_command, add_json
from holdfast.errors import Exit
from holdfast.lock import holder

if TYPE_CHECKING:
    from holdfast.service import Done, Plan, Status
    from holdfast.service.operating import ByHand


def add_commands(commands: Commands) -> None:
    group = add_command(
        commands,
        "service",
        _help,
        "have systemd or launchd run the daemon",
        "The daemon then starts by itself, within limits that the system enforces too.",
    )
    group.set_defaults(parser=group)
    actions = group.add_subparsers(title="actions", metavar="ACTION")
    installing = add_command(
        actions,
        "install",
        run_install,
        "write the service's file, and start it",
        "The file follows the settings and the HOLDFAST_ variables of the moment: run it again\n"
        "after changing daemon.max_memory_mb. A daemon that was started by hand is stopped, and\n"
        "the service takes its place.",
    )
    installing.add_argument(
        "-n", "--dry-run", action="store_true", help="print the file, change nothing"
    )
    removing = add_command(
        actions,
        "uninstall",
        run_uninstall,
        "stop the service, and remove what install wrote",
        "What holdfast keeps is not touched.",
    )
    for parser in (installing, removing):
        parser.add_argument("--force", action="store_true", help="though somebody edited the file")
    telling = add_command(
        actions,
        "status",
        run_status,
        "whether it is installed, running, and up to date with the settings",
        "Ends with 0 when the service runs, else with 6.",
    )
    for parser in (installing, removing, telling):
        add_json(parser)


def _help(_context: Context, arguments: argparse.Namespace) -> int:
    arguments.parser.print_help()
    return Exit.USAGE


def run_install(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast import service

    manager = service.manager_for(context.environ)
    plan = _plan(context)
    if arguments.dry_run:
        text = manager.render(plan)
        if arguments.json:
            put_json({"path": manager.path, "text": text})
        else:
            say(f"Would write {manager.path}:")
            put(text.rstrip("\n"))
        return Exit.OK
    context.paths.ensure_dirs()
    _tell(
        service.install(manager, plan, _by_hand(context), force=arguments.force),
        as_json=arguments.json,
    )
    return Exit.OK


def run_uninstall(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast import service

    manager = service.manager_for(context.environ)
    _tell(service.uninstall(manager, force=arguments.force), as_json=arguments.json)
    return Exit.OK


def run_status(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast import service

    manager = service.manager_for(context.environ)
    told = service.status(manager, _plan(context), _by_hand(context))
    if arguments.json:
        put_json(told)
    else:
        put("\n".join(_lines(told)))
    return Exit.OK if told.active else Exit.NOT_RUNNING


def start_by_manager(context: Context) -> str | None:
    """Its name when it was told to start the daemon; None when that is for us to do."""
    from holdfast import service

    manager = service.manager_for(context.environ)
    if not os.path.exists(manager.path):
        return None
    plan = _plan(context)
    if service.is_for(manager, plan):
        return manager.name if service.start(manager) else None
    say(
        f"Note: {manager.path} is not what the settings ask for, so the daemon is started by hand: "
        "`holdfast service install` has the service run it."
    )
    return None


def _plan(context: Context) -> Plan:
    from holdfast.service import make_plan
    from holdfast.sources.registry import roots_variables

    return make_plan(
        context.settings,
        context.paths,
        context.environ,
        python=sys.executable,
        folders=roots_variables(),
    )


def _by_hand(context: Context) -> ByHand:
    from holdfast.cli.lifecycle import end
    from holdfast.service.operating import ByHand

    def pid() -> int | None:
        held = holder(context.paths.lock)
        return held[1] if held is not None and held[0] == "daemon" else None

    return ByHand(pid, lambda: end(context))


def _tell(done: Done, *, as_json: bool) -> None:
    if as_json:
        put_json(done)
        return
    for step in done.steps:
        say(f"{step}.")
    for note in done.notes:
        say(f"Note: {plain(note)}.")


def _lines(told: Status) -> list[str]:
    lines = [f"{told.path} ({told.manager})" if told.installed else f"not installed: {told.path}"]
    if told.edited:
        lines.append("  edited by somebody: `service install` leaves it alone without --force")
    elif told.installed:
        fresh = "up to date with the settings"
        lines.append(
            f"  {fresh if told.up_to_date else 'outdated: run `holdfast service install`'}"
        )
    lines += [f"    {plain(line)}" for line in told.differences]
    if told.problem is not None:
        lines.append(f"  {plain(told.problem)}")
    elif told.installed:
        starts = "starts by itself" if told.enabled else "does not start by itself"
        runs = f"runs (pid {told.pid})" if told.active else "does not run"
        lines.append(f"  {starts}, {runs}: {plain(told.said)}")
    if told.by_hand_pid is not None and told.problem is None:
        lines.append(
            f"  a daemon that was started by hand runs (pid {told.by_hand_pid}): "
            "`holdfast service install` puts the service in its place"
        )
    return lines
