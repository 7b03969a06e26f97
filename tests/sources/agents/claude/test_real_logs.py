"""Logs that Claude Code itself wrote, where they are present: a clone has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from holdfast.blobstore import BlobStore
from holdfast.events import Event, Kind, decode_lines, encode, event_id, session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.reading import Reading, starting_cursor
from holdfast.journal.model import Batch
from holdfast.sources.agents.claude import Agent as ClaudeSource
from holdfast.sources.base import Log
from tests.support.doors import door

LOGS: Final = Path(__file__).parents[5] / "shared" / "logs" / "claude"
FILES: Final = sorted(LOGS.rglob("*.jsonl"))

pytestmark = pytest.mark.skipif(not FILES, reason="no logs of others here")


@pytest.fixture(params=FILES or [LOGS], ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def read(path: Path, folder: Path) -> list[Batch]:
    log = Log("claude", str(path), str(LOGS), path.stem)
    reading = Reading(
        ClaudeSource([str(LOGS)]),
        log,
        starting_cursor(log, session_id("claude", path.stem)),
        first_seq=0,
        limits=ReadingLimits(block_bytes=65_536, max_line_bytes=4_194_304),
        blobs=BlobStore(str(folder)),
        door=door(),
    )
    with path.open("rb") as file:
        return list(reading.batches(file.fileno()))


def events_of(batches: list[Batch]) -> list[Event]:
    return [event for batch in batches for event in decode_lines(batch.lines)]


def test_every_byte_is_accounted_for_and_none_is_bad(path: Path, tmp_path: Path) -> None:
    cursor = read(path, tmp_path)[-1].cursor
    assert cursor is not None
    assert cursor.ledger.consumed == cursor.size == path.stat().st_size
    assert cursor.ledger.bad == cursor.torn == 0


def test_every_message_with_content_is_an_event(path: Path, tmp_path: Path) -> None:
    """Counted by a reader of its own, which knows nothing but JSON."""
    said = 0
    decoder = json.JSONDecoder()
    for line in path.read_text().splitlines():
        at = 0
        while at < len(line):
            record, at = decoder.raw_decode(line, at)
            if record.get("type") in ("user", "assistant") and "message" in record:
                content = record["message"]["content"]
                said += 1 if isinstance(content, str) else len(content)
    talk = {
        Kind.USER,
        Kind.ASSISTANT,
        Kind.SYSTEM,
        Kind.THINKING,
        Kind.TOOL_CALL,
        Kind.TOOL_RESULT,
        Kind.DECISION_PROPOSED,
        Kind.DECISION_ACCEPTED,
        Kind.SESSION_SUMMARIZED,
    }
    events = [event for event in events_of(read(path, tmp_path)) if event.kind in talk]
    queued = [e for e in events if e.kind == Kind.USER and b'"queued_command"' in bytes(e.data)]
    unknown = [e for e in events_of(read(path, tmp_path)) if e.kind == Kind.PROVIDER_RAW]
    parts = [e for e in unknown if b'"sessionId"' not in bytes(e.data)]
    assert len(events) - len(queued) + len(parts) == said


def test_no_record_has_an_unfamiliar_shape(path: Path, tmp_path: Path) -> None:
    names = {name for batch in read(path, tmp_path) for name in batch.unknown_types}
    assert {name for name in names if "unfamiliar" in name or "too many" in name} == set()


def test_events_stand_where_their_records_do(path: Path, tmp_path: Path) -> None:
    raw = path.read_bytes()
    for seq, event in enumerate(events_of(read(path, tmp_path))):
        assert event.seq == seq
        assert event.source is not None
        assert event.id.startswith(event_id(event.session, 0, event.source.offset, 0)[:-1])
        assert raw[event.source.offset : event.source.offset + 1] == b"{"
        if event.source.uuid:
            assert event.source.uuid.encode() in raw[event.source.offset :].split(b"\n", 1)[0]
        assert encode(decode_lines(encode(event))[0]) == encode(event)
