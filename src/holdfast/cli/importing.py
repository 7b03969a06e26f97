"""`import`: read every source to its end once, through the daemon or without one."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from holdfast.cli.context import Context
from holdfast.cli.output import counted, put_json, say, size
from holdfast.cli.parsing import Commands, add_command, add_json
from holdfast.cli.sources import where_it_looked
from holdfast.errors import Exit, HoldfastError

OnStep = Callable[[dict[str, Any], int], None]
"""Called with the progress as JSON has it and the memory of the process tree in bytes."""


def add_commands(commands: Commands) -> None:
    parser = add_command(
        commands,
        "import",
        run_import,
        "read every log to its end, once",
        "Uses the daemon when it runs; works without one too. What was imported before is not\n"
        "read again, so running it twice changes nothing.",
    )
    add_json(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def run_import(context: Context, arguments: argparse.Namespace) -> int:
    quiet = arguments.quiet
    if os.path.exists(context.paths.socket) and context.client.is_running():
        report = through_daemon(context, quiet=quiet)
    else:
        report = in_this_process(context, quiet=quiet)
    if arguments.json:
        put_json(report)
    elif report["files"] or report["problems"]:
        say(describe(report))
    else:
        say(where_it_looked(context.sources.values()))
    return Exit.OK


def through_daemon(context: Context, *, quiet: bool = False) -> dict[str, Any]:
    from holdfast.client import NotRunning, Refused

    with progress_bar(quiet=quiet) as step:
        for line in context.client.lines("POST", "/v1/import"):
            if "progress" in line:
                if step is not None:
                    step(line["progress"], line["tree_bytes"])
            elif "problem" in line:
                raise Refused(line["problem"]["error"], line["problem"]["exit"])
            else:
                report: dict[str, Any] = line["report"]
                return report
    raise NotRunning("holdfast stopped before the import was done: start it and import again")


def in_this_process(context: Context, *, quiet: bool = False) -> dict[str, Any]:
    gc.disable()  # the process ends with the import, and nothing in it makes cycles

    import msgspec

    from holdfast.governor.readings import Readings
    from holdfast.ingest.importer import Importer, Progress
    from holdfast.lock import JournalLock
    from holdfast.privacy import compiled
    from holdfast.wiring import make_setup, open_journal

    settings, paths = context.settings, context.paths
    paths.ensure_dirs()
    problems: list[HoldfastError] = []
    readings = Readings()
    with JournalLock(paths.lock).acquire("import"), progress_bar(quiet=quiet) as step:
        journal = open_journal(settings, paths, problems.append)
        shown_s = 0.0

        def show(progress: Progress) -> None:
            nonlocal shown_s
            if step is not None and (progress.finished or time.monotonic() - shown_s > 0.1):
                shown_s = time.monotonic()
                step(msgspec.to_builtins(progress), readings.tree().footprint_bytes)

        importer = Importer(
            journal,
            context.sources,
            workers=settings.import_workers(os.cpu_count() or 1),
            setup=make_setup(settings, paths, compile_screen=compiled),
            on_progress=show,
        )
        try:
            report = importer.run()
        finally:
            importer.stop()
            journal.close()
    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain


def describe(report: dict[str, Any]) -> str:
    """The report in words, with what was not understood."""
    counts = report["bytes"]
    lines = [
        (
            f"{counted(report['sessions'], 'session')}, {counted(report['events'], 'event')} from "
            f"{counted(report['files'], 'file')}, {size(counts['seen'])}"
            f" ({_new(report)})."
        )
    ]
    left = [
        f"{size(counts[name])} {words}"
        for name, words in (
            ("skipped", "known and passed over"),
            ("unknown", "of unknown types, kept raw"),
            ("bad", "broken"),
        )
        if counts[name]
    ]
    if left:
        lines.append("Of these " + ", ".join(left) + ".")
    lines += [f"Problem: {problem}" for problem in report["problems"]]
    return "\n".join(lines)


def _new(report: dict[str, Any]) -> str:
    if not report["imported_events"]:
        return "nothing left to read"
    return f"{counted(report['imported_events'], 'event')} new in {report['seconds']:.1f} s"


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[OnStep | None]:
    """Bytes, sessions, events per second and memory; None where nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TextColumn("{task.fields[sessions]:,} sessions"),
        TextColumn("{task.fields[rate]:,.0f} events/s"),
        TextColumn("{task.fields[memory]}"),
        TimeRemainingColumn(),
    )
    started_s = time.monotonic()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("Importing", total=None, sessions=0, rate=0.0, memory="")

        def step(progress: dict[str, Any], tree_bytes: int) -> None:
            bar.update(
                task,
                total=progress["total_bytes"] or None,
                completed=progress["done_bytes"],
                sessions=progress["sessions"],
                rate=progress["events"] / max(time.monotonic() - started_s, 0.001),
                memory=f"{size(tree_bytes)} memory" if tree_bytes else "",
            )

        yield step
