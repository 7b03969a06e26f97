"""Small pieces of the parser that several groups of commands share."""

from __future__ import annotations

import argparse
import os
import pwd
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from holdfast.cli.context import Context

Command = Callable[[Context, argparse.Namespace], int]

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # has no public name
else:
    Commands = Any


class CommandParser(argparse.ArgumentParser):
    """Options may stand anywhere among the arguments: `record SESSION --json PATH`.

    argparse alone gives up the second of two arguments when an option stands between them.
    """

    _has_commands = _asks = False

    def add_subparsers(self, **how: Any) -> Any:
        self._has_commands = True
        return super().add_subparsers(**how)

    def parse_known_args(  # type: ignore[override]  # its overloads say no more than this
        self, args: Any = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        alone = self._has_commands or self._asks or "--" in (args or ())  # behind -- is no option
        if alone:
            return super().parse_known_args(args, namespace)
        self._asks = True  # what follows calls this method again, for options and for the rest
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._asks = False


_SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def add_command(
    commands: Commands, name: str, run: Command, about: str, details: str = ""
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}{'' if about[-1] in '?.' else '.'}\n\n{details}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON to stdout")


def moment(text: str) -> str:
    """`2026-11-20`, a full ISO time, or a span back from now: `30m`, `12h`, `7d`, `2w`."""
    span = re.fullmatch(r"(\d+)([mhdw])", text)
    if span:
        try:
            at = datetime.now(UTC) - timedelta(**{_SPANS[span[2]]: int(span[1])})
        except OverflowError:
            raise argparse.ArgumentTypeError(f"{text!r} is before all time") from None
    else:
        try:
            at = datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise argparse.ArgumentTypeError(
                f"{text!r} is no time: write 2026-11-20, 2026-11-20T14:00, or 30m, 12h, 7d, 2w ago"
            ) from None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def agent(text: str) -> str:
    """The name of an agent that is known here; "" stands for all of them."""
    from holdfast.sources.agents import NAMES

    if text and text not in NAMES:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no agent that is known here; there are: {', '.join(NAMES)}"
        )
    return text


def amount(text: str) -> int:
    """Bytes: `500KB`, `10MB`, `1GB`; a number alone counts bytes."""
    found = re.fullmatch(r"(\d+)\s*([KMG]?)i?B?", text, re.IGNORECASE)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write 500KB, 10MB or 1GB")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2].upper()]


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def span_s(text: str) -> int:
    """Seconds: `90s`, `30m`, `12h`, `7d`, `2w`; 0 stands for none."""
    found = re.fullmatch(r"(\d+)([smhdw])", text)
    if text != "0" and found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span: write 90s, 30m, 12h, 7d, 2w or 0")
    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
    return int(found[1]) * units[found[2]] if found is not None else 0


def entity(text: str) -> str:
    """The id of a task, checkpoint or intent, or its beginning."""
    if not text or not text.isprintable() or not text.isascii() or "/" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no id: type the beginning of one at least")
    return text


def add_entity(parser: argparse.ArgumentParser, noun: str) -> None:
    parser.add_argument(
        "name", metavar=noun.upper(), type=entity, help="its id, or the beginning of it"
    )


def add_by(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by", metavar="NAME", help="who does it (default: the name you are logged in by)"
    )


def by(context: Context, arguments: argparse.Namespace) -> str:
    if arguments.by is not None:
        return str(arguments.by)
    return context.environ.get("USER") or _login_name()


def _login_name() -> str:
    """Services, cron and containers set no USER; who decided is to be known all the same."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a uid without a name
        return str(os.getuid())
