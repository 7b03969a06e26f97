"""Sessions of Cline for tests: conversations as they go to a model, and what the editor shows."""

from __future__ import annotations

import json
from typing import Any, Final

TASK: Final = "1767603600000"  # 2026-01-05T09:00:00Z
SESSION: Final = "1767603600000_ab1cd"

Json = dict[str, Any]


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def user(*blocks: Json | str, **more: Any) -> Json:
    return {"role": "user", "content": _blocks(blocks), **more}


def assistant(*blocks: Json | str, **more: Any) -> Json:
    return {"role": "assistant", "content": _blocks(blocks), **more}


def _blocks(blocks: tuple[Json | str, ...]) -> list[Json]:
    return [text(each) if isinstance(each, str) else each for each in blocks]


def use(identity: str, name: str = "read_file", **given: Any) -> Json:
    return {"type": "tool_use", "id": identity, "name": name, "input": given}


def result(identity: str, content: Any, **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": identity, "content": content, **more}


def environment(hour: int = 9) -> str:
    return (
        "<environment_details>\n# Current Time\n"
        f"1/5/2026, {hour}:00:00 AM\n\n"
        "# Current Working Directory (/home/hana/src/tidepool) Files\na.py\n"
        "</environment_details>"
    )


def task(words: str, hour: int = 9) -> Json:
    return user(f"<task>\n{words}\n</task>", environment(hour))


def request(ts: int, **counts: Any) -> Json:
    """A request to the model, as the editor shows it."""
    about = {"request": "<task>\nall of it\n</task>", **counts}
    return {"ts": ts, "type": "say", "say": "api_req_started", "text": json.dumps(about)}


def shown(ts: int, say: str, words: str = "", **more: Any) -> Json:
    return {"ts": ts, "type": "say", "say": say, "text": words, **more}


def session(*messages: Json, **more: Any) -> bytes:
    head = {"version": 1, "updated_at": "2026-01-05T09:00:00.000Z", "agent": "lead"}
    return json.dumps(
        {**head, "sessionId": SESSION, "messages": list(messages), **more}, indent=2
    ).encode()
