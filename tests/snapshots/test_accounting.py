"""What the store counts is what the system says it takes: K4, measured where nothing else runs.

Each measurement is a process of its own. It reads its events from a file piece by piece, so that no
other memory grows with them, and does everything once before it looks, so that compressors and
buffers are there already. Looked at is anonymous memory: a process's share of the pages of Python
and its libraries changes by half a megabyte with each other Python that starts or ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

import msgspec
import pytest
import zstandard

from holdfast.blobstore import BlobStore
from holdfast.demo import generate
from holdfast.events import EMPTY, Event, Kind, encode, session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.reading import Reading, starting_cursor
from holdfast.snapshots.arena import Arena
from holdfast.sources.agents.claude import Agent as ClaudeSource
from tests.support.doors import door

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs /proc/self/smaps_rollup of Linux"
)

TOLERANCE: Final = 0.05
BLOCK_BYTES: Final = 262_144
MEASURE: Final = """
import gc, json, os, sys
from array import array
from holdfast.governor.libc import malloc_trim
from holdfast.snapshots import SessionStore, StoreLimits

def own_bytes():
    gc.collect()
    malloc_trim()
    with open("/proc/self/smaps_rollup") as rollup:
        sizes = dict(line.split()[:2] for line in rollup if line.endswith("kB\\n"))
    return (int(sizes["Anonymous:"]) + int(sizes["Swap:"])) * 1024

path, sessions, events, step, keep, rehearsed = sys.argv[1], *map(int, sys.argv[2:])
fd = os.open(path, os.O_RDONLY)
ends = array("Q", [0])
while chunk := os.pread(fd, 1 << 20, position := ends[-1]):
    at = chunk.find(b"\\n")
    while at >= 0:
        ends.append(position + at + 1)
        at = chunk.find(b"\\n", at + 1)
    if ends[-1] == position:  # one line, longer than the chunk
        while (chunk := os.pread(fd, 1 << 20, position)).find(b"\\n") < 0:
            position += len(chunk)
        ends.append(position + chunk.find(b"\\n") + 1)
chunk = b""
store = SessionStore(
    StoreLimits(budget_bytes=1 << 34, max_sessions=10**6, max_events_per_session=keep)
)

def fill(name, events, number):
    for seq in range(0, events, step):
        first = number % (len(ends) - 1)
        count = min(step, events - seq, len(ends) - 1 - first)
        assert count == min(step, events - seq), "the events of a file are a multiple of the step"
        lines = os.pread(fd, ends[first + count] - ends[first], ends[first])
        store.append(name, seq, lines, count)
        number += count
    return number

fill("warm", max(events, min(400, len(ends) - 1)), 0)
store.evict("warm", "idle")

def fill_all():
    number = 0
    for session in range(sessions):
        number = fill(f"{session:013}", events, number)

def evict_all():
    for name in store.sessions():
        store.evict(name, "idle")

if rehearsed:  # what filling and evicting so many needs itself is there before it counts
    fill_all()
    own_bytes()
    evict_all()
before = own_bytes()
fill_all()
real, accounted = own_bytes() - before, store.accounted_bytes
evict_all()
print(json.dumps({"real": real, "accounted": accounted, "left": own_bytes() - before}))
"""


def words(throw: Random, size: int) -> str:
    return " ".join(f"w{throw.randrange(4_000):x}" for _ in range(size // 5))


def signs(first: int, last: int) -> Callable[[Random, int], str]:
    def text(throw: Random, size: int) -> str:
        return "".join(chr(throw.randint(first, last)) for _ in range(size))

    return text


# name: how a text is made, its size, lines in the file, sessions, events of each, at a time, kept
KINDS: Final = {
    "ascii": (words, 900, 2_000, 8, 2_000, 10, 10_000),
    "cjk": (signs(0x4E00, 0x9FFF), 300, 1_600, 8, 1_600, 10, 10_000),
    "emoji": (signs(0x1F300, 0x1F64F), 220, 1_600, 8, 1_600, 10, 10_000),
    "tiny": (words, 5, 10_000, 20, 10_000, 50, 10_000),
    "huge": (words, 2_000_000, 4, 2, 4, 1, 10_000),
    "one event each": (words, 5, 10, 2_000, 1, 1, 10_000),
    "the newest of many": (words, 900, 3_000, 6, 3_000, 10, 2_000),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_accounted_is_what_the_process_grew_by(kind: str, tmp_path: Path) -> None:
    make, size, lines, *rest = KINDS[kind]
    throw = Random(kind)
    with (tmp_path / "lines").open("wb") as file:
        for seq in range(lines):
            file.write(encode(event(seq, make(throw, size))) + b"\n")
    found = measure(tmp_path / "lines", *rest)
    assert abs(found["accounted"] - found["real"]) <= TOLERANCE * found["real"], found
    if kind != "one event each":  # those were mostly Python's own objects, which it keeps for more
        assert found["left"] <= TOLERANCE * found["real"], found


def test_evicting_many_small_sessions_gives_their_pages_back(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(encode(event(0, "hello")) + b"\n")
    found = measure(tmp_path / "lines", 2_000, 1, 1, 10, rehearsed=True)
    assert found["left"] <= found["real"] - 2_000 * 4_096


def test_sealed_history_is_as_small_as_zstd_makes_it(tmp_path: Path) -> None:
    """At most 1.15 times level 3 over the same lines in blocks of 256 KB, everything included."""
    made = generate(
        tmp_path, seed=5, now=datetime(2026, 3, 1, tzinfo=UTC), sessions=2, total_bytes=9_000_000
    )
    lines = canonical_lines(tmp_path, max(made.sessions, key=lambda file: file.bytes).path)
    arena = Arena(0, BLOCK_BYTES)
    for number in range(0, len(lines), 10):
        arena.append(b"".join(lines[number : number + 10]), len(lines[number : number + 10]))
    arena.seal_tail()
    whole = b"".join(lines)
    assert len(whole) > 8 * BLOCK_BYTES
    compress = zstandard.ZstdCompressor(level=3).compress
    least = sum(
        len(compress(whole[at : at + BLOCK_BYTES])) for at in range(0, len(whole), BLOCK_BYTES)
    )
    assert arena.resident_bytes <= 1.15 * least


def event(seq: int, text: str) -> Event:
    return Event(
        id=f"s.0.{seq:x}.0",
        session="0123456789abc",
        seq=seq,
        kind=Kind.USER,
        at="2026-01-05T09:00:00.000Z",
        text=text,
        data=EMPTY,
        source=None,
    )


def measure(  # what is measured
    path: Path, sessions: int, events: int, step: int, keep: int, *, rehearsed: bool = False
) -> dict[str, int]:
    numbers = [str(int(number)) for number in (sessions, events, step, keep, rehearsed)]
    done = subprocess.run(
        [sys.executable, "-I", "-c", MEASURE, str(path), *numbers],
        capture_output=True,
        check=True,
        text=True,
    )
    return msgspec.json.decode(done.stdout, type=dict[str, int])


def canonical_lines(root: Path, path: Path) -> list[bytes]:
    source = ClaudeSource([str(root)])
    log = source.identify(str(path))
    assert log is not None
    reading = Reading(
        source,
        log,
        starting_cursor(log, session_id(log.agent, log.agent_session_id)),
        first_seq=0,
        limits=ReadingLimits(block_bytes=BLOCK_BYTES, max_line_bytes=1 << 22),
        blobs=BlobStore(str(root / "blobs")),
        door=door(),
    )
    with path.open("rb") as file:
        lines = b"".join(batch.lines for batch in reading.batches(file.fileno()))
    return lines.splitlines(keepends=True)
