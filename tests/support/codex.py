"""A Codex CLI log for one test: records in, events out."""

from __future__ import annotations

from typing import Any, Final

from holdfast.sources.agents.codex.parser import CodexParser
from holdfast.sources.base import Log
from tests.support import claude

THREAD: Final = "019fc8be-3658-7ca3-9e29-000000000001"
PARENT: Final = "019fc8be-3658-7ca3-9e29-000000000002"
ROOT: Final = "/home/hana/.codex/sessions"
NAME: Final = f"rollout-2026-01-05T09-00-00-{THREAD}.jsonl"
LOG: Final = Log("codex", f"{ROOT}/2026/01/05/{NAME}", ROOT, THREAD)
AT: Final = "2026-01-05T09:00:00.000Z"


class Session(claude.Session):
    """Parses records as they are written, and remembers what came of them."""

    parser: CodexParser  # type: ignore[assignment]  # of another agent

    def __init__(self, log: Log = LOG, state: bytes = b"") -> None:
        super().__init__()
        self.parser = CodexParser(log, state, self.blobs)


def line(kind: str, payload: Any, at: str = AT) -> dict[str, Any]:
    return {"timestamp": at, "type": kind, "payload": payload}


def event(kind: str, at: str = AT, **fields: Any) -> dict[str, Any]:
    return line("event_msg", {"type": kind, **fields}, at)


def item(kind: str, at: str = AT, **fields: Any) -> dict[str, Any]:
    return line("response_item", {"type": kind, **fields}, at)


def completed(kind: str, at: str = AT, **fields: Any) -> dict[str, Any]:
    return event("item_completed", at, thread_id=THREAD, item={"type": kind, **fields})


def user(*texts: str, at: str = AT) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text} for text in texts]
    return item("message", at, role="user", content=content)


def assistant(text: str, at: str = AT) -> dict[str, Any]:
    return item("message", at, role="assistant", content=[{"type": "output_text", "text": text}])


def call(name: str, arguments: str, use: str, at: str = AT) -> dict[str, Any]:
    return item("function_call", at, name=name, arguments=arguments, call_id=use)


def output(use: str, what: Any, at: str = AT) -> dict[str, Any]:
    return item("function_call_output", at, call_id=use, output=what)


def meta(thread: str = THREAD, at: str = AT, **fields: Any) -> dict[str, Any]:
    about = {"id": thread, "timestamp": at, "cwd": "/home/hana/src/tidepool"}
    return line("session_meta", {**about, "cli_version": "0.146.0", **fields}, at)


def tokens(
    *total: int, last: tuple[int, ...] | None = None, at: str = AT, write: int = 0
) -> dict[str, Any]:
    """input, cached, output: as Codex counts them."""

    def counts(numbers: tuple[int, ...]) -> dict[str, int]:
        names = ("input_tokens", "cached_input_tokens", "output_tokens")
        return {**dict(zip(names, numbers, strict=True)), "cache_write_input_tokens": write}

    info = {"total_token_usage": counts(total), "last_token_usage": counts(last or total)}
    return event("token_count", at, info=info, rate_limits=None)
