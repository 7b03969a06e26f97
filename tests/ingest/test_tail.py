"""What the tail reads itself, and what it leaves to a child."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from holdfast.events import session_id
from holdfast.sources.agents.opencode import Agent
from tests.support.home import Home
from tests.support.tail import tailed

SESSION = "ses_a"
INLINE_BYTES = 20_000


def write(storage: Path, path: str, content: dict[str, Any]) -> None:
    file = storage / f"{path}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), "utf-8")


def message(storage: Path, name: str, text: str) -> None:
    """Its own file comes last, as with OpenCode: that is the one that is watched."""
    part = {"id": f"prt_{name}", "messageID": name, "type": "text", "text": text}
    write(storage, f"part/{name}/prt_{name}", part)
    about = {"id": name, "sessionID": SESSION, "role": "user", "time": {"created": 1_000}}
    write(storage, f"message/{SESSION}/{name}", about)


def test_a_log_of_many_files_is_weighed_with_all_of_them(home: Home) -> None:
    root = Path(home.folder) / "opencode"
    storage = root / "storage"
    write(storage, f"session/proj/{SESSION}", {"id": SESSION, "title": "Tides"})
    message(storage, "msg_1", "Where is the tide?")
    session = session_id(Agent.agent, SESSION)

    async def follow() -> None:
        async with tailed(home, {Agent.agent: Agent([str(root)])}, inline_bytes=INLINE_BYTES) as it:
            await it.until_events(session, 2)
            assert not it.had_children
            message(storage, "msg_2", "It is low. " * INLINE_BYTES)
            await it.until_events(session, 3)
            assert it.had_children

    asyncio.run(follow())
