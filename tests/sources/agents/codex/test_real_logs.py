"""Records that Codex CLI itself wrote, where they are present: a clone has none."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from holdfast.blobstore import BlobStore
from holdfast.events import Event, Kind, decode_lines, encode, session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.reading import Reading, starting_cursor
from holdfast.journal.model import Batch
from holdfast.sources.agents.codex import Agent
from holdfast.sources.base import Log
from tests.support.doors import door

LOGS: Final = Path(__file__).parents[5] / "shared" / "logs" / "codex"
FILES: Final = sorted(LOGS.rglob("*.jsonl"))
DRIFTED: Final = "schema-drift"

pytestmark = pytest.mark.skipif(not FILES, reason="no logs of others here")


@pytest.fixture(params=FILES or [LOGS], ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def read(path: Path, folder: Path) -> list[Batch]:
    log = Log("codex", str(path), str(LOGS), path.stem)
    reading = Reading(
        Agent([str(LOGS)]),
        log,
        starting_cursor(log, session_id("codex", path.stem)),
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


def test_every_unknown_type_is_reported(path: Path, tmp_path: Path) -> None:
    batches = read(path, tmp_path)
    kept = [event for event in events_of(batches) if event.kind == Kind.PROVIDER_RAW]
    counted = sum(n for batch in batches for n, _size in batch.unknown_types.values())
    assert len(kept) == counted
    assert bool(kept) == (path.stem == DRIFTED)


def test_events_stand_where_their_records_do(path: Path, tmp_path: Path) -> None:
    raw = path.read_bytes()
    for seq, event in enumerate(events_of(read(path, tmp_path))):
        assert event.seq == seq
        assert event.source is not None
        assert raw[event.source.offset : event.source.offset + 1] == b"{"
        assert encode(decode_lines(encode(event))[0]) == encode(event)
