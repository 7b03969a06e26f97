"""What came of a call, whichever of the many shapes says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

from holdfast.sources.agents.codex.records import (
    Content,
    Ended,
    McpOutcome,
    McpResult,
    Output,
    read_mcp,
    read_mcp_outcome,
    read_shell,
)
from holdfast.sources.agents.codex.words import body_of, failed_by, text_of
from holdfast.sources.loose import is_there, read_text, tolerant
from holdfast.sources.payloads import Payload, payload_of_url
from holdfast.sources.telling import PARTS_MAX

FAILURES: Final = frozenset({"declined", "error", "failed"})
TEXTS: Final = frozenset({"text", "Text", "input_text", "inputText", "output_text", "summary_text"})
_SHELL_FIRST: Final = '{"output":'
_NULL: Final = b"null"

_encode: Final = msgspec.json.Encoder().encode


class Result(Struct):
    """`body` is the text without what was said around it: by its length results are compared."""

    text: str
    body: str = ""
    failed: bool = False
    images: list[Payload] = field(default_factory=list)
    others: list[Raw] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.body = (self.body or self.text).strip()


def result_of_output(output: str | list[Content] | Output | None, raw: Callable[[], Raw]) -> Result:
    """Of an output that the model was given; `raw` is how it stands there, where that is needed."""
    if isinstance(output, str):
        return _of_text(output)
    if isinstance(output, list) and any(part.text or part.image_url for part in output):
        return _of_parts(output, raw)
    if isinstance(output, Output):
        if output.text or output.image_url:
            return _of_parts([Content(output.type, output.text, output.image_url)], raw)
        if output.content is not None:
            inner = result_of_output(output.content, raw)
            inner.failed = inner.failed or output.success is False
            return inner
    whole = raw()
    return Result("", others=[whole] if is_there(whole) and bytes(whole) != _NULL else [])


def _of_text(text: str) -> Result:
    if text.startswith(_SHELL_FIRST):
        shell = tolerant(read_shell, Raw(text.encode("utf-8", "replace")), None)
        if shell is not None and shell.output is not None:
            code = shell.metadata.exit_code if shell.metadata else None
            return Result(shell.output, failed=bool(code))
    return Result(text, body_of(text), failed_by(text))


def _of_parts(parts: list[Content], raw: Callable[[], Raw]) -> Result:
    if len(parts) > PARTS_MAX:
        return Result("", others=[raw()])
    images = [image for part in parts if (image := _image(part)) is not None]
    known = sum(part.type in TEXTS or _image(part) is not None for part in parts)
    text = text_of(parts)
    return Result(
        text, body_of(text), failed_by(text), images, others=[] if known == len(parts) else [raw()]
    )


def _image(part: Content) -> Payload | None:
    if part.image_url:
        return payload_of_url(part.image_url)
    if part.data and part.type == "image":
        return Payload("base64", part.mime_type, part.data)
    return None


def result_of_end(ended: Ended) -> Result | None:
    """Of the end of a tool; None when it says only what was asked."""
    failed = (
        bool(ended.exit_code)
        or ended.success is False
        or tolerant(read_text, ended.status, "") in FAILURES
    )
    if is_there(ended.result):
        return _of_result(ended, failed=failed)
    error = _error(ended.error)
    if ended.content_items is not None or error:
        parts = ended.content_items or []
        result = _of_parts([*parts, Content("text", error)] if error else parts, lambda: Raw(_NULL))
        result.failed = failed or bool(error)
        return result
    if is_there(ended.results) and bytes(ended.results) != _NULL:
        return Result(
            "",
            body=bytes(ended.results).decode("utf-8", "replace"),
            failed=failed,
            others=[ended.results],
        )
    output = ended.aggregated_output
    if output is None:
        output = "\n".join(filter(None, (ended.stdout, ended.stderr))) or ended.formatted_output
    if output is None and ended.exit_code is None and not is_there(ended.changes):
        return None
    changes = ended.changes
    return Result(output or "", failed=failed, others=[changes] if is_there(changes) else [])


def _of_result(ended: Ended, *, failed: bool) -> Result | None:
    text = tolerant(read_text, ended.result, "")
    if text:  # a picture that was made
        return Result("", body=text, failed=failed, images=[Payload("base64", "image/png", text)])
    outcome = tolerant(read_mcp_outcome, ended.result, McpOutcome())
    if is_there(outcome.error):
        return Result(_error(outcome.error), failed=True)
    mcp = outcome.ok or tolerant(read_mcp, ended.result, McpResult())
    result = _of_parts(mcp.content or [], lambda: ended.result)
    if not result.text and is_there(mcp.structured) and bytes(mcp.structured) != _NULL:
        result.others = [mcp.structured]
    result.failed = failed or bool(mcp.is_error)
    return result


def _error(raw: Raw) -> str:
    """What went wrong: a text, or an object with one."""
    if not is_there(raw) or bytes(raw) == _NULL:
        return ""
    return tolerant(read_text, raw, "") or bytes(raw).decode("utf-8", "replace")
