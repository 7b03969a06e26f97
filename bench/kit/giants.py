"""Logs of a size that was met once and must not matter: written anew for each run.

Each giant is a function that writes one below a home's agents and says how many bytes it is; a
bench runs all of `GIANTS`.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.demo import lines
from holdfast.demo.codex import CodexSession, encoded

ROLLOUT_BYTES: Final = 725_000_000
REPEATED_SHARE: Final = 0.9  # of it, compactions
IMAGE_CHARS: Final = 978_000
IMAGES_PER_COMPACTION: Final = 7
LINE_BYTES: Final = 734_000_000
PIECE_BYTES: Final = 1 << 20
TURNS_PER_COMPACTION: Final = 4

_NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)


class Giant(msgspec.Struct, frozen=True):
    """`write` gets the folder of an agent's data and about how many bytes are wanted."""

    name: str
    agent: str  # whose data it is: `Home` has a folder for each
    bytes: int
    write: Callable[[Path, int], int]


def write_rollout(root: Path, wanted: int) -> int:
    """A session of Codex CLI whose compactions repeat the same image again and again."""
    session = CodexSession(1, _NOW)
    path = root / "sessions" / f"{session.begun:%Y/%m/%d}" / session.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    throw = random.Random(1)
    picture = base64.b64encode(throw.randbytes(IMAGE_CHARS * 3 // 4)).decode()
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{picture}"}
    shown = {"type": "message", "role": "user", "content": [image]}
    repeated = compacted = 0
    history: list[dict[str, Any]] = []
    with path.open("wb", buffering=PIECE_BYTES) as file:
        file.writelines(map(encoded, session.opening()))
        file.write(encoded({"timestamp": "", "type": "response_item", "payload": shown}))
        while file.tell() < wanted:
            if repeated >= REPEATED_SHARE * file.tell():
                history = _turns(file.write, session)
                continue
            compacted += 1
            images = [shown] * (1 + compacted % IMAGES_PER_COMPACTION)  # some are over the cap
            for record in session.compaction([*images, *history]):
                repeated += file.write(encoded(record))
        return file.tell()


def _turns(write: Callable[[bytes], int], session: CodexSession) -> list[dict[str, Any]]:
    """Some turns; the items of them, which the next compaction repeats."""
    items = []
    for _ in range(TURNS_PER_COMPACTION):
        for record in session.turn():
            write(encoded(record))
            if record["type"] == "response_item":
                items.append(record["payload"])
    return items


def write_line(root: Path, wanted: int) -> int:
    """A log of Claude Code that is a single line."""
    head, _, tail = lines.user_line("GIANT").partition(b"GIANT")
    path = root / "projects" / "-home-hana-src-tidepool" / "giant.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    piece = base64.b64encode(random.Random(2).randbytes(PIECE_BYTES))
    with path.open("wb", buffering=0) as file:
        file.write(head)
        while file.tell() < wanted - len(tail):
            file.write(piece[: wanted - len(tail) - file.tell()])
        file.write(tail)
        return file.tell()


GIANTS: Final = (
    Giant("a rollout of Codex CLI, 90 % repeated", "codex", ROLLOUT_BYTES, write_rollout),
    Giant("a log that is one line", "claude", LINE_BYTES, write_line),
)
