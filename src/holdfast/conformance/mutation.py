"""Logs that were damaged on purpose, and reading as many of them as there is time for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final, TypeVar

import msgspec

from holdfast.conformance.desk import OneLog
from holdfast.conformance.sample import Nonconformant, Sample
from holdfast.events import encode

SLOW_S: Final = 5.0  # a log of a few kilobytes that takes longer hangs, for all that people know
LINES_MAX: Final = 8
DAMAGES_MAX: Final = 6
S = TypeVar("S")

GROWN_MAX: Final = 64  # times the size of a log, and a little: more is no reading but a bomb
ALLOWANCE_BYTES: Final = 65_536

_BITS: Final = (
    b'"', b"{", b"}", b"[", b"]", b":", b",", b"\\", b"\n", b"\0", b"\xff", b"\xed\xa0\xbd",
    b"\\ud83d", b"null", b"true", b"-1", b"1e999", b"9" * 40, b'"type"', b'"content"', b"[" * 60,
    b'{"a":' * 40, b"\xef\xbb\xbf", b"\r\n", b"data:image/png;base64,", b"A" * 5_000,
)  # fmt: skip


class Findings(msgspec.Struct):
    executions: int = 0
    bytes: int = 0
    slowest_s: float = 0.0
    problems: list[str] = []


def mutations(lines: Sequence[bytes], *, seed: int, rounds: int | None = None) -> Iterator[bytes]:
    """Logs of a few lines each, damaged in as many ways; the same seed gives the same ones."""
    throw = Random(seed)  # noqa: S311  # damage need not be unpredictable
    for _ in itertools.count() if rounds is None else range(rounds):
        chosen = [throw.choice(lines) for _ in range(throw.randint(1, LINES_MAX))]
        content = bytearray(b"\n".join(chosen) + throw.choice((b"\n", b"\n", b"")))
        damage(content, throw, lines)
        yield bytes(content)


def damage(content: bytearray, throw: Random, lines: Sequence[bytes]) -> None:
    """Up to six times, each in one of the ways below; `lines` are what there is to splice in."""
    for _ in range(throw.randint(0, DAMAGES_MAX)):
        throw.choice(_DAMAGES)(content, throw, lines)


def fuzz(
    sample: Sample,
    folder: Path,
    seconds: float,
    *,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Findings:
    """Read damaged logs: no exception, nothing slow, nothing far larger than what it came from."""
    found = Findings()
    log = OneLog(sample, folder)
    lines = [*sample.lines, *sample.unknown, *sample.repeats]
    if sample.conversation is not None:
        lines += list(sample.conversation(8))
    began_s = clock()
    for number, content in enumerate(mutations(lines, seed=seed)):
        if (at_s := clock()) - began_s > seconds:
            break
        problem = _problem(log, content)
        took_s = clock() - at_s
        if took_s > SLOW_S:
            problem = problem or f"took {took_s:.1f} s"
        if problem:
            found.problems.append(f"seed {seed}, log {number}: {problem}: {content[:400]!r}")
        found.executions += 1
        found.bytes += len(content)
        found.slowest_s = max(found.slowest_s, took_s)
    return found


def _problem(log: OneLog, content: bytes) -> str:
    log.forget()
    content = content.removesuffix(b"\n") + b"\n"  # until then its end is not known
    cut = len(content) // 2
    try:
        log.read(content[:cut])
        log.read(content[cut:])
        lines, ledger, torn = log.lines, log.cursor.ledger, log.cursor.torn
        for event in log.events:
            encode(event)
        log.forget()
        log.read(content)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
        return repr(error)
    if ledger.consumed + torn != len(content):
        return f"{ledger} and {torn} torn bytes are not {len(content)}"
    if lines != log.lines:
        return f"read in two parts it is another log than in one (cut at {cut})"
    if len(lines) > GROWN_MAX * len(content) + ALLOWANCE_BYTES:
        return f"{len(content)} bytes became {len(lines)}"
    return ""


def tried(sample: S, folder: Path, checks: Sequence[Callable[[S, Path], None]]) -> list[str]:
    """What a source fails, one line each."""
    failed = []
    for number, check in enumerate(checks):
        try:
            check(sample, folder / str(number))
        except Nonconformant as error:
            failed.append(f"{check.__name__.replace('_', ' ')}: {error}")
    return failed


Damage = Callable[[bytearray, Random, Sequence[bytes]], None]


def _overwrite(content: bytearray, throw: Random, _lines: Sequence[bytes]) -> None:
    if content:
        content[throw.randrange(len(content))] = throw.randrange(256)


def _insert(content: bytearray, throw: Random, _lines: Sequence[bytes]) -> None:
    at = throw.randint(0, len(content))
    content[at:at] = throw.choice(_BITS)


def _cut_out(content: bytearray, throw: Random, _lines: Sequence[bytes]) -> None:
    at = throw.randint(0, len(content))
    del content[at : at + throw.randint(1, 60)]


def _end_early(content: bytearray, throw: Random, _lines: Sequence[bytes]) -> None:
    del content[throw.randint(0, len(content)) :]


def _splice(content: bytearray, throw: Random, lines: Sequence[bytes]) -> None:
    """A piece of one record in the middle of another."""
    other, at = throw.choice(lines), throw.randint(0, len(content))
    start = throw.randint(0, len(other))
    content[at : at + throw.randint(0, 40)] = other[start : start + throw.randint(1, 200)]


def _double(content: bytearray, throw: Random, _lines: Sequence[bytes]) -> None:
    start = throw.randint(0, len(content))
    piece = bytes(content[start : start + throw.randint(1, 300)])
    content[start:start] = piece * throw.randint(1, 4)


_DAMAGES: Final[tuple[Damage, ...]] = (
    _overwrite,
    _insert,
    _cut_out,
    _end_early,
    _splice,
    _double,
)
