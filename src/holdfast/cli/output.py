"""How the command line talks: data to stdout, talk to stderr, figures as people read them."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Final

from holdfast.errors import Exit

MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
WIDTH_WITHOUT_TERMINAL: Final = 200
LAST_COLUMN_MIN: Final = 20  # columns, however narrow the terminal is
KIB: Final = 1024

_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def say(text: str) -> None:
    """To the person, never into data."""
    print(text, file=sys.stderr, flush=True)


def put(text: str) -> None:
    print(text)


def put_json(value: object) -> None:
    import msgspec

    put_bytes([msgspec.json.encode(value), b"\n"])


def put_bytes(pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def end_when_unread() -> None:
    """End, quietly, as soon as whoever reads us has gone: writing tells that too, and a command
    that waits for something to write would outlive its reader until then."""
    from threading import Thread

    mode = os.fstat(sys.stdout.fileno()).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        Thread(target=_await_unread, args=(sys.stdout.fileno(),), daemon=True).start()


def _await_unread(output: int) -> None:
    import select

    watch = select.poll()
    watch.register(output, 0)  # that nobody reads is told though nothing is asked
    if any(told & (select.POLLERR | select.POLLHUP) for _output, told in watch.poll()):
        os._exit(Exit.OK)


def is_styled() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def bold(text: str) -> str:
    return f"{_BOLD}{text}{_PLAIN}" if is_styled() else text


def dim(text: str) -> str:
    return f"{_DIM}{text}{_PLAIN}" if is_styled() else text


def plain(text: str) -> str:
    """One line that cannot steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def size(count: float) -> str:
    """In the units of the settings: `daemon.max_memory_mb = 200` is shown as 200.0 MiB."""
    unit = "B"
    for larger in ("KiB", "MiB", "GiB"):
        if abs(count) < 999.95:  # four digits would not fit the columns
            break
        count, unit = count / KIB, larger
    return f"{count:,.0f} B" if unit == "B" else f"{count:,.1f} {unit}"


def counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def ago(at: str, now_s: float | None = None) -> str:
    """A time as people say it: "12 min ago"."""
    if not at:
        return "-"
    try:
        moment = datetime.fromisoformat(at).astimezone(UTC).timestamp()
    except ValueError:
        return at
    seconds = (time.time() if now_s is None else now_s) - moment
    if seconds < MINUTE_S:
        return "just now"
    if seconds < HOUR_S:
        return f"{int(seconds // MINUTE_S)} min ago"
    if seconds < DAY_S:
        return f"{int(seconds // HOUR_S)} h ago"
    return f"{int(seconds // DAY_S)} d ago"


def span(seconds: float) -> str:
    """A time as people say it: "12 min 5 s"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: frozenset[int] = frozenset(),
    *,
    whole: bool = False,
) -> str:
    """Columns as wide as needed; the last takes what the terminal has left.

    What does not fit there is cut, or goes on below when all of it is wanted (`whole`): where there
    is no terminal each row is one line then, however long.
    """
    columns = list(zip(head, *rows, strict=True)) if rows else [(name,) for name in head]
    widths = [max(map(width, column)) for column in columns]
    terminal = shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns
    if not sys.stdout.isatty():
        terminal = WIDTH_WITHOUT_TERMINAL
    before = sum(widths[:-1]) + 2 * (len(widths) - 1)
    rest = max(LAST_COLUMN_MIN, terminal - before)
    if not whole or sys.stdout.isatty():
        widths[-1] = min(widths[-1], rest)
    lines = [bold(_row(head, widths, right))]
    for row in rows:
        first, *more = wrapped(row[-1], widths[-1]) if whole else (row[-1],)
        lines.append(_row([*row[:-1], first], widths, right))
        lines += [" " * before + line for line in more]
    return "\n".join(lines)


def wrapped(text: str, room: int) -> list[str]:
    """The text in lines of at most `room` columns, between words where there are any."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if width(longer) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while width(line) > room:
            kept = _fitting(line, room)
            lines.append(kept)
            line = line[len(kept) :]
    return [*lines, line]


def _row(cells: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    fitted = []
    for number, (cell, room) in enumerate(zip(cells, widths, strict=True)):
        text = cut(cell, room)
        padding = " " * (room - width(text))
        fitted.append(padding + text if number in right else text + padding)
    return "  ".join(fitted).rstrip()


def width(text: str) -> int:
    """How many columns a terminal needs: Chinese, Japanese, Korean and emoji take two each."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, room: int) -> str:
    """The text in at most `room` columns; what is cut off leaves a mark."""
    if width(text) <= room:
        return text
    return _fitting(text, room - 1) + "…"


def _fitting(text: str, room: int) -> str:
    """How the text begins, in at most `room` columns."""
    used = 0
    for place, char in enumerate(text):
        used += _columns(char)
        if used > room:
            return text[:place]
    return text


@cache
def _columns(char: str) -> int:
    import unicodedata

    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
