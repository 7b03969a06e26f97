"""`python -m holdfast.conformance [check | fuzz] [AGENT ...]`: the kit from the command line."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from holdfast.conformance import REQUIREMENTS
from holdfast.conformance.mutation import fuzz, tried
from holdfast.conformance.samples import NAMES, sample_of

FUZZ_SECONDS: Final = 60.0
SHOWN_MAX: Final = 5


def main(arguments: Sequence[str]) -> int:
    asked = _parser().parse_args(arguments)
    failed = False
    for agent in asked.agents or NAMES:
        with tempfile.TemporaryDirectory(prefix="holdfast-conformance-") as folder:
            run = _fuzz if asked.what == "fuzz" else _check
            failed |= run(agent, Path(folder), asked)
    return int(failed)


def _check(agent: str, folder: Path, _asked: argparse.Namespace) -> bool:
    problems = tried(sample_of(agent), folder, REQUIREMENTS)
    print(f"{agent}: {len(REQUIREMENTS) - len(problems)} of {len(REQUIREMENTS)} requirements kept")
    for problem in problems:
        print(f"  {problem}")
    return bool(problems)


def _fuzz(agent: str, folder: Path, asked: argparse.Namespace) -> bool:
    found = fuzz(sample_of(agent), folder, asked.seconds, seed=asked.seed)
    print(
        f"{agent}: {found.executions:,} damaged logs ({found.bytes:,} bytes), slowest "
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
