"""`sessions`, `show`, `search`: getting it back. They work without a daemon too."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from holdfast.cli.context import Context
from holdfast.cli.output import (
    ago,
    bold,
    counted,
    dim,
    is_styled,
    plain,
    put,
    put_bytes,
    put_json,
    say,
    size,
    table,
)
from holdfast.cli.parsing import Commands, add_command, add_json, agent, count, moment
from holdfast.errors import Exit, HoldfastError

LAST_EVENTS: Final = 40
SESSIONS_LISTED: Final = 50
SEARCH_LIMIT: Final = 20
MARK: Final = "**"


class UnknownKind(HoldfastError):
    """No event that can be searched is of this kind."""

    exit: ClassVar[Exit] = Exit.USAGE


def add_commands(commands: Commands) -> None:
    _add_sessions(commands)
    _add_show(commands)
    _add_search(commands)


def _add_sessions(commands: Commands) -> None:
    parser = add_command(commands, "sessions", sessions, "list sessions, newest first")
    _add_filters(parser)
    parser.add_argument("--text", default="", help="words in title, project or conversation")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--resident",
        dest="resident",
        action="store_true",
        default=None,
        help="only those in memory",
    )
    where.add_argument(
        "--not-resident", dest="resident", action="store_false", help="only those on disk alone"
    )
    parser.add_argument(
        "-n",
        "--limit",
        type=count,
        help=f"at most so many (default {SESSIONS_LISTED}; with --json all of them)",
    )
    parser.add_argument("--all", action="store_true", help="every one there is")
    add_json(parser)


def _add_show(commands: Commands) -> None:
    parser = add_command(commands, "show", show, "read a conversation in the terminal")
    parser.add_argument("session", metavar="SESSION")
    parser.add_argument(
        "-n",
        "--last",
        type=count,
        default=LAST_EVENTS,
        metavar="N",
        help=f"the last N events (default {LAST_EVENTS})",
    )
    parser.add_argument("--all", action="store_true", help="from the beginning")
    add_json(parser)


def _add_search(commands: Commands) -> None:
    parser = add_command(
        commands,
        "search",
        search,
        "where did we solve that?",
        'Finds conversations by words, "whole phrases" and begin*. A question typed as a sentence\n'
        "works too. Newer conversations rank a little higher. Single quotes keep the shell from\n"
        "taking the others away: holdfast search '\"connection pool\" time*'",
    )
    parser.add_argument("words", metavar="WORDS", nargs="+")
    _add_filters(parser)
    parser.add_argument("--kind", default="", help="only one kind of event, such as message.user")
    parser.add_argument(
        "-n",
        "--limit",
        type=count,
        default=SEARCH_LIMIT,
        help=f"at most so many hits (default {SEARCH_LIMIT})",
    )
    add_json(parser)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agent", type=agent, default="", help="such as claude")
    parser.add_argument("--project", default="", help="any part of the project's path")
    parser.add_argument(
        "--since",
        type=moment,
        metavar="WHEN",
        help="2026-11-20, or a span back from now: 30m, 12h, 7d, 2w",
    )


def sessions(context: Context, arguments: argparse.Namespace) -> int:
    answers = context.answers
    filters = {
        "agent": arguments.agent,
        "project": arguments.project,
        "since": arguments.since or "",
        "text": arguments.text,
        "resident": arguments.resident,
    }
    limit = None if arguments.all else arguments.limit
    if arguments.json:
        put_bytes(answers.sessions_json(**filters, limit=limit))
        put_bytes([b"\n"])
        return Exit.OK
    if limit is None and not arguments.all:
        limit = SESSIONS_LISTED
    found = answers.sessions(**filters, limit=limit)
    if not found:
        of = f" of {arguments.agent}" if arguments.agent else ""
        say(f"No sessions{of}. Fewer filters may show some; `holdfast import` looks for new ones.")
        return Exit.OK
    put(_listed(found))
    if len(found) == limit and (more := answers.count_sessions(**filters) - limit) > 0:
        say(f"{counted(more, 'older session')} more: --all lists them, -n so many, filters fewer.")
    return Exit.OK


def _listed(found: list[dict[str, Any]]) -> str:
    rows = [
        (
            each["id"],
            each["agent"],
            ago(each["updated_at"]),
            f"{each['events']:,}",
            size(each["resident_bytes"]) if each["resident"] else "disk",
            os.path.basename(plain(each["project"])) or "-",
            _kinship(each) + (plain(each["title"]) or "(no title)"),
        )
        for each in found
    ]
    head = ("ID", "AGENT", "UPDATED", "EVENTS", "MEMORY", "PROJECT", "TITLE")
    return table(head, rows, right=frozenset({3, 4}))


def _kinship(entry: dict[str, Any]) -> str:
    """What a session that did not begin by itself comes from."""
    if entry["parent"]:
        return f"(subagent of {plain(entry['parent'])}) "
    return f"(fork of {plain(entry['forked_from'])}) " if entry["forked_from"] else ""


def show(context: Context, arguments: argparse.Namespace) -> int:
    answers = context.answers
    entry = answers.session(arguments.session)
    first = 0 if arguments.all else max(0, entry["events"] - arguments.last)
    if arguments.json:
        import msgspec

        lines = answers.lines(entry["id"], first, None)
        events = [msgspec.Raw(line) for piece in lines for line in piece.split(b"\n") if line]
        put_json({**entry, "shown": events})
        return Exit.OK
    if arguments.all:
        put(_about(entry))
        for text in _conversation(answers.lines(entry["id"], 0, None)):
            put(text)
        return Exit.OK
    texts = list(_conversation(answers.lines(entry["id"], first, None)))
    while first and len(texts) < arguments.last:  # some are not shown: look further back
        first = max(0, first - max(arguments.last, entry["events"] - first))
        texts = list(_conversation(answers.lines(entry["id"], first, None)))
    put(_about(entry))
    if entry["inherited"]:
        shared = counted(entry["inherited"], "event")
        put(dim(f"… begins with {shared} of {entry['forked_from']}: show that, or export this"))
    if first:
        put(dim(f"… {first:,} earlier events: add --all, or export"))
    for text in texts[-arguments.last :]:
        put(text)
    return Exit.OK


def _about(entry: dict[str, Any]) -> str:
    usage = entry["usage"]
    spent = " + ".join(
        f"{usage[name]:,} {words}"
        for name, words in (
            ("input", "in"),
            ("output", "out"),
            ("cache_read", "cache read"),
            ("cache_write", "cache write"),
        )
        if usage.get(name)
    )
    facts = [
        ("Session", f"{entry['id']}  {entry['agent']}/{entry['agent_session_id']}"),
        ("Project", " ".join(part for part in (entry["project"], entry["branch"]) if part)),
        ("Model", entry["model"]),
        ("Time", f"{entry['started_at']} to {entry['updated_at']}"),
        ("Size", f"{counted(entry['events'], 'event')}, {size(entry['stored_bytes'])} stored"),
        ("Tokens", spent),
        ("Part of", entry["parent"]),
        ("Fork of", entry["forked_from"]),
    ]
    lines = [f"{name:<8} {plain(value)}" for name, value in facts if value]
    return "\n".join([bold(plain(entry["title"]) or "(no title)"), *lines])


def _conversation(lines: Iterator[bytes]) -> Iterator[str]:
    from holdfast.events import Kind, decode_lines
    from holdfast.recording.markdown import clean, speaker

    current = ""
    for piece in lines:
        for event in decode_lines(piece):
            if event.kind in (Kind.PROVIDER_INFO, Kind.PROVIDER_RAW) or not event.text.strip():
                continue
            name = speaker(event)
            if name != current:
                current = name
                yield f"\n{bold(name)} {dim(event.at[:19].replace('T', ' '))}"
            if event.supersedes is not None:
                yield dim(f"  (a later version of event {event.supersedes})")
            yield _one_event(event.kind, clean(event.text))


def _one_event(kind: str, text: str) -> str:
    if kind == "tool.call":
        return dim(f"  → {(text.splitlines() or [''])[0]}")
    if kind == "tool.result":
        lines = text.splitlines() or [""]
        more = f" (+{counted(len(lines) - 1, 'line')})" if len(lines) > 1 else ""
        return dim(f"  ← {lines[0][:100]}{more}")
    if kind == "thinking":
        return dim(f"  ({' '.join(text.split())[:200]})")
    return text


def search(context: Context, arguments: argparse.Namespace) -> int:
    _check_kind(arguments.kind)
    answers = context.answers
    hits = answers.search(
        words=" ".join(arguments.words),
        agent=arguments.agent,
        project=arguments.project,
        kind=arguments.kind,
        since=arguments.since or "",
        limit=arguments.limit,
    )
    if arguments.json:
        put_json(hits)
        return Exit.OK
    if not hits:
        of = f" of {arguments.agent}" if arguments.agent else ""
        say(f"Nothing found{of}. Fewer words, or the beginning of one (config*), find more.")
        return Exit.OK
    if not any(hit["exact"] for hit in hits):
        say("Nothing holds all of it; these come near:")
    known: dict[str, dict[str, Any]] = {}
    for hit in hits:
        session = hit["session"]
        if session not in known:
            known[session] = answers.session(session)
            title = plain(known[session]["title"]) or "(no title)"
            when = hit["at"] or known[session]["updated_at"]  # a title has no time of its own
            put(f"{bold(session)}  {ago(when)}  {title}")
        put(f"  {dim(hit['kind'])}  {_marked(plain(hit['snippet']))}")
    return Exit.OK


def _check_kind(kind: str) -> None:
    from holdfast.journal.index import COLUMN_OF_KIND

    if kind and kind not in COLUMN_OF_KIND:
        known = ", ".join(sorted(COLUMN_OF_KIND))
        raise UnknownKind(f"no event of kind {kind!r} can be searched; there are: {known}")


def _marked(snippet: str) -> str:
    """Hits stand out: in bold where there is a terminal, between ** elsewhere."""
    if not is_styled():
        return snippet
    parts = snippet.split(MARK)
    return "".join(bold(part) if number % 2 else part for number, part in enumerate(parts))
