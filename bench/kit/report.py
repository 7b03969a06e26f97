"""Results: printed for people, kept as JSON, and gathered into docs/performance.md."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.kit.figures import Outcome, Row

HAND_WRITTEN: Final = (
    "<!-- Below this line: written by hand, kept when the figures are renewed. -->"
)

_HEAD: Final = """\
# Performance

<!-- Written by `make bench ARGS=--write-docs`: change the benches in bench/, not this page. -->

Each figure stands beside a ceiling that was measured in the same run on the same machine: the least
work that any program would have to do for the same result. The ratio of the two travels between
machines, the figure does not. All logs are generated, in the sizes and types that were counted on
273 real sessions (`holdfast.demo`); nothing here depends on anybody's own logs.

Run them all with `make bench`, one with `make bench ARGS=NAME`, a quick look with
`make bench ARGS="NAME --scale 0.1"`. What is not reached is shown as it is.
"""


class Machine(msgspec.Struct, frozen=True):
    processor: str
    cores: int
    memory_mb: int
    kernel: str
    python: str
    sqlite: str

    def __str__(self) -> str:
        return (
            f"{self.cores} cores ({self.processor}), {self.memory_mb:,} MB, {self.kernel}, "
            f"Python {self.python}, SQLite {self.sqlite}"
        )


class Result(msgspec.Struct, kw_only=True):
    """What one bench gave in one run."""

    name: str
    title: str
    command: str
    at: str
    seconds: float
    scale: float
    machine: Machine
    outcome: Outcome


def this_machine() -> Machine:
    import apsw

    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        sqlite=apsw.sqlite_lib_version(),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


# For people, at once.


def show(result: Result) -> None:
    outcome = result.outcome
    scale = "" if result.scale == 1 else f", scale {result.scale:g}"
    print(f"\n{result.name}: {result.title} ({result.seconds:.1f} s{scale})")
    print(f"  on {outcome.corpus}")
    width = max(len(row.what) for row in outcome.rows)
    for each in outcome.rows:
        cells = [f"  {each.what:<{width}}  {_quantity(each.figure, each.unit):>11}"]
        if each.ceiling is not None:
            ratio = f"{each.ratio:.2f}x" if each.ratio is not None else ""
            cells.append(f"{ratio:>8} of {_quantity(each.ceiling.value, each.unit)}")
            cells.append(f"({each.ceiling.what})")
        if each.bar is not None:
            cells.append(f"[{each.bar.text(each.unit)}: {_verdict(each)}]")
        print("  ".join(cells))
    for note in outcome.notes:
        print(f"  {note}")
    sys.stdout.flush()


def show_summary(results: Sequence[Result]) -> None:
    barred = [(result, row) for result in results for row in result.outcome.rows if row.bar]
    missed = [(result.name, row.what) for result, row in barred if not row.holds]
    print(f"\n{len(barred) - len(missed)} of {len(barred)} bars hold.")
    for name, what in missed:
        print(f"  missed: {name}: {what}")


def _verdict(each: Row) -> str:
    return "holds" if each.holds else "MISSED"


def _quantity(value: float, unit: str) -> str:
    size = abs(value)
    digits = 0 if size >= 1_000 else 1 if size >= 100 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f} {unit}"


# For scripts and for the docs.


def save(result: Result, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(result), indent=2)
    (folder / f"{result.name}.json").write_bytes(content + b"\n")


def load(folder: Path, names: Sequence[str]) -> list[Result]:
    """The latest result of each bench that was ever run, in the order of `names`."""
    files = [folder / f"{name}.json" for name in names]
    return [msgspec.json.decode(file.read_bytes(), type=Result) for file in files if file.exists()]


def write_docs(results: Sequence[Result], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(docs(results, _hand_written(path)), encoding="utf-8")


def _hand_written(path: Path) -> str:
    if not path.exists():
        return "\n"
    return path.read_text(encoding="utf-8").partition(HAND_WRITTEN)[2] or "\n"


def docs(results: Sequence[Result], hand_written: str) -> str:
    parts = [_HEAD, _overview(results), *map(_section, results)]
    return "\n".join(parts) + f"\n{HAND_WRITTEN}{hand_written}"


def _overview(results: Sequence[Result]) -> str:
    lines = ["| bar | must reach | measured | |", "|---|---|---|---|"]
    for result in results:
        for each in result.outcome.rows:
            if each.bar is not None:
                measured = (
                    f"{each.ratio:.2f}x"
                    if each.bar.on == "ratio" and each.ratio is not None
                    else _quantity(each.figure, each.unit)
                )
                cells = (
                    f"[{result.name}](#{result.name}): {each.what}",
                    each.bar.text(each.unit),
                    measured,
                    "holds" if each.holds else "**missed**",
                )
                lines.append(_cells(*cells))
    return "\n".join([*lines, ""])


def _section(result: Result) -> str:
    outcome = result.outcome
    lines = [
        f"## {result.name}",
        "",
        f"{result.title}.",
        "",
        _cells("what", "measured", "ceiling in the same run", "ratio", "must reach", ""),
        _cells(*["---"] * 6),
    ]
    for each in outcome.rows:
        ceiling, ratio = "", ""
        if each.ceiling is not None:
            ceiling = f"{_quantity(each.ceiling.value, each.unit)}: {each.ceiling.what}"
        if each.ratio is not None:
            ratio = f"{each.ratio:.2f}x"
        must, verdict = "", ""
        if each.bar is not None:
            must = each.bar.text(each.unit)
            verdict = "holds" if each.holds else "**missed**"
        measured = _quantity(each.figure, each.unit)
        lines.append(_cells(each.what, measured, ceiling, ratio, must, verdict))
    lines += ["", *[f"- {note}" for note in outcome.notes], ""] if outcome.notes else [""]
    scale = "" if result.scale == 1 else f" **At scale {result.scale:g}, not in full.**"
    lines += [
        f"On {outcome.corpus}.{scale}",
        "",
        f"`{result.command}`, {result.at[:10]}, {result.machine}.",
        "",
    ]
    return "\n".join(lines)


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
