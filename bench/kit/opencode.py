"""A large database of OpenCode: many sessions, answers of tools as long as they really are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from holdfast.demo.opencode import MODEL, OpenCode

FULL_BYTES: Final = 2_000_000_000
SESSION_BYTES: Final = 2_000_000
LARGE_ROW_BYTES: Final = 64_000_000  # a tool that printed a whole file: over every cap
_POOL_CHARS: Final = 4_000_000
_OUTPUT_CHARS: Final = (200, 2_000, 8_000, 8_000, 30_000, 60_000)
_STEPS: Final = 20  # of a turn

Row = tuple[str, str, str, int, int, str]


class MadeDatabase(msgspec.Struct, frozen=True):
    path: Path
    bytes: int
    sessions: int
    parts: int


def make_database(path: Path, total_bytes: int) -> MadeDatabase:
    """The same bytes each time, in seconds, with one row too large for any memory."""
    throw = random.Random(1)
    pool = _pool(throw)
    sessions = max(2, round(total_bytes / SESSION_BYTES))
    parts = 0
    with OpenCode(str(path)) as opencode:
        run = opencode.connection.execute
        for number in range(sessions):
            run("BEGIN")
            session = opencode.session(f"ses_{number:08x}", title=f"Session {number}")
            parts += _fill(opencode, session, pool, throw, total_bytes // sessions)
            run("COMMIT")
        message = opencode.message(session, {"role": "assistant", **MODEL})
        size = min(LARGE_ROW_BYTES, total_bytes // 4)
        opencode.part(session, message, {"type": "text", "text": "x" * size})
        run("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return MadeDatabase(path, path.stat().st_size, sessions, parts + 1)


def _pool(throw: random.Random) -> str:
    syllables = [first + last for first in "bdfghklmnprstvw" for last in "aeiou"]
    words = ["".join(throw.choices(syllables, k=throw.randrange(1, 5))) for _ in range(20_000)]
    return " ".join(throw.choices(words, k=_POOL_CHARS // 6))


def _fill(
    opencode: OpenCode, session: str, pool: str, throw: random.Random, total_bytes: int
) -> int:
    """Turns of a conversation until they weigh enough; how many parts they have."""
    rows: list[Row] = []
    written = 0
    while written < total_bytes:
        opencode.asks(session, _cut(pool, throw, 200))
        for _ in range(_STEPS):
            message = opencode.message(session, {"role": "assistant", **MODEL})
            made = list(_step(opencode, session, message, pool, throw))
            written += sum(len(row[-1]) for row in made)
            rows += made
            if written >= total_bytes:
                break
    opencode.connection.executemany("INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)", rows)
    return len(rows)


def _step(
    opencode: OpenCode, session: str, message: str, pool: str, throw: random.Random
) -> Iterator[Row]:
    at = opencode.tick()
    time = f'"time":{{"start":{at},"end":{at + 5}}}'
    output = _cut(pool, throw, throw.choice(_OUTPUT_CHARS))
    asked = f'"input":{{"command":"{_cut(pool, throw, 60)}"}}'
    given = f'"output":"{output}","title":"bash","metadata":{{}},{time}'
    tool = f'"callID":"call_{at}","tool":"bash","state":{{"status":"completed",{asked},{given}}}'
    cache = '"cache":{"read":5000,"write":20}'
    tokens = f'"tokens":{{"input":{at % 997},"output":99,"reasoning":0,{cache}}}'
    for kind, rest in (
        ("reasoning", f'"text":"{_cut(pool, throw, 400)}",{time}'),
        ("tool", tool),
        ("text", f'"text":"{_cut(pool, throw, 600)}",{time}'),
        ("step-finish", f'"reason":"tool-calls","cost":0.01,{tokens}'),
    ):
        data = f'{{"type":"{kind}",{rest}}}'
        yield opencode.new_id("prt"), message, session, at, at, data


def _cut(pool: str, throw: random.Random, chars: int) -> str:
    start = throw.randrange(len(pool) - chars)
    return pool[start : start + chars]
