"""Figures as Prometheus reads them: its own text format, and OpenMetrics for who asks for that.

Written here rather than by `prometheus-client`, which takes 1.8 MB on top of what the daemon has
loaded anyway (PSS; 4.9 MB in a bare interpreter) for what these lines do. The tests read what is
written with that very library.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from holdfast.metrics.figures import Point, Reading

TOTAL: Final = "_total"


class Dialect(NamedTuple):
    content_type: str
    is_open: bool  # OpenMetrics


PLAIN: Final = Dialect("text/plain; version=0.0.4; charset=utf-8", is_open=False)
OPENMETRICS: Final = Dialect(
    "application/openmetrics-text; version=1.0.0; charset=utf-8", is_open=True
)


def dialect_for(accept: str) -> Dialect:
    """What an `Accept` header asks for. OpenMetrics only by its name: `*/*` is for people."""
    wanted = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        if kind in wanted:
            wanted[kind] = max(wanted[kind], _weight(parameters))
    open_weight, plain_weight = wanted.values()
    return OPENMETRICS if open_weight > 0 and open_weight >= plain_weight else PLAIN


def _weight(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def exposition(readings: Iterable[Reading], dialect: Dialect = PLAIN) -> str:
    lines: list[str] = []
    for figure, points in readings:
        if not points:
            continue
        # OpenMetrics names a family without the ending that its samples have.
        family = figure.name.removesuffix(TOTAL) if dialect.is_open else figure.name
        lines.append(f"# HELP {family} {_escaped(figure.help)}")
        lines.append(f"# TYPE {family} {figure.kind}")
        if dialect.is_open and figure.unit:
            lines.append(f"# UNIT {family} {figure.unit}")
        lines += [f"{figure.name}{_labels(figure.labels, each)} {each.value!r}" for each in points]
    if dialect.is_open:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _labels(names: tuple[str, ...], point: Point) -> str:
    if not names:
        return ""
    pairs = zip(names, point.labels, strict=True)
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in pairs) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
