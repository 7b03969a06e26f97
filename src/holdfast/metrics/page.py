"""The table of figures in docs/metrics.md, made from the catalogue; a test compares."""

from __future__ import annotations

from holdfast.metrics.figures import FIGURES, Figure


def render_page() -> str:
    lines = ["| figure | type | labels | meaning |", "|---|---|---|---|"]
    lines += [_row(figure) for figure in FIGURES]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    labels = ", ".join(f"`{label}`" for label in figure.labels)
    kept = " *" if figure.kept else ""
    return f"| `{figure.name}`{kept} | {figure.kind} | {labels} | {figure.help} |"
