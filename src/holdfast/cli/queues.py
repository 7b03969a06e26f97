"""`queue`: work that waits to be done, from the command line and from scripts."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from holdfast.cli.context import Context
from holdfast.cli.output import counted, plain, put, put_json, say, size, span, table
from holdfast.cli.parsing import Commands, add_command, add_json, count
from holdfast.errors import Exit, HoldfastError

BATCH: Final = 100
SHOWN: Final = 20
WAIT_S: Final = 60
AWAY_PAUSE_S: Final = 0.5
_SPANS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}

EXAMPLE: Final = """\
An item is a JSON value in a named queue; a queue is there as long as it has items.
    holdfast queue add index '{"file": "a.py"}'
    holdfast queue claim index          it is yours for a minute: do the work, then
    holdfast queue confirm index 1.1    it leaves; or
    holdfast queue release index 1.1    it comes again, later each time
What is neither confirmed nor released comes again when its lease ends. What failed too
often goes to dead letters: `holdfast queue dead index`. docs/queues.md has all of it."""


class NoneNamed(HoldfastError):
    """Dead letters are retried or dropped by their ids, or all of them; neither is no answer."""

    exit = Exit.USAGE


def add_commands(commands: Commands) -> None:
    queue = add_command(
        commands, "queue", run_list, "work that waits to be done: add, claim, confirm", EXAMPLE
    )
    add_json(queue)
    actions = queue.add_subparsers(title="actions", metavar="ACTION")
    listing = add_command(actions, "list", run_list, "which queues there are, and how full")
    add_json(listing)
    _add_add(actions)
    _add_claim(actions)
    _add_settling(actions)
    _add_dead(actions)


def _add_add(actions: Commands) -> None:
    add = add_command(
        actions,
        "add",
        run_add,
        "put items into a queue; they are on disk when this ends",
        "A PAYLOAD that is no JSON is taken as a text. `-` reads payloads from stdin, one a line.",
    )
    add.add_argument("queue", metavar="QUEUE", type=queue_name)
    add.add_argument("payloads", metavar="PAYLOAD", nargs="+")
    add.add_argument("--key", default="", help="add it once, however often this is run")
    add.add_argument("--priority", type=int, default=0, help="higher ones come first (default 0)")
    add.add_argument("--subject", default="", help="whom it is about; subjects take turns")
    add.add_argument(
        "--after",
        action="append",
        default=[],
        metavar="ID",
        help="wait until this item, or the one with this key, is confirmed; may be repeated",
    )
    add.add_argument("--delay", type=spell, default=0, metavar="SPAN", help="not before: 30s, 5m")
    add.add_argument("--ttl", type=spell, metavar="SPAN", help="a dead letter after that")
    add.add_argument("--attempts", type=count, default=0, help="how often it is tried")
    add.add_argument(
        "--wait", type=spell, default=30, metavar="SPAN", help="for room (default 30s)"
    )
    add_json(add)


def _add_claim(actions: Commands) -> None:
    claim = add_command(
        actions,
        "claim",
        run_claim,
        "take the next items; they are yours until the lease ends",
        "Each line is the claim, which attempt it is, and the payload. Without items: exit code 4.",
    )
    claim.add_argument("queue", metavar="QUEUE", type=queue_name)
    claim.add_argument("-n", "--limit", type=count, default=1, help="at most so many (default 1)")
    claim.add_argument("--lease", type=spell, metavar="SPAN", help="30s, 5m (work.lease_secs)")
    claim.add_argument(
        "--wait", type=spell, default=0, metavar="SPAN", help="for items, when there are none"
    )
    add_json(claim)


def _add_settling(actions: Commands) -> None:
    confirm = add_command(actions, "confirm", run_confirm, "the work is done: the items leave")
    release = add_command(
        actions,
        "release",
        run_release,
        "give items back, because it did not work out",
        "They come again after a while, longer each time, until their attempts are used up.",
    )
    for parser in (confirm, release):
        parser.add_argument("queue", metavar="QUEUE", type=queue_name)
        parser.add_argument("claims", metavar="CLAIM", nargs="+", help="as `claim` gave it: 12.1")
    release.add_argument("--delay", type=spell, metavar="SPAN", help="after that and no sooner")
    release.add_argument("--error", default="", help="what went wrong, for who looks at it later")
    release.add_argument(
        "--unstarted", action="store_true", help="it was not tried: do not count it as an attempt"
    )
    add_json(confirm)
    add_json(release)


def _add_dead(actions: Commands) -> None:
    dead = add_command(
        actions,
        "dead",
        run_dead,
        "what is not tried again by itself, and why",
        "With an ID all of that item, payload included.",
    )
    dead.add_argument("queue", metavar="QUEUE", type=queue_name)
    dead.add_argument("id", metavar="ID", type=count, nargs="?")
    dead.add_argument("--after", metavar="ID", type=count, help="those behind this one")
    dead.add_argument(
        "-n", "--limit", type=count, default=SHOWN, help=f"at most so many (default {SHOWN})"
    )
    add_json(dead)
    retry = add_command(actions, "retry", run_retry, "dead letters are pending again")
    drop = add_command(actions, "drop", run_drop, "dead letters leave for good")
    for parser in (retry, drop):
        parser.add_argument("queue", metavar="QUEUE", type=queue_name)
        parser.add_argument("ids", metavar="ID", type=count, nargs="*")
        parser.add_argument("--all", action="store_true", help="all dead letters of the queue")
        add_json(parser)


def queue_name(text: str) -> str:
    """What would be another address on the daemon's socket; the daemon says all else."""
    if not text or "/" in text:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name of a queue: use letters, digits and _ . : -"
        )
    return text


