"""`debug memory`: where the daemon's memory is, and what changed between two moments."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from holdfast.cli.context import Context
from holdfast.cli.output import bold, plain, put, put_json, say, size, table
from holdfast.cli.parsing import Commands, add_command, add_json, count
from holdfast.errors import Exit, HoldfastError

JsonObject = dict[str, Any]

SHOWN: Final = 15
WATCH_SECONDS: Final = 10
WATCH_SECONDS_MAX: Final = 540
SPARE_SECONDS: Final = 30  # the tracing ends by itself soon after, should this command be ended
FORMAT: Final = "holdfast memory profile 1"


class ProfileExists(HoldfastError):
    """There is a file of that name."""

    exit: ClassVar[Exit] = Exit.REFUSED


class SecondsOfNothing(HoldfastError):
    """There is nothing that would take so long."""

    exit: ClassVar[Exit] = Exit.USAGE


class BadProfile(HoldfastError):
    """The file is no profile."""

    exit: ClassVar[Exit] = Exit.USAGE


def add_commands(commands: Commands) -> None:
    group = add_command(commands, "debug", _help, "look into the running daemon")
    group.set_defaults(parser=group)
    actions = group.add_subparsers(title="actions", metavar="ACTION")
    memory = add_command(
        actions,
        "memory",
        run_memory,
        "where the daemon's memory is: by component, by type, by line",
        "    holdfast debug memory --save before.json\n"
        "    (do what you suspect)\n"
        "    holdfast debug memory --diff before.json\n"
        "Without --sites the daemon does nothing it would not do anyway. With --sites it notes\n"
        "each allocation for a while, which costs memory and speed, and says how much.",
    )
    memory.add_argument(
        "--sites", action="store_true", help="also by line: trace allocations for a while"
    )
    memory.add_argument(
        "--seconds",
        type=_seconds,
        metavar="N",
        help=f"how long --sites traces (default {WATCH_SECONDS}, at most {WATCH_SECONDS_MAX})",
    )
    memory.add_argument("--save", metavar="FILE", help="keep it in a file, for a later --diff")
    memory.add_argument("--force", action="store_true", help="replace that file if it is there")
    memory.add_argument("--diff", metavar="FILE", help="what changed since that one was kept")
    memory.add_argument(
        "-n", "--limit", type=count, default=SHOWN, help=f"rows of each table (default {SHOWN})"
    )
    add_json(memory)


def _help(_context: Context, arguments: argparse.Namespace) -> int:
    arguments.parser.print_help()
    return Exit.USAGE


def _seconds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= WATCH_SECONDS_MAX:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from 1 to {WATCH_SECONDS_MAX}"
        )
    return int(text)


def run_memory(context: Context, arguments: argparse.Namespace) -> int:
    if arguments.seconds is not None and not arguments.sites:
        raise SecondsOfNothing("--seconds goes with --sites: without it nothing is traced")
    before = _read(arguments.diff) if arguments.diff else None
    seconds = arguments.seconds or WATCH_SECONDS
    profile = _traced(context, seconds) if arguments.sites else _profile(context)
    if arguments.save:
        _save(arguments.save, profile, force=arguments.force)
        say(f"Kept in {arguments.save}.")
    if before is not None:
        changed = difference(before, profile)
        put_json(changed) if arguments.json else put("\n".join(_changes(changed, arguments.limit)))
    elif arguments.json:
        put_json(profile)
    else:
        put("\n".join(_lines(profile, arguments.limit)))
    return Exit.OK


def _profile(context: Context, **query: object) -> JsonObject:
    found: JsonObject = context.client.get("/v1/debug/memory", **query)
    return found


def _traced(context: Context, seconds: int) -> JsonObject:
    """Trace for a while; whatever ends the waiting, the tracing ends too."""
    asked = {"on": "true", "seconds": str(seconds + SPARE_SECONDS)}
    context.client.post("/v1/debug/memory/trace", **asked)
    try:
        say(f"Tracing allocations for {seconds} s.")
        time.sleep(seconds)
        return _profile(context, sites="true")
    finally:
        context.client.post("/v1/debug/memory/trace", off="true")


def _save(path: str, profile: JsonObject, *, force: bool) -> None:
    try:
        with open(path, "w" if force else "x", encoding="utf-8", opener=_private) as file:
            json.dump({"format": FORMAT, **profile}, file)
    except FileExistsError:
        raise ProfileExists(f"{path} is there already: name another, or use --force") from None
    except OSError as error:
        raise BadProfile(f"cannot write {path} ({error.strerror})") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read(path: str) -> JsonObject:
    try:
        with open(path, encoding="utf-8") as file:
            profile = json.load(file)
    except OSError as error:
        raise BadProfile(f"cannot read {path} ({error.strerror})") from error
    except ValueError as error:
        raise BadProfile(f"{path} is no profile: {error}") from error
    if not isinstance(profile, dict) or profile.get("format") != FORMAT:
        raise BadProfile(f"{path} is no profile: `holdfast debug memory --save` makes one")
    return profile


def difference(before: JsonObject, after: JsonObject) -> JsonObject:
    """What grew and what shrank, the largest change first; what stayed the same is left out."""
    old, new = before["components"], after["components"]
    figures = ("footprint_bytes", "baseline_bytes", "unaccounted_bytes", "python_blocks")
    traced = before.get("sites") and after.get("sites")
    return {
        "from": before["at"],
        "to": after["at"],
        "components": {
            **{name: new[name] - old[name] for name in figures},
            "parts": _changed(old["parts"], new["parts"], ("name",)),
        },
        "types": _changed(before["types"]["largest"], after["types"]["largest"], ("name",)),
        "sites": (
            _changed(before["sites"]["largest"], after["sites"]["largest"], ("file", "line"))
            if traced
            else None
        ),
    }


def _changed(
    before: list[JsonObject], after: list[JsonObject], key: tuple[str, ...]
) -> list[JsonObject]:
    """What is in neither list of the largest counts as nothing."""
    old = {tuple(each[name] for name in key): each for each in before}
    new = {tuple(each[name] for name in key): each for each in after}
    rows = []
    for what in {**old, **new}:
        row: JsonObject = dict(zip(key, what, strict=True))
        for figure in ("count", "items", "bytes"):
            if figure in (new.get(what) or old[what]):
                row[figure] = new.get(what, {}).get(figure, 0) - old.get(what, {}).get(figure, 0)
        if row["bytes"]:
            rows.append(row)
    return sorted(rows, key=lambda row: -abs(row["bytes"]))


def _lines(profile: JsonObject, limit: int) -> Iterator[str]:
    parts = profile["components"]
    rows = [
        ("program", "", size(parts["baseline_bytes"])),
        *((each["name"], f"{each['items']:,}", size(each["bytes"])) for each in parts["parts"]),
        ("not accounted for", "", size(parts["unaccounted_bytes"])),
        ("all of it", "", size(parts["footprint_bytes"])),
    ]
    yield table(("COMPONENT", "ITEMS", "BYTES"), rows, right=frozenset({1, 2}))
    types = profile["types"]
    yield ""
    yield (
        f"{types['objects']:,} objects, {size(types['bytes'])} by themselves; "
        f"{types['frozen_objects']:,} from before the start are not among them"
        + (" (there were more than could be told apart)" if types["truncated"] else "")
    )
    yield table(
        ("TYPE", "COUNT", "BYTES"),
        [
            (plain(each["name"]), f"{each['count']:,}", size(each["bytes"]))
            for each in types["largest"][:limit]
        ],
        right=frozenset({1, 2}),
    )
    sites = profile["sites"]
    if sites is None:
        return
    yield ""
    yield (
        f"{size(sites['bytes'])} allocated in {sites['traced_s']:g} s and still there, at most "
        f"{size(sites['peak_bytes'])}; the tracing itself took {size(sites['tracer_bytes'])}"
    )
    yield table(
        ("LINE", "COUNT", "BYTES"),
        [
            (f"{plain(each['file'])}:{each['line']}", f"{each['count']:,}", size(each["bytes"]))
            for each in sites["largest"][:limit]
        ],
        right=frozenset({1, 2}),
    )


def _changes(changed: JsonObject, limit: int) -> Iterator[str]:
    parts = changed["components"]
    yield f"From {changed['from']} to {changed['to']}"
    rows = [
        ("all of it", _signed(parts["footprint_bytes"])),
        ("not accounted for", _signed(parts["unaccounted_bytes"])),
        *((each["name"], _signed(each["bytes"])) for each in parts["parts"]),
    ]
    yield table(("COMPONENT", "CHANGE"), rows, right=frozenset({1}))
    for head, name in (("TYPE", "types"), ("LINE", "sites")):
        if changed[name]:
            yield ""
            yield table(
                (head, "COUNT", "CHANGE"),
                [
                    (_what(each), f"{each['count']:+,}", _signed(each["bytes"]))
                    for each in changed[name][:limit]
                ],
                right=frozenset({1, 2}),
            )
    if not changed["types"]:
        yield bold("No type of object changed.")


def _what(row: JsonObject) -> str:
    return plain(row["name"]) if "name" in row else f"{plain(row['file'])}:{row['line']}"


def _signed(count: int) -> str:
    return size(count) if count < 0 else f"+{size(count)}"
