"""Sessions that Gemini CLI itself wrote, where they are there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from holdfast.events import Kind
from holdfast.sources.agents.gemini import Agent
from tests.support.items import ItemShelf

LOGS: Final = Path(__file__).parents[5] / "shared" / "logs" / "gemini"
FOUND: Final = sorted(LOGS.glob("*.json*"))


@pytest.mark.skipif(not FOUND, reason="no such logs here")
def test_every_byte_is_accounted_for_and_none_is_bad(tmp_path: Path) -> None:
    shelf = ItemShelf(tmp_path, Agent)
    for number, log in enumerate(FOUND):
        path = shelf.root / "tmp" / "p" / "chats" / f"session-{number}{log.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(log.read_bytes())
    shelf.catch_up()
    ledger = shelf.reader.ledger("gemini")
    size = sum(log.stat().st_size for log in FOUND)
    assert ledger.parsed + ledger.skipped + ledger.unknown == size
    assert (ledger.bad, ledger.torn, ledger.unreadable) == (0, 0, 0)
    kinds = {
        event.kind for number in range(len(FOUND)) for event in shelf.events(f"session-{number}")
    }
    assert kinds >= {Kind.USER, Kind.ASSISTANT, Kind.THINKING, Kind.TOOL_CALL, Kind.TOOL_RESULT}
    shelf.close()