def spell(text: str) -> int:
    """Seconds: `90`, `30s`, `5m`, `12h`, `7d`."""
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span: write 30s, 5m, 12h or 7d")
    return int(found[1]) * _SPANS_S[found[2]]


def run_list(context: Context, arguments: argparse.Namespace) -> int:
    queues = context.client.get("/v1/queues")
    if arguments.json:
        put_json(queues)
        return Exit.OK
    if not queues:
        say("Nothing is queued. `holdfast queue add NAME PAYLOAD` begins a queue.")
        return Exit.OK
    states = ("ready", "delayed", "waiting", "claimed", "dead")
    rows = [
        (
            *(f"{each[state]:,}" for state in states),
            span(time.time() - each["oldest_ms"] / 1_000) if each["oldest_ms"] else "-",
            each["queue"],
        )
        for each in queues
    ]
    head = ("READY", "DELAYED", "WAITING", "CLAIMED", "DEAD", "OLDEST", "QUEUE")
    put(table(head, rows, right=frozenset(range(6))))
    return Exit.OK


def run_add(context: Context, arguments: argparse.Namespace) -> int:
    fields = {
        "key": arguments.key,
        "priority": arguments.priority,
        "subject": arguments.subject,
        "after": [int(each) if each.isdecimal() else each for each in arguments.after],
        "delay_secs": arguments.delay,
        "max_attempts": arguments.attempts,
    }
    if arguments.ttl is not None:
        fields["ttl_secs"] = arguments.ttl
    ids: list[int] = []
    repeated = 0
    for payloads in _batches(_payloads(arguments.payloads)):
        items = [{"payload": payload, **fields} for payload in payloads]
        path = f"/v1/queues/{arguments.queue}/items"
        done = _enqueued(context, path, items, arguments.wait)
        ids += done["ids"]
        repeated += done["repeated"]
    if arguments.json:
        put_json({"ids": ids, "repeated": repeated})
        return Exit.OK
    for number in ids:
        put(str(number))
    known = f", {repeated:,} known already" if repeated else ""
    say(f"{counted(len(ids), 'item')} in {arguments.queue}{known}.")
    return Exit.OK


def _enqueued(context: Context, path: str, items: list[dict[str, Any]], wait_s: int) -> Any:
    """Comes again when it is put off, until the time is over that was given for it."""
    from holdfast.client import Client, PutOff

    client = Client(context.paths, put_off_max_s=0)
    ends_s = time.monotonic() + wait_s
    left_s = float(wait_s)
    while True:
        asked = {"wait_secs": min(round(left_s), WAIT_S)}
        try:
            answer = client.stream("POST", path, body={"items": items}, **asked)
            return json.loads(b"".join(answer))
        except PutOff as put_off:
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                raise
            time.sleep(min(put_off.retry_after_s, left_s))
            left_s = max(0.0, ends_s - time.monotonic())


def run_claim(context: Context, arguments: argparse.Namespace) -> int:
    items = _claimed(context, arguments)
    if arguments.json:
        put_json(items)
    for item in items if not arguments.json else ():
        attempt = f"{item['attempt']}/{item['max_attempts']}"
        put(f"{item['claim']}\t{attempt}\t{json.dumps(item['payload'], ensure_ascii=False)}")
    if not items:
        say(f"Nothing is ready in {arguments.queue}.")
    return Exit.OK if items else Exit.NOT_FOUND


def _claimed(context: Context, arguments: argparse.Namespace) -> Any:
    """The daemon lets wait for a minute, and answers early when it stops: then it is asked again.

    So whoever waits hears that nothing came only when the time is over. One that goes away
    meanwhile, or is short of memory, is waited for too; one that was not there is told at once.
    """
    from holdfast.client import NotRunning, Refused
    from holdfast.remote.talk import passes, pause_s

    asked: dict[str, float] = {"count": arguments.limit}
    if arguments.lease is not None:
        asked["lease_secs"] = arguments.lease
    ends_s = time.monotonic() + arguments.wait
    left_s = float(arguments.wait)
    was_there = False
    while True:
        asked["wait_secs"], asked_s = min(left_s, WAIT_S), time.monotonic()
        try:
            items = _post(context, f"/v1/queues/{arguments.queue}/claim", asked)["items"]
        except (NotRunning, Refused) as error:  # it restarts, or is short of memory
            left_s = ends_s - time.monotonic()
            was_there |= isinstance(error, Refused) or time.monotonic() - asked_s > AWAY_PAUSE_S
            if left_s <= 0 or not was_there or (isinstance(error, Refused) and not passes(error)):
                raise
            time.sleep(min(pause_s(error, AWAY_PAUSE_S), left_s))
            continue
        left_s = ends_s - time.monotonic()
        if items or left_s <= 0:
            return items


