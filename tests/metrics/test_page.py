"""docs/metrics.md has the table of figures that the catalogue makes."""

from __future__ import annotations

from pathlib import Path

from holdfast.metrics.page import render_page

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_has_the_figures_of_the_catalogue() -> None:
    assert render_page() in PAGE.read_text("utf-8"), (
        "put the table anew into docs/metrics.md, made by: "
        '.venv/bin/python -c "from holdfast.metrics import render_page; print(render_page())"'
    )
