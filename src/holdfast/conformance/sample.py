"""What a source is tried with: lines of each sort that its agent writes, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from holdfast.events import Usage
from holdfast.journal.model import NO_USAGE, Verdict
from holdfast.sources.base import LineSource

T = TypeVar("T")


class Nonconformant(AssertionError):
    """The source does not do what every source must do."""


class Step(msgspec.Struct, frozen=True):
    """A line of a log, and the kinds of the events that it must become."""

    line: bytes
    kinds: tuple[str, ...] = ()
    verdict: Verdict = "parsed"


class Facets(msgspec.Struct, frozen=True):
    """What must be known of the session once all is read; "" where the agent says nothing."""

    title: str = ""
    project: str = ""
    cwd: str = ""
    branch: str = ""
    model: str = ""
    agent_version: str = ""
    forked_from: str = ""  # the agent's id of the other session


NOTHING_KNOWN: Final = Facets()


class Fork(msgspec.Struct, frozen=True):
    """A session that goes on where the sample's ended, in a log that begins with its records."""

    path: str  # below the root
    session: str
    own: Sequence[str]  # the kinds of the events that are not the sample's
    before: Sequence[bytes] = ()  # lines before the records that come again
    after: Sequence[bytes] = ()

    def content(self, repeated: bytes) -> bytes:
        before, after = (
            b"".join(line + b"\n" for line in lines) for lines in (self.before, self.after)
        )
        return before + repeated + after


@dataclass(frozen=True)
class Sample:
    """How the logs of one agent look."""

    source: Callable[[Sequence[str]], LineSource]
    steps: Sequence[Step]
    path: str  # of a log, below the root
    session: str  # the agent's id of the session in it
    facets: Facets = NOTHING_KNOWN
    usage: Usage = NO_USAGE  # of all steps together
    repeats: Sequence[bytes] = ()  # lines that tell again what steps have spent
    unknown: Sequence[bytes] = ()  # records that no rule knows
    many_parts: Callable[[int], bytes] | None = None  # a record of so many parts
    moved: str = ""  # where the log may be moved to and stay the same session
    compressed: str = ""  # where the agent puts it when it compresses it
    fork: Fork | None = None
    # More logs below the root: session, and the session that started it.
    logs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    others: Sequence[str] = ()  # files below the root that are no logs
    # As many turns of a long conversation as are asked for: for measuring and for damaging.
    conversation: Callable[[int], Iterator[bytes]] | None = None

    @property
    def lines(self) -> list[bytes]:
        return [step.line for step in self.steps]

    @property
    def content(self) -> bytes:
        return b"".join(line + b"\n" for line in self.lines)


Requirement = Callable[[Sample, Path], None]
REQUIREMENTS: Final[list[Requirement]] = []


def requirement(check: Requirement) -> Requirement:
    REQUIREMENTS.append(check)
    return check


def name(check: Requirement) -> str:
    return getattr(check, "__name__", "").replace("_", " ")


def step(record: Mapping[str, Any] | bytes, *kinds: str, verdict: Verdict = "parsed") -> Step:
    line = record if isinstance(record, bytes) else msgspec.json.encode(record)
    return Step(line, kinds, verdict)


def expect(found: T, wanted: T, what: str) -> None:
    if found != wanted:
        raise Nonconformant(f"{what}: found {_short(found)}, expected {_short(wanted)}")


def require(holds: object, what: str) -> None:
    if not holds:
        raise Nonconformant(what)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 2_000 else f"{text[:1_000]} … {text[-900:]}"