def run_confirm(context: Context, arguments: argparse.Namespace) -> int:
    asked = {"claims": arguments.claims}
    outcome = _post(context, f"/v1/queues/{arguments.queue}/confirm", asked)
    return _tell(outcome, "confirmed", as_json=arguments.json)


def run_release(context: Context, arguments: argparse.Namespace) -> int:
    asked = {
        "claims": arguments.claims,
        "delay_secs": arguments.delay,
        "error": arguments.error,
        "failed": not arguments.unstarted,
    }
    outcome = _post(context, f"/v1/queues/{arguments.queue}/release", asked)
    return _tell(outcome, "released", as_json=arguments.json)


def run_dead(context: Context, arguments: argparse.Namespace) -> int:
    path = f"/v1/queues/{arguments.queue}/dead"
    if arguments.id is not None:
        letter = context.client.get(f"{path}/{arguments.id}")
        if arguments.json:
            put_json(letter)
        else:
            _show_letter(letter)
        return Exit.OK
    letters = context.client.get(path, after=arguments.after, limit=arguments.limit)
    if arguments.json:
        put_json(letters)
        return Exit.OK
    if not letters:
        say(f"{arguments.queue} has no dead letters.")
        return Exit.OK
    rows = [
        (
            str(each["id"]),
            each["reason"],
            f"{each['attempts']}/{each['max_attempts']}",
            span(time.time() - each["died_ms"] / 1_000),
            plain(each["preview"]),
            plain(each["error"]),
        )
        for each in letters
    ]
    put(table(("ID", "REASON", "ATTEMPTS", "SINCE", "PAYLOAD", "ERROR"), _cut(rows)))
    return Exit.OK


def run_retry(context: Context, arguments: argparse.Namespace) -> int:
    return _move(context, arguments, "retry", "pending again")


def run_drop(context: Context, arguments: argparse.Namespace) -> int:
    return _move(context, arguments, "drop", "dropped")


def _move(context: Context, arguments: argparse.Namespace, action: str, done: str) -> int:
    if bool(arguments.ids) == arguments.all:
        raise NoneNamed(
            f"say which dead letters: `holdfast queue {action} {arguments.queue} ID …`, or --all; "
            f"`holdfast queue dead {arguments.queue}` lists them"
        )
    asked = {"all": True} if arguments.all else {"ids": arguments.ids}
    moved = _post(context, f"/v1/queues/{arguments.queue}/dead/{action}", asked)
    if arguments.json:
        put_json(moved)
        return Exit.OK
    say(f"{counted(len(moved['ids']), 'item')} {done}.")
    if moved["held"]:
        held = ", ".join(map(str, moved["held"]))
        say(f"Left: {held}, which wait for other dead letters; retry those first.")
    return Exit.OK


def _tell(outcome: dict[str, Any], done: str, *, as_json: bool) -> int:
    """A claim that is void is a failure: whoever asked must not think that it was settled."""
    if as_json:
        put_json(outcome)
    else:
        say(f"{counted(outcome['done'], 'item')} {done}.")
        if outcome["gone"]:
            say(f"Done before: {', '.join(outcome['gone'])}.")
        if outcome["stale"]:
            say(
                f"Refused: {', '.join(outcome['stale'])}, which are void: the lease ended, or "
                "there is no such claim."
            )
    return Exit.CONFLICT if outcome["stale"] else Exit.OK


def _show_letter(letter: dict[str, Any]) -> None:
    for name in ("id", "reason", "error", "attempts", "max_attempts", "subject", "key"):
        if letter[name] != "":
            put(f"{name:<13} {plain(str(letter[name]))}")
    put(f"{'payload':<13} {size(letter['payload_bytes'])}")
    put(json.dumps(letter["payload"], indent=2, ensure_ascii=False))


def _cut(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The payload is no wider than a third of a line; what went wrong is to be read."""
    wide = 40
    return [
        (*row[:4], row[4] if len(row[4]) <= wide else f"{row[4][: wide - 1]}…", row[5])
        for row in rows
    ]


def _payloads(given: Iterable[str]) -> Iterator[object]:
    for text in given:
        if text == "-":
            yield from (_value(line.rstrip("\n")) for line in sys.stdin if line.strip())
        else:
            yield _value(text)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _batches(payloads: Iterable[object]) -> Iterator[list[object]]:
    batch: list[object] = []
    for payload in payloads:
        batch.append(payload)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _post(context: Context, path: str, body: object) -> Any:
    return context.client.send(path, body)
