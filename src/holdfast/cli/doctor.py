"""`doctor`: everything that can be wrong, and how to mend it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from holdfast.cli.context import Context
from holdfast.cli.output import bold, counted, dim, plain, put, put_json, say
from holdfast.cli.parsing import Commands, add_command, add_json
from holdfast.errors import Exit, HoldfastError
from holdfast.lock import holder

if TYPE_CHECKING:
    from holdfast.checks import Check
    from holdfast.client import Client
    from holdfast.doctor import Evidence, Report
    from holdfast.paths import Paths
    from holdfast.status import Status
    from holdfast.status.sources import SourceReport

T = TypeVar("T")

WORD_COLUMNS: Final = 7
PATIENCE_S: Final = 5.0  # with a daemon that holds the journal and may hang
PROGRESS_INTERVAL_S: Final = 0.2
TITLES: Final = {
    "process": "Process",
    "limits": "Limits",
    "memory": "Memory",
    "journal": "Journal",
    "payloads": "Payloads",
    "sources": "Sources",
    "recordings": "Recordings",
    "house": "House",
}


class ForceOfNothing(HoldfastError):
    """There is nothing to replace."""

    exit: ClassVar[Exit] = Exit.USAGE


def add_commands(commands: Commands) -> None:
    parser = add_command(
        commands,
        "doctor",
        run_doctor,
        "what is wrong, and how to mend it",
        "Looks at the daemon, limits, memory, the journal, payloads, sources, recordings, folders\n"
        "and settings; changes nothing. Ends with 0 when there is no problem, with 12 when there\n"
        "is one; warnings alone are no problem.",
    )
    parser.add_argument(
        "--full", action="store_true", help="search everything for damage, however long it takes"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="the evidence of every check, good ones too"
    )
    parser.add_argument(
        "--bundle",
        metavar="FILE",
        help="write what a bug report needs into FILE.tar.gz, without anything of conversations",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE when it is there")
    add_json(parser)


def run_doctor(context: Context, arguments: argparse.Namespace) -> int:
    if arguments.force and arguments.bundle is None:
        raise ForceOfNothing("--force goes with --bundle FILE")
    from holdfast.doctor import examine

    evidence = gather(context)
    evidence.full = arguments.full
    progress = _Progress()
    evidence.on_progress = progress.show
    report = examine(evidence)
    progress.clear()
    if arguments.bundle is not None:
        from holdfast.doctor.bundle import write_bundle

        members = write_bundle(arguments.bundle, report, evidence, force=arguments.force)
        say(f"Wrote {plain(arguments.bundle)}: {', '.join(members)}.")
        say("It holds figures only: no text, no titles, no paths of projects (see its README.txt).")
    if arguments.json:
        put_json(report)
    else:
        put(render(report, verbose=arguments.verbose))
    return Exit.UNWELL if report.verdict == "problem" else Exit.OK


def gather(context: Context) -> Evidence:
    """From the daemon what only it can tell; all else from the journal and the disk."""
    from holdfast.doctor import Evidence
    from holdfast.settings import ConfigError, Settings
    from holdfast.status.crash import CrashFile
    from holdfast.status.lastrun import RunFile

    paths = context.paths
    problems: tuple[str, ...] = ()
    loaded = None
    try:
        loaded = context.loaded
    except ConfigError as error:
        problems = error.problems
    settings = loaded.settings if loaded is not None else Settings()
    asked = _asked(paths)
    held = holder(paths.lock)
    last_run = None
    if asked.status is not None:
        last_run = asked.status.daemon.last_run
    elif not asked.answers and (held is None or held[0] != "daemon"):  # else it is about that one
        last_run = RunFile(paths.run_file, CrashFile(paths.crash_file)).last(ask_journald=True)
    status, sources = asked.status, asked.sources
    if status is None or sources is None:
        found, reports = _looked_up(context, settings, last_run)
        status, sources = status or found, sources or reports
    return Evidence(
        paths=paths,
        environ=context.environ,
        now_s=time.time(),
        settings=settings,
        loaded=loaded,
        config_problems=problems,
        status=status,
        live=asked.live,
        sources=sources,
        last_run=last_run,
        holder=held,
        answers=asked.answers,
        put_off=asked.put_off,
    )


class _Asked:
    """The daemon's answers, each for itself: one that is refused costs none of the others."""

    def __init__(self) -> None:
        self.answers = False  # something does, if only to say no
        self.put_off = False
        self.live: list[Check] | None = None
        self.status: Status | None = None
        self.sources: list[SourceReport] | None = None

    def ask(self, client: Client, path: str, kind: type[T]) -> T | None:
        """None when it refuses, does not answer, or is too different."""
        import msgspec

        from holdfast.client import PutOff

        try:
            return msgspec.convert(client.get(path), kind)
        except PutOff:
            self.put_off = True
        except (HoldfastError, OSError, ValueError):  # a ValidationError is a ValueError
            pass
        return None


