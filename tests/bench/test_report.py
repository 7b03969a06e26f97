"""What becomes of results: JSON that is read back, and a page that keeps what people wrote."""

from __future__ import annotations

from pathlib import Path

from bench.kit.figures import Bar, Ceiling, Outcome, row
from bench.kit.report import HAND_WRITTEN, Machine, Result, docs, load, save, write_docs

MACHINE = Machine(
    processor="abacus", cores=2, memory_mb=1_024, kernel="Linux 6", python="3.11.7", sqlite="3.54"
)


def result(name: str = "append", figure: float = 0.5, scale: float = 1.0) -> Result:
    ceiling = Ceiling(0.25, "the least")
    return Result(
        name=name,
        title="Appending",
        command=f"make bench ARGS={name}",
        at="2026-03-01T12:00:00.000Z",
        seconds=1.5,
        scale=scale,
        machine=MACHINE,
        outcome=Outcome(
            rows=[row("p50", figure, "ms", ceiling=ceiling, bar=Bar(1.0))],
            corpus="generated logs, 3 MB",
            notes=["A note."],
        ),
    )


def test_a_result_is_read_back_as_it_was(tmp_path: Path) -> None:
    save(result(), tmp_path / "out")
    assert load(tmp_path / "out", ["append", "search"]) == [result()]


def test_a_later_run_replaces_its_own_figures_only(tmp_path: Path) -> None:
    save(result("append"), tmp_path)
    save(result("search"), tmp_path)
    save(result("append", figure=0.7), tmp_path)
    found = load(tmp_path, ["append", "search"])
    assert [each.outcome.rows[0].figure for each in found] == [0.7, 0.5]


def test_the_page_says_figure_ceiling_ratio_bar_machine_command_and_corpus() -> None:
    page = docs([result()], "\n")
    for part in (
        "| p50 | 0.500 ms | 0.250 ms: the least | 2.00x | at most 1 ms | holds |",
        "`make bench ARGS=append`, 2026-03-01, 2 cores (abacus)",
        "On generated logs, 3 MB.",
        "- A note.",
    ):
        assert part in page


def test_a_missed_bar_is_shown_as_missed() -> None:
    assert docs([result(figure=1.5)], "\n").count("**missed**") == 2
    assert "missed" not in docs([result()], "\n")


def test_a_result_at_less_than_full_scale_says_so() -> None:
    assert "**At scale 0.1, not in full.**" in docs([result(scale=0.1)], "\n")
    assert "scale 1," not in docs([result()], "\n")


def test_what_people_wrote_stays_when_the_figures_are_renewed(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "performance.md"
    write_docs([result()], page)
    written = "\n## What was tried\n\nIt was the page size.\n"
    page.write_text(page.read_text().rstrip("\n") + "\n" + written)
    write_docs([result(figure=0.75)], page)
    content = page.read_text()
    assert content.endswith(written)
    assert "0.750 ms" in content
    assert "0.500 ms" not in content
    assert content.count(HAND_WRITTEN) == 1
