"""The sentences that somebody said in a message, without what they only passed on.

Messages hold code, logs, quoted files, pasted plans and what the agent's own program put in
between. None of that is anybody's opinion. What is left out is decided by its form, a line at a
time: fences and what is indented as code, quotes, tables, headings, whole elements in angle
brackets, lines that look like output. A person's message with several headings is a document that
was pasted: what stands before the first one is theirs.

A full Markdown parser was rejected: it would call a pasted log a paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MESSAGE_MAX_CHARS: Final = 32_768  # what is behind that in one message is not looked at
LINE_MAX_CHARS: Final = 1_200  # nobody types a longer paragraph; it was pasted
SENTENCE_MAX_WORDS: Final = 60
DOCUMENT_HEADINGS: Final = 2
LETTERS_MIN_PCT: Final = 70  # of a line; what has fewer is code or output


class Sentence(NamedTuple):
    text: str  # without markup, one line
    quote: str  # as it was written
    asks: bool = False
    introduces: bool = False  # what stands below it, and says little without that


def sentences(message: str, *, typed: bool) -> list[Sentence]:
    """`typed` by a person, who pastes; an agent composes."""
    found: list[Sentence] = []
    for paragraph in _paragraphs(message[:MESSAGE_MAX_CHARS], typed=typed):
        for quote in _split(paragraph):
            text = plain(quote) if len(quote) <= LINE_MAX_CHARS else ""
            if text:
                introduces = quote.rstrip("*_ ").endswith(":")
                found.append(Sentence(text, quote, text.endswith("?"), introduces))
    return found


_FENCE: Final = re.compile(r"\s*(?:[-*+]\s+|\d+[.)]\s+|>\s*)*(```+|~~~+)")
_HEADING: Final = re.compile(r"#{1,6}\s")
_LIST_ITEM: Final = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?")
_QUOTED: Final = re.compile(r"\s*>")
_TABLE: Final = re.compile(r"\s*\|")
_CODE_INDENT: Final = re.compile(r"(?: {4}|\t)")
_INTERRUPTED: Final = re.compile(r"\[[^\]]*\]\Z")
# What an agent's own program writes into messages: <system-reminder> and its kin, with their end.
_OPENING: Final = re.compile(r"<([a-zA-Z][\w:.-]*)(?:\s[^<>]*)?>")
_SUMMARY: Final = re.compile(
    r"\s*(?:This session is being continued from a previous conversation"
    r"|Caveat: The messages below|Base directory for this skill:)"
)
_OUTPUT: Final = re.compile(
    r"""\s*(?:
        [{}\[\]();]                                   # JSON, code
      | (?:\$|%|>>>|\#!|\u276f|\u279c)\s?\S                      # a prompt
      | \[?\d{4}[-/]\d\d[-/]\d\d[T\ ]\d\d:\d\d        # a log's time
      | \[?\d\d:\d\d:\d\d
      | (?:at|File|Traceback|goroutine|panic:|npm|error\[)\s.*(?::\d+|"|\()   # a trace
      | (?:[+-]{3}|@@|diff\ --git|index\ [0-9a-f]{7})\s?
      | (?:ERROR|WARN|WARNING|INFO|DEBUG|FATAL|FAIL|PASS|ok)\b[:\s\]]
      | [\w.]+(?:Error|Exception)\b:
      | (?:/|~/|\./|[A-Za-z]:\\)\S*$                  # a path alone
      | https?://\S+$
      | \S+\s*[:=]\s*[{\["]                           # an assignment
      | (?:const|let|var|def|func|function|class|import|from|return|export)\s.*[;{(=:]\s*$
      | -{1,2}[a-z][\w-]*(?:,\s|\s{2,})               # options in a help text
      )""",
    re.VERBOSE,
)
_JSON_BEHIND: Final = re.compile(r"""\s*[{\[]\s*["{].*""")
_MARKUP: Final = re.compile(r"\A\s*(?:[-+*\u2022]|\d+[.)])\s|[*_`]")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z'-]*")


def _paragraphs(message: str, *, typed: bool) -> Iterator[str]:
    """Runs of lines that belong together, joined."""
    if _SUMMARY.match(message):
        return
    lines = _without_elements(message).replace("\r\n", "\n").split("\n")
    is_document = typed and sum(map(bool, map(_HEADING.match, lines))) >= DOCUMENT_HEADINGS
    fence = ""
    gathered: list[str] = []
    for line in lines:
        marks = _FENCE.match(line)
        if fence:
            if marks and marks[1].startswith(fence):
                fence = ""
            continue
        if marks:
            fence = marks[1]
        elif is_document and _HEADING.match(line):
            break
        item = _LIST_ITEM.match(line)
        if (marks or item or not _is_said(line, is_item=bool(item))) and gathered:
            yield " ".join(gathered)
            gathered = []
        if not marks and _is_said(line, is_item=bool(item)):
            gathered.append(_JSON_BEHIND.sub("", line[item.end() if item else 0 :]).strip())
    if gathered:
        yield " ".join(gathered)


def _without_elements(message: str) -> str:
    """Without what stands between a tag and its end; a tag that has none is a word like another."""
    kept: list[str] = []
    endless: set[str] = set()
    start = place = 0
    while opening := _OPENING.search(message, place):
        place = opening.end()
        ending = f"</{opening[1]}>"
        if ending in endless:
            continue
        end = message.find(ending, place)
        if end < 0:
            endless.add(ending)
            continue
        kept.append(message[start : opening.start()])
        start = place = end + len(ending)
    return "\n".join([*kept, message[start:]])


def _is_said(line: str, *, is_item: bool) -> bool:
    if not line.strip() or len(line) > LINE_MAX_CHARS:
        return False
    if _HEADING.match(line) or _QUOTED.match(line) or _TABLE.match(line):
        return False
    if _CODE_INDENT.match(line) and not is_item:
        return False
    if _OUTPUT.match(line) or _INTERRUPTED.match(line.strip()):
        return False
    words = _MARKUP.sub("", line)
    letters = sum(character.isalpha() or character.isspace() for character in words)
    return letters >= LETTERS_MIN_PCT / 100 * len(words)


# A full stop, then a new sentence; not behind what is shortened, and not inside of code.
_END: Final = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)(?<!\betc)(?<!\bcf)(?<!\bDr)(?<!\bMr)(?<!:\s\d)(?<!\A\d)"
    r"[.!?]+[\"'\u201d\u2019)*_]*\s+(?=\S)"
)
_CODE_SPAN: Final = re.compile(r"`[^`]+`")


def _split(paragraph: str) -> Iterator[str]:
    """The sentences as they stand there."""
    masked = _CODE_SPAN.sub(lambda found: "x" * len(found[0]), paragraph)
    start = 0
    for end in _END.finditer(masked):
        yield paragraph[start : end.end()].strip()
        start = end.end()
    yield paragraph[start:].strip()


_EMPHASIS: Final = re.compile(r"(\*\*|__|(?<![\w*])[*_](?=\S))(.+?)(?<=\S)\1(?!\w)")
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def plain(quote: str) -> str:
    """One line without emphasis and links; "" when it is no sentence."""
    text = _EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", _LINK.sub(r"\1", quote)))
    text = " ".join(_CONTROL.sub(" ", text).split()).strip("*_ ").removesuffix(":")
    text = text.replace("\u2019", "'")
    return text if 1 <= word_count(text) <= SENTENCE_MAX_WORDS else ""


def word_count(text: str) -> int:
    return len(_WORD.findall(text))
