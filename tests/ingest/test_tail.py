"""What the tail reads itself, and what it leaves to a child."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from holdfast.events import session_id
from holdfast.sources.agents.opencode import Agent
from holdfast.sources.base import ItemReader, Log, Means
from tests.support.home import Home
from tests.support.tail import tailed
from tests.support.waiting import until

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


class Failing(Agent):
    """Its sessions cannot be looked into, for no reason that anybody foresaw."""

    def __init__(self, root: Path) -> None:
        super().__init__([str(root)])
        self.tries = 0
        self.is_well = False

    def reader(self, log: Log, state: bytes, means: Means) -> ItemReader:
        self.tries += 1
        if not self.is_well:
            raise RuntimeError("nobody foresaw this")
        return super().reader(log, state, means)


def test_a_log_that_fails_rests_whatever_is_written_to_it_and_is_read_in_the_end(
    home: Home,
) -> None:
    root = Path(home.folder) / "opencode"
    storage = root / "storage"
    write(storage, f"session/proj/{SESSION}", {"id": SESSION, "title": "Tides"})
    source = Failing(root)

    async def follow() -> None:
        async with tailed(home, {Agent.agent: source}, inline_bytes=INLINE_BYTES) as it:
            await asyncio.to_thread(until, lambda: source.tries, "a try")
            for number in range(20):
                message(storage, f"msg_{number}", "Where is the tide?")
                it.tail._mark_log(str(storage / f"session/proj/{SESSION}.json"))
                await asyncio.to_thread(it.journal.settle)
            assert source.tries < 10, "not for each message"
            assert "nobody foresaw this" in it.tail.status().problems[0]
            source.is_well = True
            await it.until_events(session_id(Agent.agent, SESSION), 21)
            # It leaves the status when its reading has ended: a moment after its events are stored.
            await asyncio.to_thread(
                until, lambda: not it.tail.status().problems, "a status without problems"
            )

    asyncio.run(follow())


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
