"""Whose words are whose, and what tools were asked, as lines that can be read and searched.

Programs put their own elements around and between what people type. They are cut out by hand and
not by one pattern: patterns that look for a closing tag from every opening one take hours for a
message of a megabyte that holds only openings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from holdfast.sources.agents.claude.records import (
    Content,
    QuestionInput,
    read_questions,
)
from holdfast.sources.loose import tolerant
from holdfast.sources.tools import ToolInput, read_tool_input

# What is put around people's words, and what becomes of it there. "" goes without a trace.
_ELEMENTS: Final = {
    "bash-input": "! {}",
    "command-args": " {}",
    "command-name": "{}",
} | dict.fromkeys(
    (
        "bash-stderr",
        "bash-stdout",
        "command-contents",
        "command-message",
        "ide_diagnostics",
        "ide_opened_file",
        "ide_selection",
        "local-command-caveat",
        "local-command-stderr",
        "local-command-stdout",
        "new-diagnostics",
        "post-tool-use-hook",
        "session-start-hook",
        "system-reminder",
        "task-notification",
        "user-memory-input",
        "user-prompt-submit-hook",
    ),
    "",
)
_OPENING: Final = re.compile(f"<({'|'.join(_ELEMENTS)})>")


def own_words(content: str) -> str:
    """What the user typed, without what programs put around it."""
    if "<" not in content:
        return content
    kept: list[str] = []
    unclosed: set[str] = set()
    position = start = 0
    while (opening := _OPENING.search(content, position)) is not None:
        tag = opening[1]
        position = opening.end()
        end = -1 if tag in unclosed else content.find(f"</{tag}>", position)
        if end < 0:  # somebody only talks about it
            unclosed.add(tag)
            continue
        inside = content[position:end].strip() if _ELEMENTS[tag] else ""
        kept += content[start : opening.start()], _ELEMENTS[tag].format(inside) if inside else ""
        position = start = _behind_space(content, end + len(tag) + 3)
    return "".join([*kept, content[start:]]).strip() if kept else content


def _behind_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def parts(content: str | list[Content] | None) -> list[Content]:
    return content if isinstance(content, list) else []


def text_of(content: str | list[Content] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content or () if part.text)


def proposal(name: str, given: Raw) -> str:
    if name == "ExitPlanMode":
        return tolerant(read_tool_input, given, ToolInput()).plan or ""
    lines = []
    for question in tolerant(read_questions, given, QuestionInput()).questions:
        lines.append(question.question)
        lines += [f"- {option.label}" for option in question.options]
    return "\n".join(lines)


def answers(given: Mapping[str, str | list[str]] | None) -> str:
    lines = []
    for question, answer in (given or {}).items():
        chosen = answer if isinstance(answer, str) else ", ".join(answer)
        lines.append(f"{question} -> {chosen}")
    return "\n".join(lines)
