"""`redact`: take private parts and secrets out of what is stored already."""

from __future__ import annotations

import argparse
import glob
import os
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from holdfast.cli.context import Context
from holdfast.cli.output import counted, put, put_json, say
from holdfast.cli.parsing import Commands, add_command, add_json
from holdfast.errors import Exit, HoldfastError
from holdfast.paths import Paths


class NothingNamed(HoldfastError):
    """Rewriting everything wants to be asked for."""

    exit: ClassVar[Exit] = Exit.USAGE


def add_commands(commands: Commands) -> None:
    parser = add_command(
        commands,
        "redact",
        run_redact,
        "take private parts and secrets out of what is stored",
        "Goes over stored sessions with the rules that hold now, as the door does with what comes\n"
        "in. Uses the daemon when it runs; works without one too. What is taken out is gone: from\n"
        "the conversations, their titles, the index, the payloads and the free pages of the file.",
    )
    parser.add_argument("sessions", nargs="*", metavar="SESSION", help="which; see --all")
    parser.add_argument("--all", action="store_true", help="every session")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would go")
    parser.add_argument(
        "--pattern", default="", metavar="REGEX", help="and whatever this matches, this time"
    )
    add_json(parser)


def run_redact(context: Context, arguments: argparse.Namespace) -> int:
    if bool(arguments.sessions) == arguments.all:
        raise NothingNamed("name the sessions to go over, or say --all for every one of them")
    asked = {
        "sessions": arguments.sessions,
        "dry_run": arguments.dry_run,
        "pattern": arguments.pattern,
    }
    show = _progress(quiet=arguments.json or not sys.stderr.isatty())
    if os.path.exists(context.paths.socket) and context.client.is_running():
        report = _through_daemon(context, asked, show)
    else:
        report = _in_this_process(context, asked, show)
    left = sorted(glob.glob(f"{glob.escape(context.paths.journal)}.schema-*.backup"))
    if arguments.json:
        put_json({**report, "backups": left})
        return Exit.OK
    _tell(report, left, arguments.pattern, context.paths)
    return Exit.OK


def _through_daemon(
    context: Context, asked: dict[str, Any], show: Callable[[int, int], None]
) -> dict[str, Any]:
    from holdfast.client import NotRunning, Refused

    for line in context.client.lines("POST", "/v1/redact", body=asked):
        if "problem" in line:
            raise Refused(line["problem"]["error"], line["problem"]["exit"])
        if "report" in line:
            report: dict[str, Any] = line["report"]
            return report
        if line["progress"]:
            show(line["progress"]["sessions"], line["progress"]["total"])
    raise NotRunning("holdfast stopped before it was done: start it and redact again")


def _in_this_process(
    context: Context, asked: dict[str, Any], show: Callable[[int, int], None]
) -> dict[str, Any]:
    import msgspec

    from holdfast.journal.sqlite import open_reader
    from holdfast.lock import JournalLock
    from holdfast.wiring import make_redactor, open_journal

    settings, paths = context.settings, context.paths
    with JournalLock(paths.lock).acquire("redact"):
        open_reader(paths.journal).close()  # says what to do where there is none
        journal = open_journal(settings, paths, lambda _error: None)
        try:
            redactor = make_redactor(
                settings,
                paths,
                journal,
                asked["pattern"],
                on_progress=lambda now: show(now.sessions, now.total),
            )
            report = redactor.run(asked["sessions"], dry_run=asked["dry_run"])
        finally:
            journal.close()
    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain


def _progress(*, quiet: bool) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        if not quiet:
            end = "\n" if done == total else ""
            print(f"\r{done:,} of {total:,} sessions", end=end, file=sys.stderr, flush=True)

    return show


def _tell(report: dict[str, Any], backups: list[str], pattern: str, paths: Paths) -> None:
    from holdfast.settings import PRIVACY_PARTS

    for each in report["sessions"]:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in each["found"].items())
        put(f"{each['session']}  {counted(each['events'], 'event')}: {kinds}  {each['title']}")
    verb = "would be" if report["dry_run"] else "were"
    if report["found"]:
        total = sum(report["found"].values())
        say(
            f"{counted(total, 'part')} in {counted(report['events'], 'event')} of "
            f"{counted(len(report['sessions']), 'session')} {verb} taken out."
        )
    else:
        say(f"Nothing to take out of {counted(report['looked_at'], 'session')}.")
    for part in report["switched_off"]:
        say(
            f"Not looked for, since privacy.{part} is off: {PRIVACY_PARTS[part]}. To have them "
            f"taken out, set {part} = true under [privacy] in {paths.config_file}."
        )
    if report["dry_run"]:
        return
    if pattern:
        say(
            "What is imported later is not held against this pattern. To keep it out for good, add "
            f"it to {paths.config_file}:\n[privacy]\nextra = ['internal={pattern}']"
        )
    for path in backups:
        say(f"Not touched: {path}, a copy that an update made; `holdfast clean` removes it.")
    say("Not touched: the agents' own logs, and files that were exported or recorded.")
