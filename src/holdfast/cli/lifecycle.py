"""`up`, `start`, `stop`, `restart`, `demo`: the daemon from outside."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import ClassVar, Final

from holdfast.cli.context import Context
from holdfast.cli.output import put, say, size
from holdfast.cli.parsing import Commands, add_command, add_json, count
from holdfast.errors import Exit, HoldfastError
from holdfast.lock import AlreadyRunning, holder

START_TIMEOUT_S: Final = 30.0
STOP_MARGIN_S: Final = 5.0
POLL_S: Final = 0.02


class StartFailed(HoldfastError):
    """The daemon ended, or did not answer in time."""

    exit: ClassVar[Exit] = Exit.FAILURE

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class NotRestarted(HoldfastError):
    """A daemon runs, and what is configured now would not start one."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class JsonOfNothing(HoldfastError):
    """The daemon's end has nothing to read."""

    exit: ClassVar[Exit] = Exit.USAGE


class StopFailed(HoldfastError):
    """The daemon did not end in time."""


def add_commands(commands: Commands) -> None:
    add_command(
        commands,
        "up",
        up,
        "set up, start, and import all history",
        "Writes a commented config file if there is none, starts the daemon in the background,\n"
        "imports every log it finds with a progress bar, and says what to try next.\n"
        "Safe to run again at any time.",
    )
    add_command(commands, "start", start, "start the daemon in the background")
    stopping = add_command(
        commands,
        "stop",
        stop,
        "stop the daemon in an orderly way, or with SESSION that session's recordings",
        "  holdfast stop            stops the daemon\n"
        "  holdfast stop SESSION    stops the recordings of a session; the daemon goes on",
    )
    stopping.add_argument(
        "session", metavar="SESSION", nargs="?", help="stop its recordings, not the daemon"
    )
    add_json(stopping)
    add_command(
        commands,
        "init",
        init,
        "prepare folders and a config file without starting anything",
        "What `holdfast up` does first. Safe to run again: a config file that is there stays.\n"
        "`::init [path]` in the chat is another thing: it prepares a recording.",
    )
    add_command(commands, "restart", restart, "stop the daemon if it runs, and start it")
    demo = add_command(
        commands,
        "demo",
        run_demo,
        "show holdfast at work on made-up logs; leaves nothing behind",
        "Generates realistic logs in a temporary folder, runs the real daemon over them under a\n"
        "small budget, appends to them live, and shows sessions, evictions, status and a search.",
    )
    demo.add_argument(
        "--sessions", type=count, default=40, metavar="N", help="how many to make up (default 40)"
    )
    demo.add_argument(
        "--seed",
        type=int,
        default=7,
        metavar="N",
        help="another number makes up other logs (default 7)",
    )


def up(context: Context, _arguments: argparse.Namespace) -> int:
    from holdfast.cli.configuring import write_config_if_missing
    from holdfast.cli.importing import through_daemon
    from holdfast.cli.sources import expiring_lines, where_it_looked

    if write_config_if_missing(context.paths):
        say(f"Wrote {context.paths.config_file}: every setting is in it, with its meaning.")
    _ = context.settings  # a wrong config is refused before anything starts
    if context.client.is_running():
        say("holdfast is running already.")
    else:
        _launch_or_join(context)
    report = through_daemon(context)
    if not report["files"] and not report["problems"]:
        say(where_it_looked(context.sources.values()))
        say("holdfast will pick them up when they appear. To see it at work now: holdfast demo")
        return Exit.OK
    status = context.client.get("/v1/status")
    _say_what_is_there(report, status)
    for problem in status["problems"]:
        say(f"Problem: {problem}")
    for source in context.client.get("/v1/sources"):
        for line in expiring_lines(source["expiring"], "", source["name"]):
            say(line)
    return Exit.OK


def _say_what_is_there(report: dict[str, object], status: dict[str, object]) -> None:
    from holdfast.cli.importing import describe

    say(describe(report))
    memory: dict[str, dict[str, float]] = status["memory"]  # type: ignore[assignment]  # JSON
    tree_bytes = memory["process"]["tree_bytes"]
    say(f"Memory: {size(tree_bytes)} of {size(float(str(memory['budget_bytes'])))}.")
    say("")
    say("Try next:")
    say("  holdfast sessions            what was found, newest first")
    say("  holdfast search WORDS        where did we solve that?")
    say("  holdfast show SESSION        read a conversation")
    say("  holdfast export SESSION -o . keep it as Markdown")
    say("  holdfast status --watch      what is held, and what memory that costs")


def _launch_or_join(context: Context) -> None:
    """Somebody may start it in the same moment: then theirs is as good as ours."""
    try:
        _start(context)
    except StartFailed as error:
        held = holder(context.paths.lock)
        if error.code != Exit.ALREADY_RUNNING or held is None or held[0] != "daemon":
            raise
        say(f"holdfast is running already (pid {held[1]}).")


def start(context: Context, _arguments: argparse.Namespace) -> int:
    if context.client.is_running():
        raise AlreadyRunning("holdfast is running already: `holdfast restart` starts it anew")
    _start(context)
    return Exit.OK


