"""Sessions of Gemini CLI for tests: messages as it writes them, in a document or in lines."""

from __future__ import annotations

import json
from typing import Any, Final

SESSION: Final = "session-2026-01-05T09-00-5e551035"
SESSION_ID: Final = "5e551035-0000-4000-a000-000000000001"
PROJECT: Final = "tidepool"
AT: Final = "2026-01-05T09:00:00.000Z"

Json = dict[str, Any]


def user(identity: str, content: Any, **more: Any) -> Json:
    return {"id": identity, "timestamp": AT, "type": "user", "content": content, **more}


def gemini(identity: str, content: Any = "", **more: Any) -> Json:
    return {"id": identity, "timestamp": AT, "type": "gemini", "content": content, **more}


def tool(identity: str, result: str | None = None, **more: Any) -> Json:
    """A call of a shell; its result may come later."""
    call: Json = {
        "id": identity,
        "name": "run_shell_command",
        "args": {"command": f"ls {identity}"},
        "status": "executing" if result is None else "success",
        "timestamp": AT,
    }
    if result is not None:
        response = {"id": identity, "name": call["name"], "response": {"output": result}}
        call["result"] = [{"functionResponse": response}]
        call["resultDisplay"] = result
    return {**call, **more}


def tokens(fresh: int, output: int, *, cached: int = 0, thoughts: int = 0, tool: int = 0) -> Json:
    total = fresh + cached + output + thoughts + tool
    return {
        "input": fresh + cached,
        "output": output,
        "cached": cached,
        "thoughts": thoughts,
        "tool": tool,
        "total": total,
    }


def head(**more: Any) -> Json:
    return {
        "sessionId": SESSION_ID,
        "projectHash": "0b7dfb12",
        "startTime": AT,
        "lastUpdated": AT,
        **more,
    }


def document(*messages: Json, indent: int | None = 2, **more: Any) -> bytes:
    """A session as Gemini CLI writes it: readable, and anew each time."""
    return json.dumps({**head(**more), "messages": list(messages)}, indent=indent).encode()


def lines(*records: Json) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in records)
