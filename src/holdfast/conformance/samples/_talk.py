"""Made-up talk for long conversations: what a person and an agent say, and what tools print."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from holdfast.demo.english import ENGLISH
from holdfast.demo.text import Voice, around, dice, pick

CWD: Final = "/home/hana/src/tidepool"
BRANCH: Final = "main"
START: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)

_NAMES: Final = ("tide_table", "read_gauge", "Station", "interpolate", "load_config")
_PATHS: Final = ("src/tidepool/gauge.py", "tests/test_gauge.py", "README.md")
_TOOLS: Final = ("shell", "read_file", "edit")


class Turn(NamedTuple):
    """One question, and what came of it."""

    number: int
    prompt: str
    thought: str
    answer: str
    tool: str
    command: str
    output: str
    written: str  # what it put into a file

    def at(self, step: int) -> str:
        moment = START + timedelta(minutes=self.number, milliseconds=137 * step)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def turns(agent: str, count: int) -> Iterator[Turn]:
    throw = dice("conformance", agent)
    voice = Voice(throw, ENGLISH, _NAMES, _PATHS)
    for number in range(count):
        path = pick(throw, _PATHS)
        output = "\n".join(
            f"{path}:{line}: {_plain(voice.sentence())}" for line in range(around(throw, 12, 0.8))
        )
        yield Turn(
            number,
            _plain(voice.prompt(around(throw, 120, 0.9))),
            _plain(voice.prose(around(throw, 400, 0.7))),
            _plain(voice.answer(around(throw, 600, 0.8))),
            pick(throw, _TOOLS),
            f"grep -rn {pick(throw, _NAMES)} {path}",
            output,
            "\n".join(_plain(voice.sentence()) for _ in range(around(throw, 25, 0.9))),
        )


def _plain(escaped: str) -> str:
    text: str = json.loads(f'"{escaped}"')
    return text
