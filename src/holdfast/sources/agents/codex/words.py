"""Whose words are whose, and what tools were asked, as lines that can be read and searched.

Codex puts what its programs have to say into messages of the user, each piece between marks of its
own, before what the person typed. An editor puts what it shows before the request.
"""

from __future__ import annotations

import re
import shlex
from itertools import islice
from typing import Final

import msgspec
from msgspec import Raw, Struct

from holdfast.sources.agents.codex.records import Content
from holdfast.sources.loose import NOTHING, is_there, read_text, tolerant
from holdfast.sources.tools import BRIEF_CHARS, brief

REQUEST: Final = "## My request for Codex:"
PATCH_FILES_MAX: Final = 8
ENCLOSED: Final = (
    ("# AGENTS.md instructions", "</INSTRUCTIONS>"),
    ("<hook_prompt", "</hook_prompt>"),
    ("<skill", "</skill>"),
    ("<permissions instructions>", "</permissions instructions>"),
    *(
        (f"<{name}>", f"</{name}>")
        for name in (
            "additional_context",
            "apps_instructions",
            "collaboration_mode",
            "context_window",
            "context_window_guidance",
            "environment_context",
            "goal_context",
            "internal_model_context",
            "model_switch",
            "multi_agent_mode",
            "personality_spec",
            "plugins_instructions",
            "realtime_conversation",
            "recommended_plugins",
            "rollout_budget",
            "skills_instructions",
            "subagent_notification",
            "token_budget",
            "turn_aborted",
            "user_action",
            "user_instructions",
            "user_shell_command",
        )
    ),
)
_IMAGE_MARK: Final = re.compile(r"</?image(?: name=[^>\n]{0,4096})?>")
_REQUEST_LINE: Final = re.compile(rf"^{re.escape(REQUEST)}[ \t]*\n?", re.MULTILINE)
# Without `^`: a search for what begins with letters is five times as fast.
_PATCHED: Final = re.compile(r"\*\*\* (?:Add|Update|Delete) File: (.+)")
_EXIT_CODE: Final = re.compile(
    r"(?:^Exit code:|^Process exited with code) (-?\d{1,9})$", re.MULTILINE
)
_OUTPUT: Final = "Output:\n"
_HEADER_CHARS: Final = 400

_read_commands = msgspec.json.Decoder(list[str]).decode


class _Input(Struct):
    command: Raw = NOTHING
    cmd: str | None = None


class _Step(Struct):
    step: str | None = None
    status: str | None = None


class _Plan(Struct):
    explanation: str | None = None
    plan: list[_Step] = []


class _Option(Struct):
    label: str | None = None


class _Question(Struct):
    question: str | None = None
    options: list[_Option] | None = None


class _Questions(Struct):
    questions: list[_Question] = []


class _Answer(Struct):
    answers: list[str] = []


class _Answers(Struct):
    answers: dict[str, _Answer] = {}


_read_input: Final = msgspec.json.Decoder(_Input).decode
_read_plan: Final = msgspec.json.Decoder(_Plan).decode
_read_questions: Final = msgspec.json.Decoder(_Questions).decode
_read_answers: Final = msgspec.json.Decoder(_Answers).decode


def own_words(content: str) -> str:
    """What the person typed, without what programs put before it."""
    rest = content
    while (behind := _behind_enclosed(rest)) is not None:
        rest = behind
    if is_image_mark(rest):
        return ""
    request = _REQUEST_LINE.search(rest)
    if request is not None:
        rest = rest[request.end() :]
    return content if rest == content else rest.strip()


def is_image_mark(content: str) -> bool:
    """Whether a text only says that an image begins or ends here."""
    return _IMAGE_MARK.fullmatch(content.strip()) is not None


def _behind_enclosed(text: str) -> str | None:
    """What follows the piece of a program that a text begins with; None when none does."""
    start = len(text) - len(text.lstrip())
    if text[start : start + 1] not in ("<", "#"):
        return None
    for opening, closing in ENCLOSED:
        if text.startswith(opening, start):
            end = text.find(closing, start)
            return text[end + len(closing) :] if end >= 0 else None
    return None


def text_of(content: str | list[Content] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content or () if part.text)


def command_of(raw: Raw) -> str:
    """A command as a person would type it, without the shell that it was handed to."""
    if not is_there(raw):
        return ""
    words: list[str] = tolerant(_read_commands, raw, [])
    if not words:
        return tolerant(read_text, raw, "")
    if len(words) == 3 and words[1] in ("-c", "-lc"):
        return words[2]
    return shlex.join(words)


def call_line(name: str, given: Raw) -> str:
    """One line that says what a tool was asked."""
    if bytes(memoryview(given)[:1]) == b'"':
        text = tolerant(read_text, given, "")
        return f"{name}: {(_patched(text) or text)[:BRIEF_CHARS]}" if text else brief(name, given)
    asked = tolerant(_read_input, given, _Input())
    command = asked.cmd or command_of(asked.command)
    return f"{name}: {command[:BRIEF_CHARS]}" if command else brief(name, given)


def _patched(text: str) -> str:
    """The files that a patch is about; "" when it is none."""
    head = text[: 64 * BRIEF_CHARS]
    found = (
        each
        for each in _PATCHED.finditer(head)
        if head[max(0, each.start() - 1) : each.start()] in ("", "\n")
    )
    return ", ".join(each[1] for each in islice(found, PATCH_FILES_MAX))


def plan_text(given: Raw) -> str:
    plan = tolerant(_read_plan, given, _Plan())
    lines = [plan.explanation] if plan.explanation else []
    lines += [f"- [{step.status or 'pending'}] {step.step or ''}" for step in plan.plan]
    return "\n".join(lines)


def question_text(given: Raw) -> str:
    lines = []
    for question in tolerant(_read_questions, given, _Questions()).questions:
        lines.append(question.question or "")
        lines += [f"- {option.label or ''}" for option in question.options or ()]
    return "\n".join(lines)


def answers_of(given: str) -> dict[str, str | list[str]]:
    found = tolerant(_read_answers, Raw(given.encode("utf-8", "replace")), _Answers())
    return {question: list(answer.answers) for question, answer in found.answers.items()}


def failed_by(output: str) -> bool:
    """Whether the lines before a command's output say that it failed."""
    code = _EXIT_CODE.search(output[:_HEADER_CHARS].partition(_OUTPUT)[0])
    return code is not None and int(code[1]) != 0


def body_of(output: str) -> str:
    """A command's output without the lines that stand before it."""
    header, found, body = output.partition(_OUTPUT)
    return body if found and len(header) <= _HEADER_CHARS else output
