"""First import against the least that any reader of these logs must do: read, split, decode.

The ceiling decodes with the fastest decoder that we know into a struct of what a reader of messages
needs and skips the rest; it keeps nothing. Ceiling and import take turns. Memory is sampled in runs
of its own: reading it takes time from the cores that are measured.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from bench.kit.corpora import described
from bench.kit.figures import Bar, Ceiling, Outcome, row
from bench.kit.homes import HOLDFAST, Home, fresh_home
from bench.kit.proc import Samples, sampling
from bench.kit.setting import Setting
from holdfast.demo import Manifest

TITLE: Final = "First import of everything, durable and searchable, as a whole process"

CORES: Final = 2
ROUNDS: Final = 5
MEMORY_ROUNDS: Final = 2
MAX_MEMORY_MB: Final = 200


class _Message(msgspec.Struct):
    id: str | None = None
    role: str | None = None
    model: str | None = None
    content: msgspec.Raw = msgspec.Raw(b"")


class _Record(msgspec.Struct):
    type: str | None = None
    uuid: str | None = None
    parentUuid: str | None = None  # noqa: N815  # the agent's spelling
    sessionId: str | None = None  # noqa: N815  # as above
    timestamp: str | None = None
    message: _Message | None = None


class Cost(NamedTuple):
    wall_s: float
    cpu_s: float


def run(setting: Setting) -> Outcome:
    corpus = setting.corpora.full
    ceilings: list[Cost] = []
    imports: list[Cost] = []
    found: list[str] = []
    with _on_cores(CORES) as cores:
        _decode_everything(corpus)  # warms the page cache
        for _ in range(setting.count(ROUNDS, least=2)):
            ceilings.append(_decode_everything(corpus))
            with _home(setting, corpus) as home:
                imports.append(_import(home, corpus, found))
        peaks = [
            _sampled_import(setting, corpus, found).peak_bytes
            for _ in range(setting.count(MEMORY_ROUNDS))
        ]
    wall = _medians(ceilings).wall_s, _medians(imports).wall_s
    cpu = _medians(ceilings).cpu_s, _medians(imports).cpu_s
    what = "read, split and decode the same files on one core"
    seconds = ", ".join(f"{cost.wall_s:.2f}" for cost in imports)
    return Outcome(
        rows=[
            row("wall", wall[1], "s", ceiling=Ceiling(wall[0], what), bar=Bar(6.0, "ratio")),
            row(
                "CPU, children included",
                cpu[1],
                "s",
                ceiling=Ceiling(cpu[0], what),
                bar=Bar(9.0, "ratio"),
            ),
            row(
                "PSS + swap of its process tree, highest",
                max(peaks) / 1e6,
                "MB",
                bar=Bar(MAX_MEMORY_MB),
            ),
        ],
        corpus=described(corpus),
        notes=[
            (
                f"Medians of {len(imports)} imports into an empty home on {cores} cores, files "
                f"warm in the page cache; wall in s: {seconds}. {found[-1]}"
            ),
            (
                "The ceiling is on one core and keeps nothing: no identity, no order, no "
                "compression, no index, no disk."
            ),
        ],
    )


def _decode_everything(corpus: Manifest) -> Cost:
    decode = msgspec.json.Decoder(_Record).decode
    gc.collect()
    gc.disable()  # as the import's children do
    try:
        wall_s, cpu_s, records = time.perf_counter(), time.process_time(), 0
        for file in corpus.files:
            for line in file.path.read_bytes().split(b"\n"):
                if line:
                    decode(line)
                    records += 1
        cost = Cost(time.perf_counter() - wall_s, time.process_time() - cpu_s)
    finally:
        gc.enable()
    assert records == corpus.lines, f"{records:,} of {corpus.lines:,} lines decoded"
    return cost


def _home(setting: Setting, corpus: Manifest) -> Any:
    return fresh_home(setting, corpus.root, {"daemon.max_memory_mb": MAX_MEMORY_MB})


def _import(home: Home, corpus: Manifest, found: list[str]) -> Cost:
    """`holdfast import --json` from start to end; what it imported is checked, untimed."""
    report_file = home.path / "report.json"
    began_s = time.perf_counter()
    pid = _spawn(home, report_file)
    _pid, status, usage = os.wait4(pid, 0)
    wall_s = time.perf_counter() - began_s
    assert status == 0, f"holdfast import ended with {os.waitstatus_to_exitcode(status)}"
    found.append(_check(home, report_file, corpus))
    return Cost(wall_s, usage.ru_utime + usage.ru_stime)


def _sampled_import(setting: Setting, corpus: Manifest, found: list[str]) -> Samples:
    with _home(setting, corpus) as home:
        report_file = home.path / "report.json"
        pid = _spawn(home, report_file)
        with sampling(lambda: pid) as samples:
            _pid, status, _usage = os.wait4(pid, 0)
        assert status == 0, f"holdfast import ended with {os.waitstatus_to_exitcode(status)}"
        found.append(_check(home, report_file, corpus))
    return samples


def _spawn(home: Home, report_file: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    return os.posix_spawn(
        HOLDFAST,
        [HOLDFAST, "import", "--json", "--quiet"],
        home.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, str(report_file), flags, 0o600)],
    )


def _check(home: Home, report_file: Path, corpus: Manifest) -> str:
    """Everything was read, and what is hidden in the logs is found by its words."""
    report = json.loads(report_file.read_bytes())
    assert report["bytes"]["seen"] == corpus.bytes, report
    assert not report["problems"], report
    for needle in corpus.needles[:1]:
        hits = home.call("search", needle.word, "--json")
        assert hits, f"{needle.word} was imported and is not found"
    journal_mb = os.path.getsize(home.paths.journal) / 1e6
    return (
        f"{report['events']:,} events in {report['sessions']:,} sessions (files of sub-agents are "
        f"sessions of their own), {journal_mb:,.1f} MB of journal."
    )


def _medians(costs: list[Cost]) -> Cost:
    return Cost(*map(statistics.median, zip(*costs, strict=True)))


@contextmanager
def _on_cores(most: int) -> Iterator[int]:
    """The bar is about two cores, whatever the machine has."""
    before = os.sched_getaffinity(0)
    chosen = set(sorted(before)[:most])
    os.sched_setaffinity(0, chosen)
    try:
        yield len(chosen)
    finally:
        os.sched_setaffinity(0, before)
