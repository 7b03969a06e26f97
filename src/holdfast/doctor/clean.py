"""Leaving out what a stranger must not see, so that a bundle can be given away unread.

Nothing is searched for what must go: searching finds what one thought of. Instead only what is
known to be harmless stays: numbers, moments, and strings of fields that hold words of our own. Of
any other string its length stays, and of an error the words of the system that are in it.
"""

from __future__ import annotations

import builtins
import errno
import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from holdfast.errors import HoldfastError
from holdfast.paths import Paths

# Fields of the status and of log records that hold one of our own words, an id or a number.
WORDS: Final = frozenset(
    {
        "agent", "at", "command", "ended_at", "ending", "event", "heartbeat_at", "idle_mode",
        "level", "limit", "mode", "of", "origin", "pressure", "previous", "session",
        "started_at", "state", "updated_at", "earliest_at", "latest_at", "verdict", "version",
        "component",
    }
)  # fmt: skip
SENTENCES: Final = frozenset({"cause", "said"})  # ours throughout, with figures in them
TRACES: Final = frozenset({"trace", "traceback"})
_WORD: Final = re.compile(r"[\w.:+ -]{0,64}")
_FRAME: Final = re.compile(r'\s*File "([^"]*)", line (\d+),? in (\S+)')
_LIBRARY: Final = re.compile(
    r".*/((?:site-packages|python3\.\d+|src/holdfast|importlib|asyncio)/[\w./-]+)$"
)
_NAME: Final = re.compile(r"\b[A-Za-z][A-Za-z.]*\b")


def cleaned(value: Any, field: str = "") -> Any:
    """The same shape with the same numbers; keys are ours too."""
    if isinstance(value, Mapping):
        return {key: cleaned(each, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(each, field) for each in value]
    if not isinstance(value, str) or not value:
        return value
    if field in WORDS and _WORD.fullmatch(value):
        return value
    if field in SENTENCES:
        return value
    return trace(value) if field in TRACES else error(value)


def error(text: str) -> str:
    """Of a sentence that may quote anything: what the system itself says, and how long it was."""
    known = [said for said in _system_errors() if said in text]
    classes = _class_names()
    known += [name for name in dict.fromkeys(_NAME.findall(text)) if name in classes]
    return f"({', '.join([*known, f'{len(text):,} characters'])})"


def trace(text: str) -> str:
    """Where it happened, without the folders above and without what the error says."""
    kept: list[str] = []
    for line in text.splitlines():
        frame = _FRAME.match(line)
        if frame:
            path, number, function = frame.groups()
            kept.append(f'  File "{_module(path)}", line {number} in {function}')
        elif line.startswith(
            ("Fatal Python error: ", "Thread 0x", "Current thread 0x", "Traceback")
        ):
            kept.append(line)
        elif line and not line.startswith(" "):
            kept.append(error(line))
    return "\n".join(kept)


def _module(path: str) -> str:
    """A file of ours or of a library; where it is installed may be a project."""
    found = _LIBRARY.search(path)
    return f"…/{found[1]}" if found else "(elsewhere)"


class Places:
    """holdfast's own places by their names: they may stand in a folder that says too much."""

    def __init__(self, paths: Paths, environ: Mapping[str, str]) -> None:
        named = {
            paths.journal: "<data>/journal.db",
            paths.blobs: "<data>/blobs",
            paths.data_dir: "<data>",
            paths.logs: "<state>/logs",
            paths.runtime_dir: "<run>",
            paths.state_dir: "<state>",
            paths.socket: "<socket>",
            paths.config_file: "<config>",
            environ.get("HOME") or os.path.expanduser("~"): "~",
        }
        self._named: Final = sorted(named.items(), key=lambda each: -len(each[0]))

    def hidden(self, text: str) -> str:
        for path, name in self._named:
            if len(path) > 1:
                text = text.replace(path, name)
        return text


@cache
def _system_errors() -> tuple[str, ...]:
    return tuple(os.strerror(number) for number in errno.errorcode)


@cache
def _class_names() -> frozenset[str]:
    """As they are when it is first asked for: by then all is loaded that a bundle can tell of."""
    found = {
        name
        for name, each in vars(builtins).items()
        if isinstance(each, type) and issubclass(each, BaseException)
    }
    waiting: list[type] = [HoldfastError]
    while waiting:
        each = waiting.pop()
        found.add(each.__name__)
        waiting += each.__subclasses__()
    return frozenset(found | {"SIGTERM", "SIGINT", "apsw"})