def init(context: Context, _arguments: argparse.Namespace) -> int:
    from holdfast.cli.configuring import write_config_if_missing

    paths = context.paths
    wrote = write_config_if_missing(paths)
    _ = context.settings
    paths.ensure_dirs()
    say(f"{'Wrote' if wrote else 'Kept'} {paths.config_file}.")
    say(f"Conversations will be kept in {paths.data_dir}. Start with: holdfast up")
    return Exit.OK


def stop(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast.client import NotRunning

    if arguments.session is not None:
        from holdfast.cli.recording import command

        return command(context, "stop", arguments)
    if arguments.json:
        raise JsonOfNothing("--json goes with a session: holdfast stop SESSION --json")
    if not end(context):
        held = holder(context.paths.lock)
        if held is not None:
            raise NotRunning(
                f"no daemon is running, but an import is (pid {held[1]}): wait for it, or end it "
                "with Ctrl-C where it runs"
            )
        raise NotRunning("holdfast is not running: nothing to stop")
    say("holdfast stopped.")
    return Exit.OK


def restart(context: Context, _arguments: argparse.Namespace) -> int:
    try:
        _ = context.settings  # a wrong config must not take a running daemon down
    except HoldfastError as error:
        held = holder(context.paths.lock)
        if held is None or held[0] != "daemon":
            raise
        raise NotRestarted(
            f"{error}\nnot restarted: the holdfast that runs (pid {held[1]}) goes on with the "
            "settings it was started with",
            int(error.exit),
        ) from error
    if end(context):
        say("holdfast stopped.")
    _start(context)
    return Exit.OK


def _start(context: Context) -> None:
    """By the service manager where `service install` made that its task, else by hand."""
    from holdfast.cli.service import start_by_manager

    started = start_by_manager(context)
    if started is not None:
        wait_until_it_answers(context)
        say(f"holdfast started by {started}.")
        return
    say(f"holdfast started (pid {launch(context)}).")


def wait_until_it_answers(context: Context) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not (os.path.exists(context.paths.socket) and context.client.is_running()):
        if time.monotonic() > deadline_s:
            raise _no_answer(context)
        time.sleep(POLL_S)


def _no_answer(context: Context) -> StartFailed:
    return StartFailed(
        f"the daemon did not answer within {START_TIMEOUT_S:.0f} s: see {context.paths.logs}",
        Exit.FAILURE,
    )


def launch(context: Context) -> int:
    """Start the daemon and wait until it answers; its pid."""
    from holdfast.service.plan import ALLOCATOR

    _ = context.settings
    context.paths.ensure_dirs()
    said = os.path.join(context.paths.state_dir, "daemon.stderr")
    with open(said, "wb", opener=_private) as stderr:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "holdfast.daemon"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
            cwd="/",
            env={
                **_with_absolute_folders(context.environ),
                **ALLOCATOR,
            },
        )
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            with open(said, encoding="utf-8", errors="replace") as file:
                message = file.read().strip().removeprefix("holdfast: ")
            if not message:
                raise _ended_in_silence(context, process.returncode)
            code = process.returncode if process.returncode > 0 else Exit.FAILURE
            raise StartFailed(message, code)
        if os.path.exists(context.paths.socket) and context.client.is_running():
            held = holder(context.paths.lock)
            if held is None or held[1] == process.pid:
                return process.pid
        time.sleep(POLL_S)
    process.terminate()
    raise _no_answer(context)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ended_in_silence(context: Context, status: int) -> StartFailed:
    """A full disk keeps the daemon from saying that the disk is full."""
    folder = context.paths.state_dir
    if not os.statvfs(folder).f_bavail:
        return StartFailed(
            f"no room on the disk of {folder}: free some space on it, then start holdfast again",
            Exit.JOURNAL,
        )
    return StartFailed(
        f"the daemon ended at once with status {status}: see {context.paths.logs}", Exit.FAILURE
    )


def _with_absolute_folders(environ: Mapping[str, str]) -> dict[str, str]:
    """The daemon runs in `/`: what is relative to this folder would be another one there."""
    from holdfast.sources.registry import roots_variables

    named = {name: environ.get(name) for name in ("HOLDFAST_HOME", *roots_variables())}
    absolute = {
        name: os.path.abspath(os.path.expanduser(folder))
        for name, folder in named.items()
        if folder
    }
    return {**environ, **absolute}


def end(context: Context) -> bool:
    """Stop the daemon and wait until it is gone; False when none ran."""
    held = holder(context.paths.lock)
    if held is None or held[0] != "daemon":
        return False
    _role, pid = held
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    wait_s = _stop_deadline_ms(context) / 1000 + STOP_MARGIN_S
    deadline_s = time.monotonic() + wait_s
    while holder(context.paths.lock) == held:
        if time.monotonic() > deadline_s:
            raise StopFailed(
                f"holdfast (pid {pid}) did not stop within {wait_s:.0f} s: look into "
                f"{context.paths.logs}, then end it with `kill -9 {pid}`; nothing stored is lost"
            )
        time.sleep(POLL_S)
    return True


def _stop_deadline_ms(context: Context) -> int:
    """A wrong config must not keep anybody from stopping what runs."""
    from holdfast.settings import Settings

    try:
        return context.settings.daemon.stop_deadline_ms
    except HoldfastError:
        return Settings().daemon.stop_deadline_ms


def run_demo(_context: Context, arguments: argparse.Namespace) -> int:
    from holdfast.demo.show import run

    run(sessions=arguments.sessions, seed=arguments.seed, out=put)
    return Exit.OK
