"""`clean`: what a crash, a rotation or a migration left lying; and, when asked for, everything."""

from __future__ import annotations

import argparse
import glob
import json
import os
import shutil
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from holdfast.cli.context import Context
from holdfast.cli.output import counted, put, put_json, say, size
from holdfast.cli.parsing import Commands, add_command, add_json, amount, moment
from holdfast.errors import Exit, HoldfastError
from holdfast.lock import AlreadyRunning, holder
from holdfast.paths import Paths


class NotConfirmed(HoldfastError):
    """Deleting everything wants to be said twice."""

    exit: ClassVar[Exit] = Exit.USAGE


class WhatIsToGo(HoldfastError):
    """An age or a size of nothing in particular."""

    exit: ClassVar[Exit] = Exit.USAGE


def add_commands(commands: Commands) -> None:
    parser = add_command(
        commands,
        "clean",
        run_clean,
        "remove what is not needed any more",
        "Removes half-written files, the socket of a daemon that is gone, backups that migrations\n"
        "made, and with --logs the rotated logs of holdfast itself. A daemon that runs lets go of\n"
        "tasks, checkpoints, intents and keys of events whose time is over, as it does by itself.\n"
        "Conversations stay, unless --all --yes says that everything is to go.",
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would go")
    parser.add_argument("--logs", action="store_true", help="also rotated logs")
    parser.add_argument(
        "--blobs",
        action="store_true",
        help="instead: images and other payloads that --older-than or --larger-than name; their "
        "conversations stay and say what was there",
    )
    parser.add_argument(
        "--older-than",
        type=moment,
        metavar="AGE",
        help="with --blobs: not used since then: 90d, 12w, 2026-01-31",
    )
    parser.add_argument(
        "--larger-than",
        type=amount,
        default=0,
        metavar="SIZE",
        help="with --blobs: at least so large: 500KB, 10MB",
    )
    parser.add_argument(
        "--all", action="store_true", help="everything holdfast keeps, conversations included"
    )
    parser.add_argument("--yes", action="store_true", help="with --all: really")
    add_json(parser)


def run_clean(context: Context, arguments: argparse.Namespace) -> int:
    chosen = bool(arguments.older_than or arguments.larger_than)
    if chosen and not arguments.blobs:
        raise WhatIsToGo(
            "--older-than and --larger-than name payloads: say so with --blobs, as in "
            "holdfast clean --blobs --larger-than 10MB"
        )
    if arguments.blobs:
        return _clean_blobs(context, arguments)
    paths = context.paths
    running = holder(paths.lock) is not None
    if arguments.all:
        found = _everything(paths, running=running)
        if not arguments.yes and not arguments.dry_run:
            raise NotConfirmed(
                f"this deletes every conversation kept below {paths.data_dir}: "
                "look with --dry-run, then say --all --yes"
            )
    else:
        found = sorted(_leftovers(paths, running=running, logs=arguments.logs))
    freed = {path: _size(path) for path in found}
    compacted = _compact(context, arguments) if running else None
    if not arguments.dry_run:
        for path in found:
            _remove(path)
    if arguments.json:
        put_json(
            {
                "removed": not arguments.dry_run,
                "bytes": sum(freed.values()),
                "paths": freed,
                "compacted": compacted,
            }
        )
        return Exit.OK
    for path, count in freed.items():
        put(f"{size(count):>10}  {path}")
    verb = "Would free" if arguments.dry_run else "Freed"
    gone = [counted(number, noun) for noun, number in _named(compacted) if number]
    if freed or not gone:
        say(f"{verb} {size(sum(freed.values()))}." if freed else "Nothing to clean.")
    if gone:
        verb = "Would let go of" if arguments.dry_run else "Let go of"
        say(f"{verb} {', '.join(gone)}: the journal keeps all events.")
    return Exit.OK


def _compact(context: Context, arguments: argparse.Namespace) -> dict[str, int] | None:
    """What a running daemon knows and nobody needs any longer; it does so by itself too."""
    from holdfast.client import NotRunning

    dry_run = "true" if arguments.dry_run else "false"
    try:
        compacted: dict[str, int] = context.client.post("/v1/work/compact", dry_run=dry_run)
    except NotRunning:  # an import holds the journal, or the daemon is on its way down
        return None
    return compacted


def _named(compacted: dict[str, int] | None) -> Iterator[tuple[str, int]]:
    for noun, name in (
        ("finished task", "tasks"),
        ("decided checkpoint", "checkpoints"),
        ("ended intent", "intents"),
        ("event's key", "keys"),
    ):
        yield noun, (compacted or {}).get(name, 0)


def _clean_blobs(context: Context, arguments: argparse.Namespace) -> int:
    wanted = {"used_before": arguments.older_than or "", "min_bytes": arguments.larger_than}
    if os.path.exists(context.paths.socket) and context.client.is_running():
        told = "true" if arguments.dry_run else "false"
        pieces = context.client.stream("POST", "/v1/blobs/drop", dry_run=told, **wanted)
        dropped = json.loads(b"".join(pieces))
    else:
        dropped = _drop_here(context, wanted, dry_run=arguments.dry_run)
    if arguments.json:
        put_json({"removed": not arguments.dry_run, **dropped})
    elif dropped["count"]:
        verb = "Would drop" if arguments.dry_run else "Dropped"
        freed = f"{size(dropped['bytes'])}, {size(dropped['stored_bytes'])} on disk"
        say(f"{verb} {counted(dropped['count'], 'payload')}: {freed}. Conversations stay whole.")
        if dropped["in_flight"]:
            say(f"{dropped['in_flight']:,} of them came a moment ago and stay: run it again later.")
    else:
        say("No payload fits.")
    return Exit.OK


def _drop_here(context: Context, wanted: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    import msgspec

    from holdfast import payloads
    from holdfast.blobstore import BlobStore
    from holdfast.journal.model import BlobFilter
    from holdfast.lock import JournalLock
    from holdfast.wiring import open_journal

    paths = context.paths
    problems: list[HoldfastError] = []
    with JournalLock(paths.lock).acquire("clean"):
        journal = open_journal(context.settings, paths, problems.append)
        try:
            with journal.reader() as reader:
                dropped = payloads.drop(
                    reader,
                    lambda work: journal.call(work).result(),
                    BlobStore(paths.blobs),
                    BlobFilter(**wanted),
                    now_s=time.time(),
                    in_flight_s=0.0,  # the lock is ours: nobody puts any
                    dry_run=dry_run,
                )
        finally:
            journal.close()
    plain: dict[str, Any] = msgspec.to_builtins(dropped)
    return plain


def _leftovers(paths: Paths, *, running: bool, logs: bool) -> Iterator[str]:
    yield from glob.glob(f"{glob.escape(paths.journal)}.schema-*.backup")
    yield from glob.glob(f"{glob.escape(paths.data_dir)}/*.partial")
    if not running:  # a running import may be writing these now
        yield from glob.glob(f"{glob.escape(paths.blobs)}/.partial-*")
        yield from glob.glob(f"{glob.escape(paths.state_dir)}/*.partial")
        if os.path.lexists(paths.socket):
            yield paths.socket
    if logs:
        yield from glob.glob(f"{glob.escape(paths.logs)}/*.[0-9]*.jsonl")
        yield from glob.glob(f"{glob.escape(paths.crash_file)}.last")


def _everything(paths: Paths, *, running: bool) -> list[str]:
    if running:
        raise AlreadyRunning("holdfast is running: `holdfast stop` first, then clean everything")
    folders = {paths.data_dir, paths.state_dir, paths.runtime_dir, os.path.dirname(paths.socket)}
    outer = [each for each in folders if not any(each.startswith(other + "/") for other in folders)]
    return sorted(each for each in outer if os.path.isdir(each))


def _size(path: str) -> int:
    if not os.path.isdir(path):
        return os.lstat(path).st_size
    return sum(
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _folders, names in os.walk(path)
        for name in names
    )


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
