"""`python -m bench [NAME ...] [--scale F] [--write-docs]`: what `make bench` runs."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from bench import (
    accounting,
    append,
    daemon_memory,
    database,
    export,
    first_import,
    giants,
    governor,
    idle,
    library,
    recording,
    resident,
    search,
    soak,
    sources,
    status,
    streams,
    tail,
    work,
)
from bench.kit import report
from bench.kit.figures import Bench
from bench.kit.setting import Setting
from holdfast.clock import instant

BENCHES: Final[dict[str, Bench]] = {
    "append": append,
    "import": first_import,
    "memory": daemon_memory,
    "accounting": accounting,
    "resident": resident,
    "export": export,
    "idle": idle,
    "governor": governor,
    "tail": tail,
    "recording": recording,
    "status": status,
    "search": search,
    "giants": giants,
    "sources": sources,
    "database": database,
    "library": library,
    "streams": streams,
    "work": work,
    "soak": soak,
}
LONG: Final = frozenset({"soak"})  # three quarters of an hour: only when it is named
HERE: Final = Path(__file__).parent
DOCS: Final = HERE.parent / "docs" / "performance.md"


def main(arguments: Sequence[str]) -> int:
    asked = _parser().parse_args(arguments)
    # Finally-blocks end daemons and remove homes; a plain SIGTERM would pass them by.
    signal.signal(signal.SIGTERM, _end)
    results, failed = [], []
    machine = report.this_machine()
    print(machine, flush=True)
    with tempfile.TemporaryDirectory(prefix="hfb-") as work:
        setting = Setting(asked.scale, Path(work))
        for name in asked.names or [name for name in BENCHES if name not in LONG]:
            bench = BENCHES[name]
            at, started_s = instant(), time.perf_counter()
            try:
                outcome = bench.run(setting)
            except Exception:  # noqa: BLE001  # the other benches still have something to say
                traceback.print_exc()
                failed.append(name)
                continue
            result = report.Result(
                name=name,
                title=bench.TITLE,
                command=_command(name, asked.scale),
                at=at,
                seconds=round(time.perf_counter() - started_s, 1),
                scale=asked.scale,
                machine=machine,
                outcome=outcome,
            )
            report.show(result)
            report.save(result, asked.out)
            results.append(result)
    report.show_summary(results)
    if asked.write_docs:
        report.write_docs(report.load(asked.out, list(BENCHES)), asked.docs)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures every figure that the docs quote. A bar that is missed is reported; "
        "only a bench that cannot run makes the exit code 1.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        type=_name,
        metavar="NAME",
        help=f"which (all but {', '.join(LONG)}): {', '.join(BENCHES)}",
    )
    parser.add_argument(
        "--scale", type=_scale, default=1.0, help="sizes, rounds and times, as a share (1)"
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="write the latest results to docs/performance.md"
    )
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where results are kept")
    parser.add_argument("--docs", type=Path, default=DOCS, help=argparse.SUPPRESS)
    return parser


def _name(text: str) -> str:
    if text not in BENCHES:
        raise argparse.ArgumentTypeError(f"{text} is none of: {', '.join(BENCHES)}")
    return text


def _scale(text: str) -> float:
    scale = float(text)
    if not 0 < scale <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return scale


def _command(name: str, scale: float) -> str:
    return f'make bench ARGS="{name}{"" if scale == 1 else f" --scale {scale:g}"}"'


def _end(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