def _asked(paths: Paths) -> _Asked:
    asked = _Asked()
    if not os.path.exists(paths.socket):
        return asked
    from holdfast.checks import Check
    from holdfast.client import Client
    from holdfast.status import Status
    from holdfast.status.sources import SourceReport

    client = Client(paths, patience_s=PATIENCE_S, put_off_max_s=0.0)
    asked.answers = client.is_running()
    if asked.answers:
        asked.live = asked.ask(client, "/v1/doctor", list[Check])
        asked.status = asked.ask(client, "/v1/status", Status)
        asked.sources = asked.ask(client, "/v1/sources", list[SourceReport])
    return asked


def _looked_up(context: Context, settings: Any, last_run: Any) -> tuple[Any, Any]:
    from holdfast.journal.reader import SqliteReader
    from holdfast.journal.sqlite import JournalMissing
    from holdfast.sources.registry import every_source
    from holdfast.status.build import offline_status
    from holdfast.status.sources import source_reports

    paths = context.paths
    every = every_source(settings.source, context.environ)
    reader = None
    try:
        reader = SqliteReader(paths.journal)
    except JournalMissing:
        pass
    except HoldfastError:
        return None, None  # the check of the journal says why
    try:
        warn_days = settings.sources.warn_deletion_days
        status = offline_status(
            reader,
            [source for source, enabled in every if enabled],
            privacy=settings.privacy,
            journal_path=paths.journal,
            data_dir=paths.data_dir,
            last_run=last_run,
            warn_days=warn_days,
            work_queue_max=settings.resources.work_queue_max,
        )
        reports = source_reports(every, reader, now_s=time.time(), warn_days=warn_days)
    except HoldfastError:
        return None, None
    finally:
        if reader is not None:
            reader.close()
    return status, reports


def render(report: Report, *, verbose: bool = False) -> str:
    lines = []
    group = ""
    for check in report.checks:
        if check.group != group:
            group = check.group
            lines.append(bold(TITLES[group]))
        lines += _check(check, verbose=verbose)
    lines.append(_summary(report))
    return "\n".join(lines)


def _check(check: Check, *, verbose: bool) -> Iterator[str]:
    word = check.verdict.ljust(WORD_COLUMNS)
    yield f"  {word if check.verdict == 'ok' else bold(word)}  {plain(check.said)}"
    indent = " " * (WORD_COLUMNS + 4)
    if verbose or not check.is_well:
        yield from (f"{indent}{plain(each)}" for each in check.particulars)
    yield from (f"{indent}→ {plain(each)}" for each in check.remedies)
    if verbose and check.evidence:
        facts = ", ".join(f"{name} {_fact(fact)}" for name, fact in check.evidence.items())
        yield dim(f"{indent}{check.id}: {plain(facts)}")


def _fact(fact: object) -> str:
    if fact is None:
        return "none"
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    return str(fact) or "-"


def _summary(report: Report) -> str:
    counts = report.counts
    parts = [f"{counts['ok']:,} ok"]
    if counts["unknown"]:
        parts.append(f"{counts['unknown']:,} unknown")
    parts.append(counted(counts["warning"], "warning"))
    parts.append(counted(counts["problem"], "problem"))
    asked = "" if report.daemon else " (no daemon was asked: none answers)"
    return f"{', '.join(parts)}{asked}"


class _Progress:
    """On a terminal only, one line that goes away."""

    def __init__(self) -> None:
        self._shown_s = 0.0
        self._dirty = False

    def show(self, what: str, share: float) -> None:
        if not sys.stderr.isatty() or time.monotonic() - self._shown_s < PROGRESS_INTERVAL_S:
            return
        self._shown_s, self._dirty = time.monotonic(), True
        done = f" {share:.0%}" if share >= 0 else ""
        print(f"\r\x1b[KLooking at {what}{done} …", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._dirty:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
