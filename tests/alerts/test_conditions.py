"""The language of conditions: what it says, and what it says of mistakes."""

from __future__ import annotations

import operator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.alerts.conditions import NESTING_MAX, BadCondition, parse
from holdfast.alerts.names import NAMES

COUNTS: Final = [name for name, about in NAMES.items() if about.unit == "count"]
RELATIONS: Final = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


@pytest.mark.parametrize(
    ("text", "figures", "holds"),
    [
        ("memory_usage_pct > 60", {"memory_usage_pct": 60.1}, True),
        ("memory_usage_pct > 60%", {"memory_usage_pct": 60.0}, False),
        ("disk_free_bytes < 1.5GB", {"disk_free_bytes": 1_610_612_735}, True),
        ("disk_free_bytes < 1KB", {"disk_free_bytes": 1_024}, False),
        ("uptime_secs >= 2h", {"uptime_secs": 7_200}, True),
        ("threads == 4 or children == 4", {"threads": 1, "children": 4}, True),
        ("threads == 4 and children == 4", {"threads": 1, "children": 4}, False),
        ("not threads == 4", {"threads": 5}, True),
        ("threads > 1 or threads > 2 and children > 9", {"threads": 2, "children": 0}, True),
        ("(threads > 1 or threads > 2) and children > 9", {"threads": 2, "children": 0}, False),
        ("  threads>1  ", {"threads": 2}, True),
    ],
)
def test_what_holds(text: str, figures: dict[str, float], holds: bool) -> None:
    assert parse(text).holds(figures) is holds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("threads > 1 for 30s", 30),
        ("threads > 1 for 5m", 300),
        ("threads > 1 or children > 1 for 1h", 3_600),
        ("threads > 1 for 2d", 172_800),
        ("threads > 1", 0),
    ],
)
def test_how_long_it_must_hold(text: str, seconds: float) -> None:
    assert parse(text).for_s == seconds


@pytest.mark.parametrize(
    "text",
    [
        "stall_full_pct > 1",
        "not stall_full_pct > 1",
        "stall_full_pct > 1 and threads > 1",
        "not (stall_full_pct > 1 or threads > 9)",
    ],
)
def test_what_nobody_measured_is_never_said(text: str) -> None:
    assert parse(text).holds({"stall_full_pct": None, "threads": 5}) is False


def test_an_unknown_figure_does_not_hide_what_is_known() -> None:
    assert parse("stall_full_pct > 1 or threads > 1").holds({"threads": 5}) is True


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lacks the name of a figure at its end"),
        ("threads", "lacks one of > >= < <= == != behind `threads`"),
        ("threads >", "lacks a number at its end"),
        ("threads > 5 children", "goes on with `children` where it should end"),
        ("(threads > 5", "lacks a `)` at its end"),
        ("memory_usage > 5", "which is no figure; did you mean `memory_usage_pct`?"),
        ("zzz > 5", "which is no figure; there are: memory_usage_pct"),
        ("threads > 5%", "compares `threads`, in count, with `5%`"),
        ("memory_bytes > 5m", "compares `memory_bytes`, in bytes, with `5m`"),
        ("threads > 5 for", "lacks a time behind `for`"),
        ("threads > 5 for 30", "lacks a time behind `for`"),
        ("threads > 5 for 30%", "lacks a time behind `for`"),
        ("threads > __import__('os')", "has a `'` that means nothing"),
        ("threads > 5; rm", "has a `;` that means nothing"),
        ("(" * 200 + "threads > 1" + ")" * 200, f"is nested more than {NESTING_MAX} deep"),
    ],
)
def test_a_mistake_is_said_in_words(text: str, says: str) -> None:
    with pytest.raises(BadCondition) as error:
        parse(text)
    assert says in str(error.value)


@given(st.text(alphabet="threads>=<!()andornotfor 0123456789.%smKB_", max_size=60))
def test_any_text_is_a_condition_or_a_mistake(text: str) -> None:
    with suppress(BadCondition):
        assert set(parse(text).names()) <= set(NAMES)


Tree = Any


def trees() -> st.SearchStrategy[Tree]:
    leaf = st.tuples(
        st.just("is"), st.sampled_from(COUNTS), st.sampled_from([*RELATIONS]), st.integers(0, 3)
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(st.just("not"), inner),
            st.tuples(st.sampled_from(["and", "or"]), inner, inner),
        ),
        max_leaves=8,
    )


def written(tree: Tree) -> str:
    match tree:
        case ("is", name, relation, number):
            return f"{name} {relation} {number}"
        case ("not", inner):
            return f"not ({written(inner)})"
        case (how, left, right):
            return f"({written(left)}) {how} ({written(right)})"
    raise AssertionError(tree)


def meant(tree: Tree, figures: dict[str, float]) -> bool:
    match tree:
        case ("is", name, relation, number):
            return bool(RELATIONS[relation](figures[name], number))
        case ("not", inner):
            return not meant(inner, figures)
        case ("and", left, right):
            return meant(left, figures) and meant(right, figures)
        case ("or", left, right):
            return meant(left, figures) or meant(right, figures)
    raise AssertionError(tree)


@given(trees(), st.fixed_dictionaries({name: st.integers(0, 3) for name in COUNTS}))
def test_what_was_parsed_is_what_was_written(tree: Tree, figures: dict[str, float]) -> None:
    assert parse(written(tree)).holds(figures) is meant(tree, figures)


def test_the_page_about_alerts_lists_every_figure() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {about.unit} | {about.meaning} |\n" for name, about in NAMES.items()]
    assert "".join(rows) in page
