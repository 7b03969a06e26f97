"""The records that Claude Code writes, as far as holdfast reads them.

Only named fields are decoded; msgspec passes over the rest, which is what makes reading fast.
Formats drift: a record that does not fit these shapes is kept raw, never refused.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

NOTHING: Final = Raw(b"")  # the field was not there


class ApiUsage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class ImageSource(msgspec.Struct):
    type: str = ""
    media_type: str = ""
    data: str = ""
    url: str = ""


class Content(msgspec.Struct):
    """One part of a message: text, thinking, tool_use, tool_result, image …"""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = NOTHING
    tool_use_id: str | None = None
    content: str | list[Content] | None = None
    is_error: bool | None = None
    source: ImageSource | None = None


class Message(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    content: str | list[Content] | None = None
    usage: ApiUsage | None = None


class Record(msgspec.Struct):
    type: str | None = None
    subtype: str | None = None
    uuid: str | None = None
    parentUuid: str | None = None  # noqa: N815  # the agent's spelling
    timestamp: str | None = None
    cwd: str | None = None
    gitBranch: str | None = None  # noqa: N815
    version: str | None = None
    isSidechain: bool | None = None  # noqa: N815
    isMeta: bool | None = None  # noqa: N815
    isCompactSummary: bool | None = None  # noqa: N815
    requestId: str | None = None  # noqa: N815
    message: Message | None = None
    toolUseResult: Raw = NOTHING  # noqa: N815
    content: Raw = NOTHING
    attachment: Raw = NOTHING
    data: Raw = NOTHING
    summary: str | None = None
    customTitle: str | None = None  # noqa: N815
    aiTitle: str | None = None  # noqa: N815


class ToolInput(msgspec.Struct):
    """What of a tool's input says best what the tool was asked to do."""

    command: str | None = None
    file_path: str | None = None
    path: str | None = None
    pattern: str | None = None
    query: str | None = None
    url: str | None = None
    description: str | None = None
    prompt: str | None = None
    skill: str | None = None
    plan: str | None = None


class Option(msgspec.Struct):
    label: str = ""


class Question(msgspec.Struct):
    question: str = ""
    options: list[Option] = []


class QuestionInput(msgspec.Struct):
    questions: list[Question] = []


class ToolUseResult(msgspec.Struct):
    """Of the second copy of a tool's result, what the first does not have."""

    agentId: str | None = None  # noqa: N815
    answers: dict[str, str | list[str]] | None = None


class Attachment(msgspec.Struct):
    type: str = ""
    prompt: str | list[Content] | None = None
    commandMode: str | None = None  # noqa: N815


class Progress(msgspec.Struct):
    type: str = ""
