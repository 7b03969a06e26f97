"""What each agent's logs cost to import, beside Claude Code's, and what their reading alone costs.

The logs are made up by the conformance kit: the same talk in each agent's own records. Agents take
turns, so that whatever else the machine does falls on all of them. The bar is on the import as a
person runs it, into an empty home; of the reading (parsed, encoded, compressed) it is told what it
costs, since that is what a parser can change.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from bench.kit.corpora import BLOCK_BYTES, MAX_LINE_BYTES
from bench.kit.figures import Bar, Ceiling, Outcome, Row, row
from bench.kit.homes import fresh_home
from bench.kit.setting import Setting
from holdfast.blobstore import BlobStore
from holdfast.conformance.desk import OneLog
from holdfast.conformance.samples import NAMES, sample_of
from holdfast.events import session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.reading import Reading, starting_cursor
from holdfast.privacy import Door
from holdfast.settings import Privacy

TITLE: Final = "Importing the logs of each agent that writes lines"

MODEL: Final = "claude"  # whose records all others are held to
TURNS: Final = 1_500
ROUNDS: Final = 5
IMPORTED_BYTES: Final = 80_000_000  # of each agent: what starting costs falls on all alike
IMPORTS: Final = 3
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
        wanted = setting.count(IMPORTED_BYTES, least=100_000)
        large = {
            agent: _log(agent, folder / f"{agent}-large", max(1, turns * wanted // cost.bytes))
            for agent, cost in costs.items()
        }
        imports = _imported(setting, large, setting.count(IMPORTS, least=1))
    rows = _rows("imported", imports, Bar(2.0, "ratio"))
    rows += _rows("reading alone", {agent: cost.ms_per_mb for agent, cost in costs.items()}, None)
    sizes = ", ".join(
        f"{agent} {cost.bytes / 1e6:.1f} MB, {cost.events:,} events"
        for agent, cost in costs.items()
    )
    return Outcome(
        rows=rows,
        corpus=f"{turns:,} made-up turns in the records of each agent: {sizes}",
        notes=[
            f"Imports of {wanted / 1e6:,.0f} MB by `holdfast import`, from start to end.",
            "Reading: time of one processor, without the journal. The best of several rounds each.",
        ],
    )


def _rows(what: str, costs: Mapping[str, float], bar: Bar | None) -> list[Row]:
    ceiling = Ceiling(costs[MODEL], "the same talk in Claude Code's records")
    return [
        row(f"{agent}, {what}", cost, "ms/MB")
        if agent == MODEL
        else row(f"{agent}, {what}", cost, "ms/MB", ceiling=ceiling, bar=bar)
        for agent, cost in costs.items()
    ]


def _imported(setting: Setting, logs: Mapping[str, OneLog], rounds: int) -> dict[str, float]:
    """Milliseconds for each MB."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for agent, log in logs.items():
            cost = _import(setting, agent, log)
            best[agent] = min(best.get(agent, cost), cost)
    return best


def _import(setting: Setting, agent: str, log: OneLog) -> float:
    roots = {f"sources.{agent}.roots": log.root}
    with setting.folder("nothing") as nothing, fresh_home(setting, nothing, roots) as home:
        began_s = time.perf_counter()
        report = home.call("import", "--json", "--quiet")
        took_s = time.perf_counter() - began_s
    size: int = report["bytes"]["seen"]
    assert size == os.path.getsize(log.path), report
    return 1e9 * took_s / size


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
