"""`stream`: append events, read them back, ask for some, follow what happens."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from holdfast.cli.context import Context
from holdfast.cli.output import (
    ago,
    dim,
    end_when_unread,
    plain,
    put,
    put_bytes,
    put_json,
    say,
    size,
    table,
)
from holdfast.cli.parsing import Commands, add_command, add_json, count, moment
from holdfast.errors import Exit, HoldfastError

if TYPE_CHECKING:
    from holdfast.journal.streams import NewEvent
    from holdfast.remote import Told

BATCH_EVENTS: Final = 100  # of standard input, that are stored together
TEXT_CHARS: Final = 200  # of an event in a line for people


class BadLine(HoldfastError):
    """A line of standard input that is no event."""

    exit = Exit.USAGE


class NoStream(HoldfastError):
    """Nothing was ever appended to a stream of that name."""

    exit = Exit.NOT_FOUND


def add_commands(commands: Commands) -> None:
    stream = add_command(
        commands,
        "stream",
        run_list,
        "streams of events: append, read, query, follow",
        "A stream is an ordered, durable list of events that programs append to; conversations\n"
        "can be followed in the same way. Without an action all streams are listed.\n"
        "docs/streams.md explains them.",
    )
    add_json(stream)
    actions = stream.add_subparsers(title="actions", metavar="ACTION")
    add_json(add_command(actions, "list", run_list, "all streams, the newest first"))
    append = add_command(
        actions,
        "append",
        run_append,
        "store an event, or many from standard input; stored means on disk",
        'One event is given by options. With --lines each line of standard input is one:\n{"kind": '
        '"order.placed", "text": "…", "data": {…}, "actor": "…", "key": "…"}',
    )
    append.add_argument("name", metavar="STREAM", help="a name of your own")
    append.add_argument("--kind", metavar="KIND", help="what happened, as in order.placed")
    append.add_argument("--text", metavar="TEXT", default="", help="for people and for searches")
    append.add_argument("--data", metavar="JSON", type=as_json, help="for programs")
    append.add_argument("--actor", metavar="NAME", default="", help="who did it")
    append.add_argument(
        "--key", metavar="KEY", default="", help="your own id of it: the same one again is the same"
    )
    append.add_argument("--causation", metavar="ID", default="", help="the event that led to it")
    append.add_argument("--correlation", metavar="ID", default="", help="what it belongs to")
    append.add_argument(
        "--expected-seq",
        metavar="N",
        type=number,
        help="refuse unless the stream has exactly N events",
    )
    append.add_argument("--lines", action="store_true", help="read events from standard input")
    add_json(append)
    read = add_command(actions, "read", run_read, "the events of one stream as JSON lines")
    read.add_argument("name", metavar="STREAM", help="its name")
    read.add_argument("--from", dest="first", metavar="N", type=number, help="from this number on")
    read.add_argument("--to", dest="last", metavar="N", type=number, help="up to before this one")
    query = add_command(
        actions,
        "query",
        run_query,
        "events of all streams and conversations, the oldest first",
        "Patterns have commas between them and * for any characters; @conversations and @streams\n"
        "stand for all of either.",
    )
    add_wanted(query)
    query.add_argument("--since", metavar="WHEN", type=moment, help="2026-11-20, 7d …")
    query.add_argument("--until", metavar="WHEN", type=moment, help="before this time")
    query.add_argument(
        "--after", metavar="POSITION", type=number, default=0, help="behind this position"
    )
    query.add_argument("--limit", metavar="N", type=count, default=100, help="(default 100)")
    add_json(query)
    follow = add_command(
        actions,
        "follow",
        run_follow,
        "what happens from now on, until Ctrl-C; with --after what was before too",
        "Goes on where it was when the daemon was away for up to a minute.",
    )
    add_wanted(follow)
    follow.add_argument("--after", metavar="POSITION", type=number, help="0 is the very beginning")
    follow.add_argument("--count", metavar="N", type=count, help="end after so many")
    add_json(follow)


def add_wanted(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", metavar="PATTERN", default="*", help="as in message.*,task.*")
    parser.add_argument("--stream", metavar="PATTERN", default="*", help="as in orders/*")
    parser.add_argument("--actor", metavar="NAME", default="", help="what one did")


def number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no JSON ({error}): write --data '{{\"n\": 1}}'"
        ) from None


def run_list(context: Context, arguments: argparse.Namespace) -> int:
    shown = ("id", "events", "stored_bytes", "started_at", "updated_at")
    streams = [
        {"name": row["agent_session_id"], **{name: row[name] for name in shown}}
        for row in context.answers.sessions(agent="stream")
    ]
    if arguments.json:
        put_json(streams)
    elif not streams:
        say("No streams yet: holdfast stream append orders --kind order.placed --text hello")
    else:
        rows = [
            (
                ago(each["updated_at"]),
                str(each["events"]),
                size(each["stored_bytes"]),
                plain(each["name"]),
            )
            for each in streams
        ]
        put(table(("UPDATED", "EVENTS", "STORED", "STREAM"), rows, right=frozenset({1, 2})))
    return Exit.OK


def run_append(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast.remote import Holdfast

    stored = repeated = 0
    expected = arguments.expected_seq
    with Holdfast(context.environ, patience_s=0) as holdfast:
        for events in _given(arguments):
            placed = holdfast.append(arguments.name, *events, expected_seq=expected)
            expected = None if expected is None else placed.events[-1].seq + 1
            stored += len(placed.events) - placed.repeated
            repeated += placed.repeated
            if arguments.json:
                for each in placed.events:
                    put_json({"seq": each.seq, "position": each.position, "id": each.id})
    if not arguments.json:
        known = (
            f", {repeated} {'was' if repeated == 1 else 'were'} there before" if repeated else ""
        )
        say(f"Stored {stored} in {arguments.name}{known}.")
    return Exit.OK


def _given(arguments: argparse.Namespace) -> Iterator[list[NewEvent]]:
    import msgspec

    from holdfast.journal.streams import GivenEvent, NewEvent

    if arguments.lines:
        batch: list[NewEvent] = []
        for place, line in enumerate(sys.stdin.buffer, 1):
            if not line.strip():
                continue
            try:
                batch.append(msgspec.json.decode(line, type=GivenEvent))
            except msgspec.DecodeError as error:
                if batch:
                    yield batch
                raise BadLine(
                    f"line {place} of standard input is no event: {error}; what came before it "
                    "is stored"
                ) from error
            if len(batch) == BATCH_EVENTS:
                yield batch
                batch = []
        if batch:
            yield batch
        return
    if not arguments.kind:
        raise BadLine("say what happened with --kind, or give lines of events with --lines")
    yield [
        NewEvent(
            kind=arguments.kind,
            text=arguments.text,
            data=msgspec.Raw(json.dumps(arguments.data).encode()),
            actor=arguments.actor,
            key=arguments.key,
            causation=arguments.causation,
            correlation=arguments.correlation,
        )
    ]


def run_read(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast.events import stream_id

    answers = context.answers
    try:
        entry = answers.session(stream_id(arguments.name))
    except HoldfastError as error:  # the daemon's errors bring their code along
        if getattr(error, "code", error.exit) != Exit.NOT_FOUND:
            raise
        raise NoStream(
            f"there is no stream {arguments.name!r}: `holdfast stream` lists them, "
            "`holdfast show` reads a conversation"
        ) from error
    put_bytes(answers.lines(entry["id"], arguments.first or 0, arguments.last))
    return Exit.OK


def run_query(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast.remote import Holdfast

    with Holdfast(context.environ, patience_s=0) as holdfast:
        found = holdfast.query(
            stream=arguments.stream,
            kind=arguments.kind,
            actor=arguments.actor,
            since=arguments.since or "",
            until=arguments.until or "",
            after=arguments.after,
            limit=arguments.limit,
        )
    for each in found:
        _show(each, as_json=arguments.json)
    if len(found) == arguments.limit and not arguments.json:
        say(f"There may be more: --after {found[-1].position}")
    return Exit.OK


def run_follow(context: Context, arguments: argparse.Namespace) -> int:
    from holdfast.remote import Holdfast

    context.client.get("/v1/health")  # one that goes away is waited for, one that is not there told
    with Holdfast(context.environ, patience_s=60) as holdfast:
        end_when_unread()
        followed = holdfast.follow(
            kinds=arguments.kind,
            streams=arguments.stream,
            actor=arguments.actor,
            after=arguments.after,
        )
        for seen, each in enumerate(followed, 1):
            _show(each, as_json=arguments.json)
            sys.stdout.flush()
            if seen == arguments.count:
                break
    return Exit.OK


def _show(told: Told, *, as_json: bool) -> None:
    from holdfast.events import encode

    if as_json:
        put(f'{{"position":{told.position},"event":{encode(told.event).decode()}}}')
        return
    event = told.event
    who = f" {plain(event.actor)}" if event.actor else ""
    data = bytes(event.data).decode()
    text = " ".join(plain(event.text or ("" if data == "null" else data)).split())
    shown = text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…"
    put(f"{dim(f'{told.position} {event.at}')} {event.kind}{who}  {shown}")
