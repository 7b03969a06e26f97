"""`python -m holdfast.conformance [check | fuzz] [AGENT ...]`: the kit from the command line."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from holdfast.conformance import REQUIREMENTS
from holdfast.conformance.in_place import STORE_REQUIREMENTS
from holdfast.conformance.in_place.fuzzing import fuzz_stores
from holdfast.conformance.in_place.samples import NAMES as STORE_NAMES
from holdfast.conformance.in_place.samples import samples_of
from holdfast.conformance.mutation import Findings, fuzz, tried
from holdfast.conformance.samples import NAMES as LINE_NAMES
from holdfast.conformance.samples import sample_of

FUZZ_SECONDS: Final = 60.0
SHOWN_MAX: Final = 5
NAMES: Final = tuple(sorted({*LINE_NAMES, *STORE_NAMES}))


def main(arguments: Sequence[str]) -> int:
    asked = _parser().parse_args(arguments)
    failed = False
    for agent in asked.agents or NAMES:
        with tempfile.TemporaryDirectory(prefix="holdfast-conformance-") as folder:
            run = _fuzz if asked.what == "fuzz" else _check
            failed |= run(agent, Path(folder), asked)
    return int(failed)


def _check(agent: str, folder: Path, _asked: argparse.Namespace) -> bool:
    """Of each way in which it keeps sessions, one line and what it fails."""
    failed = False
    if agent in LINE_NAMES:
        problems = tried(sample_of(agent), folder / "lines", REQUIREMENTS)
        failed |= _told(agent, "lines", problems, len(REQUIREMENTS))
    for sample in samples_of(agent) if agent in STORE_NAMES else ():
        problems = tried(sample, folder / sample.name, STORE_REQUIREMENTS)
        failed |= _told(agent, sample.name, problems, len(STORE_REQUIREMENTS))
    return failed


def _told(agent: str, way: str, problems: Sequence[str], asked: int) -> bool:
    print(f"{agent} ({way}): {asked - len(problems)} of {asked} requirements kept")
    for problem in problems:
        print(f"  {problem}")
    return bool(problems)


def _fuzz(agent: str, folder: Path, asked: argparse.Namespace) -> bool:
    """Where it keeps sessions in lines and otherwise, each for as long."""
    failed = False
    if agent in LINE_NAMES:
        found = fuzz(sample_of(agent), folder / "lines", asked.seconds, seed=asked.seed)
        failed |= _found(agent, "logs", found)
    if agent in STORE_NAMES:
        found = fuzz_stores(samples_of(agent), folder / "stores", asked.seconds, seed=asked.seed)
        failed |= _found(agent, "stores", found)
    return failed


def _found(agent: str, what: str, found: Findings) -> bool:
    print(
        f"{agent}: {found.executions:,} damaged {what} ({found.bytes:,} bytes), slowest "
        f"{found.slowest_s * 1000:,.0f} ms, {len(found.problems)} problems"
    )
    for problem in found.problems[:SHOWN_MAX]:
        print(f"  {problem}")
    return bool(found.problems)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m holdfast.conformance", description=__doc__)
    what = "every requirement, or damaged logs"
    parser.add_argument("what", choices=("check", "fuzz"), help=what)
    parser.add_argument("agents", nargs="*", metavar="AGENT", help=f"all: {', '.join(NAMES)}")
    parser.add_argument(
        "--seconds", type=float, default=FUZZ_SECONDS, help="fuzz each so long (60)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another number damages otherwise (0)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
