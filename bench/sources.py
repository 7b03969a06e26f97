"""What each agent's records cost to read, beside Claude Code's: parsed, encoded and compressed.

The logs are made up by the conformance kit: the same talk in each agent's own records. Agents take
turns, so that whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from bench.kit.corpora import BLOCK_BYTES, MAX_LINE_BYTES
from bench.kit.figures import Bar, Ceiling, Outcome, row
from bench.kit.setting import Setting
from holdfast.blobstore import BlobStore
from holdfast.conformance.desk import OneLog
from holdfast.conformance.samples import NAMES, sample_of
from holdfast.events import session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.reading import Reading, starting_cursor
from holdfast.privacy import Door
from holdfast.settings import Privacy

TITLE: Final = "Reading the records of each agent that writes lines"

MODEL: Final = "claude"  # whose records all others are held to
TURNS: Final = 1_500
ROUNDS: Final = 5
LIMITS: Final = ReadingLimits(BLOCK_BYTES, MAX_LINE_BYTES)


class Cost(NamedTuple):
    ms_per_mb: float
    events: int
    bytes: int


DOOR: Final = Door.from_settings(Privacy())


def run(setting: Setting) -> Outcome:
    turns = setting.count(TURNS, least=20)
    with setting.folder("sources") as folder:
        logs = {agent: _log(agent, folder / agent, turns) for agent in NAMES}
        costs = _measured(logs, folder, setting.count(ROUNDS, least=2))
    ceiling = Ceiling(costs[MODEL].ms_per_mb, "the same talk in Claude Code's records")
    rows = [row("claude", costs[MODEL].ms_per_mb, "ms/MB")]
    rows += [
        row(agent, cost.ms_per_mb, "ms/MB", ceiling=ceiling, bar=Bar(2.0, "ratio"))
        for agent, cost in costs.items()
        if agent != MODEL
    ]
    sizes = ", ".join(
        f"{agent} {cost.bytes / 1e6:.1f} MB, {cost.events:,} events"
        for agent, cost in costs.items()
    )
    return Outcome(
        rows=rows,
        corpus=f"{turns:,} made-up turns in the records of each agent: {sizes}",
        notes=["Time of one processor, the best of several rounds; the journal is not in it."],
    )


def _log(agent: str, folder: Path, turns: int) -> OneLog:
    sample = sample_of(agent)
    assert sample.conversation is not None
    log = OneLog(sample, folder)
    log.write(b"".join(line + b"\n" for line in sample.conversation(turns)))
    return log


def _measured(logs: Mapping[str, OneLog], folder: Path, rounds: int) -> dict[str, Cost]:
    best: dict[str, Cost] = {}
    for _ in range(rounds):
        for agent, log in logs.items():
            cost = _read(log, folder / "blobs")
            best[agent] = min(best.get(agent, cost), cost)
    return best


def _read(log: OneLog, blobs: Path) -> Cost:
    """As an import child does it."""
    source_log = log.log
    session = session_id(source_log.agent, source_log.agent_session_id)
    reading = Reading(
        log.source,
        source_log,
        starting_cursor(source_log, session),
        first_seq=0,
        limits=LIMITS,
        blobs=BlobStore(str(blobs)),
        door=DOOR,
        sealed=True,
    )
    gc.collect()
    gc.disable()  # as an import's children do
    try:
        with open(log.path, "rb") as file:
            began_s = time.process_time()
            batches = list(reading.batches(file.fileno()))
            took_s = time.process_time() - began_s
    finally:
        gc.enable()
    cursor = batches[-1].cursor
    assert cursor is not None
    assert cursor.ledger.unknown == cursor.ledger.bad == 0, cursor.ledger
    events = sum(batch.count for batch in batches)
    return Cost(1e9 * took_s / cursor.offset, events, cursor.offset)
