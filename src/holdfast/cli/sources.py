"""`sources`: which agents are read, from where, and what came of every byte of their logs."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from holdfast.cli.context import Context
from holdfast.cli.output import bold, counted, dim, plain, put, put_json, size, table
from holdfast.cli.parsing import Commands, add_command, add_json
from holdfast.errors import Exit, HoldfastError

if TYPE_CHECKING:
    from holdfast.sources.base import Source

JsonObject = dict[str, Any]

ROOTS_SHOWN: Final = 2  # of an agent that was not found; -v shows all
TYPES_SHOWN: Final = 10
ERRORS_SHOWN: Final = 5
NOT_KEPT_SHOWN: Final = 5


class UnknownAgent(HoldfastError):
    """There is no source of that name."""

    exit: ClassVar[Exit] = Exit.USAGE


def add_commands(commands: Commands) -> None:
    parser = add_command(
        commands,
        "sources",
        run_sources,
        "which agents are read, from where, and what came of every byte",
        "Says of each agent where its logs are looked for and who says so, what was found, what\n"
        "waits to be read, what was not understood, and what the agent is about to delete.",
    )
    parser.add_argument("--agent", default="", help="all about one agent, such as claude")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="all about every agent that was found"
    )
    add_json(parser)


def run_sources(context: Context, arguments: argparse.Namespace) -> int:
    reports = get_reports(context)
    if arguments.agent:
        known = ", ".join(each["agent"] for each in reports)
        reports = [each for each in reports if each["agent"] == arguments.agent]
        if not reports:
            raise UnknownAgent(f"{arguments.agent!r} is no agent that is known here: {known}")
    if arguments.json:
        put_json(reports)
    else:
        put(render(reports, one=bool(arguments.agent), verbose=arguments.verbose))
    return Exit.OK


def get_reports(context: Context) -> list[JsonObject]:
    """From the daemon when it runs, else from the journal and the folders themselves."""
    if os.path.exists(context.paths.socket) and context.client.is_running():
        reports: list[JsonObject] = context.client.get("/v1/sources")
        return reports
    import msgspec

    from holdfast.journal.reader import SqliteReader
    from holdfast.journal.sqlite import JournalMissing
    from holdfast.sources.registry import every_source
    from holdfast.status.sources import source_reports

    settings = context.settings
    try:
        reader = SqliteReader(context.paths.journal)
    except JournalMissing:
        reader = None
    try:
        found = source_reports(
            every_source(settings.source, context.environ),
            reader,
            now_s=time.time(),
            warn_days=settings.sources.warn_deletion_days,
        )
    finally:
        if reader is not None:
            reader.close()
    plain_reports: list[JsonObject] = msgspec.to_builtins(found)
    return plain_reports


def render(reports: list[JsonObject], *, one: bool = False, verbose: bool = False) -> str:
    """A row for each agent, those with the most first; below it what needs to be said."""
    if one:
        return "\n".join(_details(reports[0]))
    found = sorted(filter(_is_there, reports), key=lambda each: -each["bytes"]["seen"])
    others = [each for each in reports if each not in found]
    lines = [_table(found)] if found else ["No agent's logs were found."]
    for report in found:
        lines += _details(report) if verbose else _remarks(report)
    if others:
        lines.append(bold("Not found") if found else "Looked in:")
        if verbose:
            lines += [line for report in others for line in _where(report)]
        else:
            lines += [
                _in_short(each["name"], [root["path"] for root in each["roots"]], each["origin"])
                for each in others
            ]
        lines.append(
            dim("Logs that appear there are read at once; elsewhere: set sources.<agent>.roots.")
        )
    return "\n".join(lines)


def _is_there(report: JsonObject) -> bool:
    return bool(report["files"]) or (
        report["enabled"] and any(root["exists"] for root in report["roots"])
    )


def _table(reports: list[JsonObject]) -> str:
    rows = []
    for each in reports:
        counts = each["bytes"]
        rows.append(
            (
                each["agent"],
                f"{each['files']:,}",
                f"{each['sessions']:,}",
                f"{each['events']:,}",
                size(counts["seen"]),
                size(counts["skipped"]),
                size(counts["unknown"]),
                size(counts["bad"]),
                size(each["lag_bytes"]),
                _state(each),
            )
        )
    head = (
        "AGENT", "LOGS", "SESSIONS", "EVENTS", "SEEN", "SKIPPED", "UNKNOWN", "BAD", "UNREAD", "",
    )  # fmt: skip
    return table(head, rows, right=frozenset(range(1, 9)))


def _state(report: JsonObject) -> str:
    if not report["enabled"]:
        return "off"
    if report["unreadable_files"]:
        return f"{report['unreadable_files']:,} fail"
    return ""


def _remarks(report: JsonObject) -> Iterator[str]:
    """What somebody should know without asking."""
    name = bold(report["agent"])
    for each in report["unknown_types"][:TYPES_SHOWN]:
        yield f"{name}  unknown type {plain(each['type'])}: {counted(each['records'], 'record')}"
    for each in report["errors"][:1]:
        yield f"{name}  cannot read {plain(each['path'])}: {plain(each['error'])}"
    yield from expiring_lines(report["expiring"], f"{name}  ")


def _details(report: JsonObject) -> Iterator[str]:
    counts = report["bytes"]
    state = "" if report["enabled"] else f" (off: sources.{report['agent']}.enabled is false)"
    yield f"{bold(report['name'])}{state}"
    yield from _where(report)
    yield (
        f"  {counted(report['files'], 'log')}, {counted(report['sessions'], 'session')}, "
        f"{counted(report['events'], 'event')}"
    )
    yield (
        f"  {size(counts['seen'])} seen = {size(counts['parsed'])} parsed + "
        f"{size(counts['skipped'])} skipped + {size(counts['unknown'])} unknown + "
        f"{size(counts['bad'])} bad"
        + (f" (of it {size(counts['torn'])} torn)" if counts["torn"] else "")
    )
    if report["unread_files"]:
        waiting = counted(report["unread_files"], "log")
        yield f"  not read yet: {size(report['lag_bytes'])} in {waiting}"
    if report["gone_files"]:
        yield f"  {report['gone_files']:,} deleted by the agent, kept here"
    for each in report["unknown_types"][:TYPES_SHOWN]:
        yield (
            f"  unknown type {plain(each['type'])}: {counted(each['records'], 'record')}, "
            f"{size(each['bytes'])}, kept raw"
        )
    if len(report["unknown_types"]) > TYPES_SHOWN:
        yield f"  and {len(report['unknown_types']) - TYPES_SHOWN:,} more unknown types (--json)"
    if report["unreadable_files"]:
        yield f"  {counted(report['unreadable_files'], 'log')} cannot be read:"
    for each in report["errors"][:ERRORS_SHOWN]:
        yield f"    {plain(each['path'])}: {plain(each['error'])}"
    yield from expiring_lines(report["expiring"], "  ")


def _where(report: JsonObject) -> Iterator[str]:
    for root in report["roots"]:
        there = "" if root["exists"] else ", does not exist"
        yield f"  {plain(root['path'])} ({report['origin']}{there})"


def _in_short(name: str, roots: Sequence[str], origin: str) -> str:
    """Agents that live in editors may be in dozens of places."""
    shown = ", ".join(map(plain, roots[:ROOTS_SHOWN]))
    more = f" and {len(roots) - ROOTS_SHOWN} more" if len(roots) > ROOTS_SHOWN else ""
    return f"  {name}: {shown}{more} ({origin})"


def expiring_lines(expiring: JsonObject | None, indent: str, name: str = "") -> list[str]:
    """What an agent is about to delete, and whether it is all kept."""
    if expiring is None:
        return []
    files, kept = expiring["files"], expiring["kept_files"]
    due = expiring.get("due_files", 0)  # a daemon that an update left running does not tell
    if not due:
        when = f" from {expiring['earliest_at'][:10]} on"
    elif due < files:
        when = f", {due:,} at its next start, the rest until {expiring['latest_at'][:10]}"
    else:
        when = " at its next start"
    what = f"{name} deletes" if name else "the agent deletes"
    if kept == files:
        rest = "; it is kept here" if files == 1 else f"; all {files:,} are kept here"
    else:
        rest = f"; {kept:,} kept here, {files - kept:,} NOT:"
    logs = f"{counted(files, 'log')} ({size(expiring['bytes'])})"
    lines = [f"{indent}{what} {logs}{when}{rest}"]
    shown = expiring["not_kept"][:NOT_KEPT_SHOWN]
    lines += [f"{indent}  {plain(each['path'])}: {plain(each['why'])}" for each in shown]
    if len(shown) < expiring["not_kept_files"]:
        more = expiring["not_kept_files"] - len(shown)
        lines.append(f"{indent}  and {more:,} more (holdfast sources --json)")
    if shown:
        lines.append(f"{indent}  `holdfast import` reads what can be read")
    if not name:
        lines.append(f"{indent}  (it keeps logs for {expiring['retention']})")
    return lines


def where_it_looked(sources: Iterable[Source]) -> str:
    """For somebody whose logs were not found."""
    lines = ["No agent logs found. Looked in:"]
    lines += [_in_short(each.name, each.roots(), each.place.origin) for each in sources]
    if len(lines) == 1:
        return "No agent is enabled: see sources.<agent>.enabled in `holdfast config show --origin`"
    lines.append("Are they elsewhere? Set sources.<agent>.roots, or the agent's own variable.")
    return "\n".join(lines)
