"""The commands in a message that somebody typed: `::record` and its kin, one a line.

    ::init [path]   ::record   ::capture [path]   ::export path   ::stop

A message is Markdown, and people paste all sorts of things into it; what is only quoted must never
act. So a line is a command only where it stands for itself:

* It begins with `::`, after three spaces at most: more, or a tab, is indented code; a quote or a
  list item begins with something else.
* It is in no fence, no comment, no `<pre>` and the like, and no code span that began on a line
  above. A fence that is never closed reaches to the end of the message, through all parts that a
  record keeps it in: a message is one text to who wrote it. Where readers of Markdown
  differ about the end of a fence in a list, it lasts until a closing one.
* Nothing follows it but what it takes.

A path may stand in quotes, backticks, angle brackets, bold or a Markdown link; with spaces in it,
it needs one of these, unless it ends as a file of ours does. Full stops and the like behind it are
the sentence's.

What comes near a command is told (`BadCommand`), so that a slip does not go by in silence:
`::recrod`, `::capture:notes.md`, `:: stop`, `**::stop**`. What is more likely code, `::before` or
`::std::move(x)`, is passed over without a word, and so is prose that has `::` further on.

The scan goes over a message once, line by line; nothing in it looks back or ahead further than one
paragraph.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Final
from urllib.parse import unquote

import msgspec

COMMANDS_MAX: Final = 32  # of one message
PATH_CHARS_MAX: Final = 4_096
TEXT_CHARS_MAX: Final = 300
NEAR_ENOUGH: Final = 0.7

# What each command takes behind it.
_TAKES: Final = {
    "init": "a path or nothing",
    "record": "nothing",
    "capture": "a path or nothing",
    "export": "a path",
    "stop": "nothing",
}
NAMES: Final = tuple(_TAKES)
ENDINGS: Final = (".md", ".markdown", ".jsonl", ".html")


class Command(msgspec.Struct, frozen=True):
    name: str
    path: str  # "" for none
    text: str  # the line as it was typed
    nth: int = 0  # how often the same line stood in the message before


class BadCommand(msgspec.Struct, frozen=True):
    """A line that was meant as a command, and what is wrong with it."""

    text: str
    reason: str
    nth: int = 0


Found = Command | BadCommand


def find_commands(message: str, above: Sequence[str] = ()) -> list[Found]:
    """All commands of a message, the bad ones among them, in order.

    Of one that is kept in parts, each by itself: `above` are those before it.
    """
    if "::" not in message:
        return []
    found: list[Found] = []
    seen: dict[str, int] = {}
    for line in _open_lines(_lines(message), [line for part in above for line in _lines(part)]):
        command = _command(line)
        if command is None:
            continue
        nth = seen.get(command.text, 0)
        seen[command.text] = nth + 1
        if len(found) == COMMANDS_MAX:
            reason = (
                f"a message may hold {COMMANDS_MAX} commands: this and those below were not run"
            )
            found.append(BadCommand(command.text, reason, nth))
            break
        found.append(msgspec.structs.replace(command, nth=nth))
    return found


# One line.

_SHAPE: Final = re.compile(r" {0,3}::([A-Za-z][\w-]{0,40})(?![\w-])(.*)", re.DOTALL)
_ONLY_PUNCTUATION: Final = re.compile(r"\s*[.,;:!?…]*\s*")
_FOLDERS: Final = (".", "..")
_LOOKS_LIKE_CODE: Final = re.compile(r"[(){}\[\];<>=]|::|//")
# Pseudo-elements of CSS, which begin with `::` as well.
_CSS: Final = frozenset(
    [
        "after",
        "backdrop",
        "before",
        "column",
        "checkmark",
        "cue",
        "cue-region",
        "details-content",
        "file-selector-button",
        "first-letter",
        "first-line",
        "grammar-error",
        "highlight",
        "marker",
        "part",
        "picker",
        "picker-icon",
        "placeholder",
        "scroll-button",
        "scroll-marker",
        "scroll-marker-group",
        "selection",
        "slotted",
        "spelling-error",
        "target-text",
        "view-transition",
        "view-transition-group",
        "view-transition-image-pair",
        "view-transition-new",
        "view-transition-old",
    ]
)


def _command(line: str) -> Found | None:
    shape = _SHAPE.fullmatch(line)
    if shape is None:
        return _slip(line)
    name, rest = shape[1], shape[2]
    text = _shown(line)
    if name not in _TAKES:
        return _unknown(name, rest, text)
    folder = rest[:1].isspace() and rest.strip() in _FOLDERS
    alone = not folder and _ONLY_PUNCTUATION.fullmatch(rest) is not None
    if rest and not rest[0].isspace() and not alone:
        return _run_together(name, rest, text)
    if alone:
        if name == "export":
            return BadCommand(text, "::export needs a path, as in `::export notes.md`")
        return Command(name, "", text)
    if name == "record":
        return BadCommand(
            text,
            "::record takes nothing behind it: name a file with `::init PATH` and then `::record`, "
            "or record from the beginning with `::capture PATH`",
        )
    if name == "stop":
        return BadCommand(text, "::stop takes nothing behind it; it stops all recordings")
    try:
        return Command(name, _path(rest), text)
    except _BadPathError as error:
        return BadCommand(text, f"::{name}: {error}")


# `:::stop`, `:: stop`, `**::stop**`: the name of a command behind the wrong marks.
_SLIP: Final = re.compile(
    r" {0,3}(?:(?P<bold>\*{1,3}|_{1,3})::|:::+[ \t]{0,3}|::[ \t]{1,3})"
    r"(?P<name>[a-z]{4,7})(?![A-Za-z0-9-])(?P<rest>.*)",
    re.DOTALL,
)
_JOINS: Final = ":=,\"'`/~*"  # what people put where a space belongs


def _slip(line: str) -> BadCommand | None:
    shape = _SLIP.fullmatch(line)
    if shape is None or shape["name"] not in _TAKES:
        return None
    rest = shape["rest"].strip().rstrip("*_").rstrip()
    if " " in rest or _LOOKS_LIKE_CODE.search(rest):
        return None  # more than a path: a sentence, or code
    marks = " and nothing around it" if shape["bold"] else ""
    return BadCommand(
        _shown(line), f"a command begins with `::` and its name{marks}, as in `::{shape['name']}`"
    )


def _run_together(name: str, rest: str, text: str) -> BadCommand | None:
    """`::capture:notes.md`; but `::init()` and `::record::field` are code."""
    path = rest[1:].strip()
    if (
        rest[0] not in _JOINS
        or rest.startswith("::")
        or not path
        or _LOOKS_LIKE_CODE.search(rest[1:])
    ):
        return None
    if _TAKES[name] == "nothing":
        return BadCommand(text, f"::{name} takes nothing behind it")
    return BadCommand(text, f"::{name} needs a space before its path, as in `::{name} notes.md`")


def _unknown(name: str, rest: str, text: str) -> BadCommand | None:
    if (rest and not rest[0].isspace()) or _LOOKS_LIKE_CODE.search(rest) or name.lower() in _CSS:
        return None
    near = get_close_matches(name.lower(), NAMES, n=1, cutoff=NEAR_ENOUGH)
    if near:
        return BadCommand(text, f"there is no ::{name}; did you mean `::{near[0]}`?")
    if rest.strip() or not (name.isascii() and name.islower() and name.isalpha()):
        return None
    known = ", ".join(f"::{each}" for each in NAMES)
    return BadCommand(text, f"there is no ::{name}; there are: {known}")


def _shown(line: str) -> str:
    text = " ".join(line.split())
    return text if len(text) <= TEXT_CHARS_MAX else text[: TEXT_CHARS_MAX - 1] + "…"


# Paths.


class _BadPathError(Exception):
    """Says what is wrong with a path."""


_QUOTES: Final = {'"': '"', "'": "'", "“": "”", "‘": "’", "„": "“”", "«": "»", "‚": "‘’"}  # noqa: RUF001  # as people type them
_END_OF_SENTENCE: Final = ".,;:!?…"
_EMPHASIS: Final = ("***", "**", "*")
_UNDERLINES: Final = ("__", "_")  # names of files may begin with them
_LINK: Final = re.compile(r"!?\[[^\[\]]*\]\((.*)\)", re.DOTALL)
_LINK_TITLE: Final = re.compile(r"\s[\"'(]")
_LAYERS_MAX: Final = 3


def _path(rest: str) -> str:
    path, wrapped = rest.strip(), False
    if len(path) > PATH_CHARS_MAX:
        raise _BadPathError("the path is too long")
    for _ in range(_LAYERS_MAX):
        inner = _unwrapped(path)
        if inner is None:
            break
        path, wrapped = inner, True
    if not wrapped:
        path = _without_punctuation(path)
        if re.search(r"\s", path) and not path.endswith((*ENDINGS, "/")):
            raise _BadPathError('put quotes around a path with spaces, as in "my notes.md"')
    if path.lower().startswith("file://"):
        path = _from_address(path)
    if not path.strip():
        raise _BadPathError("the path is empty")
    if any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in path):
        raise _BadPathError("the path holds a control character")
    return path


def _unwrapped(path: str) -> str | None:
    """What stands inside of quotes or a link; None when the path is not wrapped."""
    first = path[:1]
    if first in _QUOTES:
        return _inside(path, 1, _QUOTES[first])
    if first == "`":
        width = len(path) - len(path.lstrip("`"))
        inner = _inside(path, width, "`")
        return inner.rstrip("`").strip() if width > 1 else inner
    if first == "<":
        return _inside(path, 1, ">")
    for mark in (*_EMPHASIS, *_UNDERLINES):
        if path.startswith(mark):
            return _emphasised(path, mark)
    if path.startswith(("[", "![")):
        link = _LINK.fullmatch(_without_punctuation(path))
        return _target(link[1].strip()) if link is not None else None
    return None


def _emphasised(path: str, mark: str) -> str | None:
    if mark in _EMPHASIS:
        inner = _inside(path, len(mark), mark)
        return inner[: len(inner) - len(mark) + 1] if len(mark) > 1 else inner
    bare = _without_punctuation(path)
    inner = bare[len(mark) : -len(mark)]
    return inner if bare.endswith(mark) and inner.endswith((*ENDINGS, "/")) else None


def _target(inside: str) -> str:
    """The path of a link, without the title that may follow it."""
    if inside.startswith("<"):
        return _from_address(inside[1:].partition(">")[0])
    return _from_address(_LINK_TITLE.split(inside, maxsplit=1)[0].strip())


def _inside(path: str, width: int, closing: str) -> str:
    end = max(path.rfind(mark) for mark in closing)
    if end < width or path[end + 1 :].strip(_END_OF_SENTENCE + " "):
        raise _BadPathError(f"the {path[:1]} around the path is not closed")
    return path[width:end]


def _from_address(address: str) -> str:
    """The path that a link leads to."""
    scheme, colon, rest = address.partition("://")
    if colon and scheme.lower() != "file":
        raise _BadPathError("the link leads to an address, not to a file")
    if colon:  # file://host/path, and the host is this one
        address = rest if rest.startswith("/") else "/" + rest.partition("/")[2]
    return unquote(address, errors="strict") if _decodes(address) else address


def _decodes(address: str) -> bool:
    try:
        unquote(address, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _without_punctuation(path: str) -> str:
    bare = path.rstrip(_END_OF_SENTENCE)
    if not bare or bare.endswith("/"):  # `.`, `..` and `notes/..` are folders
        return path.rstrip(_END_OF_SENTENCE.replace(".", ""))
    return bare


# Which lines stand for themselves.

_LINE_END: Final = re.compile(r"\r\n?")
_MARKERS: Final = r"(?:[ \t]*(?:>|[-+*](?=[ \t])|[0-9]{1,9}[.)](?=[ \t])))"
_FENCE: Final = re.compile(rf"({_MARKERS}*)([ \t]*)(`{{3,}}|~{{3,}})(.*)", re.DOTALL)
_QUOTED: Final = re.compile(r"[ \t]{0,3}>")
_CONTAINERS: Final = re.compile(rf"{_MARKERS}*[ \t]*")
_LIST_ITEM: Final = re.compile(r"[ \t]*(?:[-+*]|[0-9]{1,9}[.)])(?=[ \t])")
_RAW_HTML: Final = re.compile(r" {0,3}<(pre|script|style|textarea)(?![\w-])", re.IGNORECASE)
_COMMENT: Final = re.compile(r" {0,3}<!--")


def _lines(part: str) -> list[str]:
    """With an empty one at the end: no paragraph goes on in the next part."""
    return [*_LINE_END.sub("\n", part.removeprefix("\ufeff")).split("\n"), ""]


def _open_lines(lines: list[str], above: list[str]) -> Iterator[str]:
    """The lines that are in nothing, neither in what began in the lines above them."""
    fence = ""
    in_quote = in_list = False
    until = ""  # what ends the HTML block that we are in
    paragraph: list[str] = []
    for number, line in enumerate([*above, *lines], -len(above)):
        if fence and in_quote and not _QUOTED.match(line):
            fence = ""  # the quote ends, and all that is in it
        if fence:
            if _closes(line, fence):
                fence = ""
            continue
        if until:
            if until in line.lower():
                until = ""
            continue
        opening = _FENCE.fullmatch(line)
        if opening is not None and _opens(opening, in_list=in_list):
            yield from _outside_of_spans(paragraph)
            paragraph = []
            fence, in_quote = opening[3], ">" in opening[1]
        elif (until := _opened_html(line)) or not line.strip():
            yield from _outside_of_spans(paragraph)
            paragraph = []
        elif number >= 0:
            paragraph.append(line)
        if line.strip():
            in_list = bool(_LIST_ITEM.match(line)) or (in_list and line[0] in " \t")
    yield from _outside_of_spans(paragraph)


def _opens(opening: re.Match[str], *, in_list: bool) -> bool:
    containers, indent, mark, info = opening.groups()
    if mark[0] == "`" and "`" in info:
        return False  # a code span
    return bool(containers) or in_list or len(indent.expandtabs(4)) < 4


def _closes(line: str, fence: str) -> bool:
    containers = _CONTAINERS.match(line)
    mark = line[containers.end() if containers else 0 :].rstrip(" \t")
    return len(mark) >= len(fence) and not mark.strip(fence[0])


def _opened_html(line: str) -> str:
    """What ends the HTML block that a line begins and does not end; "" when it begins none."""
    if (raw := _RAW_HTML.match(line)) is not None:
        end = f"</{raw[1].lower()}>"
        return "" if end in line.lower() else end
    if (comment := _COMMENT.match(line)) is not None:
        return "" if "-->" in line[comment.end() :] else "-->"
    return ""


_RUNS: Final = re.compile(r"`+|<!--|-->")


def _outside_of_spans(lines: list[str]) -> Iterator[str]:
    """Of the lines of a paragraph, those that begin in no code span and no comment."""
    if not any("::" in line for line in lines):
        return
    whole = "\n".join(lines)
    marks = [(found.start(), found.group()) for found in _RUNS.finditer(whole)]
    places: dict[str, list[int]] = {}
    for place, mark in marks:
        places.setdefault(mark, []).append(place)
    spans: list[tuple[int, int]] = []
    behind = 0
    for place, mark in marks:
        if place < behind or mark == "-->":
            continue
        closing = "-->" if mark == "<!--" else mark
        same = places.get(closing, [])
        following = bisect_right(same, place)
        if following < len(same):
            behind = same[following] + len(closing)
            spans.append((place, behind))
    start, number = 0, 0
    for line in lines:
        while number < len(spans) and spans[number][1] <= start:
            number += 1
        if number == len(spans) or start <= spans[number][0]:
            yield line
        start += len(line) + 1
