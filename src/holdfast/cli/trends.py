"""The last hour in a line for each figure, for `status --watch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from holdfast.cli.context import Context
from holdfast.cli.output import bold, size

BARS: Final = "▁▂▃▄▅▆▇█"
COLUMNS: Final = 60
TRENDS: Final[dict[str, tuple[str, Callable[[float], str]]]] = {
    "holdfast_memory_tree_bytes": ("memory", lambda value: size(int(value))),
    "holdfast_snapshots_bytes": ("sessions", lambda value: size(int(value))),
    "holdfast_journal_index_lag_events": ("unindexed", lambda value: f"{value:,.0f} events"),
}


def trends(context: Context) -> str:
    """Empty without a daemon, or with one that has nothing to remember yet."""
    from holdfast.client import NotRunning, Refused

    try:
        found = context.client.get("/v1/history", figure=",".join(TRENDS))
    except (NotRunning, Refused):
        return ""
    lines = [
        trend(*TRENDS[line["name"]], line["values"])
        for line in found["lines"]
        if any(line["values"])  # of what was never there nobody need be told
    ]
    return "\n".join([bold("Last hour"), *lines]) if lines else ""


def trend(label: str, written: Callable[[float], str], values: Sequence[float | None]) -> str:
    seen = [value for value in values if value is not None]
    low, high = min(seen), max(seen)
    reach = written(high) if low == high else f"{written(low)} to {written(high)}"
    return f"  {label:<9} {spark(values)} {reach}"


def spark(values: Sequence[float | None], columns: int = COLUMNS) -> str:
    """From the lowest to the highest; a column is the highest of its part, a gap is a space."""
    seen = [value for value in values if value is not None]
    if not seen:
        return " " * columns
    low, span = min(seen), max(seen) - min(seen)
    text = ""
    for column in range(columns):
        part = values[column * len(values) // columns : (column + 1) * len(values) // columns]
        highest = max((value for value in part if value is not None), default=None)
        if highest is None:
            text += " "
        else:
            share = (highest - low) / span if span else 0.0
            text += BARS[min(int(share * len(BARS)), len(BARS) - 1)]
    return text
